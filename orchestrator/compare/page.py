"""A comparison as a page of one file, in the frame of the report's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.compare import words
from orchestrator.compare.build import Comparison
from orchestrator.compare.markdown import relative
from orchestrator.page.render import render_page

TEMPLATES = Path(__file__).parent / "templates"
STYLE = """
h1::first-letter { text-transform: none; }
.scrolls td, .scrolls th { overflow-wrap: normal; }
.scrolls tbody th { min-width: 8rem; overflow-wrap: anywhere; }
.share-cell { width: 10rem; min-width: 6rem; vertical-align: middle; }
"""
"""Names of runs stay as they are, and a long key leaves a phone room for its values."""


@dataclass(frozen=True)
class FlipRow:
    instance_id: str
    cells: tuple[tuple[str, tuple[str, ...]], ...]
    """Of each side: how it came out, and links to its trajectories."""


def render_comparison_page(found: Comparison, folder: Path) -> str:
    """The file's text; links are relative to the folder that it will lie in."""
    names = [side.name for side in found.sides]
    flips = [
        FlipRow(
            flipped.instance_id,
            tuple(
                (
                    words.share_word(flipped.shares[name]),
                    tuple(relative(link, folder) for link in words.links(flipped, name)),
                )
                for name in names
            ),
        )
        for flipped in found.flipped
    ]
    differing = list(next(iter(found.differences.values()), {}))
    context = {"found": found, "words": words, "flips": flips, "differing": differing}
    title = " against ".join(names)
    return render_page("comparison.html", title, context, [STYLE], folders=[TEMPLATES])
