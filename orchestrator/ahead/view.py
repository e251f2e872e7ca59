"""What is said of images that are here, in lines."""

from __future__ import annotations

from collections import Counter

from orchestrator.ahead.shelf import Pruned, Pruning, Shelf
from orchestrator.images.platforms import same_platform
from orchestrator.report.words import compact


def shelf_lines(shelf: Shelf) -> list[str]:
    """A line an image, and the totals."""
    if not shelf.here:
        return [_count_line(shelf)]
    lines = [_row("on disk", "own", "platform", "digest", "image")]
    for image, found in shelf.here.items():
        runs = ", ".join(shelf.pulled_by.get(image, ()))
        remarks = [f"pulled by {runs}"] if runs else []
        remarks += [f"used by {', '.join(found.containers)}"] if found.containers else []
        if not same_platform(found.platform, shelf.wanted.platform):
            remarks.append("of another platform")
        lines.append(
            _row(
                f"{compact(found.bytes)}B",
                f"{compact(shelf.own_bytes(image))}B",
                found.platform or "?",
                found.digest.removeprefix("sha256:")[:12] or "none",
                f"{image} ({'; '.join(remarks)})" if remarks else image,
            )
        )
    return [*lines, _count_line(shelf)]


def _row(on_disk: str, own: str, platform: str, digest: str, image: str) -> str:
    return f"{on_disk:>8}  {own:>8}  {platform:<11}  {digest:<12}  {image}"


def _count_line(shelf: Shelf) -> str:
    count = f"{len(shelf.here)} of {len(shelf.wanted.images)} images of {shelf.wanted.benchmark}"
    if not shelf.here:
        return f"{count} are here"
    return (
        f"{count} are here: {compact(shelf.bytes)}B on disk, shared layers counted once; "
        f"{compact(shelf.freed_bytes)}B would be free without them"
    )


def prune_lines(pruning: Pruning) -> list[str]:
    """What stays and why, and what goes."""
    lines = [
        f"stays: {image}: {why}" if count == 1 else f"stay: {count} images: {why}"
        for why, count in Counter(pruning.kept.values()).items()
        for image in [next(i for i, reason in pruning.kept.items() if reason == why)]
    ]
    if not pruning.going:
        return [*lines, "nothing to remove"]
    names = [f"  {image}" for image in pruning.going]
    freed = f"{compact(pruning.freed_bytes)}B would be free"
    return [*lines, f"to remove: {len(pruning.going)} images, {freed}", *names]


def pruned_lines(pruned: Pruned) -> list[str]:
    lines = [f"{image} stays: somebody uses it" for image in pruned.left]
    done = f"removed {len(pruned.images)} images: {compact(pruned.freed_bytes)}B are free again"
    return [*lines, done]
