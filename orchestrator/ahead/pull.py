"""`images pull`: what is missing comes onto the engine's disk, within quota and room, and stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console

from orchestrator.ahead.fetch import HERE, Destination, Ending, Fetch, Fetched, make_store
from orchestrator.ahead.progress import FetchDisplay, FetchProgress, refusal
from orchestrator.ahead.wanted import Wanted, find_wanted
from orchestrator.backends import Backend
from orchestrator.backends.images import PullStep
from orchestrator.config import RunRequest
from orchestrator.config.cluster import Cluster
from orchestrator.display.terminal import print_line
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_INTERRUPTED
from orchestrator.images.layers import unique_bytes
from orchestrator.images.pulls import PullFailure, Quota
from orchestrator.images.store import Store
from orchestrator.report.words import amount


@dataclass(frozen=True)
class EngineDisk:
    """The engine as a `fetch.Destination`."""

    backend: Backend
    cluster: Cluster

    def bring(self, image: str, on_step: Callable[[PullStep], None]) -> PullStep:
        last = PullStep()
        for last in self.backend.pull_image(image, self.cluster):
            on_step(last)
        return last

    def room(self) -> int | None:
        free_gb = self.backend.free_for_images_gb(self.cluster)
        return None if free_gb is None else round((free_gb - self.cluster.images.reserve_gb) * 1e9)

    def quota(self, registry: str) -> Quota | None:
        return self.backend.pull_quota(registry)


def pull(request: RunRequest, console: Console) -> int:
    """Pull what is missing; returns the exit code.

    Raises:
        ConfigError: the request is wrong.
        PrerequisiteError: the engine does not answer at first, or the benchmark can't be read.
    """
    wanted = find_wanted(request, console)
    images, to_pull = wanted.of_registries, wanted.to_pull
    if wanted.to_build:
        words = f"{len(wanted.to_build)} images are built from Dockerfiles when rollouts need them"
        print_line(console, f"{words}: nothing is pulled for those")
    if not to_pull:
        if images or not wanted.to_build:
            count = len(images or wanted.images)
            print_line(console, f"all {count} images of {wanted.benchmark} are here")
        return EXIT_DONE
    here = [image for image in images if image not in to_pull]
    sizes = wanted.sizes_of(images, console)
    pulls_at_once = wanted.cluster.images.pulls
    store = make_store(images, here, sizes, wanted.registry_of, pulls_at_once)
    try:
        fetched = fetch_all(store, EngineDisk(wanted.backend, wanted.cluster), console)
    except KeyboardInterrupt:
        return tell_interrupted(store, console)
    return _conclude(wanted, images, fetched, console)


def fetch_all(store: Store, destination: Destination, console: Console) -> Fetched:
    """Bring what a store wants and has not, and show it. Raises KeyboardInterrupt."""
    here = store.nodes[HERE].resident
    present = [store.sizes[image] for image in store.wanted if image in here]
    coming = [store.sizes[image] for image in store.wanted if image not in here]
    progress = FetchProgress(
        images=len(store.wanted),
        here=len(present),
        total_bytes=unique_bytes([*coming, *present]) - unique_bytes(present),
        estimated=any(size.estimated for size in coming),
    )
    with FetchDisplay(console, progress) as display:
        return Fetch(store, destination, display).run()


def tell_interrupted(store: Store, console: Console) -> int:
    count = f"{len(store.nodes[HERE].resident)} of {len(store.wanted)}"
    print_line(
        console, f"interrupted: {count} images are there; the same command goes on from here"
    )
    return EXIT_INTERRUPTED


def tell_refused(refused: Mapping[str, PullFailure], console: Console) -> None:
    for image, failure in sorted(refused.items()):
        print_line(console, refusal(image, failure), "red")


def _conclude(
    wanted: Wanted, images: Mapping[str, frozenset[str]], fetched: Fetched, console: Console
) -> int:
    """Say how it ended, by what the engine has now. Raises PrerequisiteError."""
    gone = wanted.backend.missing_images(wanted.instances, wanted.platform)
    missing = [image for image in images if image in gone]
    count = f"{len(images) - len(missing)} of {len(images)} images of {wanted.benchmark} are here"
    tell_refused(fetched.refused, console)
    if not missing:
        print_line(console, f"all {len(images)} images of {wanted.benchmark} are here")
        return EXIT_DONE
    if fetched.ending is Ending.FULL:
        free_gb = wanted.backend.free_for_images_gb(wanted.cluster)
        free = "" if free_gb is None else f" ({amount(free_gb)} GB are free)"
        reserve = f"{amount(wanted.cluster.images.reserve_gb)} GB"
        print_line(
            console,
            f"stopped before the reserve of {reserve} on the engine's disk is used up: {count}, "
            f"and no more fit{free}. `images prune` makes room; cluster.images.reserve_gb says how "
            "much stays free.",
            "yellow",
        )
    else:
        others = len(missing) - len(fetched.refused.keys() & set(missing))
        removed = f"; {others} were removed meanwhile" if others else ""
        print_line(console, f"{count}; {len(fetched.refused)} can't be had{removed}", "yellow")
    return EXIT_FAILURES_LEFT
