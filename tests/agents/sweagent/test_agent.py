"""What the real SWE-agent does in a real container, beyond the contract that all agents keep."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.commands import wait_until
from support.local_gateway import LocalGateway, model_at
from support.processes import runners

from orchestrator.agents.runners.process import Runner
from orchestrator.agents.sweagent.installation import require_installation
from orchestrator.agents.sweagent.program import runner_program
from orchestrator.backends.docker.engine import LABEL, connect
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.scripted import personas
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import FailureKind, Instance, Outcome, RolloutResult

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.sweagent]
Say = Callable[..., RolloutResult]


@pytest.fixture
def endpoints() -> list[ScriptedEndpoint]:
    """Those of the rollouts so far: they count how often a model was asked."""
    return []


@pytest.fixture
def roll(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    ensure_image: Callable[[Instance], None],
    tmp_path: Path,
    endpoints: list[ScriptedEndpoint],
) -> Iterator[Say]:
    """One rollout by `sweagent` with a persona: `roll("solves", {"rollout.max_steps": 4})`."""
    ensure_image(instance)
    with contextlib.ExitStack() as stack:

        def run(
            persona: str,
            settings: dict[str, Any] | None = None,
            agent: str = "sweagent",
            **more: Any,
        ) -> RolloutResult:
            endpoint = ScriptedEndpoint([instance], demo.answers, {"default": persona})
            endpoints.append(stack.enter_context(endpoint))
            gateway = stack.enter_context(LocalGateway(model_at(endpoint.base_url)))
            address = {"base_url": gateway.base_url(), "api_key": gateway.token}
            config = make_config(agent, settings, model="scripted")
            return play(config, instance, "docker", tmp_path, **address, **more)

        yield run


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A persona that gives these commands, one after another."""

    def persona(*texts: str) -> str:
        def says(turn: personas.Turn) -> personas.ScriptedReply:
            return personas.ScriptedReply(texts[min(turn.number, len(texts) - 1)])

        name = f"says{len(personas.PERSONAS)}"
        monkeypatch.setitem(personas.PERSONAS, name, says)
        return name

    return persona


def steps_of(result: RolloutResult) -> list[dict[str, Any]]:
    return list(json.loads(result.files["trajectory.json"])["steps"])


def observations(result: RolloutResult) -> list[str]:
    return [str(step["observation"]) for step in steps_of(result)]


def test_commands_reach_the_shell_as_they_are(roll: Say, commands: Callable[..., str]) -> None:
    script = "if True:\n\tprint('tab', 'é', \"!x\")\n"
    texts = (
        "echo \"hello!world\"; printf 'a!b\\n'",
        f"cat > /tmp/x.py <<'EOF'\n{script}EOF\npython /tmp/x.py",
        "echo " + "y" * 6000 + " | wc -c",
        "for i in 1 2; do\n  echo $i\ndone\n[[ 1 == 1 ]] && echo yes",
        "submit",
    )

    seen = observations(roll(commands(*texts)))

    assert seen[:4] == ["hello!world\na!b\n", "tab é !x\n", "6001\n", "1\n2\nyes\n"]


@pytest.mark.parametrize("agent", ["sweagent", "sweagent-xml", "sweagent-tools"])
def test_a_command_may_be_of_any_length_and_hold_any_character(
    roll: Say, commands: Callable[..., str], agent: str
) -> None:
    keys = "".join(map(chr, (*range(1, 9), *range(11, 13), *range(14, 32), 127)))
    texts = (
        f"printf '%s' '{keys}' | wc -c",
        f"cd /tmp; export KEPT=1; : '{'y' * 5_000_000}'; echo long",
        "pwd; echo $KEPT \x03",
        "echo '\ud83d' '\0' | od -An -tx1; cd /testbed",
        "if \x1b",
        "echo 'a\r\nb' > new.txt",
        "submit",
    )

    limits = {"model.context_length": 10**8, "rollout.max_tokens": 10**9}

    result = roll(commands(*texts), limits, agent)

    seen = observations(result)
    assert [text.strip() for text in seen[:2]] == [str(len(keys)), "long"]
    assert seen[2].split() == ["/tmp", "1", "\x03"]
    assert seen[3].split() == ["ef", "bf", "bd", "20", "ef", "bf", "bd", "0a"]
    assert "syntax error" in seen[4]
    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
    assert "+a\r\n+b\n" in result.patch


