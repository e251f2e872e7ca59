"""`images plan`: what a pull would bring, from where, how much, and when it would be through."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from orchestrator.ahead.progress import clock_time
from orchestrator.ahead.wanted import Wanted, find_wanted
from orchestrator.config import RunRequest
from orchestrator.images.layers import ImageSize, unique_bytes
from orchestrator.images.node import EXPANSION
from orchestrator.images.pulls import Quota
from orchestrator.report.words import amount, compact, duration

HUB = "docker.io"
HUB_WITHOUT_LOGIN, HUB_WITH_LOGIN = 100, 200
"""Pulls in six hours that Docker Hub gives: to one address without a login, and to who has logged
in for nothing (docs.docker.com/docker-hub/usage); who pays has no such limit."""


@dataclass(frozen=True)
class FromRegistry:
    """What is to come from one registry."""

    registry: str
    images: int
    bytes: int
    """Compressed, each layer once."""
    quota: Quota | None
    login: str
    """Whose login is shown there; empty: none."""

    @property
    def waits(self) -> int:
        """How often all that comes must wait for the next window."""
        return windows_needed(self.images, self.quota) - 1

    @property
    def waits_with_login(self) -> int:
        """The same for who logs in at Docker Hub for nothing."""
        if self.registry != HUB or self.quota is None or self.login:
            return self.waits
        limit = max(HUB_WITH_LOGIN, self.quota.limit)
        spent = self.quota.limit - self.quota.remaining
        with_login = Quota(limit, limit - spent, self.quota.window_s)
        return windows_needed(self.images, with_login) - 1

    @property
    def without_quota(self) -> str:
        """What is said where no quota is known: a registry that can't be asked may have one."""
        if self.registry != HUB or self.login:
            return "no limit of pulls is known"
        return (
            f"it does not say how many pulls are left; usual are {HUB_WITHOUT_LOGIN} in 6 h, and "
            f"{HUB_WITH_LOGIN} after `docker login`"
        )

    def begins(self, now: float) -> tuple[float, ...]:
        """When each window begins at the latest, in seconds since the epoch; the first is now.

        A registry does not say when its window began, so that each may begin earlier.
        """
        window_s = self.quota.window_s if self.quota else 0.0
        return tuple(now + number * window_s for number in range(self.waits + 1))


@dataclass(frozen=True)
class PullPlan:
    """What `images pull` would do now."""

    benchmark: str
    platform: str
    images: int
    here: int
    built: int
    """Missing ones that are built from Dockerfiles when rollouts need them."""
    registries: tuple[FromRegistry, ...]
    bytes: int
    """To come, compressed, each layer once."""
    estimated: int
    """Of how many images the size is a guess."""
    fit: int
    """How many of those to pull there is room for, in their order; a guess."""
    free_gb: float | None
    """On the engine's disk; None where nobody can say."""
    reserve_gb: float
    mirror: str | None
    now: float
    """Seconds since the epoch."""

    @property
    def to_pull(self) -> int:
        return sum(share.images for share in self.registries)

    @property
    def disk_gb(self) -> float:
        """What the images to pull take when they are unpacked; a guess."""
        return self.bytes * EXPANSION / 1e9

    def as_dict(self) -> dict[str, Any]:
        """For --json; times are seconds since the epoch."""
        return {
            "benchmark": self.benchmark,
            "platform": self.platform,
            "images": self.images,
            "here": self.here,
            "to_pull": self.to_pull,
            "built": self.built,
            "fit": self.fit,
            "pull_bytes": self.bytes,
            "disk_gb": round(self.disk_gb, 1),
            "estimated_sizes": self.estimated,
            "free_gb": None if self.free_gb is None else round(self.free_gb, 1),
            "reserve_gb": self.reserve_gb,
            "mirror": self.mirror,
            "registries": [
                {
                    "registry": share.registry,
                    "images": share.images,
                    "pull_bytes": share.bytes,
                    "quota": None if share.quota is None else vars(share.quota),
                    "login": share.login,
                    "windows": list(share.begins(self.now)),
                }
                for share in self.registries
            ],
        }

    def lines(self) -> list[str]:
        """For people."""
        found = [f"{self.benchmark}: {self.images} images for {self.platform}, {self.here} here"]
        if self.built:
            found.append(f"{self.built} are built from Dockerfiles when rollouts need them")
        if not self.to_pull:
            return [*found, "nothing to pull"]
        about, note = ("about ", " (estimated)") if self.estimated else ("", "")
        found.append(
            f"to pull: {self.to_pull} images, {about}{compact(self.bytes)}B{note}; on disk about "
            f"{amount(self.disk_gb)} GB (estimated), shared layers counted once"
        )
        if self.mirror:
            found.append(f"asked first: the mirror {self.mirror}")
        for share in self.registries:
            found.extend(self._lines_of(share))
        found.append(self._room_line())
        return found

    def _lines_of(self, share: FromRegistry) -> list[str]:
        login = f"as {share.login}" if share.login else "without a login"
        what = f"{share.registry}: {share.images} images, {compact(share.bytes)}B, {login}"
        if share.quota is None:
            return [f"{what}; {share.without_quota}"]
        quota = share.quota
        found = [
            f"{what}; {quota.remaining} of {quota.limit} pulls in {duration(quota.window_s)} are "
            "left"
        ]
        begins = share.begins(self.now)
        if share.waits:
            times = ", ".join(clock_time(at) for at in begins)
            found.append(
                f"  that takes {share.waits + 1} windows, which begin at {times} at the latest"
            )
        saved = (share.waits - share.waits_with_login) * quota.window_s
        if saved > 0:
            found.append(f"  `docker login`, which costs nothing, would save {duration(saved)}")
        return found

    def _room_line(self) -> str:
        reserve = f"{amount(self.reserve_gb)} GB stay in reserve"
        if self.free_gb is None:
            return f"the engine does not say what is free on its disk; {reserve}"
        room = f"{amount(self.free_gb)} GB are free on the engine's disk, {reserve}"
        if self.fit < self.to_pull:
            return f"{room}: only about {self.fit} of these {self.to_pull} images fit"
        return f"{room}: all of them fit"


