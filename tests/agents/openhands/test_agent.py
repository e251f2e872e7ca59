"""What the real OpenHands does in a sandbox, beyond the contract that all agents keep."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.runners import lease
from orchestrator.agents.runners.process import Runner, RunnerProgram, take_runner
from orchestrator.backends import Sandbox
from orchestrator.errors import AgentCrashed, SandboxBroken
from orchestrator.types import Outcome
from orchestrator.user_paths import user_cache

from .conftest import FINISH, Roll, Rolled, editor, terminal

pytestmark = [pytest.mark.slow, pytest.mark.openhands]
Open = Callable[..., Sandbox]


def test_commands_reach_the_shell_as_they_are(roll: Roll, open_sandbox: Open) -> None:
    script = "if True:\n\tprint('tab', 'é', \"!x\")\n"
    calls = {
        "cd /tmp && export A=b": "",
        "pwd; echo $A": "/tmp\nb",
        "echo \"hello!world\"; printf 'a!b\\n'": "hello!world\na!b",
        f"cat > x.py <<'EOF'\n{script}EOF\npython3 x.py; rm x.py": "tab é !x",
        "echo " + "y" * 6000 + " | wc -c": "6001",
        "echo " + "z" * 150_000 + " | wc -c": "150001",
        "printf 'k\x03\x04' | wc -c": "3",
        "find /tmp -maxdepth 0 -exec echo {} \\;": "/tmp",
        "cat": "what is said",  # answered below
        "printf '10%%\\r20%%\\rdone\\n\\033[31mred\\033[0m\\n'": "done\nred",
        "ech": "bash: ech: command not found",
    }
    answers: list[Any] = [terminal(command) for command in calls]
    at = list(calls).index("cat")
    answers[at : at + 1] = [
        terminal("cat", timeout=0.5),
        [terminal("what is said", is_input=True, timeout=0.5), terminal("C-d", is_input=True)],
    ]

    rolled = roll(open_sandbox("process"), *answers)

    seen = [text.strip() for text in rolled.observations]
    assert rolled.outcome is Outcome.SUBMITTED
    assert seen[:at] == list(calls.values())[:at]
    assert seen[at + 1].startswith("what is said")
    assert seen[at + 2 : -1] == list(calls.values())[at + 1 :]


def test_what_is_typed_is_not_shown_again_after_a_reset(roll: Roll, open_sandbox: Open) -> None:
    rolled = roll(open_sandbox("process"), terminal("false; stty sane"), terminal("echo $?"))

    assert rolled.observations[1] == "0"


def test_an_agent_that_ends_its_shell_or_what_holds_it_goes_on(
    roll: Roll, open_sandbox: Open
) -> None:
    kill = "kill -9 $(ps -o ppid= -p $PPID) $PPID; sleep 9"  # the server, and its end of this shell
    rolled = roll(
        open_sandbox("process"),
        terminal("echo before; exit 3"),
        terminal("echo again"),
        terminal(kill),
        terminal("echo and again"),
        terminal("", reset=True),
        terminal("echo at last"),
    )

    ended, again, killed, and_again, _, last, _ = rolled.observations
    assert "before" in ended
    assert "this is a new one" in ended
    assert "this is a new one" in killed
    assert (again, and_again, last) == ("again", "and again", "at last")


def test_a_command_that_never_falls_silent_is_stopped(roll: Roll, open_sandbox: Open) -> None:
    rolled = roll(
        open_sandbox("process"),
        terminal("while true; do echo on; sleep 0.1; done"),
        terminal("echo after"),
        terminal("trap '' INT; while true; do echo on; sleep 0.1; done"),
        terminal("echo after that"),
        terminal("sleep 60", timeout=1000),
        command_timeout_s=1,
    )

    assert "stopped after 1 seconds" in rolled.shown[0]
    assert rolled.observations[1] == "after"
    assert "the shell is a new one" in rolled.shown[2]
    assert rolled.observations[3] == "after that"
    assert "timed out after 1" in rolled.shown[4]


def test_the_editor_works_on_the_sandboxes_files(roll: Roll, open_sandbox: Open) -> None:
    sandbox = open_sandbox("process")
    here = sandbox.workdir
    odd = f"{here}/- a 'b\" é\n$(x).py"
    prepare = "printf 'a\\r\\nb' > crlf; ln -s crlf link; chmod 755 crlf; mkdir -p d/.e; cp crlf d"
    sandbox.exec(prepare, 10)

    rolled = roll(
        sandbox,
        editor("create", odd, file_text="one\ntwo\n"),
        editor("str_replace", odd, old_str="two", new_str="drei"),
        editor("insert", odd, insert_line=0, new_str="zero"),
        editor("undo_edit", odd),
        editor("view", f"{here}/d"),
        editor("view", "src"),
        editor("view", f"{here}/../../../../../../../../etc/hostname"),
        editor("str_replace", f"{here}/link", old_str="b", new_str="c"),
        editor("create", f"{here}/no/such/folder.py", file_text=""),
        editor("view", "/" + "x" * 5000),
        editor("view", "/dev/zero"),
    )

    seen = rolled.observations
    assert Path(odd).read_text(encoding="utf-8") == "one\ndrei\n"
    assert seen[0] == f"File created successfully at: {odd}"
    assert "zero" in seen[2]
    assert f"{here}/d/crlf" in seen[4]
    assert "1 hidden" in seen[4]
    assert f"Maybe you meant {here}/src?" in seen[5]
    assert Path("/etc/hostname").read_text(encoding="utf-8").strip() in seen[6]
    link = Path(here, "link")
    assert link.is_symlink()
    assert (link.read_bytes()[-1:], link.stat().st_mode & 0o777) == (b"c", 0o755)
    assert "No such file" in seen[8]
    assert "name too long" in seen[9]
    assert "neither a file nor a folder" in seen[10]
    assert str(rolled.output_dir) not in rolled.model.told


def test_a_long_list_of_files_names_the_sandboxes_paths_and_no_other(
    roll: Roll, open_sandbox: Open
) -> None:
    sandbox = open_sandbox("process")
    sandbox.exec("mkdir many; touch many/{1000..9999}", 10)

    rolled = roll(sandbox, editor("view", f"{sandbox.workdir}/many"), editor("view", "/"))

    names = rolled.observations[0].splitlines()
    assert len(names) > 14_000 / len(f"{sandbox.workdir}/many/1000\n")
    assert "deep in /, excluding" in rolled.observations[1]
    assert "openhands.scratch" not in rolled.model.told


USERS_FILES = (
    "AGENTS.md",
    ".openhands/SOUL.md",
    ".openhands/microagents/repo.md",
    ".agents/skills/s/SKILL.md",
    ".agents/agents/a.md",
)


def test_nothing_of_the_users_reaches_the_model(
    roll: Roll,
    open_sandbox: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sockets: str,
) -> None:
    """Of a fork server of its own: what it has imported has read these."""
    home = tmp_path / "home"
    for name in USERS_FILES:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\nname: secret\ndescription: secret\n---\nTHE-USERS-SECRET\n")
    (tmp_path / "AGENTS.md").write_text("THE-USERS-SECRET\n", encoding="utf-8")
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(user_cache()))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("OH_PERSISTENCE_DIR", str(home / ".openhands"))
    monkeypatch.setenv("LMNR_PROJECT_API_KEY", "THE-USERS-SECRET")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    sandbox = open_sandbox("process")

    rolled = roll(sandbox, terminal("env"))

    messages, tools = rolled.model.requests[0]
    assert "THE-USERS-SECRET" not in rolled.model.told
    assert [message["role"] for message in messages] == ["system", "user"]
    assert "You are OpenHands agent" in messages[0]["content"]
    assert sandbox.workdir in messages[1]["content"]
    names = [tool["function"]["name"] for tool in tools]
    assert names == ["terminal", "file_editor", "task_tracker", "finish", "think"]


def test_it_opens_no_connection_but_to_its_worker_and_the_sandbox(
    roll: Roll, open_sandbox: Open
) -> None:
    sandbox = open_sandbox("process")
    look = (
        "for p in $(pgrep -f 'forkserver.py.*agents/openhands/runner.py'); do "
        "ls -l /proc/$p/fd 2>/dev/null | grep -c 'socket:'; done"
    )

    rolled = roll(sandbox, terminal("true"), terminal(look))

    counts = rolled.observations[1].split()
    assert counts
    assert all(int(count) <= 4 for count in counts)  # line in and out, terminal, fork server's


def test_parallel_rollouts_do_not_mix(roll: Roll, open_sandbox: Open) -> None:
    sandboxes = [open_sandbox("process") for _ in range(3)]

    def work(number: int) -> list[str]:
        sandbox = sandboxes[number]
        say = [terminal(f"sleep 0.{i}; echo {number} > who; cat who") for i in range(3)]
        return roll(sandbox, *say, editor("view", f"{sandbox.workdir}/who")).observations

    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(work, range(3)))

    for number, observations in enumerate(seen):
        assert observations[:3] == [str(number)] * 3
        assert f"1\t{number}" in observations[3]


ENDS = {
    "text, and no call": (["I have done it."] * 9, Outcome.FORMAT_ERRORS, 3),
    "nothing at all": ([""] * 9, Outcome.FORMAT_ERRORS, 3),
    "no such tool": ([("fly", {"to": str(i)}) for i in range(9)], Outcome.FORMAT_ERRORS, 3),
    "no parameters": ([("terminal", {})] * 9, Outcome.FORMAT_ERRORS, 3),
    "no JSON": ([("terminal", "{'command")] * 9, Outcome.FORMAT_ERRORS, 3),
    "an array": ([("terminal", "[1]")] * 9, Outcome.FORMAT_ERRORS, 3),
    "deeper than Python goes": ([("terminal", "[" * 100_000)] * 9, Outcome.FORMAT_ERRORS, 3),
    "the same again and again": ([terminal("true")] * 9, Outcome.STEP_LIMIT, 4),
    "one error, then well": (["Hm.", terminal("true"), FINISH], Outcome.SUBMITTED, 3),
    "several calls in one": ([[terminal("true"), FINISH, terminal("no")]], Outcome.SUBMITTED, 1),
}


def test_how_a_conversation_ends(roll: Roll, open_sandbox: Open) -> None:
    """Each in a sandbox of its own, several at the same time."""
    sandboxes = {name: open_sandbox("process") for name in ENDS}

    def end(name: str) -> Rolled:
        answers, _, _ = ENDS[name]
        settings = {"agent.max_format_errors": 3}
        return roll(sandboxes[name], *answers, settings=settings, max_steps=20)

    with ThreadPoolExecutor(3) as pool:
        ended = dict(zip(ENDS, pool.map(end, ENDS), strict=True))

    for name, rolled in ended.items():
        _, outcome, steps = ENDS[name]
        assert (rolled.outcome, len(rolled.budget.steps)) == (outcome, steps), name
        for step in rolled.budget.steps:
            assert step.action or step.shown, f"{name}: what was wrong with the answer"


def test_a_text_model_is_asked_for_text_and_its_calls_are_counted(
    roll: Roll, open_sandbox: Open
) -> None:
    call = "I look.\n<function=terminal>\n<parameter=command>echo hi</parameter>\n</function>"
    finish = "<function=finish>\n<parameter=message>done</parameter>\n</function>"
    answers = [
        call,
        "<function=fly>\n</function>",
        "<function=terminal>\n</function>",
        "Hm.",
        finish,
    ]

    rolled = roll(open_sandbox("process"), *answers, agent="openhands-text")

    assert rolled.outcome is Outcome.SUBMITTED
    assert rolled.observations[0] == "hi"
    assert [step.action for step in rolled.budget.steps[1:4]] == ["", "", ""]
    calls = rolled.budget.calls
    assert calls is not None
    assert (calls.calls, dict(calls.problems)) == (
        5,
        {"unknown tool": 1, "missing parameters": 1, "no call": 1},
    )
    for messages, tools in rolled.model.requests:
        roles = [message["role"] for message in messages]
        assert tools is None
        assert all(a != b for a, b in itertools.pairwise(roles)), "turns alternate"


def test_what_a_command_of_the_editor_lacks_is_counted_as_missing(
    roll: Roll, open_sandbox: Open
) -> None:
    sandbox = open_sandbox("process")
    made = editor("create", f"{sandbox.workdir}/new.py", file_text="a = 1\n")
    lacking = editor("str_replace", f"{sandbox.workdir}/new.py", new_str="a = 2")

    rolled = roll(sandbox, made, lacking, editor("insert", f"{sandbox.workdir}/new.py"), FINISH)

    assert rolled.outcome is Outcome.SUBMITTED
    calls = rolled.budget.calls
    assert calls is not None
    assert (calls.calls, dict(calls.problems)) == (4, {"missing parameters": 2})
    assert set(calls.details) == {
        "file_editor str_replace lacks old_str",
        "file_editor insert lacks insert_line",
    }


def test_a_value_that_openhands_refuses_is_counted_as_wrong_and_once(
    roll: Roll, open_sandbox: Open
) -> None:
    beyond = terminal("true", timeout=-5)
    wrong = terminal("true", timeout="soon")
    by_text = (
        "<function=terminal>\n<parameter=command>true</parameter>\n"
        "<parameter=timeout>soon</parameter>\n</function>"
    )

    by_calls = roll(open_sandbox("process"), beyond, wrong).budget.calls
    told = roll(open_sandbox("process"), by_text, max_steps=1, agent="openhands-text").budget.calls

    assert by_calls is not None
    assert (by_calls.calls, dict(by_calls.problems)) == (3, {"wrong parameters": 2})
    assert told is not None
    assert (told.calls, dict(told.problems)) == (1, {"wrong parameters": 1})


def test_a_model_is_reminded_when_few_steps_are_left(roll: Roll, open_sandbox: Open) -> None:
    rolled = roll(open_sandbox("process"), *(terminal(f"echo {i}") for i in range(9)), max_steps=12)

    last = [messages[-1]["content"] for messages, _ in rolled.model.requests]
    assert "steps left" not in last[1]
    assert "10 of 12 steps left" in last[2]
    assert "ONLY 3 STEPS LEFT" in last[9]
    assert last[9] == rolled.shown[8]


def test_a_condenser_of_the_profile_asks_our_model(roll: Roll, open_sandbox: Open) -> None:
    answers: list[Any] = [terminal(f"echo {i}") for i in range(6)]
    rolled = roll(
        open_sandbox("process"), *answers, "A summary.", FINISH,
        settings={"agent.condense_after": 12},
    )  # fmt: skip

    assert rolled.outcome is Outcome.SUBMITTED
    assert any(step.action == "(the history is condensed)" for step in rolled.budget.steps)


def test_its_own_events_are_kept_and_nothing_else_is_left(roll: Roll, open_sandbox: Open) -> None:
    rolled = roll(open_sandbox("process"), terminal("true"))

    assert sorted(os.listdir(rolled.output_dir)) == ["openhands.events.jsonl", "openhands.log"]
    lines = (rolled.output_dir / "openhands.events.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[:3] == ["SystemPromptEvent", "MessageEvent", "ActionEvent"]


def test_a_runner_that_is_killed_is_a_crash_and_no_result(
    roll: Roll, open_sandbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> Any:
        os.killpg(taken[-1].pid, signal.SIGKILL)
        return terminal("true")

    taken: list[Runner] = []

    def take(program: RunnerProgram) -> Runner:
        taken.append(take_runner(program))
        return taken[-1]

    monkeypatch.setattr(lease, "take_runner", take)
    with pytest.raises(AgentCrashed, match="process of OpenHands ended"):
        roll(open_sandbox("process"), kill)


@pytest.mark.docker
def test_in_a_container_nothing_is_mounted_and_whatever_is_killed_comes_again(
    roll: Roll, open_sandbox: Open
) -> None:
    sandbox: Any = open_sandbox("docker")

    rolled = roll(
        sandbox,
        terminal("echo one > /testbed/new.txt; pkill -9 python; sleep 5"),
        terminal("pwd; cat new.txt; which python"),
        editor("str_replace", "/testbed/new.txt", old_str="one", new_str="two"),
        terminal("kill -9 -1"),
        terminal("cat new.txt; ls /sys/class/net"),
    )

    inspected = sandbox._container.attrs
    assert inspected["HostConfig"]["NetworkMode"] == "none"
    assert inspected["Mounts"] == []
    assert rolled.outcome is Outcome.SUBMITTED
    assert rolled.observations[1].split()[:2] == ["/testbed", "one"]
    assert "a new one" in rolled.observations[3]
    assert rolled.observations[4].split() == ["two", "lo"]


@pytest.mark.docker
def test_without_its_python_it_is_the_sandbox_that_is_broken(
    roll: Roll, open_sandbox: Open
) -> None:
    remove = "rm -f /opt/miniconda3/bin/python* /usr/bin/python* /usr/local/bin/python*"

    with pytest.raises(SandboxBroken, match="no Python runs in the sandbox any more"):
        roll(
            open_sandbox("docker"),
            terminal(remove),
            editor("view", "/testbed"),
            terminal("pkill -9 -f '[S]IGCHLD'; sleep 3"),
        )
