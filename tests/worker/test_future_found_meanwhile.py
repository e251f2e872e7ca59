"""A sandbox is looked at for its future while its agent starts: no model works beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.local_gateway import LocalGateway, model_at
from support.rows import failure_of
from support.specs import rollout_request

from orchestrator.agents.base import SimpleAgent
from orchestrator.agents.context import AgentContext
from orchestrator.agents.nop import NopKind
from orchestrator.backends import Sandbox
from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.errors import SandboxUnavailable
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import FailureKind, Future, Instance, Outcome, RolloutResult
from orchestrator.worker import future
from orchestrator.worker.rollout import roll_out

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., RunConfig]
GIT = "git -c user.name=a -c user.email=a@a"
FIX = f"git tag fix $(echo the fix | {GIT} commit-tree -p HEAD 'HEAD^{{tree}}')"
DROPPED = {"commits": 1, "refs": 1}
CLEAN = "git reflog expire --expire=now --all; git prune --expire=now"
PATIENCE_S = 60


@dataclass
class Told:
    """What an agent of this test did in one sandbox."""

    before: str = ""
    """Tags that it saw as it started."""
    after: str | None = None
    """And once the model had answered; None: it was not given the answer."""


class TagReader(SimpleAgent):
    """Reads the repository's tags as it starts, asks its model, and reads them again."""

    def __init__(self, told: list[Told]) -> None:
        self._told = Told()
        told.append(self._told)

    def run(self, context: AgentContext) -> Outcome:
        self._told.before = context.sandbox.exec("git tag", 30).text.strip()
        context.ask([{"role": "user", "content": context.instance.problem_statement}])
        self._told.after = context.sandbox.exec("git tag; echo 1 > mended", 30).text.strip()
        return Outcome.SUBMITTED


@dataclass(frozen=True)
class TagReaderKind(NopKind):
    asks_model: ClassVar[bool] = True
    leaves_repository_alone: ClassVar[bool] = True
    told: ClassVar[list[Told]] = []

    def create(self) -> Any:
        return TagReader(self.told)


@dataclass
class Night:
    """Rollouts of that agent, in sandboxes that hold the fix: `prepare` is done in each."""

    make_config: MakeConfig
    instance: Instance
    folder: Path
    endpoint: ScriptedEndpoint
    gateway: LocalGateway
    prepare: str = FIX
    sandboxes: list[ProcessSandbox] = field(default_factory=list)
    searches: int = 0
    told: list[Told] = field(default_factory=list)

    def roll(
        self,
        integrity: str = "fix",
        should_stop: Callable[[], bool] = lambda: False,
        limits: Mapping[str, Any] | None = None,
    ) -> RolloutResult:
        config = self.make_config("nop", {"rollout.integrity": integrity, **(limits or {})})
        address = {"base_url": self.gateway.base_url(), "api_key": self.gateway.token}
        request = rollout_request(config, self.instance, "process", self.folder, **address)
        TagReaderKind.told.clear()
        request = replace(request, agent=TagReaderKind(config.agent, {}))
        *_, result = roll_out(request, should_stop)
        self.told = list(TagReaderKind.told)
        assert isinstance(result, RolloutResult)
        return result

    def wait_for_a_question(self) -> None:
        """The first search goes on until the model was asked, whose answer comes at once."""
        self.searches += 1
        deadline = time.monotonic() + PATIENCE_S
        while self.searches == 1 and not self.endpoint.requests:
            assert time.monotonic() < deadline, "nobody asked the model while the search went on"
            time.sleep(0.01)


@pytest.fixture
def night(
    make_config: MakeConfig,
    instance: Instance,
    tmp_path: Path,
    demo: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Night]:
    start, find = ProcessSandbox.start, future.find_future

    def start_prepared(spec: Any) -> ProcessSandbox:
        sandbox = start(spec)
        assert sandbox.exec(f"{CLEAN}; {night.prepare}", PATIENCE_S).exit_code == 0
        night.sandboxes.append(sandbox)
        return sandbox

    def find_later(sandbox: Sandbox, of: Instance) -> Future:
        night.wait_for_a_question()
        return find(sandbox, of)

    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ProcessSandbox, "start", start_prepared)
    monkeypatch.setattr(future, "find_future", find_later)
    with (
        ScriptedEndpoint(demo.instances, demo.answers) as endpoint,
        LocalGateway(model_at(endpoint.base_url)) as gateway,
    ):
        night = Night(make_config, instance, tmp_path, endpoint, gateway)
        yield night


