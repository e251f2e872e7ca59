"""What a killed worker leaves running is found where no environment can be read, and nothing else.

So it is on macOS for Apple's own programs: there `environ` is refused, or empty.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.backends.process.processes import NOTED, kill_processes_of, note_session
from orchestrator.backends.process.sandbox import ProcessSandbox

Start = Callable[..., subprocess.Popen[bytes]]
GONE = -signal.SIGKILL


def refused(process: psutil.Process) -> dict[str, str]:
    raise psutil.AccessDenied(process.pid)


@pytest.fixture(params=[refused, lambda process: {}], ids=["refused", "empty"], autouse=True)
def hidden_environments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "environ", request.param)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "scratch" / "orchard__ledger-12.1.abcdef"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def start(copy: Path) -> Iterator[Start]:
    """Starts a program as the leader of a session, in the copy's folder."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*words: str, cwd: Path = copy) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            words, cwd=cwd, start_new_session=True, stdout=subprocess.PIPE, stdin=subprocess.PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def child_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The one whose id it prints."""
    assert process.stdout is not None
    return psutil.Process(int(process.stdout.readline()))


@pytest.mark.slow
def test_a_session_goes_with_all_that_is_in_it(start: Start, copy: Path) -> None:
    shell = start("bash", "-c", "sleep 1000 >/dev/null & echo $!; cd /; wait")
    note_session(copy, shell.pid)
    sleeper = child_of(shell)

    assert kill_processes_of(copy.parent) == 2

    assert shell.wait() == GONE
    psutil.wait_procs([sleeper], 10)
    assert not sleeper.is_running()


@pytest.mark.slow
def test_what_works_on_in_the_copy_goes_after_its_shell(start: Start, copy: Path) -> None:
    shell = start("bash", "-c", "sleep 1000 >/dev/null & echo $!; read line")
    note_session(copy, shell.pid)
    sleeper = child_of(shell)
    end(shell)

    assert kill_processes_of(copy) == 1
    psutil.wait_procs([sleeper], 10)


def test_another_sandboxs_session_stays(start: Start, copy: Path) -> None:
    other = copy.with_name("orchard__ledger-12.2.abcdef")
    other.mkdir()
    shell = start("sleep", "1000", cwd=other)
    note_session(other, shell.pid)

    assert kill_processes_of(copy) == 0
    assert shell.poll() is None
    assert kill_processes_of(copy.parent) == 1


def test_a_stranger_with_the_number_of_an_ended_session_stays(start: Start, copy: Path) -> None:
    stranger = start("sleep", "1000")
    began_at = psutil.Process(stranger.pid).create_time()
    (copy / NOTED).write_text(f"{stranger.pid} {began_at - 60}\n", encoding="ascii")

    assert kill_processes_of(copy) == 0
    assert stranger.poll() is None


def test_a_strangers_child_with_that_number_stays(start: Start, copy: Path, tmp_path: Path) -> None:
    stranger = start("bash", "-c", "sleep 1000 >/dev/null & echo $!; read line", cwd=tmp_path)
    note_session(copy, stranger.pid)
    child = child_of(stranger)
    end(stranger)

    assert kill_processes_of(copy) == 0
    assert child.is_running()
    child.kill()


@pytest.mark.parametrize(
    "noted", ["", "\n\n", "1", "x y", "1 now", "0 0", "-1 1", "\0\udcff", "99999999999999999999 1"]
)
def test_a_note_that_says_nothing_names_nobody(copy: Path, noted: str) -> None:
    (copy / NOTED).write_bytes(noted.encode("utf-8", "surrogateescape"))

    assert kill_processes_of(copy) == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="leaders are looked up in /proc")
def test_every_command_and_program_of_a_sandbox_is_noted(copy: Path) -> None:
    (copy / "home").mkdir()
    sandbox = ProcessSandbox(copy, 1.0, {})
    shown = sandbox.exec("ps -o sid= -p $$", 10).text.strip()
    attached = sandbox.attach(["cat"])

    noted = [line.split()[0] for line in (copy / NOTED).read_text(encoding="ascii").splitlines()]

    assert noted[0] == shown
    assert len(noted) == 2
    attached.close()
