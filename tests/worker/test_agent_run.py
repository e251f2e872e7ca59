"""How an agent at work is watched, and what becomes of it: an outcome or a failure, and a patch."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from support.local_gateway import LocalGateway, model_at
from support.rows import failure_of
from support.specs import rollout_request

from orchestrator.agents import Agent
from orchestrator.agents.base import SimpleAgent
from orchestrator.agents.context import AgentContext
from orchestrator.agents.nop import NopKind
from orchestrator.backends import Sandbox
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.endpoint.tool_calls import CallProblem
from orchestrator.errors import AgentCrashed, EndpointUnavailable, SandboxUnavailable
from orchestrator.gateway.messages import Requested
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import (
    CallCounts,
    FailureKind,
    Future,
    Instance,
    Outcome,
    RequestResult,
    RolloutResult,
)
from orchestrator.worker.agent_run import AgentRun
from orchestrator.worker.harvest import Baseline
from orchestrator.worker.messages import Progress
from orchestrator.worker.rollout import roll_out
from orchestrator.worker.set_up import Search

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., RunConfig]
Roll = Callable[..., RolloutResult]
Start = Callable[[str], "Server"]


class Server:
    """A scripted endpoint with one persona for all, behind a gateway."""

    def __init__(self, endpoint: ScriptedEndpoint, gateway: LocalGateway) -> None:
        self.endpoint, self.gateway = endpoint, gateway

    @property
    def address(self) -> dict[str, str]:
        """Where a rollout finds it, as fields of its request."""
        return {"base_url": self.gateway.base_url(), "api_key": self.gateway.token}


@pytest.fixture
def serve(demo: Dataset) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(persona: str) -> Server:
            endpoint = ScriptedEndpoint(demo.instances, demo.answers, {"default": persona})
            stack.enter_context(endpoint)
            gateway = stack.enter_context(LocalGateway(model_at(endpoint.base_url)))
            return Server(endpoint, gateway)

        yield start


def test_the_result_has_the_usage_and_the_trajectory(
    roll: Roll, make_config: MakeConfig, serve: Start
) -> None:
    result = roll(make_config("mini"), **serve("solves").address)

    trajectory = json.loads(result.files["trajectory.json"])
    assert [bool(step["action"]) for step in trajectory["steps"]] == [True, True, True]
    assert result.record.usage.steps == 3
    assert result.record.usage.prompt_tokens == sum(s["prompt_tokens"] for s in trajectory["steps"])
    assert result.record.usage.model_s > 0
    assert result.outcome is Outcome.SUBMITTED


def test_a_stop_by_hand_keeps_what_the_agent_had_changed(
    roll: Roll, make_config: MakeConfig, serve: Start
) -> None:
    config = make_config("mini", {"rollout.max_steps": 1000, "rollout.max_tokens": 10**9})
    server = serve("never_submits")

    result = roll(config, **server.address, should_stop=lambda: server.endpoint.requests >= 4)

    assert failure_of(result) == (FailureKind.INTERRUPTED, "stopped by hand")
    assert "src/ledger/money.py" in result.partial_patch
    assert "trajectory.json" in result.files


def test_an_agent_that_crashes_is_a_failure_with_its_traceback(
    roll: Roll, make_config: MakeConfig
) -> None:
    config = make_config("mini", {"agent.instance_template": "{{ no_such_thing }} {{task}}"})

    result = roll(config, base_url="http://127.0.0.1:9/v1")

    kind, detail = failure_of(result)
    assert kind is FailureKind.AGENT_CRASHED
    assert "no_such_thing" in detail
    assert b"Traceback" in result.files["traceback.txt"]


@pytest.mark.slow
def test_the_wall_clock_ends_a_rollout_that_would_go_on(
    roll: Roll, make_config: MakeConfig, serve: Start
) -> None:
    far = {"rollout.max_steps": 10_000, "rollout.max_tokens": 10**9}
    config = make_config("mini", far | {"rollout.time_limit_s": 1})

    result = roll(config, **serve("never_submits").address)

    assert result.outcome is Outcome.TIME_LIMIT
    assert result.record.salvaged == bool(result.patch)


@pytest.mark.slow
def test_a_model_that_is_too_slow_ends_the_rollout_at_its_time_limit(
    roll: Roll, make_config: MakeConfig, serve: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.worker.agent_run.OVERTIME_S", 0.5)
    config = make_config("mini", {"rollout.time_limit_s": 1})
    server = serve("slow:60")

    result = roll(config, **server.address)

    assert result.outcome is Outcome.TIME_LIMIT
    assert result.patch == ""
    assert not result.record.salvaged
    (asked,) = server.gateway.wait_for(Requested)
    assert asked.request.result is RequestResult.ABANDONED


def test_an_agents_commands_have_longer_in_an_emulated_sandbox(
    make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    config = make_config("mini", {"rollout.command_timeout_s": 30})
    request = rollout_request(config, instance, "docker", tmp_path, base_url="http://gateway")

    def limits(emulated: bool) -> tuple[float, float]:
        assignment = replace(request.assignment, emulated=emulated)
        asked = replace(request, assignment=assignment)
        nothing = Search.known(Future({}))
        nobody, nowhere = cast(Agent, None), cast(Sandbox, None)
        run = AgentRun(asked, nobody, nowhere, Baseline("", ""), tmp_path, nothing)
        return run.budget.command_timeout_s(), run.budget.limits.time_limit_s

    assert limits(False) == (30, config.rollout.time_limit_s)
    assert limits(True) == (120, config.rollout.time_limit_s)


@pytest.mark.slow
def test_time_in_which_the_model_is_away_does_not_count(
    roll: Roll, make_config: MakeConfig, serve: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.worker.agent_run.OVERTIME_S", 0.0)
    config = make_config("mini", {"rollout.time_limit_s": 2.5})

    result = roll(config, **serve("away:4").address)

    assert result.outcome is Outcome.SUBMITTED
    assert result.record.usage.held_s > 3


LAST_DIFF = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n"
SANDBOX_GONE = "the sandbox was gone: the patch is the agent's own last diff"


class LosesItsSandbox(SimpleAgent):
    """An agent whose sandbox goes away, and which then ends, fails, or waits to be closed."""

    def __init__(self, end: Outcome | Exception | None, last: str = LAST_DIFF) -> None:
        self._end, self._last = end, last
        self._let_go = threading.Event()
        self.lost_it = threading.Event()

    def run(self, context: AgentContext) -> Outcome:
        context.begin_step()
        context.sandbox.close()
        self.lost_it.set()
        if self._end is None:
            self._let_go.wait(60)
            raise AgentCrashed("its process was killed")
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    def close(self) -> None:
        self._let_go.set()

    def last_patch(self) -> str:
        return self._last


@dataclass(frozen=True)
class ThisAgent(NopKind):
    """The kind of an agent that is there already."""

    agent: Agent

    def create(self) -> Agent:
        return self.agent


@pytest.fixture
def roll_with(roll: Roll, make_config: MakeConfig) -> Callable[..., RolloutResult]:
    """Runs a rollout of this very agent."""

    def run(agent: Agent, settings: dict[str, Any] | None = None, **more: Any) -> RolloutResult:
        config = make_config("nop", settings)
        return roll(config, agent=ThisAgent(config.agent, {}, agent), **more)

    return run


class CallsBadly(SimpleAgent):
    """An agent whose model makes a good call and a bad one, and says nothing more."""

    def __init__(self, end: Outcome | Exception) -> None:
        self._end = end

    def run(self, context: AgentContext) -> Outcome:
        context.note_call(None)
        context.record("I look.", "ls", "a.py")
        context.note_call(CallProblem.MISSING, "bash lacks command")
        context.record("I look.", "", "", "bash lacks command")
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


@pytest.mark.parametrize("end", [Outcome.GAVE_UP, AgentCrashed("it broke"), ValueError("x")])
def test_the_calls_of_a_rollout_are_in_its_result_however_it_ended(
    roll_with: Roll, end: Outcome | Exception
) -> None:
    record = roll_with(CallsBadly(end)).record

    assert (record.failure is None) == (end is Outcome.GAVE_UP)
    assert record.calls == CallCounts(2, {"missing parameters": 1}, {"bash lacks command": 1})
    assert record.unusable_answers == 1


def test_an_agent_that_ended_before_the_stop_was_seen_keeps_its_outcome(
    roll_with: Roll, monkeypatch: pytest.MonkeyPatch
) -> None:
    # on a busy host even an agent that does nothing may take longer than a look
    monkeypatch.setattr("orchestrator.worker.agent_run.WATCH_S", 20.0)
    result = roll_with(LosesItsSandbox(Outcome.SUBMITTED), should_stop=lambda: True)

    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)


def test_an_agent_that_returns_something_else_than_an_outcome_has_crashed(roll_with: Roll) -> None:
    result = roll_with(LosesItsSandbox("done"))  # type: ignore[arg-type]

    assert failure_of(result) == (FailureKind.AGENT_CRASHED, "it ended with 'done', no Outcome")


@pytest.mark.parametrize("outcome", [Outcome.SUBMITTED, Outcome.STEP_LIMIT, Outcome.GAVE_UP])
def test_when_the_sandbox_is_gone_the_last_diff_of_an_agent_that_ended_is_the_patch(
    roll_with: Roll, outcome: Outcome
) -> None:
    result = roll_with(LosesItsSandbox(outcome))

    assert result.failure is None
    assert (result.outcome, result.patch) == (outcome, LAST_DIFF)
    assert result.record.salvaged == (outcome is not Outcome.SUBMITTED)
    assert result.record.notes[-1] == SANDBOX_GONE


def test_when_the_sandbox_is_gone_and_there_is_no_last_diff_the_rollout_fails(
    roll_with: Roll,
) -> None:
    result = roll_with(LosesItsSandbox(Outcome.SUBMITTED, last=""))

    assert failure_of(result)[0] is FailureKind.SANDBOX_UNAVAILABLE
    assert result.partial_patch == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AgentCrashed("SWE-agent: it broke"), FailureKind.AGENT_CRASHED),
        (EndpointUnavailable("SWE-agent: it broke"), FailureKind.ENDPOINT_UNAVAILABLE),
        (SandboxUnavailable("SWE-agent: it broke"), FailureKind.SANDBOX_UNAVAILABLE),
        (ValueError("SWE-agent: it broke"), FailureKind.AGENT_CRASHED),
    ],
)
def test_the_last_diff_of_an_agent_that_failed_is_a_partial_patch(
    roll_with: Roll, error: Exception, kind: FailureKind
) -> None:
    result = roll_with(LosesItsSandbox(error))

    found, detail = failure_of(result)
    assert found is kind
    assert "SWE-agent: it broke" in detail, "the agent's own failure, not that of the harvest"
    assert result.partial_patch == LAST_DIFF
    assert not result.record.salvaged


def test_an_agent_that_failed_without_a_last_diff_keeps_its_own_failure(roll_with: Roll) -> None:
    result = roll_with(LosesItsSandbox(AgentCrashed("it broke"), last=""))

    assert failure_of(result) == (FailureKind.AGENT_CRASHED, "it broke")
    assert result.partial_patch == ""


def test_a_stop_by_hand_is_recorded_as_one_though_the_sandbox_is_gone(roll_with: Roll) -> None:
    agent = LosesItsSandbox(None)

    result = roll_with(agent, should_stop=agent.lost_it.is_set)

    assert failure_of(result) == (FailureKind.INTERRUPTED, "stopped by hand")
    assert result.partial_patch == LAST_DIFF


@pytest.mark.slow
def test_an_agent_that_overran_its_time_in_a_sandbox_that_is_gone_fails(
    roll_with: Roll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.worker.agent_run.OVERTIME_S", 0.5)

    result = roll_with(LosesItsSandbox(None), {"rollout.time_limit_s": 0.5})

    assert failure_of(result)[0] is FailureKind.SANDBOX_UNAVAILABLE


def steps_shown(
    config: RunConfig, instance: Instance, server: Server, run_dir: Path
) -> tuple[list[Progress], RolloutResult]:
    request = rollout_request(config, instance, "process", run_dir, **server.address)
    *events, result = roll_out(request)
    assert isinstance(result, RolloutResult)
    return [event for event in events if isinstance(event, Progress)], result


@pytest.mark.parametrize("persona", ["solves", "never_submits", "breaks_format", "recovers"])
def test_with_show_steps_every_step_is_reported_once_and_in_order(
    persona: str, serve: Start, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    config = make_config("mini", {"rollout.show_steps": True, "rollout.max_steps": 8})

    events, result = steps_shown(config, instance, serve(persona), tmp_path)

    told = [step for event in events for step in event.new_steps]
    kept = json.loads(result.files["trajectory.json"])["steps"]
    assert [step.action for step in told] == [step["action"] for step in kept]
    assert len(told) == result.record.usage.steps
    assert all(step.thought and step.observation for step in told if step.action)
    so_far = 0
    for event in events:
        so_far += len(event.new_steps)
        assert event.steps_sent == so_far


def test_without_show_steps_no_step_is_reported(
    serve: Start, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    events, result = steps_shown(make_config("mini"), instance, serve("solves"), tmp_path)

    assert result.record.usage.steps == 3
    assert [(event.new_steps, event.steps_sent) for event in events] == [((), 0)] * len(events)
