"""The image store of a session, with hands: what it decides is asked of the executor, and what its
runs pull is in a journal before it comes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.backends import Host
from orchestrator.config.cluster import Cluster
from orchestrator.driver.executor import Event, Executor, ImageStatus, NodeSlots
from orchestrator.driver.image_disk import GB, ImageDisk
from orchestrator.driver.plan import Plan
from orchestrator.driver.pulled import PulledImages
from orchestrator.driver.pulls import Pulls
from orchestrator.driver.scheduler import Stage
from orchestrator.errors import PrerequisiteError
from orchestrator.images.decisions import (
    AskQuota,
    Decision,
    Evict,
    MeasureRoom,
    Pull,
    StoreHold,
    StoreSettings,
)
from orchestrator.images.layers import ImageSize
from orchestrator.images.node import Node, layers_of
from orchestrator.images.pulls import PullProblem
from orchestrator.images.store import Store
from orchestrator.journal import Journal
from orchestrator.report.words import amount
from orchestrator.types import FailureKind, Instance, PulledImage, RolloutKey
from orchestrator.worker.messages import (
    Eviction,
    EvictionRequest,
    ImageEvent,
    ImageGone,
    ImagesSeen,
    LookRequest,
    PullEnded,
    PullProgress,
    PullRequest,
    QuotaFound,
    QuotaRequest,
    RoomFound,
    RoomRequest,
)

NODES_EVERY_S = 30.0
STATUS_EVERY_S = 1.0
PATIENCE_S = 300.0
"""For room that nothing of the run can make: a person may."""


@dataclass(frozen=True)
class ImageNeeds:
    """The images of a session's runs, and what is known of them when it begins."""

    instances: Sequence[Instance]
    """All of the runs', each once."""
    sizes: Mapping[str, ImageSize]
    """Of the images that come from a registry. Any other is made by who uses it."""
    registry_of: Callable[[str], str]
    missing_here: frozenset[str]
    """Names of images that are not on this host."""

    def wanted(self, plan: Plan) -> dict[str, set[str]]:
        """Who uses each image (`_user_of`), in the plan's order, grades first."""
        images = {instance.instance_id: instance.image for instance in self.instances}
        wanted: dict[str, set[str]] = {}
        for key in (*plan.grades, *plan.rollouts):
            wanted.setdefault(images[key.instance_id], set()).add(_user_of(key))
        return wanted


