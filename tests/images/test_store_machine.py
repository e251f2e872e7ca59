"""The store against a world that fails, lies about sizes and fills its disks: whatever happens, no
image goes that is needed, and in the end every instance is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.images.decisions import AskQuota, Evict, MeasureRoom, Pull, StoreSettings
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.node import Node
from orchestrator.images.pulls import PullFailure, PullProblem, Quota
from orchestrator.images.store import Store

pytestmark = pytest.mark.slow

RESERVE = 50
WINDOW_S = 3600.0
REGISTRIES = ("hub", "other")
FAILS = st.sampled_from([p for p in PullProblem if p not in (PullProblem.NO_ROOM,)])


@dataclass
class Disk:
    """A node's disk as it is, which the store can only ask for. `ratio` is what a compressed byte
    takes on it, whatever the store believes."""

    total: int
    ratio: float
    truth: dict[str, ImageSize]
    images: set[str] = field(default_factory=set)
    others: int = 0
    """Bytes of what is not ours."""

    def used(self, *more: str) -> int:
        layers = {la for name in (*self.images, *more) for la in self.truth[name].layers}
        return round(sum(la.size for la in layers) * self.ratio)

    @property
    def room(self) -> int:
        return self.total - self.others - self.used() - RESERVE

    def takes(self, image: str) -> bool:
        return self.used(image) + self.others <= self.total


@dataclass
class World:
    store: Store
    disks: dict[str, Disk]
    slots: int
    quota: Quota | None
    now: float = 0.0
    given: list[float] = field(default_factory=list)
    running: list[tuple[str, str, str]] = field(default_factory=list)
    """Node, image and instance."""
    over: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    pulls: Counter[str] = field(default_factory=Counter)
    was_ready: set[str] = field(default_factory=set)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    todo: list[Pull | Evict | MeasureRoom | AskQuota] = field(default_factory=list)

    @property
    def left(self) -> int | None:
        if self.quota is None:
            return None
        recent = [at for at in self.given if at > self.now - WINDOW_S]
        return self.quota.limit - len(recent)

    def decide(self) -> None:
        store = self.store
        lefts = {n.name: n.left(store.sizes, store.settings.budget) for n in store.nodes.values()}
        for decision in store.decide(self.now):
            self.todo.append(decision)
            if isinstance(decision, Evict):
                self.check_eviction(decision)
            if isinstance(decision, Pull):
                self.pulls[decision.image] += 1
                node = store.nodes[decision.node]
                assert len(node.pulling) <= store.settings.pulls_at_once
                assert node.low_since is None, "nothing comes under the reserve"
                if decision.image in node.tried:
                    continue
                # what it began with was enough, by the store's own estimate
                assert node.begun_with[decision.image] <= lefts[decision.node]
                assert node.left(store.sizes, store.settings.budget) >= 0

    def check_eviction(self, decision: Evict) -> None:
        node = self.store.nodes[decision.node]
        assert self.store.settings.keep is not True
        assert decision.image in node.ours
        assert decision.image not in self.foreign[decision.node], "only ours ever go"
        assert not node.pins[decision.image], "what is used stays"
        if self.store.wanted.get(decision.image):
            assert node.low_since is not None, "what is needed stays"
            assert not any(node.pins.values())

    def start(self) -> None:
        store = self.store
        busy = Counter(node for node, _, _ in self.running)
        at_work = {instance for _, _, instance in self.running}
        for image, users in list(store.wanted.items()):
            for instance in sorted(users - at_work):
                free = {name: self.slots - busy[name] for name in store.nodes}
                node = store.place(image, free)
                if node is None:
                    continue
                if image in store.refused:
                    store.instance_over(instance)
                    self.over.add(instance)
                    self.lost.add(instance)
                    continue
                assert image in self.disks[node].images, "a half-pulled image is never used"
                assert store.nodes[node].low_since is None
                self.was_ready.add(image)
                busy[node] += 1
                store.pin(node, image)
                self.running.append((node, image, instance))

    def end(self, number: int) -> None:
        node, image, instance = self.running.pop(number % len(self.running))
        self.store.unpin(node, image)
        self.store.instance_over(instance)
        self.over.add(instance)

    def answer(self, number: int, problem: PullProblem | None = None, blind: bool = False) -> None:
        decision = self.todo.pop(number % len(self.todo))
        store, disk = self.store, self.disks[decision.node]
        match decision:
            case MeasureRoom(node):
                store.measured(node, None if blind else disk.room, self.now)
            case AskQuota(node, registry):
                left, quota = self.left, None
                if self.quota is not None and left is not None and not blind:
                    quota = Quota(self.quota.limit, max(0, left), WINDOW_S)
                store.told_quota(node, registry, quota, self.now)
            case Evict(node, image):
                gone = not blind
                if gone:
                    disk.images.discard(image)
                store.evicted(node, image, gone)
            case Pull(node, image):
                left = self.left
                if problem is None and left is not None and left <= 0:
                    problem = PullProblem.QUOTA
                if problem is None and not disk.takes(image):
                    problem = PullProblem.NO_ROOM
                if problem is None:
                    self.given.append(self.now)
                    disk.images.add(image)
                    expanded = round(disk.truth[image].bytes * disk.ratio)
                    store.pulled(node, image, 0 if blind else expanded, self.now)
                else:
                    after = 30.0 if blind else None
                    store.pull_failed(node, image, PullFailure(problem, "no", after), self.now)

    def finish(self) -> str:
        """Nothing fails any more; empty, or the image for which there is no room."""
        idle = 0
        for _ in range(2000):
            self.now += 25.0
            self.decide()
            while self.todo:
                self.answer(0)
                self.decide()
            self.start()
            if not any(self.store.wanted.values()):
                return ""
            waits = not self.running and not self.store.is_busy
            if waits and not self.todo:
                lacking = self.store.lacks_room(self.now)
                if lacking:
                    return lacking
                idle += 1
                assert idle < 3 or self.store.hold(self.now), "all waits, and nobody says for what"
            else:
                idle = 0
            while self.running:
                self.end(0)
        raise AssertionError(f"it never ends: {self.store}")

    def check_hold(self) -> None:
        """What is held does wait: nothing is there that could start."""
        store = self.store
        if store.hold(self.now) is not None:
            at_work = {instance for _, _, instance in self.running}
            ready = [
                image
                for image, users in store.wanted.items()
                if image not in store.refused
                and users - at_work
                and store.place(image, dict.fromkeys(store.nodes, 1)) is not None
            ]
            assert not ready


def names(count: int) -> list[str]:
    return [f"i{number}" for number in range(count)]


class Nights(RuleBasedStateMachine):
    world: World

    @initialize(
        data=st.data(),
        count=st.integers(1, 7),
        nodes=st.integers(1, 3),
        keep=st.sampled_from([True, False, None]),
        budget=st.none() | st.integers(100, 3000),
        total=st.integers(100, 3000),
        ratio=st.sampled_from([1.0, 2.8, 6.0]),
        wrong=st.sampled_from([0.1, 1.0, 10.0]),
        estimated=st.booleans(),
        limit=st.none() | st.integers(1, 4),
        slots=st.integers(1, 3),
        pulls=st.integers(1, 3),
    )
    def begin(
        self,
        data: st.DataObject,
        count: int,
        nodes: int,
        keep: bool | None,
        budget: int | None,
        total: int,
        ratio: float,
        wrong: float,
        estimated: bool,
        limit: int | None,
        slots: int,
        pulls: int,
    ) -> None:
        truth, sizes = {}, {}
        for number, name in enumerate(names(count)):
            own = data.draw(st.integers(1, 150))
            group = data.draw(st.integers(0, 2))
            layers = (Layer(f"base{group}", 40), Layer(f"own{number}", own))
            truth[name] = ImageSize(layers)
            guess = tuple(Layer(la.digest, max(1, round(la.size * wrong))) for la in layers)
            sizes[name] = ImageSize(guess if estimated else layers, estimated=estimated)
        node_names = [f"n{number}" for number in range(nodes)]
        wanted = {
            name: {f"{name}-{k}" for k in range(data.draw(st.integers(1, 2)))} for name in truth
        }
        foreign = {
            node: set(data.draw(st.lists(st.sampled_from(list(truth)), max_size=2, unique=True)))
            for node in node_names
        }
        self.world = World(
            Store(
                {node: Node(node, set(foreign[node]), set(), slots) for node in node_names},
                wanted,
                sizes,
                lambda name: REGISTRIES[int(name[1:]) % 5 == 4],
                StoreSettings(RESERVE, budget, keep, pulls),
            ),
            {node: Disk(total, ratio, truth, set(foreign[node]), 0) for node in node_names},
            slots,
            None if limit is None else Quota(limit, limit, WINDOW_S),
            foreign=foreign,
        )

    @rule(seconds=st.sampled_from([0.0, 1.0, 7.0, 25.0, 130.0, 400.0, 4000.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.decide()

    @precondition(lambda self: self.world.todo)
    @rule(number=st.integers(0, 9))
    def something_is_done(self, number: int) -> None:
        self.world.answer(number)
        self.world.decide()

    @precondition(lambda self: self.world.todo)
    @rule(number=st.integers(0, 9), problem=st.none() | FAILS, blind=st.booleans())
    def something_goes_wrong(self, number: int, problem: PullProblem | None, blind: bool) -> None:
        self.world.answer(number, problem, blind)
        self.world.decide()

    @rule()
    def rollouts_start(self) -> None:
        self.world.start()
        self.world.decide()

    @precondition(lambda self: self.world.running)
    @rule(number=st.integers(0, 9))
    def one_ends(self, number: int) -> None:
        self.world.end(number)
        self.world.decide()

    @rule(node=st.integers(0, 2), others=st.integers(0, 1500))
    def somebody_else_fills_the_disk(self, node: int, others: int) -> None:
        disks = list(self.world.disks.values())
        disk = disks[node % len(disks)]
        disk.others = min(others, max(0, disk.total - disk.used()))

    @invariant()
    def pins_are_what_runs(self) -> None:
        if not hasattr(self, "world"):
            return
        running = Counter((node, image) for node, image, _ in self.world.running)
        for node in self.world.store.nodes.values():
            for image, pins in node.pins.items():
                assert pins == running[(node.name, image)]
        self.world.check_hold()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        for disk in world.disks.values():
            disk.others = 0
        lacking = world.finish()
        if lacking:
            self.check_that_it_lacks(lacking)
            return
        for image, instances in world.store.wanted.items():
            assert not instances
            assert image in world.was_ready | set(world.store.refused)

    def check_that_it_lacks(self, image: str) -> None:
        """There is no node where it could come, as things are, with its reserve left."""
        world = self.world
        for node, disk in world.disks.items():
            if world.store.settings.keep is True:
                gone = set()
            else:
                gone = world.store.nodes[node].ours - {
                    i for i, users in world.store.wanted.items() if users
                }
            assert not gone & disk.images, "what could have gone is gone"
            would_take = disk.used(image) + disk.others + RESERVE
            compressed = sum(la.size for la in world.store.sizes[image].layers)
            budget = world.store.settings.budget
            is_over_budget = budget is not None and bool(world.store.nodes[node].ours)
            assert would_take > disk.total or compressed > disk.room or is_over_budget


Nights.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestNights = Nights.TestCase
