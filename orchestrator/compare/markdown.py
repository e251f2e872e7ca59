"""A comparison as a Markdown file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from orchestrator.compare import words
from orchestrator.compare.build import Comparison
from orchestrator.report.bars import bar
from orchestrator.report.words import cell


def render_comparison_markdown(found: Comparison, folder: Path) -> str:
    """The file's text; links are relative to the folder that it will lie in."""
    names = [side.name for side in found.sides]
    parts = (_differences(found), _numbers(found), _pairs(found), _solved(found))
    lines = [line for part in parts for line in part]
    return "\n".join(
        [f"# {' against '.join(map(cell, names))}", "", *lines, *_flips(found, folder)]
    )


def relative(link: str, folder: Path) -> str:
    """A file's path, with what stands behind `#`, as a link from a folder."""
    path, hash_, place = link.partition("#")
    return quote(os.path.relpath(path, folder)) + hash_ + quote(place)


def _row(values: Sequence[str]) -> str:
    return f"| {' | '.join(cell(value) for value in values)} |"


def _differences(found: Comparison) -> Iterable[str]:
    yield "## What differs between them"
    yield ""
    if found.differences:
        names = list(next(iter(found.differences.values())))
        yield _row(["", *names])
        yield "|---" * (len(names) + 1) + "|"
        for key, values in found.differences.items():
            yield _row([key, *values.values()])
        yield ""
    for line in (words.unknown_words(found), words.same_words(found)):
        if line:
            yield cell(line, 1000)
            yield ""


def _numbers(found: Comparison) -> Iterable[str]:
    yield f"## On {words.on_instances(found)}"
    yield ""
    yield "| | resolved | tokens per resolved | rollout time per resolved |"
    yield "|---|---|---:|---:|"
    for side in found.sides:
        yield _row([side.name, words.rate(side), words.tokens(side), words.seconds(side)])
    yield ""
    for warning in found.warnings:
        yield f"> {cell(warning, 1000)}"
        yield ""


def _pairs(found: Comparison) -> Iterable[str]:
    yield "## Pair by pair"
    yield ""
    if line := words.correction(found):
        yield line
        yield ""
    for pair in found.pairs:
        yield f"**{cell(words.pair_title(pair))}: {cell(words.verdict(pair))}**"
        yield ""
        yield f"{words.difference(pair)}; {words.smallest(pair)}."
        yield ""
        yield "| resolved by | | instances |"
        yield "|---|---|---:|"
        for who, count in words.who_resolved(pair):
            yield f"| {cell(who)} | `{bar(count, found.instances)}` | {count} |"
        yield ""
    yield (
        "p is of the exact McNemar (sign) test. The interval of a difference is Bonett's and "
        "Price's for pairs (2012)."
    )
    yield ""


def _solved(found: Comparison) -> Iterable[str]:
    yield "## Who resolved what"
    yield ""
    yield "| resolved by, and by no other | | instances |"
    yield "|---|---|---:|"
    for solved in found.solved:
        picture = bar(solved.count, found.instances)
        yield f"| {cell(words.solved_by(solved.by))} | `{picture}` | {solved.count} |"
    yield ""


def _flips(found: Comparison, folder: Path) -> Iterable[str]:
    yield "## What came out differently"
    yield ""
    if not found.flipped:
        yield "No instance did."
        yield ""
        return
    names = [side.name for side in found.sides]
    yield _row(["instance", *names])
    yield "|---" * (len(names) + 1) + "|"
    for flipped in found.flipped:
        cells = [cell(flipped.instance_id)]
        for name in names:
            links = [relative(link, folder) for link in words.links(flipped, name)]
            told = "".join(f" [trajectory {n}]({link})" for n, link in enumerate(links, 1))
            cells.append(words.share_word(flipped.shares[name]) + told)
        yield f"| {' | '.join(cells)} |"
    yield ""