class ImageKeeper:
    """Brings images where they are used, says what may start where, and lets images go."""

    def __init__(
        self,
        needs: ImageNeeds,
        plan: Plan,
        cluster: Cluster,
        host: Host,
        disk: ImageDisk,
        executor: Executor,
        journals: Mapping[str, Journal],
    ) -> None:
        """`journals` are those of the runs in the plan, by run id."""
        self._needs = needs
        self._instances = {instance.image: instance for instance in needs.instances}
        """One by each image."""
        self._images = {instance.instance_id: instance.image for instance in needs.instances}
        self._cluster = cluster
        self._host = host
        self._disk = disk
        self._executor = executor
        self._pulled = PulledImages(journals)
        wanted = needs.wanted(plan)
        self._runs_of: dict[str, set[str]] = defaultdict(set)
        """Run ids by image."""
        for key in (*plan.grades, *plan.rollouts):
            self._runs_of[self._images[key.instance_id]].add(key.run_id)
        settings = StoreSettings.of(cluster.images)
        self._store = Store({}, wanted, needs.sizes, needs.registry_of, settings)
        self._slots: dict[str, NodeSlots] = {}
        self._running: dict[RolloutKey, tuple[Stage, str]] = {}
        """What has a place, and on which node."""
        self._nodes_asked_at = float("-inf")
        self._pulls = Pulls()
        self._status = ImageStatus()
        self._status_at = float("-inf")
        self._lacks_since: float | None = None
        self._lack = ""

    # what may start

    def place(self, stage: Stage, key: RolloutKey) -> str | None:
        """See `scheduler.Place`."""
        image, busy = self._images[key.instance_id], Counter(self._running.values())
        free = {
            name: (slots.grades if stage is Stage.GRADE else slots.rollouts) - busy[stage, name]
            for name, slots in self._slots.items()
        }
        node = self._store.place(image, free, makes_room=stage is Stage.GRADE)
        if node is None:
            return None
        if image in self._store.refused and not self.is_here(key, node):
            self._note_pull(PulledImage(image, node))  # whoever uses it tries once more
        self._store.pin(node, image)
        self._running[key] = stage, node
        return node

    def is_ready(self, key: RolloutKey) -> bool:
        """Whether a rollout could start where a slot is free. Nothing is placed."""
        image = self._images[key.instance_id]
        return self._store.place(image, dict.fromkeys(self._slots, 1)) is not None

    def is_here(self, key: RolloutKey, node: str) -> bool:
        """Whether the image is one that the store has seen there."""
        image = self._images[key.instance_id]
        return image in self._needs.sizes and image in self._store.nodes[node].resident

    def brings(self, key: RolloutKey) -> bool:
        """Whether the instance's image comes from a registry, and so by the store."""
        return self._images[key.instance_id] in self._needs.sizes

    def ended(self, key: RolloutKey, failure: FailureKind | None) -> None:
        """A rollout or grade needs its place no more."""
        (_, node), image = self._running.pop(key), self._images[key.instance_id]
        self._store.unpin(node, image)
        there = self._store.nodes.get(node)
        if image not in self._store.refused or there is None or image in there.resident:
            return
        if failure is FailureKind.IMAGE_UNAVAILABLE:
            self._pulled.forget(PulledImage(image, node))
        elif failure is None:  # it brought the image after all
            there.resident.add(image)
            there.ours.add(image)

    def instance_over(self, key: RolloutKey) -> None:
        """Nothing of the instance is to be done any more in this session for the key's run."""
        self._store.instance_over(_user_of(key))

    # what to do

    def act(
        self, now: float, *, may_pull: bool, held_back: Collection[RolloutKey] = ()
    ) -> Iterator[Event]:
        """Have done what is to be done now; says how the images come, once a second at most.

        `held_back` are rollouts that can't start for now while others can (`Stock.held_back`).

        Raises:
            PrerequisiteError: an image can come nowhere, and nobody has made room for it.
            JournalError: the record can't be written.
        """
        if not may_pull:
            self._store.settings = replace(self._store.settings, pulls_at_once=0)
        self._store.held_back = frozenset(map(_user_of, held_back))
        self._look_for_nodes(now)
        for decision in self._store.decide(now):
            self._do(decision, now)
        if may_pull:
            self._require_room(now)
        if now - self._status_at >= STATUS_EVERY_S:
            self._status_at, before = now, self._status
            self._status = self._pulls.status(self._ready, now)
            if self._status != before:
                yield self._status

    @property
    def is_evicting(self) -> bool:
        return any(node.evicting for node in self._store.nodes.values())

    @property
    def may_free_runs_disk(self) -> bool:
        """Whether images go, or can go, that lie on it."""
        if not self._disk.takes_from_runs or self._store.settings.keep is True:
            return False
        nodes = self._store.nodes.values()
        return any(node.ours & node.resident - node.in_use for node in nodes)

    def hold(self, now: float) -> StoreHold | None:
        """Why images don't come; None where they do, or none is waited for."""
        if self._lacks_since is not None:
            until = self._lacks_since + PATIENCE_S
            text = f"{self._lack}: somebody may free some. It is waited for"
            return StoreHold(text, f"room {self._lacks_since}", until)
        if not self._store.nodes:
            return StoreHold("no node has told yet which images it has", "nodes")
        return self._store.hold(now)

    # what happened

    def take(self, event: ImageEvent | ImageGone, now: float) -> None:
        """Take in what came of something that was asked for."""
        if isinstance(event, ImageGone):
            (_, node), name = self._running.pop(event.key), self._images[event.key.instance_id]
            self._store.unpin(node, name)
            self._store.absent(node, name)
            self._pulled.forget(PulledImage(name, node))
        elif isinstance(event, ImagesSeen):
            self._add_node(event)
        elif isinstance(event, PullProgress):
            self._store.progressed(event.node, event.image.name, event.compressed)
            self._pulls.came(event.image, event.compressed, now)
        elif isinstance(event, PullEnded):
            self._take_pull(event, now)
        elif isinstance(event, Eviction):
            self._store.evicted(event.node, event.image.name, event.gone)
            if event.gone:
                self._pulled.forget(event.image)
        elif isinstance(event, RoomFound):
            self._store.measured(event.node, self._room(event), now)
        elif isinstance(event, QuotaFound):
            self._store.told_quota(event.node, event.registry, event.quota, now)

    def _take_pull(self, event: PullEnded, now: float) -> None:
        self._pulls.end(event.image)
        node, name, failure = event.node, event.image.name, event.failure
        if failure is None:
            self._store.pulled(node, name, event.expanded, now)
            if event.was_there and node in self._store.nodes:  # it is somebody else's
                self._store.nodes[node].ours.discard(name)
                self._pulled.forget(event.image)
            return
        if failure.problem is not PullProblem.ENGINE:  # which may have it all the same
            self._pulled.forget(event.image)
        self._store.pull_failed(node, name, failure, now)

    def _room(self, found: RoomFound) -> int | None:
        """None where what was known before stays."""
        there = self._store.nodes.get(found.node)
        if found.free_gb is None and there is not None and there.room is not None:
            return None
        return self._disk.room(found.node, found.free_gb)

    def _do(self, decision: Decision, now: float) -> None:
        kind, node, submit = self._host.kind, decision.node, self._executor.submit_image_work
        match decision:
            case Pull(image=name):
                image = PulledImage(name, node)
                size = self._needs.sizes[name]
                self._note_pull(image)
                self._pulls.begin(image, self._to_come(node, name), size.estimated, now)
                submit(PullRequest(image, self._instances[name], kind, self._cluster))
            case Evict(image=name):
                submit(EvictionRequest(PulledImage(name, node), kind))
            case MeasureRoom():
                submit(RoomRequest(node, kind, self._cluster))
            case AskQuota(registry=registry):
                submit(QuotaRequest(node, registry, kind))

    def _to_come(self, node: str, name: str) -> int:
        """Compressed bytes of what is neither there nor on its way in another image."""
        there = self._store.nodes[node]
        others = {*there.resident, *there.pulling} - {name}
        new = set(self._needs.sizes[name].layers) - layers_of(others, self._needs.sizes)
        return sum(layer.size for layer in new)

    def _note_pull(self, image: PulledImage) -> None:
        self._pulled.note(image, self._runs_of[image.name])

    # nodes

    def _look_for_nodes(self, now: float) -> None:
        """A node that is gone has lost its images; a new one is asked which it has."""
        if now - self._nodes_asked_at < NODES_EVERY_S:
            return
        self._nodes_asked_at = now
        self._slots = {slots.name: slots for slots in self._executor.nodes()}
        for name in set(self._store.nodes) - set(self._slots):
            del self._store.nodes[name]
            self._pulls.lose(name)
        for name in set(self._slots) - set(self._store.nodes):
            if not name:  # this host was asked before the session began
                self._add_node(ImagesSeen(name, self._needs.missing_here))
                continue
            every = tuple(self._instances.values())
            platform = self._cluster.sandbox.platform
            self._executor.submit_image_work(LookRequest(name, self._host.kind, platform, every))

    def _add_node(self, seen: ImagesSeen) -> None:
        """One that could not say is asked again."""
        name, slots = seen.node, self._slots.get(seen.node)
        if seen.missing is None or slots is None or name in self._store.nodes:
            return
        ours = self._pulled.of_node(name) - seen.missing
        resident = {*self._instances, *ours} - seen.missing
        self._store.nodes[name] = Node(name, resident, ours, slots.rollouts + slots.grades)

    @property
    def _ready(self) -> int:
        """Images that came before they are used."""
        store = self._store
        wanted = {image for image, users in store.wanted.items() if users}
        return sum(
            not node.pins[image]
            for node in store.nodes.values()
            for image in node.ours & node.resident & wanted
        )

    # room

    def _require_room(self, now: float) -> None:
        self._lack = self._find_lack(now)
        if not self._lack:
            self._lacks_since = None
            return
        if self._lacks_since is None:
            self._lacks_since = now
        if now - self._lacks_since >= PATIENCE_S:
            raise PrerequisiteError(
                f"{self._lack}. Nothing is lost.", "Free some space there, and `resume` goes on."
            )

    def _find_lack(self, now: float) -> str:
        """Which image has no room anywhere, as far as this run goes; empty while something may
        change."""
        store, nodes = self._store, list(self._store.nodes.values())
        if not nodes or any(node.measuring for node in nodes):
            return self._lack
        image = store.lacks_room(now)
        if not image:
            return ""
        sizes, budget = self._needs.sizes, store.settings.budget
        left, cost = max((n.left(sizes, budget), n.cost(image, sizes)) for n in nodes)
        full = [node.waits[""].why for node in nodes if "" in node.waits]
        if cost <= left and full:
            return f"{image} finds no room, says the engine ({full[0]})"
        limit = f"{self._disk.reserve_gb:g} GB of reserve (cluster.images.reserve_gb)"
        if budget is not None:
            limit += f", within {budget / GB:g} GB in all (cluster.images.budget_gb)"
        return (
            f"{image} takes about {_gb(cost)} while it comes, and the images' disk has "
            f"{_gb(max(left, 0))} left for it, beside {limit}"
        )


def _gb(size: int) -> str:
    return f"{amount(size / GB)} GB"


def _user_of(key: RolloutKey) -> str:
    """Of an image: an instance in a run."""
    return f"{key.run_id} {key.instance_id}"