def test_a_command_may_print_anything(roll: Say, commands: Callable[..., str]) -> None:
    texts = (
        "head -c 300000 /dev/urandom",
        "printf 'a\\xff\\0b\\xed\\xa0\\xbd\\n'",
        "yes | head -c 100000000",
        "echo '{' > /root/state.json.new; (sleep 0.2; while :; do cp /root/state.json.new"
        " /root/state.json; done) & disown; sleep 1",
        "echo on; pkill -f state.json.new; kill %1 2>/dev/null; echo a > new.txt",
        "submit",
    )

    result = roll(commands(*texts), {"rollout.command_timeout_s": 10})

    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
    assert "on\n" in observations(result)[4]


def test_an_agent_that_ends_its_shell_gets_another(roll: Say, commands: Callable[..., str]) -> None:
    texts = ("echo a > new.txt; exit 3", "pwd; echo $ROOT; which edit submit | wc -l", "submit")

    result = roll(commands(*texts))

    seen = observations(result)
    assert "the shell ended" in seen[0]
    assert seen[1] == "/testbed\n/testbed\n2\n"
    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
    assert "new.txt" in result.patch


def test_a_command_that_takes_too_long_is_interrupted(
    roll: Say, commands: Callable[..., str]
) -> None:
    result = roll(commands("sleep 60", "echo on", "submit"), {"rollout.command_timeout_s": 2})

    assert "more than 2 seconds" in observations(result)[0]
    assert observations(result)[1] == "on\n"


@pytest.mark.parametrize("command", ["exec sleep 60", "trap '' INT TSTP; sleep 60"])
def test_a_command_that_can_not_be_interrupted_ends_with_its_shell(
    roll: Say, commands: Callable[..., str], command: str
) -> None:
    result = roll(commands(command, "pwd", "submit"), {"rollout.command_timeout_s": 2})

    assert result.failure is None
    assert observations(result)[1] == "/testbed\n"


def test_files_that_are_not_utf8_or_not_ascii_by_name_can_be_submitted(
    roll: Say, commands: Callable[..., str]
) -> None:
    text = "printf 'gr\\374n\\n' > latin1.txt; echo a > größe.txt; head -c 99 /dev/urandom > b.bin"

    result = roll(commands(text, "submit"))

    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
    assert "latin1.txt" in result.patch


def test_a_stale_lock_of_git_is_no_reason_not_to_end(
    roll: Say, commands: Callable[..., str]
) -> None:
    result = roll(commands("echo a > new.txt; touch .git/index.lock", "submit"))

    assert (result.outcome, result.record.usage.steps) == (Outcome.SUBMITTED, 2)
    assert "new.txt" in result.patch


def test_an_agent_that_says_exit_has_given_up_and_what_it_changed_is_salvaged(
    roll: Say, commands: Callable[..., str]
) -> None:
    result = roll(commands("echo a > new.txt", "exit"))

    assert (result.outcome, result.record.salvaged) == (Outcome.GAVE_UP, True)
    assert "new.txt" in result.patch


def test_long_output_loses_its_middle(roll: Say, commands: Callable[..., str]) -> None:
    result = roll(commands("echo start; seq 1 20000; echo end", "submit"))

    (step, *_) = steps_of(result)
    seen = step["shown"].removeprefix("OBSERVATION:\n")
    assert seen.startswith("start")
    assert seen.rstrip().endswith("end")
    assert len(seen) < 11_000
    printed = step["observation"]
    assert (printed[:5], printed.rstrip()[-3:]) == ("start", "end")
    assert 80_000 < len(printed) < 100_000


UNUSABLE = [
    '"ls"',
    "[1]",
    "null",
    "{",
    "",
    '{"command": 1}',
    '{"cmd": "ls"}',
    '{"command": "a\\u0000b"}',
]


