"""How large the images of a run are: as kept, as their registries tell, or as estimated.

Nothing that is asked here counts as a pull: at Docker Hub its web API is asked, elsewhere the
manifest. Where a registry other than Docker Hub rations pulls, as it says for a HEAD, a manifest
may count as one: the sizes of its images are estimated. It takes no longer than a limit, and a
registry that gives no answer is asked no more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from orchestrator.config.cluster import Images
from orchestrator.errors import OrchestratorError
from orchestrator.images.docker_hub import hub_size
from orchestrator.images.kept_sizes import find_kept, keep
from orchestrator.images.layers import ImageSize
from orchestrator.images.names import HUB, ImageName, parse_name, registry_of, sources
from orchestrator.images.pulls import PullFailed, PullProblem
from orchestrator.images.registry import Registry
from orchestrator.images.registry_answers import Connections, fail
from orchestrator.images.table import estimate
from orchestrator.types import Instance

AT_ONCE = 8
LIMIT_S = 20.0
"""For all images together."""
MAX_FAILURES = 3
"""Of a registry: one may be an image's own, such as an answer that can't be read."""

FAILURES_FOR = dict.fromkeys(PullProblem, 1) | {
    PullProblem.REFUSED: 0,
    PullProblem.QUOTA: MAX_FAILURES,
}
"""How many of them a problem counts for: who gives no more for now is asked no more."""

Login = Callable[[str], Mapping[str, Any]]


def find_sizes(
    instances: Sequence[Instance],
    settings: Images,
    platform: str,
    login: Login,
    on_progress: Callable[[int, int], None] = lambda known, of: None,
    limit_s: float = LIMIT_S,
) -> dict[str, ImageSize]:
    """Sizes of the images of instances that are pulled, by name, in the instances' order.

    What no registry tells in time is estimated, and marked so. `login` gives a registry's, as the
    engine takes it. `on_progress` is told how many images are known, of how many, when something
    has to be asked. Never raises.
    """
    of_image = {instance.image: instance for instance in reversed(instances)}
    images = list(dict.fromkeys(instance.image for instance in instances))
    kept = {image: found for image in images if (found := find_kept(image, platform))}
    sizes = {image: size for image, (size, _) in kept.items()}
    fresh = {image for image, (_, is_fresh) in kept.items() if is_fresh}
    missing = [image for image in images if image not in fresh]
    if missing:
        on_progress(len(fresh), len(images))
        asking = _Asking(missing, settings, platform, login)
        for done, (image, size) in enumerate(asking.answers(limit_s), start=len(fresh) + 1):
            if size is not None:
                sizes[image] = size
            on_progress(done, len(images))
    return {image: sizes.get(image) or estimate(of_image[image]) for image in images}


def known_sizes(instances: Sequence[Instance], platform: str) -> dict[str, ImageSize]:
    """The same as far as it is kept, else estimated: nobody is asked."""
    return {
        instance.image: kept[0] if kept else estimate(instance)
        for instance in reversed(instances)
        for kept in [find_kept(instance.image, platform)]
    }


class _Asking:
    """Threads that ask registries for many images, and what they share."""

    def __init__(
        self, images: Sequence[str], settings: Images, platform: str, login: Login
    ) -> None:
        self._settings, self._platform, self._login = settings, platform, login
        self._todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for image in images:
            self._todo.put(image)
        self._count = len(images)
        self._found: queue.SimpleQueue[tuple[str, ImageSize | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._failures: Counter[str] = Counter()
        """By registry: questions without an answer."""
        self._registries: dict[str, Registry] = {}
        self._free: set[str] = set()
        """Registries that ration nothing."""
        self._open = ExitStack()
        self._hub = self._open.enter_context(Connections())
        self._at_work = min(AT_ONCE, self._count)

    def answers(self, limit_s: float) -> Iterator[tuple[str, ImageSize | None]]:
        """Images and their sizes as they come, None for one that nobody tells. What comes when the
        time is over is kept for the next time."""
        threads = [
            # they end with the program, also where one hangs in a name that is looked up
            threading.Thread(target=self._work, daemon=True, name=f"image-sizes-{number}")
            for number in range(self._at_work)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + limit_s
        try:
            for _ in range(self._count):
                yield self._found.get(timeout=max(end - time.monotonic(), 0.001))
        except queue.Empty:
            return
        finally:
            self._over.set()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        try:
            while not self._over.is_set():
                self._ask_next()
        finally:
            with self._lock:
                self._at_work -= 1
                is_last = self._at_work == 0
            if is_last:
                self._open.close()

    def _ask_next(self) -> None:
        try:
            image = self._todo.get_nowait()
        except queue.Empty:
            self._over.set()
            return
        size = None
        try:
            size = self._ask(image)
            if size is not None:
                keep(image, self._platform, size)
        finally:
            self._found.put((image, size))

    def _ask(self, image: str) -> ImageSize | None:
        try:
            names = sources(image, self._settings)
        except OrchestratorError:
            return None
        for name in names:
            registry = registry_of(name)
            if self._failures[registry] >= MAX_FAILURES:
                continue
            try:
                return self._ask_registry(parse_name(name))
            except PullFailed as error:
                self._count_failure(registry, FAILURES_FOR[error.failure.problem])
            except OrchestratorError:  # the proxy's, or the trust's: for all images alike
                self._count_failure(registry, MAX_FAILURES)
        return None

    def _ask_registry(self, name: ImageName) -> ImageSize:
        if name.registry == HUB:
            return hub_size(self._hub, name, self._platform)
        with self._lock:
            registry = self._registries.get(name.registry)
            if registry is None:
                registry = Registry(name.registry, self._login(name.registry))
                self._registries[name.registry] = self._open.enter_context(registry)
        if name.registry not in self._free:  # a manifest may count as a pull, a HEAD never does
            if registry.quota(name) is not None:
                fail(f"{name.registry} rations pulls", PullProblem.QUOTA)
            self._free.add(name.registry)
        return registry.size(name, self._platform)

    def _count_failure(self, registry: str, failures: int) -> None:
        with self._lock:
            self._failures[registry] += failures
