"""The run's images: where they come from, and whether there is room for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.backends import find_backend
from orchestrator.backends.images import is_built_here
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import (
    WORST_FIRST,
    Check,
    CheckFinding,
    Depth,
    failed,
    passed,
    warned,
)
from orchestrator.driver.image_night import HUB_WITH_LOGIN
from orchestrator.images.names import HUB, parse_name, registry_of, sources
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem, Quota
from orchestrator.images.registry import Registry
from orchestrator.report.words import counted, duration

MIRROR = "Or name a registry of your own that has the images: cluster.images.mirror."
READ_S = 5.0
"""For an answer of a registry: a night waits longer."""


class EngineDiskRoom(Check):
    """The disk on which the engine has its images is full."""

    name = "engine's disk"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        free_gb, reserve_gb = case.engine_free_gb, case.config.cluster.images.reserve_gb
        if free_gb is None:
            yield passed("it needs none, or does not say what is free")
        elif free_gb < reserve_gb and case.missing_images:
            yield warned(
                f"{free_gb:.1f} GB are free, less than {reserve_gb:g} "
                f"(cluster.images.reserve_gb), and {len(case.missing_images)} images are to come: "
                "none does until there is room",
                case.make_room,
            )
        else:
            yield passed(f"{free_gb:.0f} GB free for images, as the engine sees it")


class Registries(Check):
    """A registry is away, or gives no more images for now."""

    name = "registries"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        wanted = _to_pull(case)
        if not wanted:
            yield passed(_nothing_to_pull(case))
            return
        findings = [finding for names in wanted for finding in _ask(case, names, wanted[names])]
        yield from sorted(findings, key=lambda finding: WORST_FIRST.index(finding.level))


class ImagesRoom(Check):
    """The images of the plan do not fit on the engine's disk, or only a few at once."""

    name = "images"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work and any(
            image in case.missing_images for names in _to_pull(case) for image in names
        )

    def look(self, case: Case) -> Iterator[CheckFinding]:
        night, slots = case.image_night, case.capacity.slots.count
        forecast, free_gb = night.forecast, night.facts.free_gb
        of_free = "" if free_gb is None else f" of {free_gb:.0f} free"
        about = "an estimated" if forecast.is_estimated else "about"
        figures = (
            f"{night.to_get} to get, {about} {forecast.bytes / 1e9:.1f} GB to pull, "
            f"{forecast.peak / 1e9:.0f} GB of the images' disk at most{of_free}"
        )
        if forecast.lacking:
            yield failed(f"{figures}: there is no room for {forecast.lacking}", case.make_room)
        elif forecast.at_once < slots:
            yield warned(
                f"{figures}: when it is fullest, it holds what {forecast.at_once} of {slots} slots "
                "need",
                case.make_room,
            )
        else:
            yield passed(figures)


def _to_pull(case: Case) -> dict[tuple[str, ...], int]:
    """Of each registry one image that is to come from it, by the names that are tried one after the
    other, and how many are. What builds start from has no other name."""
    missing, settings = set(case.missing_images), case.config.cluster.images
    pulled = [i.image for i in case.planned if i.image in missing and not is_built_here(i)]
    names = [sources(image, settings) for image in dict.fromkeys(pulled)]
    names += [(base,) for base in case.missing_bases]
    counts: Counter[tuple[str, ...]] = Counter()
    first_of: dict[tuple[str, ...], tuple[str, ...]] = {}
    for each in names:
        registries = tuple(map(registry_of, each))
        counts[first_of.setdefault(registries, each)] += 1
    return dict(counts)


def _nothing_to_pull(case: Case) -> str:
    built = len(case.missing_images)
    here = len({instance.image for instance in case.planned}) - built
    to_build = f", {counted(built, 'image')} to build" if built else ""
    return f"none is asked: {counted(here, 'image')} here{to_build}"


def _ask(case: Case, names: Sequence[str], count: int) -> Iterator[CheckFinding]:
    """Ask for an image by the names by which it would be pulled, until one registry answers."""
    backend = find_backend(case.host.kind)
    for place, name in enumerate(names):
        registry, is_last = registry_of(name), place == len(names) - 1
        login = backend.registry_login(registry)
        case.quotas[registry] = None
        try:
            with Registry(registry, login, read_s=READ_S) as asked:
                case.quotas[registry] = quota = asked.quota(parse_name(name))
        except PullFailed as error:
            problem = error.failure
            if not is_last and problem.problem is not PullProblem.QUOTA:
                yield from _without_mirror(registry, problem)
                continue
            yield _failed(case, registry, count, problem, has_login=bool(login))
            return
        yield _judge_quota(case, registry, count, quota, has_login=bool(login))
        return


def _without_mirror(registry: str, failure: PullFailure) -> Iterator[CheckFinding]:
    """A mirror that has not all images is as it should be; one that is away is not."""
    if failure.problem is not PullProblem.REFUSED:
        yield warned(
            f"the mirror {registry} is away ({failure.detail}): images come from their own "
            "registry instead",
            "Start it, or unset cluster.images.mirror.",
        )


def _failed(
    case: Case, registry: str, count: int, failure: PullFailure, *, has_login: bool
) -> CheckFinding:
    if failure.problem is PullProblem.QUOTA:
        return _expired(case, registry, count, failure.retry_after_s, has_login=has_login)
    if failure.problem is PullProblem.REFUSED:
        return failed(
            f"{registry} refuses an image ({failure.detail})",
            f"Is its name right? If it is not public: `docker login {registry}`.",
        )
    return failed(
        f"{_images(count)} to come from {registry}, which is away ({failure.detail})",
        f"Check the network. {MIRROR}",
    )


def _judge_quota(
    case: Case, registry: str, count: int, quota: Quota | None, *, has_login: bool
) -> CheckFinding:
    if quota is None:
        return passed(f"{registry} answers, and rations no pulls; {_images(count)} to come")
    if quota.remaining <= 0:
        return _expired(case, registry, count, quota.window_s, has_login=has_login)
    left = (
        f"{registry}: {quota.remaining} of {quota.limit} pulls in {duration(quota.window_s)} are "
        f"left, and {_images(count)} to come"
    )
    if quota.remaining < count and case.image_night.forecast.waits_for_quota:
        return warned(
            f"{left}: the run waits until they are renewed, by {_clock(quota.window_s)} at the "
            "latest",
            _more_pulls(registry, has_login=has_login),
        )
    return passed(left)


def _expired(
    case: Case, registry: str, count: int, wait_s: float | None, *, has_login: bool
) -> CheckFinding:
    """No image comes for now. With none here, nothing can start."""
    when = "" if wait_s is None else f" until {_clock(wait_s)} at the latest"
    what = f"{registry} gives no more images for now{when}, and {_images(count)} to come"
    is_all = len(case.missing_images) == len({instance.image for instance in case.planned})
    return (failed if is_all else warned)(what, _more_pulls(registry, has_login=has_login))


def _more_pulls(registry: str, *, has_login: bool) -> str:
    if has_login:
        return f"Wait, or pull by another account. {MIRROR}"
    if registry == HUB:
        return (
            f"`docker login`: a free account of Docker Hub's has {HUB_WITH_LOGIN} pulls in 6 h, "
            f"twice as many. {MIRROR}"
        )
    return f"`docker login {registry}`, where it gives more to who is known. {MIRROR}"


def _images(count: int) -> str:
    return f"{counted(count, 'image')} {'is' if count == 1 else 'are'}"


def _clock(seconds_from_now: float) -> str:
    return time.strftime("%H:%M", time.localtime(time.time() + seconds_from_now))