def test_calls_with_unusable_arguments_are_the_models_doing(
    roll: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.scripted import endpoint

    original, left = endpoint.message_of, list(UNUSABLE)

    def first_are_broken(*given: Any) -> dict[str, Any]:
        message = original(*given)
        if left:
            message["tool_calls"][0]["function"]["arguments"] = left.pop(0)
        return message

    monkeypatch.setattr(endpoint, "message_of", first_are_broken)

    result = roll("solves", {"agent.max_format_errors": 20}, "sweagent-tools")

    assert left == []
    assert result.failure is None
    assert result.outcome is Outcome.SUBMITTED


def test_the_budget_is_shown_and_the_agent_is_reminded_when_few_steps_are_left(roll: Say) -> None:
    result = roll("never_submits", {"rollout.max_steps": 6})

    file = json.loads(result.files[f"{result.key.instance_id}.traj"])
    said = [message["content"] for message in file["history"] if message["role"] == "user"]
    assert "You have 6 steps in all" in said[0]
    assert "5 of 6 steps left" in said[1]
    assert "ONLY 1 STEPS LEFT. Submit now" in said[5]


def test_an_agent_in_circles_ends_at_its_loop_limit(roll: Say) -> None:
    result = roll("loops", {"rollout.loop_limit": 3, "rollout.max_steps": 30})

    assert (result.outcome, result.record.usage.steps) == (Outcome.STEP_LIMIT, 3)


def test_a_persons_stop_kills_the_process_and_keeps_what_had_changed(
    sockets: str, roll: Say, endpoints: list[ScriptedEndpoint]
) -> None:
    result = roll(
        "never_submits",
        {"rollout.max_steps": 10_000},
        should_stop=lambda: endpoints[0].requests > 3,
    )

    assert result.failure is not None
    assert result.failure.kind is FailureKind.INTERRUPTED
    assert "money.py" in result.partial_patch
    assert "trajectory.json" in result.files
    assert not forked(sockets)


def forked(sockets: str) -> list[int]:
    return [process.pid for process in runners(sockets)]


def test_one_process_serves_one_rollout_after_another(sockets: str, roll: Say) -> None:
    roll("solves")
    before = forked(sockets)

    roll("solves")

    assert len(before) == 1
    assert forked(sockets) == before


def test_a_process_whose_worker_is_gone_ends(sockets: str) -> None:
    runner = Runner(runner_program(require_installation("linux/amd64")))
    assert runner.pid in forked(sockets)

    runner._connection.shutdown(socket.SHUT_RDWR)  # as when a worker is killed

    deadline = time.monotonic() + 10
    while runner.pid in forked(sockets):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    runner.kill()


def test_commands_that_are_stopped_one_after_another_end_nothing(
    roll: Say, commands: Callable[..., str]
) -> None:
    texts = (*["sleep 60"] * 4, "echo a > new.txt", "submit")

    result = roll(commands(*texts), {"rollout.command_timeout_s": 1})

    assert (result.outcome, result.record.usage.steps) == (Outcome.SUBMITTED, 6)


def test_an_interactive_program_is_reported_to_the_agent(
    roll: Say, commands: Callable[..., str]
) -> None:
    result = roll(commands("vim new.txt", "echo a > new.txt", "submit"))

    # an answer that was refused is not in the conversation, so the script says the next one twice
    assert (result.outcome, result.record.usage.steps) == (Outcome.SUBMITTED, 4)
    assert "the shell ended" not in "".join(observations(result))


def test_reading_the_tool_that_submits_is_not_submitting(
    roll: Say, commands: Callable[..., str]
) -> None:
    result = roll(commands('cat "$(which submit)"', "echo a > new.txt", "submit"))

    assert "<<SWE_AGENT_SUBMISSION>>" in observations(result)[0]
    assert result.record.usage.steps == 3


@pytest.mark.parametrize("lost", ["rm -rf /testbed", "mv /testbed /tmp/elsewhere"])
def test_an_agent_that_destroys_the_repository_has_no_patch_and_a_note_says_so(
    roll: Say, commands: Callable[..., str], lost: str
) -> None:
    result = roll(commands("echo a > new.txt", lost, "pwd", "submit"))

    assert (result.outcome, result.failure, result.patch) == (Outcome.GAVE_UP, None, "")
    assert "there is no patch: /testbed is gone" in result.record.notes
    assert last_diff(result) == ""


def test_a_folder_for_temporary_files_may_be_removed(
    roll: Say, commands: Callable[..., str]
) -> None:
    result = roll(commands("echo a > new.txt; rm -rf /tmp", "submit"))

    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
    assert "new.txt" in result.patch


def test_a_large_file_is_not_carried_about(roll: Say, commands: Callable[..., str]) -> None:
    large = "head -c 60000000 /dev/zero | tr '\\0' 'a' | fold > large.txt; ls"

    result = roll(commands(large, "submit"), {"rollout.max_steps": 5})

    assert result.failure is None
    assert "over 20 MB" in result.record.notes[-1]
    assert max(map(len, result.files.values())) < 200_000


def test_the_last_diff_is_the_patch_whatever_was_committed_and_exported(
    roll: Say, commands: Callable[..., str]
) -> None:
    commit = "git -c user.name=a -c user.email=b commit -qm mended"
    texts = (
        f"echo a > new.txt; git add -A; {commit}; echo b > other.txt",
        "export ROOT=/tmp; cd /tmp",
        "submit",
    )

    result = roll(commands(*texts))

    assert "new.txt" in last_diff(result)
    assert last_diff(result) == result.patch


def last_diff(result: RolloutResult) -> str:
    file = json.loads(result.files[f"{result.key.instance_id}.traj"])
    return str(file["trajectory"][-1]["state"].get("diff", ""))


KILLS = [
    "pkill -9 python",
    "pkill -f swe-orchestrator",
    "kill -9 -1",
    "(sleep 0.3; kill -9 -1) & sleep 60",
    "(sleep 2; pkill -9 python) & disown; echo",
    "echo 'exit 3' > ~/.bashrc; pkill -9 python",
    "(for i in 1 2 3 4 5; do sleep 0.5; pkill -9 -f swe-orchestrator; done) & disown; sleep 1",
]


def test_an_agent_that_kills_its_server_goes_on_with_another(
    roll: Say, commands: Callable[..., str]
) -> None:
    """Several at the same time, as they mostly wait."""
    rest = ("sleep 2.5", "pwd; echo $ROOT; which submit", "submit")
    killers = [commands("echo a > new.txt", kills, *rest) for kills in KILLS]

    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(KILLS, pool.map(roll, killers), strict=True))

    for kills, result in results.items():
        seen = observations(result)
        assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None), kills
        assert "new.txt" in result.patch, kills
        assert any("the shell ended" in observation for observation in seen), kills
        assert seen[3] == "/testbed\n/testbed\n/root/tools/submit/bin/submit\n", kills


