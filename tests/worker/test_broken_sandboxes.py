"""Sandboxes that run no commands any more: whose doing it is, and what becomes of the patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.rows import changed_lines, failure_of

from orchestrator.agents import Agent
from orchestrator.agents.base import SimpleAgent
from orchestrator.agents.context import AgentContext
from orchestrator.agents.nop import NopKind
from orchestrator.backends.base import ExecResult
from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.config import RunConfig
from orchestrator.errors import AgentCrashed, SandboxBroken, SandboxUnavailable
from orchestrator.types import FailureKind, Instance, Outcome, RolloutResult
from orchestrator.worker.agent_run import RENEWED

pytestmark = pytest.mark.slow

Roll = Callable[..., RolloutResult]
EDIT = "echo '# changed' >> src/ledger/money.py"
CHANGED = ["--- a/src/ledger/money.py", "+++ b/src/ledger/money.py", "+# changed"]


@dataclass(frozen=True)
class ThisAgent(NopKind):
    """The kind of an agent that is there already."""

    agent: Agent

    def create(self) -> Agent:
        return self.agent


@dataclass
class Breaks(SimpleAgent):
    """Edits a file, does something to its sandbox, goes on for a step, and ends."""

    how: Callable[[AgentContext], object]
    end: Outcome | Exception | None = None
    """None: with another command."""
    steps: int = 1
    last: str = ""

    def run(self, context: AgentContext) -> Outcome:
        for _ in range(self.steps):
            context.begin_step()
        context.sandbox.exec(EDIT, 10)
        self.how(context)
        if isinstance(self.end, Exception):
            raise self.end
        if self.end is None:
            context.sandbox.exec("echo and on", 10)
        return self.end or Outcome.SUBMITTED

    def last_patch(self) -> str:
        return self.last


@dataclass
class Trouble:
    """What befalls process sandboxes: commands fail until they are renewed, or for a while."""

    broken: bool = False
    fails: int = 0
    """How many commands more fail by themselves."""
    can_renew: bool = True
    is_too_large: bool = False
    """What lies in it can't be moved."""
    mends: bool = True
    renewed: list[Sequence[str]] = field(default_factory=list)

    def starts(self, _: AgentContext) -> None:
        self.broken = True

    def hiccup(self, _: AgentContext) -> None:
        self.fails = 1


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Trouble:
    trouble, exec_of, renew_of = Trouble(), ProcessSandbox.exec, ProcessSandbox.renew

    def run(
        self: ProcessSandbox, command: str, timeout_s: float, *, max_bytes: int = 10**6
    ) -> ExecResult:
        if trouble.broken or trouble.fails:
            trouble.fails -= bool(trouble.fails)
            raise SandboxUnavailable("no process is left")
        return exec_of(self, command, timeout_s, max_bytes=max_bytes)

    def renew(self: ProcessSandbox, keep: Sequence[str] = ()) -> None:
        trouble.renewed.append(keep)
        if not trouble.can_renew:
            raise SandboxUnavailable("gone")
        if trouble.is_too_large:
            raise SandboxBroken("over 10 GB lie there")
        renew_of(self, keep)
        trouble.broken = not trouble.mends

    monkeypatch.setattr(ProcessSandbox, "exec", run)
    monkeypatch.setattr(ProcessSandbox, "renew", renew)
    monkeypatch.setattr("orchestrator.worker.agent_run.PROBE_EVERY_S", 0.0)
    return trouble


@pytest.fixture
def roll_with(roll: Roll, make_config: Callable[..., RunConfig]) -> Roll:
    """Runs a rollout of this very agent."""

    def run(agent: Agent) -> RolloutResult:
        config = make_config("nop")
        return roll(config, agent=ThisAgent(config.agent, {}, agent))

    return run


def test_a_sandbox_that_fails_an_agent_and_works_when_renewed_is_broken(
    roll_with: Roll, trouble: Trouble
) -> None:
    result = roll_with(Breaks(trouble.starts))

    assert failure_of(result) == (FailureKind.SANDBOX_BROKEN, "no process is left")
    assert changed_lines(result.partial_patch) == CHANGED
    assert result.record.notes == (RENEWED,)
    assert len(trouble.renewed) == 1


def test_one_that_works_again_when_it_is_asked_is_the_worlds_doing(
    roll_with: Roll, trouble: Trouble
) -> None:
    result = roll_with(Breaks(trouble.hiccup))

    assert failure_of(result)[0] is FailureKind.SANDBOX_UNAVAILABLE
    assert trouble.renewed == []


