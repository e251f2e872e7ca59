"""A run on a fake executor: the real driver, scheduler, journal and image keeper."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.driver.durations import SessionDurations
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
from orchestrator.gateway.messages import Message
from orchestrator.images.layers import ImageSize
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.types import RolloutKey
from support.fake_executor import FakeExecutor
from support.specs import CONTAINERS, PROCESSES


@dataclass
class SilentGateway:
    """Implements `GatewayHandle`: says what it is given, a turn at a time."""

    turns: list[list[Message]] = field(default_factory=list)
    forgotten: list[RolloutKey] = field(default_factory=list)

    def base_url(self, key: RolloutKey) -> str:
        return f"http://gateway/{key.instance_id}/{key.attempt}"

    def forget(self, key: RolloutKey) -> None:
        self.forgotten.append(key)

    def poll(self) -> list[Message]:
        return self.turns.pop(0) if self.turns else []


@dataclass
class Run:
    """A run of the demo's first instances on a fake executor."""

    config: RunConfig
    dataset: Dataset
    journal: Journal
    slots: int = 2
    gateway: SilentGateway | None = None
    max_outage_s: float = 60
    executor: FakeExecutor = field(default_factory=FakeExecutor)
    stop: StopSignal = field(default_factory=StopSignal)
    clock: Callable[[], float] = time.monotonic
    sizes: Mapping[str, ImageSize] | None = None
    """Of images that come from a registry; None: the sandboxes need none."""
    durations: SessionDurations | None = None
    cleaned: list[RolloutKey] = field(default_factory=list)
    """What was cleaned up after, as its worker was lost."""

    @property
    def paths(self) -> RunPaths:
        return RunPaths(Path(self.config.runs_dir) / self.config.run_id)

    @property
    def ids(self) -> list[str]:
        return [instance.instance_id for instance in self.dataset.instances]

    def image(self, number: int) -> str:
        return self.dataset.instances[number].image

    def images_of(self, key: RolloutKey) -> str:
        return self.image(self.ids.index(key.instance_id))

    @property
    def plan(self) -> Plan:
        return make_plan(self.dataset.instances, self.journal.state())

    def make_images(self, *others: Run) -> ImageKeeper | None:
        """What is on this host is what its fake images say. `others` use them too."""
        if self.sizes is None:
            return None
        cluster, here = self.config.cluster, self.executor.images.get("")
        missing = set(self.sizes) - (here.present if here else set())
        runs = (self, *others)
        return ImageKeeper(
            ImageNeeds(self.dataset.instances, self.sizes, lambda _: "hub", frozenset(missing)),
            join_plans([run.plan for run in runs], self.dataset.instances),
            cluster,
            CONTAINERS,
            ImageDisk.of(cluster, CONTAINERS, self.paths.root),
            self.executor,
            {run.config.run_id: run.journal for run in runs},
        )

    def make_requests(self) -> RequestBuilder:
        instances = {i.instance_id: i for i in self.dataset.instances}
        return RequestBuilder(
            self.config,
            self.paths,
            instances,
            self.dataset.answers,
            PROCESSES,
            self.gateway,
            agent=load_agent_kind(self.config.agent, {}),
        )

    def make_driver(self) -> Driver:
        run_id, lane, listeners = self.config.run_id, Lane(), []
        terms = RunTerms(self.config.rollout.retries, 0, lane if self.gateway else None)
        scheduler = Scheduler(self.slots, GradingSlots.said(1), {run_id: terms})
        if self.gateway is not None:
            journals, outage_s = {run_id: self.journal}, self.max_outage_s
            listeners.append(
                GatewayListener(self.gateway, lane, journals, scheduler, None, outage_s)
            )
        return Driver(
            {run_id: DrivenRun(self.make_requests(), self.journal)},
            self.executor,
            scheduler,
            self.stop,
            listeners,
            images=self.make_images(),
            durations=self.durations,
            clock=self.clock,
        )

    def drive(self, on_event: Callable[[Any], None] = lambda event: None) -> list[Any]:
        driver, events = self.make_driver(), []
        for event in driver.events(self.plan):
            if event is not None:
                events.append(event)
                on_event(event)
        return events

    def predicted(self) -> list[str]:
        if not self.paths.predictions.is_file():
            return []
        lines = self.paths.predictions.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["instance_id"] for line in lines]


@dataclass
class RunsTogether:
    """Runs over the same instances, driven as one on the first one's executor and clock."""

    runs: list[Run]
    lanes: dict[str, Lane] = field(default_factory=dict)
    """By run id."""

    @property
    def first(self) -> Run:
        return self.runs[0]

    def make_driver(self) -> Driver:
        runs, terms = {}, {}
        for run in self.runs:
            run_id, retries = run.config.run_id, run.config.rollout.retries
            runs[run_id] = DrivenRun(run.make_requests(), run.journal, run.cleaned.append)
            terms[run_id] = RunTerms(retries, 0, self.lanes.get(run_id))
        return Driver(
            runs,
            self.first.executor,
            Scheduler(self.first.slots, GradingSlots.said(1), terms),
            self.first.stop,
            images=self.first.make_images(*self.runs[1:]),
            clock=self.first.clock,
        )

    @property
    def plan(self) -> Plan:
        return join_plans([run.plan for run in self.runs], self.first.dataset.instances)

    def drive(self, on_event: Callable[[Any], None] = lambda event: None) -> list[Any]:
        """All events but those where nothing happened, which `on_event` gets too."""
        events = []
        for event in self.make_driver().events(self.plan):
            on_event(event)
            if event is not None:
                events.append(event)
        return events
