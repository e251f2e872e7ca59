"""What every sandbox can do, held against each backend."""

from __future__ import annotations

import contextlib
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import SETSID
from support.specs import KINDS, sandbox_spec

from orchestrator.backends import Sandbox, Stream, find_backend
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance

pytestmark = pytest.mark.slow

MOUNTED = "/opt/ours"
Open = Callable[..., Sandbox]


@pytest.fixture(scope="module", params=KINDS)
def sandbox(
    request: pytest.FixtureRequest,
    instance: Instance,
    tmp_path_factory: pytest.TempPathFactory,
    bring_image: Callable[[str, Instance], None],
) -> Iterator[Sandbox]:
    """One sandbox for all tests that leave it as it was."""
    bring_image(request.param, instance)
    mounted = tmp_path_factory.mktemp("mounted")
    (mounted / "deep").mkdir()
    (mounted / "deep" / "file.txt").write_text("from the host\n")
    spec = sandbox_spec(
        instance,
        tmp_path_factory.mktemp("run"),
        env={"OURS": "größer"},
        mounts=(f"{mounted}:{MOUNTED}:ro",),
    )
    with find_backend(request.param).start(spec) as sandbox:
        yield sandbox


def out(sandbox: Sandbox, command: str, timeout_s: float = 30) -> str:
    result = sandbox.exec(command, timeout_s)
    assert result.exit_code == 0, result.text
    return result.text.strip()


def test_commands_run_in_the_repository(sandbox: Sandbox) -> None:
    assert out(sandbox, "pwd -P") == str(Path(sandbox.workdir))
    assert out(sandbox, "git log -1 --format=%s") == "SWE-bench"


def test_the_repository_is_at_the_base_commit_and_clean(
    sandbox: Sandbox, instance: Instance
) -> None:
    assert out(sandbox, "git rev-parse HEAD^") == instance.base_commit
    assert out(sandbox, "git status --short") == ""


def test_commands_run_in_the_environment_testbed(sandbox: Sandbox) -> None:
    assert out(sandbox, "command -v python").endswith("/envs/testbed/bin/python")
    assert out(sandbox, "echo $CONDA_DEFAULT_ENV") == "testbed"
    assert out(sandbox, "cd / && python -c 'import ledger; print(ledger.__file__)'").startswith(
        sandbox.workdir
    )


def test_commands_have_what_the_configuration_exports(sandbox: Sandbox) -> None:
    assert out(sandbox, "echo $OURS") == "größer"


def test_a_command_is_bash_and_may_span_lines(sandbox: Sandbox) -> None:
    assert out(sandbox, "x=(a b)\nif [[ ${#x[@]} == 2 ]]; then\n  echo 'two' \"$((1+1))\"\nfi") == (
        "two 2"
    )


LONG = [200_000, 5_000_000]


@pytest.mark.parametrize("length", [130_000, *LONG])
@pytest.mark.parametrize("character", ["y", "ö"])
def test_a_command_may_be_of_any_length(sandbox: Sandbox, length: int, character: str) -> None:
    text = character * (length // len(character.encode()))

    assert out(sandbox, f"cat <<'EOF' | wc -c\n{text}\nEOF") == str(length + 1)


def test_a_long_command_is_run_as_a_short_one_is(sandbox: Sandbox) -> None:
    command = f": {'y' * 200_000}\npwd -P; echo $OURS; command -v python; wc -c; (exit 3)"

    result = sandbox.exec(command, 30)
    short = sandbox.exec(command.replace("y" * 200_000, "y"), 30)

    assert (result.text, result.exit_code) == (short.text, 3)
    assert out(sandbox, "git status --short") == ""
    assert out(sandbox, "ls -A / | grep swe-orchestrator || true") == ""


def test_a_long_command_that_takes_too_long_is_killed(sandbox: Sandbox) -> None:
    result = sandbox.exec(f": {'y' * 200_000}\nsleep 4325 | cat", 0.5)

    assert result.timed_out
    assert out(sandbox, "ps -eo args | grep '[s]leep 4325' || true") == ""


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("printf '\x03\x04\x1a\x1b[2J\r\x7f' | wc -c", b"9"),
        ("echo '\u202eabc\u2066'", "\u202eabc\u2066".encode()),
        ("echo 'größer 😀'", "größer 😀".encode()),
        ("echo '[/bold][red]'", b"[/bold][red]"),
        ("echo 'a\u2028b\x85c'", "a\u2028b\x85c".encode()),
        ("", b""),
        ("# nothing", b""),
        ("\n\n", b""),
    ],
)
def test_a_command_may_hold_any_character(sandbox: Sandbox, command: str, printed: bytes) -> None:
    output = sandbox.exec(command, 30).output.strip()

    assert output == printed


