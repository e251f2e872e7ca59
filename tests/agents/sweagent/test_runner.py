"""Parts of the runner, in SWE-agent's own environment, without a sandbox."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.runners.process import FORKSERVER
from orchestrator.agents.sweagent.installation import require_installation
from orchestrator.agents.sweagent.program import RUNNER

pytestmark = [pytest.mark.slow, pytest.mark.sweagent]


def command(program: str) -> list[str]:
    """Runs a program that has the runner's names."""
    python = require_installation("linux/amd64").paths.python
    head = f"""
        import json, os, sys
        sys.path.insert(0, {str(FORKSERVER.parent)!r})
        import forkserver
        runner = forkserver.load({str(RUNNER)!r})
        globals().update(vars(runner.shell), **vars(runner))
    """
    return [str(python), "-c", "\n".join(map(textwrap.dedent, (head, program)))]


def environment() -> dict[str, str]:
    """Nothing is asked of the network."""
    return os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def ask(program: str) -> Any:
    """The value that it leaves in `answer`."""
    last = "\nsys.stdout.write('\\n' + json.dumps(answer))"
    done = subprocess.run(
        command(textwrap.dedent(program) + last),
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("last", [b"", b'{"kind": "ans', b"\xff\n"])
@pytest.mark.parametrize("is_heard", [True, False])
def test_a_runner_ends_with_its_worker_however_that_ended(last: bytes, is_heard: bool) -> None:
    """A connection is reset where something was said and not heard."""
    ours, its = socket.socketpair()
    program = "os.write(0, b'unheard'); Worker().receive()"
    with its, subprocess.Popen(command(program), stdin=its, env=environment()) as process:
        its.close()
        with ours:
            assert ours.recv(7, 0 if is_heard else socket.MSG_PEEK) == b"unheard"
            ours.sendall(last)
        try:
            process.wait(timeout=20)
        finally:
            process.kill()


def test_calls_are_read_whatever_their_arguments_are() -> None:
    given = [
        ("bash", '{"command": "ls"}'),
        ("bash", '{"command": "ls", "timeout": null}'),
        ("bash", '{"command": 5}'),
        ("bash", '["ls"]'),
        ("bash", "ls"),
        ("bash", "[" * 100_000),
        ("other", '{"count": 5, "none": null}'),
        ("nothing", "{}"),
    ]
    calls = [
        {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in given
    ]

    found = ask(f"answer = [plain_call(call) for call in {calls!r}]")

    assert [call["function"]["name"] for call in found] == [name for name, _ in given]
    said = [call["function"]["arguments"] for call in found]
    assert said[:2] == ['{"command": "ls"}'] * 2
    assert said[2:5] == [f"not strings by name: {arguments}" for _, arguments in given[2:5]]
    assert len(said[5]) < 2100
    assert said[6:] == ['{"count": 5}', "{}"]
    assert all(call["id"] == "1" for call in found)


def test_what_a_terminal_would_take_for_a_key_is_not_typed() -> None:
    typed, not_typed = ask("""
        text = ["ls", "a\\tb\\nc", "größer 😀 \\x85", "y" * 50_000]
        keys = [f"a{chr(code)}b" for code in (*range(9), *range(11, 32), 127)]
        long = ["y" * 50_001, "ö" * 30_000]
        answer = [list(map(can_be_typed, text)), list(map(can_be_typed, keys + long))]
    """)

    assert typed == [True] * 4
    assert not_typed == [False] * (9 + 21 + 1 + 2)


def test_interactive_programs_are_refused_and_others_are_not() -> None:
    actions = ["vim", "vim a.py", " less a.py", "python", "python a.py", "make", "make html", ""]

    refused = ask(f"""
        tools = Tools(ToolConfig())
        answer = [action for action in {actions!r} if tools.should_block_action(action)]
    """)

    assert refused == ["vim", "vim a.py", " less a.py", "python"]


ENVIRONMENT = """
    told = []

    def fails(self, *args, **kwargs):
        raise {error}

    {base}.{method} = fails
    restart = lambda: told.append("restart")
    environment = SandboxEnvironment("/testbed", "a-tree", None, restart)
    try:
        environment.{method}("ls")
        answer = "nothing"
    except BaseException as error:
        answer = [type(error).__name__, told]
"""


def test_everything_that_swe_agent_waits_for_has_longer_in_an_emulated_sandbox() -> None:
    waited = ask("""
        waited = []

        def ask(verb, request):
            if verb == "create_session":
                waited.append(["session", request["startup_timeout"]])
            else:
                waited.append([request["command"].partition(";")[0], request["timeout"]])
            return {"answer": {} if verb == "create_session" else {"exit_code": 0}}

        environment = SandboxEnvironment("/testbed", "a-tree", ask, None, 4.0)
        environment._init_deployment()
        environment._open_session()
        environment.communicate("ls")
        environment.communicate("make", timeout=480)
        SandboxDeployment.__del__ = lambda self: None  # it would print something
        answer = waited
    """)

    assert [limit for what, limit in waited if what == "session"] == [240, 240]
    assert dict(waited)["make"] == 480, "the agent's own limit is stretched already"
    others = [limit for what, limit in waited if what not in ("session", "make")]
    assert set(others) == {100}


def test_what_the_sandbox_answers_is_what_swe_rex_would_give_or_raise() -> None:
    answer = ask("""
        replies = [
            {"answer": {"output": "a.py", "exit_code": 0}},
            {"swerexception": {"message": "no", "class_path": "builtins.FileNotFoundError"}},
            {"swerexception": {"message": "b", "class_path": "pexpect.exceptions.EOF"}},
            {"gone": "killed"},
        ]
        environment = SandboxEnvironment("/testbed", "a-tree", lambda *_: replies.pop(0), None)
        runtime = environment.deployment.runtime

        from swerex.runtime.abstract import BashAction, ReadFileRequest
        answer = [asyncio.run(runtime.run_in_session(BashAction(command="ls"))).output]
        for _ in range(3):
            try:
                asyncio.run(runtime.read_file(ReadFileRequest(path="/none")))
            except Exception as error:
                answer.append(type(error).__name__)
        SandboxDeployment.__del__ = lambda self: None  # it would print something
    """)

    assert answer == ["a.py", "FileNotFoundError", "EOF", "ServerGone"]


def test_a_folder_is_uploaded_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "größe").write_bytes(b"\xff\r\n")
    (tmp_path / "config.yaml").write_text("a: 1\n")

    uploaded = ask(f"""
        told = []
        ask = lambda verb, request: told.append([verb, request]) or {{"answer": {{}}}}
        runtime = SandboxEnvironment("/testbed", "a-tree", ask, None).deployment.runtime
        from swerex.runtime.abstract import UploadRequest
        request = UploadRequest(source_path={str(tmp_path)!r}, target_path="/root/tools/a")
        asyncio.run(runtime.upload(request))
        answer = told
    """)

    files = {"/root/tools/a/bin/größe": "\xff\r\n", "/root/tools/a/config.yaml": "a: 1\n"}
    assert uploaded == [["upload", files]]


def test_a_deployment_that_is_let_go_asks_nothing_of_the_worker() -> None:
    """It would come after the end of the rollout, and be taken for part of the next one."""
    told = ask("""
        told = []
        environment = SandboxEnvironment("/testbed", "a-tree", lambda *a: told.append(a), None)
        environment.close()
        del environment
        import gc
        gc.collect()
        answer = told
    """)

    assert told == []


@pytest.mark.parametrize(
    ("method", "error", "name"),
    [
        ("communicate", "ServerGone('a')", "ServerGone"),
        ("communicate", "pexpect.EOF('a')", "EOF"),
        ("read_file", "ServerGone('a')", "ServerGone"),
    ],
)
def test_what_breaks_in_set_up_is_not_gone_on_with(method: str, error: str, name: str) -> None:
    program = ENVIRONMENT.format(base="SWEEnv", method=method, error=error)

    assert ask(program) == [name, []]


def test_an_interrupt_that_fails_in_set_up_is_not_gone_on_with() -> None:
    program = ENVIRONMENT.format(
        base="SWEEnv", method="interrupt_session", error="pexpect.TIMEOUT('a')"
    )

    assert ask(program.replace('session("ls")', "session()")) == ["TIMEOUT", []]


def test_a_state_that_takes_too_long_in_set_up_is_a_failure() -> None:
    program = ENVIRONMENT.format(
        base="ToolHandler", method="get_state", error="CommandTimeoutError('a')"
    )
    program = program.replace(
        'environment.get_state("ls")', "Tools(ToolConfig()).get_state(environment)"
    )

    assert ask(program) == ["CommandTimeoutError", []]


def test_an_answer_that_is_to_be_mended_is_told_with_the_complaint_and_nothing_older() -> None:
    told = ask("""
        told = []
        runner.send = lambda kind, **fields: told.append((fields["observation"], fields["shown"]))
        DefaultAgent.add_step_to_trajectory = lambda self, step: None
        DefaultAgent.add_step_to_history = lambda self, step: self.history.append(
            {"content": "OBS: " + step.observation}
        )
        DefaultAgent.get_model_requery_history = lambda *_, **__: [{"content": "One command!"}]
        agent = object.__new__(ReportingAgent)
        agent.history, agent.observation_chars = [], 100
        ran = StepOutput(thought="I look.", action="ls", observation="file1")
        agent.add_step_to_history(ran)
        agent.add_step_to_trajectory(ran)
        agent.add_step_to_trajectory(StepOutput(output="No command."))
        agent.get_model_requery_history("", output="No command.")
        answer = told
    """)

    assert told == [["file1", "OBS: file1"], ["", "One command!"]]


def test_litellm_is_imported_once_something_of_it_is_used_that_no_model_of_ours_uses() -> None:
    answer = ask(
        """
        tools = ToolConfig(parse_function={"type": "function_calling"})
        WorkerModel(None, tools, 9)
        before = "litellm.main" in sys.modules
        import litellm
        error = litellm.exceptions.ContextWindowExceededError.__name__
        answer = [before, error, "litellm.main" in sys.modules]
        """
    )

    assert answer == [False, "ContextWindowExceededError", True]