def test_a_server_that_is_killed_at_every_step_costs_steps_alone(
    roll: Say, commands: Callable[..., str]
) -> None:
    texts = ("echo a > new.txt", *["pkill -9 python"] * 6, "submit")

    result = roll(commands(*texts))

    assert (result.outcome, result.record.usage.steps) == (Outcome.SUBMITTED, 8)


def test_a_sandbox_in_which_no_server_stays_up_is_broken_and_its_patch_is_read(
    roll: Say, commands: Callable[..., str]
) -> None:
    kills = "setsid bash -c 'while :; do pkill -9 python; done' >/dev/null 2>&1 </dev/null &"

    result = roll(commands("echo a > new.txt", kills, "echo on", "submit"))

    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_BROKEN
    assert "new.txt" in result.partial_patch


def test_a_sandbox_that_dies_is_a_failure_with_the_last_diff_to_look_at(
    roll: Say, commands: Callable[..., str], tmp_path: Path, endpoints: list[ScriptedEndpoint]
) -> None:
    """As when the engine is restarted."""

    def remove() -> None:
        wait_until(lambda: bool(endpoints) and endpoints[0].requests > 1, "the second command")
        time.sleep(1)
        client = connect()
        for container in client.containers.list(filters={"label": f"{LABEL}.run-dir={tmp_path}"}):
            container.remove(force=True)
        client.close()

    removal = threading.Thread(target=remove)
    removal.start()

    result = roll(commands("echo a > new.txt", "sleep 30", "echo on"))

    removal.join()
    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE
    assert result.patch == ""
    assert "new.txt" in result.partial_patch
