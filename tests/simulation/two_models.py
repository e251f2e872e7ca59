"""A night of two models in simulated time: one driver, a server and a gateway for each, and images
on one disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.fake_images import IMAGE_GB, FakeImages
from support.specs import CONTAINERS

from orchestrator.agents import load_agent_kind
from orchestrator.backends import GradeRequest
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.driver.executor import Event, NodeSlots
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.image_disk import ImageDisk
from orchestrator.driver.images import ImageKeeper, ImageNeeds
from orchestrator.driver.lanes import Lane
from orchestrator.driver.loop import Driver
from orchestrator.driver.plan import Plan, join_plans, make_plan
from orchestrator.driver.runs import DrivenRun, RequestBuilder
from orchestrator.driver.scheduler import RunTerms, Scheduler
from orchestrator.driver.stop import StopSignal
from orchestrator.gold_answers import GoldAnswer, seal
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, RolloutResult
from orchestrator.worker.messages import ImageEvent, ImageRequest, RolloutRequest
from simulation.planned_rollouts import LIMITS, PlannedRollout
from simulation.simulated_gateway import SimulatedGateway
from simulation.simulated_night import IN_MEMORY, POLL_S
from simulation.simulated_outages import Outage, Timeline, UnsteadyServer
from simulation.simulated_workers import SimulatedWorkers
from simulation.vllm_simulator import ServerProfile, SimulatedServer

MAX_OUTAGE_S = 8 * 3600.0


class ModelOfNight:
    """A run with a model of its own: the simulated server, its gateway, and its rollouts."""

    def __init__(
        self, run_id: str, rollouts: Sequence[PlannedRollout], night: TwoModelsNight
    ) -> None:
        self.run_id = run_id
        self.server = SimulatedServer(ServerProfile(700_000))
        self.unsteady = UnsteadyServer(self.server)
        self.gateway = SimulatedGateway(night.timeline, self.unsteady, max_outage_s=MAX_OUTAGE_S)
        self.workers = SimulatedWorkers(rollouts, self.gateway, night.timeline, night.advance)
        self.journal = Journal.in_memory(run_id, night.instances, clock=lambda: night.timeline.now)
        self.lane = Lane(run_id, night.slots // 2)
        self.finished_s: list[float] = []
        """When its rollouts came to an outcome."""


@dataclass
class TwoModelsNight:
    """Implements `Executor` over the workers of both; `disk_gb` holds images of 1 GB each."""

    rollouts: Sequence[PlannedRollout]
    disk_gb: float
    slots: int = 8
    timeline: Timeline = field(default_factory=Timeline)

    def __post_init__(self) -> None:
        self.images = FakeImages(self.disk_gb)
        self._image_events: list[ImageEvent] = []
        self.instances = [
            Instance(str(n), "a/repo", "c0ffee", "an issue", f"image{n}")
            for n in range(len(self.rollouts))
        ]
        self.models = {name: ModelOfNight(name, self.rollouts, self) for name in ("a", "b")}

    def suffer(self, name: str, outage: Outage) -> None:
        self.models[name].gateway.suffer(outage)

    def run(self) -> None:
        """Until nothing is left to do."""
        with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
            plans = [
                make_plan(self.instances, model.journal.state()) for model in self.models.values()
            ]
            plan = join_plans(plans, self.instances)
            for event in self._make_driver(Path(folder), plan).events(plan):
                if isinstance(event, RolloutResult) and event.outcome is not None:
                    self.models[event.key.run_id].finished_s.append(self.timeline.now)

    def _make_driver(self, folder: Path, plan: Plan) -> Driver:
        clock = lambda: self.timeline.now  # noqa: E731
        answers = {i.instance_id: seal(GoldAnswer("", "", {})) for i in self.instances}
        runs, terms = {}, {}
        for name, model in self.models.items():
            config = _config(name)
            assert config.agent is not None
            paths = RunPaths(folder / name)
            paths.root.mkdir()
            by_id = {instance.instance_id: instance for instance in self.instances}
            agent = load_agent_kind(config.agent, {})
            requests = RequestBuilder(
                config, paths, by_id, answers, CONTAINERS, model.gateway, agent=agent
            )
            runs[name] = DrivenRun(requests, model.journal)
            terms[name] = RunTerms(LIMITS.retries, LIMITS.retry_delay_s, model.lane)
        scheduler = Scheduler(self.slots, GradingSlots.said(self.slots), terms)
        listeners = [
            GatewayListener(
                m.gateway, m.lane, {name: m.journal}, scheduler, None, MAX_OUTAGE_S, clock
            )
            for name, m in self.models.items()
        ]
        sizes = {
            i.image: ImageSize((Layer(i.image, round(IMAGE_GB * 1e9 / 2.8)),))
            for i in self.instances
        }
        cluster = _config("a").cluster
        keeper = ImageKeeper(
            ImageNeeds(self.instances, sizes, lambda _: "hub", frozenset(sizes)),
            plan,
            cluster,
            CONTAINERS,
            ImageDisk.of(cluster, CONTAINERS, folder),
            self,
            {name: model.journal for name, model in self.models.items()},
        )
        stop = StopSignal()
        return Driver(runs, self, scheduler, stop, listeners, keeper, clock=clock, poll_s=POLL_S)

    # the executor

    def nodes(self) -> tuple[NodeSlots, ...]:
        return (NodeSlots("", self.slots, self.slots),)

    def submit_rollout(self, request: RolloutRequest) -> None:
        self.models[request.key.run_id].workers.submit_rollout(request)

    def submit_grade(self, request: GradeRequest) -> None:
        self.models[request.key.run_id].workers.submit_grade(request)

    def submit_image_work(self, request: ImageRequest) -> None:
        self._image_events += self.images.do(request)

    def poll(self, timeout_s: float) -> list[Event]:
        events: list[Event] = [*self._image_events, *self.images.go_on()]
        self._image_events.clear()
        until = self.timeline.now + timeout_s
        while not events and self.timeline.now < until:
            if any(model.gateway.has_news for model in self.models.values()):
                break
            self.advance(until)
            for model in self.models.values():
                events += model.workers.poll(0.0)
        return events

    def stop_now(self) -> None:
        raise AssertionError("nobody stops it")

    def close(self) -> None:
        """Nothing is held."""

    def advance(self, until_s: float) -> None:
        """To the next thing that happens, at most to `until_s`."""
        models = self.models.values()
        coming = [self.timeline.next_s]
        for model in models:
            coming += (model.gateway.next_s(), model.server.next_event_s())
        self.timeline.now = min(until_s, *coming)
        for model in models:
            for answer in model.unsteady.advance(self.timeline.now):
                model.gateway.answered(answer)
        self.timeline.run_due()
        for model in models:
            model.gateway.pump()


def _config(run_id: str) -> RunConfig:
    settings = {
        "cluster.min_free_disk_gb": 0,
        "cluster.images.reserve_gb": 0,
        "cluster.images.keep": False,
    }
    config = load_config(RunRequest("demo", agent="mini", run_id=run_id, settings=settings))
    return config.model_copy(update={"rollout": LIMITS})
