"""A night in simulated time: the real driver, listener, scheduler, admission, budget, journal and
gateway policy, before a simulated server, with simulated workers."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path

from support.specs import PROCESSES

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.schema import RolloutLimits
from orchestrator.driver.admission import Admission
from orchestrator.driver.durations import Durations, SessionDurations
from orchestrator.driver.executor import Event, ModelStatus
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.lanes import Lane
from orchestrator.driver.loop import Driver
from orchestrator.driver.plan import make_plan
from orchestrator.driver.runs import DrivenRun, RequestBuilder
from orchestrator.driver.scheduler import RunTerms, Scheduler, Start
from orchestrator.driver.stop import StopSignal
from orchestrator.gold_answers import GoldAnswer, seal
from orchestrator.journal import Journal
from orchestrator.journal.past import PastSeconds
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, Outcome, RolloutResult
from simulation.planned_rollouts import LIMITS, PlannedRollout
from simulation.simulated_gateway import SimulatedGateway, Waits
from simulation.simulated_outages import Outage, Timeline, UnsteadyServer
from simulation.simulated_workers import SimulatedWorkers
from simulation.vllm_simulator import ServerProfile, SimulatedServer

RUN_ID = "a-night"
POLL_S = 10.0
"""How long the driver waits for something to happen, which costs real time."""
IN_MEMORY = Path("/dev/shm")
"""Where patches are written, which no test reads: a disk would have to be waited for."""


@dataclass
class NightLog:
    """How it went. Seconds on the night's clock, 0 at its start."""

    results: list[RolloutResult] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    ended_s: float = 0.0
    agent_s: dict[str, float] = field(default_factory=dict)
    """What each rollout took of its time limit."""
    waits: Waits = field(default_factory=Waits)
    limits: list[tuple[float, int]] = field(default_factory=list)
    """How many rollouts were admitted at once, whenever that changed."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {r.key.instance_id: r.outcome for r in self.results if r.outcome is not None}

    @property
    def failures(self) -> list[RolloutResult]:
        return [result for result in self.results if result.failure is not None]

    @property
    def finished_s(self) -> list[float]:
        """When rollouts came to an outcome."""
        return [r.record.ended_at for r in self.results if r.outcome is not None]


class _Driver(Driver):
    """The real one, but for what it says of the time left, which nobody reads here: that was two
    thirds of a night's work."""

    def time_left(self, now: float) -> None:
        return None


class SimulatedNight:
    """One session of a run. `run` is all of it; `events` stops at each event.

    With an admission of None as many rollouts are under way as there are slots.
    """

    def __init__(
        self,
        rollouts: Sequence[PlannedRollout],
        outages: Sequence[Outage] = (),
        *,
        profile: ServerProfile | None = None,
        limits: RolloutLimits = LIMITS,
        slots: int = 12,
        admission: Admission | None = None,
        max_outage_s: float = 8 * 3600.0,
        request_timeout_s: float = 900.0,
        sees_metrics: bool = True,
        seed: int = 0,
        journal: Journal | None = None,
        repos: Sequence[str] = ("a/repo",),
        past: PastSeconds | None = None,
        longest_first: bool = False,
    ) -> None:
        """With a journal of an earlier session it goes on with that run. Instances are of the
        repositories in turn; `past` is what their rollouts took in earlier runs."""
        self.timeline = Timeline()
        self.server = SimulatedServer(profile or ServerProfile(700_000))
        self._unsteady = UnsteadyServer(self.server)
        self.gateway = SimulatedGateway(
            self.timeline,
            self._unsteady,
            max_outage_s=max_outage_s,
            request_timeout_s=request_timeout_s,
            sees_metrics=sees_metrics,
            seed=seed,
        )
        for outage in outages:
            self.gateway.suffer(outage)
        self._instances = {
            str(number): Instance(str(number), repo, "c0ffee", "an issue", "")
            for number, repo in zip(range(len(rollouts)), cycle(repos), strict=False)
        }
        self.journal = journal or Journal.in_memory(
            RUN_ID, list(self._instances.values()), clock=self._clock
        )
        self._config = _config().model_copy(update={"rollout": limits})
        self._max_outage_s = max_outage_s
        self.lane = Lane()
        terms = RunTerms(limits.retries, limits.retry_delay_s, self.lane)
        self.scheduler = Scheduler(slots, GradingSlots.said(slots), {RUN_ID: terms})
        of_repos = {name: instance.repo for name, instance in self._instances.items()}
        learned = {RUN_ID: Durations(of_repos, past or PastSeconds())}
        grades = Durations(of_repos)
        self._durations = SessionDurations(learned, grades, longest_first)
        self._admission = admission
        self._workers = SimulatedWorkers(rollouts, self.gateway, self.timeline, self._advance)
        self.log = NightLog(waits=self.gateway.waits, agent_s=self._workers.agent_s)

    def run(self) -> NightLog:
        """Until nothing is left to do, or all is given up."""
        for _ in self.events():
            pass
        return self.log

    def events(self) -> Iterator[Event | Start | None]:
        """What the driver says, turn by turn."""
        with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
            driver = self._make_driver(RunPaths(Path(folder) / RUN_ID))
            self._note_limit()
            plan = make_plan(list(self._instances.values()), self.journal.state())
            self.journal.begin_session()
            for event in driver.events(plan):
                self._note(event)
                yield event
            self.journal.end_session()
        self.log.ended_s = self.timeline.now

    def _make_driver(self, paths: RunPaths) -> Driver:
        paths.root.mkdir()
        answer = seal(GoldAnswer("", "", {}))
        answers = dict.fromkeys(self._instances, answer)
        assert self._config.agent is not None
        agent = load_agent_kind(self._config.agent, {})
        requests = RequestBuilder(
            self._config, paths, self._instances, answers, PROCESSES, self.gateway, agent=agent
        )
        listener = GatewayListener(
            self.gateway,
            self.lane,
            {RUN_ID: self.journal},
            self.scheduler,
            self._admission,
            self._max_outage_s,
            self._clock,
        )
        return _Driver(
            {RUN_ID: DrivenRun(requests, self.journal)},
            self._workers,
            self.scheduler,
            StopSignal(),
            [listener],
            durations=self._durations,
            clock=self._clock,
            poll_s=POLL_S,
        )

    def _clock(self) -> float:
        return self.timeline.now

    def _advance(self, until_s: float) -> None:
        """To the next thing that happens, at most to `until_s`."""
        coming = (self.timeline.next_s, self.gateway.next_s(), self.server.next_event_s())
        self.timeline.now = min(until_s, *coming)
        for answer in self._unsteady.advance(self.timeline.now):
            self.gateway.answered(answer)
        self.timeline.run_due()
        self.gateway.pump()

    def _note(self, event: Event | Start | None) -> None:
        if isinstance(event, Start) and event.stage == "rollout":
            self.log.starts[event.key.instance_id] += 1
        elif isinstance(event, RolloutResult):
            self.log.results.append(event)
        elif isinstance(event, ModelStatus):
            self._note_limit()

    def _note_limit(self) -> None:
        limit = self.lane.limit
        if limit is not None and (not self.log.limits or self.log.limits[-1][1] != limit):
            self.log.limits.append((self.timeline.now, limit))


@cache
def _config() -> RunConfig:
    settings = {"cluster.min_free_disk_gb": 0}
    return load_config(RunRequest("demo", agent="mini", run_id=RUN_ID, settings=settings))