def windows_needed(pulls: int, quota: Quota | None) -> int:
    """How many windows it takes; the first is the one that has begun, of which the rest is left."""
    if quota is None or pulls <= quota.remaining:
        return 1
    return 1 + math.ceil((pulls - max(quota.remaining, 0)) / max(quota.limit, 1))


def count_fitting(sizes: list[ImageSize], here: list[ImageSize], room: float) -> int:
    """How many images fit into so many bytes of disk, in their order, beside what is here."""
    layers = {layer for size in here for layer in size.layers}
    for number, size in enumerate(sizes):
        new = sum(layer.size for layer in set(size.layers) - layers)
        # while it comes, its compressed layers lie there too
        if new * (EXPANSION + 1) > room:
            return number
        room -= new * EXPANSION
        layers |= set(size.layers)
    return len(sizes)


def make_pull_plan(request: RunRequest, console: Console) -> PullPlan:
    """Ask the engine and the registries what is here and what it takes to bring the rest.

    Raises:
        ConfigError: the request is wrong.
        PrerequisiteError: the engine does not answer, or the benchmark can't be read.
    """
    wanted = find_wanted(request, console)
    to_pull = wanted.to_pull
    sizes = wanted.sizes_of(wanted.images if to_pull else (), console)
    chosen = {image: sizes.get(image, ImageSize((), estimated=True)) for image in to_pull}
    here = [sizes[i] for i in wanted.images if i in sizes and i not in wanted.missing]
    settings = wanted.cluster.images
    free_gb = wanted.backend.free_for_images_gb(wanted.cluster)
    room = float("inf") if free_gb is None else (free_gb - settings.reserve_gb) * 1e9
    return PullPlan(
        benchmark=wanted.benchmark,
        platform=wanted.platform,
        images=len(wanted.images),
        here=len(wanted.images) - len(wanted.missing),
        built=len(wanted.to_build),
        registries=_by_registry(wanted, chosen, here),
        bytes=_new_bytes(list(chosen.values()), here),
        estimated=sum(size.estimated for size in chosen.values()),
        fit=count_fitting(list(chosen.values()), here, room),
        free_gb=free_gb,
        reserve_gb=settings.reserve_gb,
        mirror=settings.mirror,
        now=time.time(),
    )


def _by_registry(
    wanted: Wanted, chosen: Mapping[str, ImageSize], here: list[ImageSize]
) -> tuple[FromRegistry, ...]:
    by_registry: dict[str, list[ImageSize]] = defaultdict(list)
    for image, size in chosen.items():
        by_registry[wanted.registry_of(image)].append(size)
    return tuple(
        FromRegistry(
            registry,
            len(sizes),
            _new_bytes(sizes, here),
            wanted.backend.pull_quota(registry),
            _name_of(wanted.backend.registry_login(registry)),
        )
        for registry, sizes in by_registry.items()
    )


def _new_bytes(sizes: list[ImageSize], here: list[ImageSize]) -> int:
    return unique_bytes([*sizes, *here]) - unique_bytes(here)


def _name_of(login: Mapping[str, Any]) -> str:
    """Whose login it is; one that is a token alone has no name."""
    return str(login.get("Username") or "a login") if login else ""
