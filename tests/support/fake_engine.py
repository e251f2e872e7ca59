"""An engine with images and a registry that are told of, and do what a test wants.

Its backend is the kind `support.fake_engine:FakeBackend`; backends hold no state, so that all
lies in `ENGINE`, which each test has anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.backends.docker.backend import DockerBackend
from orchestrator.backends.host import Host
from orchestrator.backends.images import ImageHere, PullStep
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem, Quota
from orchestrator.types import Instance

KIND = "support.fake_engine:FakeBackend"
PLATFORM = "linux/amd64"
IDS = ("a__b-1", "a__b-2", "a__b-3", "a__b-4")
"""Of a benchmark's instances (`benchmark.row`), which have these images."""
IMAGES = tuple(f"org/image.{instance_id}:latest" for instance_id in IDS)
BASE = Layer("sha256:base", 10**9)


def sizes_of(instances: Sequence[Instance], *_: Any) -> dict[str, ImageSize]:
    """Half a GB each, on a base of one GB that all share; in place of `find_sizes`."""
    return {i.image: ImageSize((BASE, Layer(i.image, 10**9 // 2))) for i in instances}


def image_here(
    layers: Mapping[str, int] | None = None,
    *,
    platform: str = PLATFORM,
    others: Iterable[str] = (),
    containers: tuple[str, ...] = (),
) -> ImageHere:
    given = {"base": 100, "own": 10} if layers is None else layers
    return ImageHere(platform, f"sha256:{'d' * 64}", given, frozenset(others), containers)


def failure(problem: PullProblem, retry_after_s: float | None = None) -> PullFailure:
    return PullFailure(problem, f"the test says {problem}", retry_after_s)


@dataclass
class FakeEngine:
    """`registry` has bytes on the disk of what can be pulled, by image."""

    here: dict[str, ImageHere] = field(default_factory=dict)
    registry: dict[str, int] = field(default_factory=dict)
    free: float = 100e9
    """Bytes."""
    can_measure: bool = True
    quotas: list[Quota | None] = field(default_factory=lambda: [None])
    """What is told, one after the other; the last one from then on."""
    addresses: int | None = 1000
    """That are left for containers with a network."""
    login: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, list[PullFailure]] = field(default_factory=dict)
    """What the next pulls of an image end in."""
    outage: list[PullFailure] = field(default_factory=list)
    """What the next pulls end in, whichever image they are of."""
    asked: list[str] = field(default_factory=list)
    """Images that were pulled, or tried to be, in this order."""
    evicted: list[str] = field(default_factory=list)
    in_use: set[str] = field(default_factory=set)
    """What can't be removed."""
    half: threading.Event = field(default_factory=threading.Event)
    """Set when half of an image has come."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """Pulls wait for it, when half has come."""

    def __post_init__(self) -> None:
        self.go_on.set()

    def pull(self, image: str) -> Iterator[PullStep]:
        self.asked.append(image)
        if self.outage:
            raise PullFailed(self.outage.pop(0))
        if self.failures.get(image):
            raise PullFailed(self.failures[image].pop(0))
        if image not in self.registry:
            raise PullFailed(failure(PullProblem.REFUSED))
        size = self.registry[image]
        yield PullStep(size // 4)
        self.half.set()
        self.go_on.wait(30)
        self.free -= size
        self.here[image] = image_here({image: size})
        yield PullStep(size // 2, size, f"sha256:{'d' * 64}")

    def quota(self) -> Quota | None:
        return self.quotas.pop(0) if len(self.quotas) > 1 else self.quotas[0]


ENGINE = FakeEngine()


def new_engine() -> FakeEngine:
    """Takes the place of the one that there was."""
    global ENGINE
    ENGINE = FakeEngine()
    return ENGINE


class FakeBackend(DockerBackend):
    """Docker's, but for its images, and for what is tried before the night."""

    def host(self, settings: SandboxSettings) -> Host:
        return Host(settings.kind, 8.0, 2)

    def check(self, instances: Sequence[Instance], cluster: Cluster, host: Host) -> tuple[str, ...]:
        return ()

    def try_sandbox(self, cluster: Cluster, host: Host) -> str:
        return "a tiny one ran"

    def free_addresses(self, cluster: Cluster) -> int | None:
        return ENGINE.addresses

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        names = dict.fromkeys(instance.image for instance in instances)
        here = {name for name, image in ENGINE.here.items() if image.platform == platform}
        return tuple(name for name in names if name not in here)

    def missing_bases(self, instances: Sequence[Instance], cluster: Cluster) -> tuple[str, ...]:
        return ()

    def images_here(self, names: Iterable[str]) -> Mapping[str, ImageHere]:
        return {name: ENGINE.here[name] for name in names if name in ENGINE.here}

    def pull_image(self, name: str, cluster: Cluster) -> Iterator[PullStep]:
        return ENGINE.pull(name)

    def free_for_images_gb(self, cluster: Cluster) -> float | None:
        return ENGINE.free / 1e9 if ENGINE.can_measure else None

    def registry_login(self, registry: str) -> Mapping[str, Any]:
        return ENGINE.login

    def pull_quota(self, registry: str) -> Quota | None:
        return ENGINE.quota()

    def evict_image(self, name: str) -> bool:
        if name in ENGINE.in_use:
            return False
        ENGINE.evicted.append(name)
        return ENGINE.here.pop(name, None) is not None
