"""What is said of images that are here, in tables and lines."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.ahead.shelf import Pruned, Pruning, Shelf
from orchestrator.backends.host import same_platform
from orchestrator.report.words import compact
from orchestrator.text import printable


def render_shelf(shelf: Shelf) -> RenderableType:
    """One row an image, and the totals."""
    if not shelf.here:
        return Text(_count_line(shelf))
    table = Table("image", "on disk", "own", "shared", "platform", "digest", "pulled by", "in use")
    for column in table.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    table.columns[0].overflow = "fold"
    for image, found in shelf.here.items():
        own = shelf.own_bytes(image)
        is_right = same_platform(found.platform, shelf.wanted.platform)
        runs = ", ".join(shelf.pulled_by.get(image, ()))
        table.add_row(
            Text(printable(image)),
            f"{compact(found.bytes)}B",
            f"{compact(own)}B",
            f"{compact(found.bytes - own)}B",
            Text(found.platform or "?", style="" if is_right else "yellow"),
            found.digest.removeprefix("sha256:")[:12] or "none",
            Text(printable(runs)),
            Text(printable(", ".join(found.containers))),
        )
    return Group(table, Text(_count_line(shelf)))


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
