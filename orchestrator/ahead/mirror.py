"""`images mirror`: images copied to a registry of one's own, within the quota of where they are.

No engine takes part, and nothing stays on this host's disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import yaml
from rich.console import Console

from orchestrator.ahead.fetch import make_store
from orchestrator.ahead.pull import fetch_all, tell_interrupted, tell_refused
from orchestrator.ahead.wanted import find_wanted
from orchestrator.backends.images import PullStep
from orchestrator.config import RunRequest
from orchestrator.config.cluster import Images
from orchestrator.display.terminal import print_line, waiting
from orchestrator.errors import (
    EXIT_DONE,
    EXIT_FAILURES_LEFT,
    ConfigError,
    PrerequisiteError,
)
from orchestrator.images.copying import Copier
from orchestrator.images.names import HUB, parse_name, sources
from orchestrator.images.pulls import PullFailed, PullProblem, Quota
from orchestrator.images.registry import Registry

UNLIMITED = 1 << 60
"""Bytes: what is free at the mirror nobody can ask. Where it is full, it says so itself."""
ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Copy:
    """One image, by its own name and by its name in the mirror."""

    image: str
    target: str

    @property
    def way(self) -> str:
        """Stands for the registry that it comes from: either end of the way may be what fails."""
        name = parse_name(self.image)
        return f"{name.registry} (to {parse_name(self.target).registry})"


class Mirror:
    """A registry of one's own as a `fetch.Destination`; for use as a context manager."""

    def __init__(
        self, host: str, copies: Sequence[Copy], platform: str, login: Callable[[str], Any]
    ) -> None:
        self._host = host
        self._copies = {copy.image: copy for copy in copies}
        self._platform = platform
        self._login = login
        self._open = ExitStack()
        self._copier = self._open.enter_context(Copier(login))
        self._of_way = {copy.way: parse_name(copy.image) for copy in reversed(copies)}
        """An image that comes by a way."""
        hosts = {host, *(name.registry for name in self._of_way.values())}
        self._registries = {
            name: self._open.enter_context(Registry(name, login(name))) for name in hosts
        }

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def bring(self, image: str, on_step: Callable[[PullStep], None]) -> PullStep:
        sent = 0

        def on_bytes(count: int) -> None:
            nonlocal sent
            sent += count
            on_step(PullStep(sent))

        target = self._copies[image].target
        copied = self._copier.copy_image(image, target, self._platform, on_bytes)
        return PullStep(sent, digest=copied.digest)

    def room(self) -> int:
        return UNLIMITED

    def quota(self, registry: str) -> Quota | None:
        name = self._of_way[registry]
        try:
            return self._registries[name.registry].quota(None if name.registry == HUB else name)
        except PullFailed:
            return None

    def find_here(self) -> list[str]:
        """Images that the mirror has as they are at their registries. Costs no pull.

        Raises:
            PrerequisiteError: the mirror does not answer.
        """
        with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
            found = list(threads.map(self._is_here, self._copies.values()))
        return [image for image, is_here in zip(self._copies, found, strict=True) if is_here]

    def _is_here(self, copy: Copy) -> bool:
        """One that its registry says nothing of at this moment is taken as it is."""
        own, there = parse_name(copy.image), parse_name(copy.target)
        try:
            present = self._registries[self._host].digest(there)
        except PullFailed as failed:
            if failed.failure.problem is PullProblem.REFUSED:  # most likely: it has none
                return False
            raise PrerequisiteError(
                f"the mirror {self._host} does not answer ({failed.failure.detail}).",
                "Start it, or name another with --to.",
            ) from None
        try:
            is_same = self._registries[own.registry].digest(own) == present
            if is_same:  # nothing is sent, and the copier learns which layers lie there
                self._copier.copy_image(copy.image, copy.target, self._platform)
        except PullFailed:
            return True
        return is_same


def mirror(request: RunRequest, console: Console) -> int:
    """Copy what the mirror of the request's cluster lacks; returns the exit code.

    Raises:
        ConfigError: the request is wrong.
        PrerequisiteError: the mirror does not answer at first, or the benchmark can't be read.
    """
    wanted = find_wanted(request, console, engine=False)
    settings, images = wanted.cluster.images, wanted.of_registries
    to = str(settings.mirror)
    copies = [Copy(image, sources(image, settings)[0]) for image in images]
    if same := [copy.image for copy in copies if copy.target == copy.image]:
        raise ConfigError(f"--to {to}: {same[0]} is in that registry itself")
    if not images:
        print_line(console, f"all images of {wanted.benchmark} are built from Dockerfiles")
        return EXIT_DONE
    with Mirror(to, copies, wanted.platform, wanted.backend.registry_login) as destination:
        with waiting(console, f"asking what {to} has"):
            here = destination.find_here()
        missing = set(images) - set(here)
        sizes = wanted.without_mirror.sizes_of(missing, console)
        ways = {copy.image: copy.way for copy in copies}
        # one at a time: what images share is sent once, for the next one finds it there
        store = make_store(images, here, sizes, ways.__getitem__, pulls_at_once=1)
        try:
            fetched = fetch_all(store, destination, console)
        except KeyboardInterrupt:
            return tell_interrupted(store, console)
    tell_refused(fetched.refused, console)
    count = len(images) - len(fetched.refused)
    print_line(console, f"{count} of {len(images)} images of {wanted.benchmark} are at {to}")
    for line in profile_lines(settings):
        print_line(console, line)
    return EXIT_FAILURES_LEFT if fetched.refused else EXIT_DONE


def profile_lines(settings: Images) -> list[str]:
    """How a cluster profile, or a launch, names the mirror."""
    keys = {"mirror": settings.mirror, "namespace": settings.namespace, "tag": settings.tag}
    default = Images()
    named = {key: value for key, value in keys.items() if value != getattr(default, key)}
    profile = yaml.safe_dump({"images": named}, sort_keys=False).splitlines()
    flags = " ".join(f"--set cluster.images.{key}={value!r}" for key, value in named.items())
    return [
        "in a cluster profile:",
        *(f"  {line}" for line in profile),
        f"or: launch ... {flags.replace(chr(39), '')}",
        "each engine must take it: where it has no TLS, as one of its insecure-registries",
    ]