def test_a_command_is_no_option_of_its_shell(sandbox: Sandbox) -> None:
    result = sandbox.exec("-c", 30)

    assert result.exit_code == 127
    assert "-c: command not found" in result.text


@pytest.mark.parametrize(
    "command", ["echo a\0b", "\0", "echo \ud83d", "echo '\ude00\ud83d'", "\0" + "x" * 200_000]
)
def test_what_no_shell_can_be_given_is_said_in_the_result(sandbox: Sandbox, command: str) -> None:
    result = sandbox.exec(command, 30)

    assert (result.exit_code, result.timed_out) == (126, False)
    assert "no shell can be given" in result.text


@pytest.mark.parametrize("code", [0, 1, 42, 126, 127, 255])
def test_the_exit_code_is_the_commands(sandbox: Sandbox, code: int) -> None:
    result = sandbox.exec(f"exit {code}", 30)

    assert (result.exit_code, result.timed_out) == (code, False)


def test_a_command_that_kills_itself_did_not_time_out(sandbox: Sandbox) -> None:
    result = sandbox.exec("kill -KILL $$", 30)

    assert result.exit_code != 0
    assert not result.timed_out


def test_stdout_and_stderr_are_one_stream_in_order(sandbox: Sandbox) -> None:
    assert out(sandbox, "echo 1; echo 2 >&2; echo 3").split() == ["1", "2", "3"]


def test_nothing_can_be_read_from_stdin(sandbox: Sandbox) -> None:
    assert out(sandbox, "wc -c") == "0"


def test_a_shell_does_not_outlive_its_command(sandbox: Sandbox) -> None:
    out(sandbox, "cd /; export LEFT=over")

    assert out(sandbox, "pwd; echo $LEFT").strip() == sandbox.workdir


def test_a_command_that_takes_too_long_is_killed_and_the_result_says_so(sandbox: Sandbox) -> None:
    result = sandbox.exec("echo started; sleep 300", 0.5)

    assert result.timed_out
    assert result.exit_code != 0
    assert result.text.strip() == "started"


def test_its_children_are_killed_with_it(sandbox: Sandbox) -> None:
    result = sandbox.exec("(sleep 4321 | cat) & bash -c 'sleep 4321; true'", 0.5)

    assert result.timed_out
    assert out(sandbox, "ps -eo args | grep '[s]leep 4321' || true") == ""


def test_a_process_in_the_background_does_not_delay_the_result(sandbox: Sandbox) -> None:
    result = sandbox.exec("sleep 20 & echo done", 10)

    assert (result.text, result.exit_code, result.timed_out) == ("done\n", 0, False)


def test_a_command_that_closes_its_output_is_waited_for(sandbox: Sandbox) -> None:
    result = sandbox.exec("exec >&- 2>&-; sleep 0.3; exit 7", 10)

    assert (result.exit_code, result.timed_out) == (7, False)


def test_of_too_much_output_the_head_and_the_tail_are_kept(sandbox: Sandbox) -> None:
    result = sandbox.exec("seq 1 400000", 30, max_bytes=1000)

    assert result.text.startswith("1\n2\n3\n")
    assert result.text.endswith("399999\n400000\n")
    assert "bytes left out" in result.text
    assert len(result.output) < 1100


def test_output_under_the_limit_is_whole(sandbox: Sandbox) -> None:
    result = sandbox.exec("seq 1 60000", 30)

    assert result.text == "".join(f"{n}\n" for n in range(1, 60001))


def test_output_need_not_be_text(sandbox: Sandbox) -> None:
    result = sandbox.exec(r"printf 'a\xff\xfe\0b'", 30)

    assert result.output == b"a\xff\xfe\0b"
    assert result.text == "a��\0b"