def test_one_that_can_not_be_renewed_is_the_worlds_doing(roll_with: Roll, trouble: Trouble) -> None:
    trouble.can_renew = False

    assert failure_of(roll_with(Breaks(trouble.starts)))[0] is FailureKind.SANDBOX_UNAVAILABLE


@pytest.mark.parametrize("end", [None, Outcome.SUBMITTED])
def test_what_an_agent_leaves_that_can_not_be_moved_is_its_own_doing(
    roll_with: Roll, trouble: Trouble, end: Outcome | None
) -> None:
    trouble.is_too_large = True

    result = roll_with(Breaks(trouble.starts, end))

    assert failure_of(result) == (FailureKind.SANDBOX_BROKEN, "over 10 GB lie there")


def test_where_another_one_works_no_better_it_is_the_worlds_doing(
    roll_with: Roll, trouble: Trouble
) -> None:
    trouble.mends = False

    assert failure_of(roll_with(Breaks(trouble.starts)))[0] is FailureKind.SANDBOX_UNAVAILABLE


def test_an_agent_that_had_not_begun_has_broken_nothing(roll_with: Roll, trouble: Trouble) -> None:
    result = roll_with(Breaks(trouble.starts, steps=0))

    assert failure_of(result)[0] is FailureKind.SANDBOX_UNAVAILABLE
    assert trouble.renewed == []


@pytest.mark.parametrize("outcome", Outcome)
def test_of_an_agent_that_has_ended_the_patch_is_read_in_a_renewed_sandbox(
    roll_with: Roll, trouble: Trouble, outcome: Outcome
) -> None:
    result = roll_with(Breaks(trouble.starts, outcome, last="an older diff\n"))

    assert (result.outcome, result.failure) == (outcome, None)
    assert changed_lines(result.patch) == CHANGED
    assert result.record.salvaged == (outcome is not Outcome.SUBMITTED)
    assert result.record.notes == (RENEWED,)


def test_where_the_patch_can_not_be_read_there_either_nothing_is_known_of_it(
    roll_with: Roll, trouble: Trouble
) -> None:
    trouble.mends = False

    result = roll_with(Breaks(trouble.starts, Outcome.SUBMITTED))

    assert failure_of(result)[0] is FailureKind.SANDBOX_UNAVAILABLE


def test_an_agent_that_crashed_has_crashed_whatever_its_sandbox_does(
    roll_with: Roll, trouble: Trouble
) -> None:
    result = roll_with(Breaks(trouble.starts, AgentCrashed("it broke"), last="an older diff\n"))

    assert failure_of(result) == (FailureKind.AGENT_CRASHED, "it broke")
    assert result.partial_patch == "an older diff\n"
    assert trouble.renewed == []


def test_what_an_agent_calls_broken_is_and_its_patch_is_read(
    roll_with: Roll, trouble: Trouble
) -> None:
    """SWE-agent knows by itself: its server is killed each time, and commands run."""
    result = roll_with(Breaks(lambda context: None, SandboxBroken("no server stays up")))

    assert failure_of(result) == (FailureKind.SANDBOX_BROKEN, "no server stays up")
    assert changed_lines(result.partial_patch) == CHANGED
    assert trouble.renewed == []


FORKS = (
    "python - <<'X'\nimport os, time\nif os.fork(): os._exit(0)\nos.setsid()\n"
    "for n in range(3): os.close(n)\n"
    "while True:\n  try: os.fork()\n  except OSError: time.sleep(0.001)\nX"
)


@pytest.mark.docker
@pytest.mark.parametrize("command", [FORKS, "chmod 000 /bin/bash", "rm -rf /usr /bin"])
def test_in_a_container_the_patch_of_an_agent_that_broke_it_is_read(
    play: Roll,
    make_config: Callable[..., RunConfig],
    instance: Instance,
    ensure_image: Callable[[Instance], None],
    tmp_path: Path,
    command: str,
) -> None:
    ensure_image(instance)
    config = make_config("nop", {"cluster.sandbox.pids": 100})
    agent = Breaks(lambda context: context.sandbox.exec(command, 20), Outcome.STEP_LIMIT)

    result = play(config, instance, "docker", tmp_path, agent=ThisAgent(config.agent, {}, agent))

    assert (result.outcome, result.failure) == (Outcome.STEP_LIMIT, None)
    assert changed_lines(result.patch) == CHANGED
    assert result.record.notes == (RENEWED,)
