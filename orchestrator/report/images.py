"""Which images a run's rollouts and grades were of, and what they held of the future. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.journal.views import RunState
from orchestrator.report.words import counted
from orchestrator.types import GradeRecord, RolloutRecord

USUAL_PLATFORM = "linux/amd64"
"""Of the official images."""


def images_used(state: RunState) -> dict[str, str]:
    """By instance: the image of its last grade or rollout that is known, as `RolloutRecord.image`
    says it."""
    return {row.instance_id: row.image for row in _ended(state) if row.image}


def _ended(state: RunState) -> list[RolloutRecord | GradeRecord]:
    rows: list[RolloutRecord | GradeRecord] = [*state.rollouts, *state.grades]
    return sorted(rows, key=lambda row: row.ended_at)


def image_warnings(
    state: RunState, at_start: Mapping[str, str], now: Mapping[str, str] | None = None
) -> Iterator[str]:
    """One line where instances were of more than one image: a tag that has moved.

    `at_start` and `now` are images by instance, as far as they were, or are, on the host.
    """
    seen: dict[str, list[str]] = defaultdict(list)
    for instance_id, image in at_start.items():
        seen[instance_id].append(image)
    for row in _ended(state):
        seen[row.instance_id].append(row.image)
    for instance_id, image in (now or {}).items():
        if seen[instance_id]:
            seen[instance_id].append(image)
    moved = {i: change for i in sorted(seen) if (change := _change(seen[i])) is not None}
    if moved:
        instance_id, (before, after) = next(iter(moved.items()))
        yield (
            f"the images of {counted(len(moved), 'instance')} are not the same all along (a tag "
            f"has moved), first {instance_id}: {before}, then {after}. Its rollouts "
            "and grades are of both"
        )


def _change(images: list[str]) -> tuple[str, str] | None:
    """The first two that are not the same image; None where all are, as far as one can tell.

    An id and a registry's digest can't be compared, and a mirror has other names for the same.
    """
    for form in (_digest, _id):
        known = [image for image in images if form(image)]
        for image in known[1:]:
            if form(image) != form(known[0]):
                return known[0], image
    return None


def same_image(one: str, other: str) -> bool:
    """Whether both are known to be the same: by digest, else by id. Sandboxes without images have
    the same one."""
    return (_digest(one), _id(one)) == (_digest(other), _id(other))


def _digest(image: str) -> str:
    return image.rpartition("@")[2] if "@" in image else ""


def _id(image: str) -> str:
    return "" if "@" in image else image


def integrity_summary(state: RunState) -> dict[str, Any]:
    """How many images held what came after their base commit, and what was done about it."""
    held = {
        row.instance_id: row.future
        for row in state.rollouts
        if row.future is not None and row.future.is_leak
    }
    return {
        "dropped": sum(future.dropped for future in held.values()),
        "left": sum(not future.dropped for future in held.values()),
        "found": {i: dict(future.found) for i, future in sorted(held.items())},
    }


def integrity_warnings(state: RunState) -> Iterator[str]:
    summary = integrity_summary(state)
    kinds = Counter[str]()
    for found in summary["found"].values():
        kinds.update(found.keys())
    words = ", ".join(f"{kind} in {count}" for kind, count in kinds.most_common())
    if summary["dropped"]:
        yield (
            f"integrity: {counted(summary['dropped'], 'image')} held what came after the base "
            f"commit, dropped before the agent saw it ({words})"
        )
    if summary["left"]:
        yield (
            f"integrity: {counted(summary['left'], 'image')} held what came after the base commit, "
            f"or could not be searched, and agents could see it: rollout.integrity is warn "
            f"({words})"
        )


def platform_warnings(platform: str) -> Iterator[str]:
    if platform not in ("", USUAL_PLATFORM):
        yield f"platform: {platform}. Official numbers are of {USUAL_PLATFORM} images"