def test_a_file_is_written_relative_to_the_repository(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 300
    sandbox.write_file("our file.bin", data)

    assert sandbox.exec("cat 'our file.bin'; rm 'our file.bin'", 30).output == data


def test_a_file_is_written_where_a_full_path_says(sandbox: Sandbox) -> None:
    path = f"{sandbox.workdir}/../beside.sh"
    sandbox.write_file(path, b"echo beside")

    assert out(sandbox, f"bash {path}; rm {path}") == "beside"


def test_a_file_is_not_written_into_a_folder_that_is_not_there(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxUnavailable):
        sandbox.write_file("none/such/file", b"")


def test_what_is_mounted_is_read_where_it_is_resolved_to(sandbox: Sandbox) -> None:
    assert out(sandbox, f"cat {sandbox.resolve(f'{MOUNTED}/deep/file.txt')}") == "from the host"
    assert out(sandbox, f"ls {sandbox.resolve(MOUNTED)}") == "deep"


@pytest.mark.parametrize("path", ["/opt/ours-not", "/opt", "/opt/other/ours", "relative/ours"])
def test_a_path_outside_of_the_mounts_stays_as_it_is(sandbox: Sandbox, path: str) -> None:
    assert sandbox.resolve(path) == path


def read_all(stream: Stream) -> bytes:
    return b"".join(iter(stream.read, b""))


def test_a_program_that_is_attached_reads_and_writes_with_us(sandbox: Sandbox) -> None:
    program = 'read first; echo "got $first"; read second; echo "then $second"'
    with contextlib.closing(sandbox.attach(["bash", "-c", program])) as stream:
        stream.write(b"one\n")
        assert read_line(stream) == b"got one\n"
        stream.write("größer\n".encode())
        assert read_line(stream) == "then größer\n".encode()
        assert stream.read() == b"", "it has ended"


def read_line(stream: Stream) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = stream.read()
        assert piece, line
        line += piece
    return line


def test_it_runs_where_commands_run_and_with_their_environment(sandbox: Sandbox) -> None:
    program = ["bash", "-c", "pwd -P; echo $OURS $CONDA_DEFAULT_ENV"]
    with contextlib.closing(sandbox.attach(program)) as stream:
        said = read_all(stream).decode()

    assert said == f"{Path(sandbox.workdir)}\ngrößer testbed\n"


def test_its_stderr_is_not_mixed_with_its_stdout(sandbox: Sandbox) -> None:
    program = ["bash", "-c", "echo said; echo complained >&2; echo said more"]
    with contextlib.closing(sandbox.attach(program)) as stream:
        assert read_all(stream) == b"said\nsaid more\n"


def test_words_of_an_attached_program_are_no_shell_code(sandbox: Sandbox) -> None:
    words = ["a b", "$HOME", "'", "größer", ""]
    with contextlib.closing(sandbox.attach(["printf", "%s|", *words])) as stream:
        assert read_all(stream).decode() == "".join(f"{word}|" for word in words)


def test_bytes_pass_unchanged_both_ways_while_one_thread_reads_and_one_writes(
    sandbox: Sandbox,
) -> None:
    data = random.Random(7).randbytes(2_000_000)
    with contextlib.closing(sandbox.attach(["head", "-c", str(len(data))])) as stream:
        writer = threading.Thread(target=stream.write, args=(data,))
        writer.start()
        assert read_all(stream) == data
        writer.join()


def test_closing_wakes_a_reader_and_ends_the_program(sandbox: Sandbox) -> None:
    program = "import sys; sys.stdin.read()  # 4323"
    stream = sandbox.attach(["python3", "-c", program])
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(read_all(stream)))
    reader.start()
    assert eventually(lambda: "4323" in out(sandbox, "ps -eo args | grep '[#] 4323' || true"))

    stream.close()

    reader.join(20)
    assert read == [b""]
    assert eventually(lambda: out(sandbox, "ps -eo args | grep '[#] 4323' || true") == "")
    stream.close()