def test_where_the_fix_is_found_the_agent_begins_anew_in_a_sandbox_without_it(night: Night) -> None:
    result = night.roll("fix")

    assert night.told == [Told("fix", None), Told("", "")], "no answer came beside the fix"
    assert result.outcome is Outcome.SUBMITTED
    assert "mended" in result.patch
    assert result.record.future is not None
    assert (result.record.future.found, result.record.future.dropped) == (DROPPED, True)
    assert result.record.usage.steps == 1
    assert list(night.folder.glob("scratch/*")) == [], "both sandboxes are removed"


def test_where_the_setting_says_fail_no_answer_comes_either(night: Night) -> None:
    result = night.roll("fail")

    assert night.told == [Told("fix", None), *night.told[1:]]
    kind, detail = failure_of(result)
    assert kind is FailureKind.IMAGE_UNAVAILABLE
    assert "rollout.integrity is fail" in detail


def test_where_it_is_only_noted_the_agent_goes_on(night: Night) -> None:
    result = night.roll("warn")

    assert night.told == [Told("fix", "fix")]
    assert result.outcome is Outcome.SUBMITTED
    assert result.record.future == Future(DROPPED, result.record.future.names)  # type: ignore


def test_a_clean_sandbox_is_worked_in_at_once(night: Night) -> None:
    night.prepare = "true"

    result = night.roll()

    assert night.told == [Told("", "")]
    assert (result.outcome, result.record.future) == (Outcome.SUBMITTED, None)
    assert night.searches == 1


def test_a_stop_waits_for_no_search(night: Night) -> None:
    night.prepare = "true"
    night.searches = -PATIENCE_S  # none of them is the first

    def never(*_: object) -> Future:
        time.sleep(PATIENCE_S)
        raise AssertionError("somebody waited")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(future, "find_future", never)
        result = night.roll(should_stop=lambda: night.endpoint.requests > 0)

    assert failure_of(result)[0] is FailureKind.INTERRUPTED
    assert night.told == [Told("", None)]


def test_a_sandbox_that_goes_away_while_it_is_searched_is_a_failure(night: Night) -> None:
    night.prepare = "true"

    def find(*_: object) -> Future:
        night.wait_for_a_question()
        raise SandboxUnavailable("the engine is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(future, "find_future", find)
        result = night.roll()

    assert failure_of(result) == (FailureKind.SANDBOX_UNAVAILABLE, "the engine is gone")
    assert night.told == [Told("", None)]


def test_an_agent_that_may_touch_the_repository_starts_when_all_is_known(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TagReaderKind, "leaves_repository_alone", False)
    night.searches = 1  # it need not wait for a question

    result = night.roll()

    assert night.told == [Told("", "")]
    assert result.record.future is not None
    assert result.record.future.dropped


def test_no_answer_comes_through_by_a_stop(night: Night) -> None:
    """The search finds the fix while the rollout is being stopped."""
    stopped = threading.Event()

    def find(sandbox: Sandbox, of: Instance) -> Future:
        night.wait_for_a_question()
        assert stopped.wait(PATIENCE_S)
        return Future({"refs": 1}, ("refs/tags/fix",))

    def should_stop() -> bool:
        if night.endpoint.requests:
            stopped.set()
        return stopped.is_set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(future, "find_future", find)
        result = night.roll(should_stop=should_stop)

    assert failure_of(result)[0] is FailureKind.INTERRUPTED
    assert night.told == [Told("fix", None)]
    assert len(night.sandboxes) == 1, "a stop begins nothing anew"


@pytest.mark.slow
def test_waiting_for_the_search_counts_against_no_clock(night: Night) -> None:
    night.prepare = "true"

    def find(*_: object) -> Future:
        night.wait_for_a_question()
        time.sleep(4)
        return Future({})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(future, "find_future", find)
        patch.setattr("orchestrator.worker.agent_run.OVERTIME_S", 0.1)
        result = night.roll(limits={"rollout.time_limit_s": 3})

    assert result.outcome is Outcome.SUBMITTED
