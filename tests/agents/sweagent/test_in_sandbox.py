"""What serves SWE-ReX in the sandbox, run on this host by a Python of the sandboxes' version."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import wait_until

from orchestrator.agents.installing.pythons import find_python
from orchestrator.agents.sweagent.bytecode import SANDBOX_PYTHON
from orchestrator.agents.sweagent.installation import require_installation
from orchestrator.agents.sweagent.server import PROGRAM

pytestmark = [pytest.mark.slow, pytest.mark.sweagent]


class Served:
    """The program, and how it is asked."""

    def __init__(self, home: Path, least_s: float = 0.0) -> None:
        self.home = home
        paths = require_installation("linux/amd64").paths
        python = find_python(SANDBOX_PYTHON, paths.python)
        if python is None:
            pytest.skip(f"no Python {SANDBOX_PYTHON} here")
        source = PROGRAM.read_text(encoding="utf-8")
        words = ["-I", "-c", source, str(paths.runtime("linux/amd64")), str(least_s)]
        self.process = subprocess.Popen(
            [python, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def send(self, verb: str, **request: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"verb": verb, "request": request}).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """The answer; of what was raised, its class as `raised`."""
        self.send(verb, **request)
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        found: dict[str, Any] = said.get("answer", {})
        return found if "answer" in said else {"raised": said["swerexception"]["class_path"]}

    def run(self, command: str, timeout_s: float = 20.0) -> dict[str, Any]:
        action = {"action_type": "bash", "session": "default", "check": "silent"}
        return self.ask("run_in_session", command=command, timeout=timeout_s, **action)

    def open_session(self) -> None:
        """As SWE-agent does."""
        files = [str(self.home / ".bashrc")]
        opened = self.ask(
            "create_session", session="default", startup_source=files, startup_timeout=20.0
        )
        assert opened["session_type"] == "bash", opened


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    with contextlib.ExitStack() as stack:

        def start(bashrc: str = "", least_s: float = 0.0) -> Served:
            (tmp_path / ".bashrc").write_text(bashrc)
            served = Served(tmp_path, least_s)
            stack.enter_context(served.process)
            stack.callback(served.process.kill)
            return served

        yield start


RC_FILES = {
    "none": "",
    "of a prompt of its own": "PS1='me$ '",
    "before our prompt": 'PS1="(testbed) $PS1"',
    "slow": 'sleep 0.5; PS1="(testbed) $PS1"',
    "talkative": "echo hello; (sleep 0.05; echo late) & disown",
}


@pytest.mark.parametrize("name", RC_FILES)
def test_no_command_gets_the_output_of_another_whatever_bashrc_does(
    serve: Callable[..., Served], name: str
) -> None:
    served = serve(RC_FILES[name])
    for start in range(3):
        served.open_session()
        if name == "talkative":
            served.run("sleep 0.1")
        for number in range(5):
            seen = served.run(f"echo {start}-{number}; (exit {number})")
            assert (seen["output"], seen["exit_code"]) == (f"{start}-{number}\n", number)
        assert served.ask("close_session", session="default") == {"session_type": "bash"}


def test_bashrc_is_read_once(serve: Callable[..., Served]) -> None:
    served = serve("export READ=$READ.")
    served.open_session()

    assert served.run("echo $READ")["output"] == ".\n"


def test_long_commands_and_long_output_arrive(serve: Callable[..., Served]) -> None:
    served = serve()
    served.open_session()

    assert served.run(f"echo {'y' * 40_000} | wc -c")["output"] == "40001\n"
    assert len(served.run("head -c 300000 /dev/zero | tr '\\0' y")["output"]) == 300_000


def test_a_command_that_takes_too_long_can_be_interrupted(serve: Callable[..., Served]) -> None:
    served = serve()
    served.open_session()
    interrupt = {"action_type": "bash_interrupt", "session": "default"}

    assert served.run("sleep 60", 0.3) == {"raised": "swerex.exceptions.CommandTimeoutError"}
    given = {"timeout": 5.0, "n_retry": 3, "expect": []}
    assert served.ask("run_in_session", **interrupt, **given)["exit_code"] == 0
    assert served.run("echo on")["output"] == "on\n"


def test_a_shell_has_at_least_so_long_as_is_told(serve: Callable[..., Served]) -> None:
    served = serve(least_s=20.0)
    served.open_session()

    assert served.run("sleep 0.5; echo on", 0.1)["output"] == "on\n"


def test_a_shell_that_ends_is_told_and_another_can_be_had(serve: Callable[..., Served]) -> None:
    served = serve()
    served.open_session()

    assert served.run("exit 3") == {"raised": "pexpect.exceptions.EOF"}
    served.ask("close_session", session="default")
    served.open_session()
    assert served.run("echo on")["output"] == "on\n"


def test_what_runs_in_the_shell_has_neither_our_requests_nor_our_variables(
    serve: Callable[..., Served],
) -> None:
    served = serve()
    served.open_session()
    reads = {
        "command": "cat; ls /proc/self/fd | wc -l",
        "shell": True,
        "merge_output_streams": True,
    }

    assert served.ask("execute", **reads)["stdout"] == "4\n"
    assert served.run("ls /proc/$$/fd | xargs")["output"] == "0 1 2 255\n"
    assert "PYTHON" not in served.run("env")["output"]


def test_files_are_read_written_and_uploaded(serve: Callable[..., Served], tmp_path: Path) -> None:
    served, path = serve(), str(tmp_path / "new" / "a.txt")

    served.ask("write_file", path=path, content="größe\n")
    served.ask("upload", **{str(tmp_path / "tools" / "b"): "\xff\r\n"})

    assert served.ask("read_file", path=path) == {"content": "größe\n"}
    assert served.ask("read_file", path="/none") == {"raised": "builtins.FileNotFoundError"}
    assert (tmp_path / "tools" / "b").read_bytes() == b"\xff\r\n"


def test_it_ends_with_its_input_in_the_middle_of_a_command_and_so_does_the_command(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve()
    served.open_session()
    served.send(
        "run_in_session",
        action_type="bash",
        command=f"echo $$ > {tmp_path}/pid; sleep 300",
        timeout=300,
        session="default",
        check="silent",
    )
    wait_until(lambda: (tmp_path / "pid").is_file(), "the command")

    assert served.process.stdin is not None
    served.process.stdin.close()

    assert served.process.wait(timeout=20) == 0
    shell = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{shell}").exists(), "the shell's end")