def test_a_writer_to_a_program_that_has_ended_does_not_outlast_the_stream(
    sandbox: Sandbox,
) -> None:
    """Docker's engine may take half a minute to refuse input that no program reads."""
    refused: list[OSError] = []

    def write() -> None:
        try:
            while True:
                stream.write(b"x" * 100_000)
        except OSError as error:
            refused.append(error)

    with contextlib.closing(sandbox.attach(["true"])) as stream:
        assert read_all(stream) == b""
        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.3)

    writer.join(20)
    assert refused


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_sandbox_that_is_closed_ends_what_is_attached(kind: str, open_sandbox: Open) -> None:
    sandbox = open_sandbox(kind)
    with contextlib.closing(sandbox.attach(["cat"])) as stream:
        stream.write(b"here\n")
        assert read_line(stream) == b"here\n"

        sandbox.close()

        with contextlib.suppress(OSError):
            assert stream.read() == b""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_attached_to_a_closed_sandbox(kind: str, open_sandbox: Open) -> None:
    sandbox = open_sandbox(kind)
    sandbox.close()

    with pytest.raises(SandboxUnavailable):
        sandbox.attach(["cat"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_sandbox_is_gone_with_all_that_ran_in_it(
    kind: str, open_sandbox: Open, tmp_path: Path
) -> None:
    sandbox = open_sandbox(kind)
    sandbox.exec(f"{SETSID} sleep 4322 >/dev/null 2>&1 & mkdir -p sub && chmod 500 sub", 30)

    sandbox.close()
    sandbox.close()

    with pytest.raises(SandboxUnavailable):
        sandbox.exec("true", 10)
    assert list(tmp_path.glob("scratch/*")) == []
    assert not find_backend(kind).clean(tmp_path)
    assert running("sleep 4322") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_renewed_sandbox_has_its_repository_and_nothing_that_ran_in_it(
    kind: str, open_sandbox: Open
) -> None:
    sandbox = open_sandbox(kind)
    beside = f"{sandbox.workdir}/../kept"
    sandbox.exec(f"mkdir {beside}; echo 1 > {beside}/file; rm README.md", 30)
    sandbox.exec("echo new > 'a file'; ln -s 'a file' link; chmod +x 'a file'", 30)
    before = out(sandbox, "git status --short; ls -l 'a file' link")
    sandbox.exec(f"{SETSID} sleep 4324 >/dev/null 2>&1 &", 30)

    sandbox.renew((str(Path(beside).resolve()),))

    assert out(sandbox, "git status --short; ls -l 'a file' link") == before
    assert "D README.md" in before
    assert out(sandbox, f"cat {beside}/file; echo $CONDA_DEFAULT_ENV") == "1\ntestbed"
    assert eventually(lambda: out(sandbox, "ps -eo args | grep '[s]leep 4324' || true") == "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sandbox_that_is_gone_is_not_renewed(kind: str, open_sandbox: Open) -> None:
    sandbox = open_sandbox(kind)
    sandbox.close()

    with pytest.raises(SandboxUnavailable):
        sandbox.renew()


@pytest.mark.parametrize("kind", KINDS)
def test_a_renewed_sandbox_is_removed_like_any_other(
    kind: str, open_sandbox: Open, tmp_path: Path
) -> None:
    sandbox = open_sandbox(kind)
    sandbox.renew()
    sandbox.exec("rm -rf ../kept", 10)
    sandbox.renew(("/no/such/path",))
    assert out(sandbox, "echo works") == "works"

    sandbox.close()

    assert not find_backend(kind).clean(tmp_path)
    with pytest.raises(SandboxUnavailable):
        sandbox.exec("true", 10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_sandbox_can_not_be_written_to(kind: str, open_sandbox: Open) -> None:
    sandbox = open_sandbox(kind)
    sandbox.close()

    with pytest.raises(SandboxUnavailable):
        sandbox.write_file("f", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_two_sandboxes_do_not_see_each_other(kind: str, open_sandbox: Open) -> None:
    one, other = open_sandbox(kind), open_sandbox(kind)
    out(one, "echo 1 > mine.txt")

    assert out(other, "ls mine.txt 2>/dev/null || echo none") == "none"


def running(command: str) -> list[Any]:
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        if " ".join(process.info["cmdline"] or ()) == command:
            found.append(process)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_commands_run_elsewhere_when_the_repository_is_gone(
    kind: str, open_sandbox: Open, tmp_path: Path
) -> None:
    """Where runs are kept is often a repository of the user's."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    sandbox = open_sandbox(kind)
    sandbox.exec('rm -rf "$PWD"', 10)

    result = sandbox.exec("echo alive; git rev-parse --git-dir", 10)

    assert result.text.startswith("alive\n")
    assert result.exit_code != 0, "none of anybody else's"
