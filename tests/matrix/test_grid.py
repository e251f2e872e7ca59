"""The picture: every instance in every cell, readable from 1 x 4 to 300 x 8."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from support.matrices import (
    EVENING,
    FAILED,
    NOT_STARTED,
    RESOLVED,
    SALVAGED,
    UNRESOLVED,
    Played,
    Table,
)

from orchestrator.matrix.grid import Grid, build_grids, draw_grids
from orchestrator.matrix.results import build_cells

SVG = "{http://www.w3.org/2000/svg}"


def grids_of(table: Table) -> tuple[Grid, ...]:
    return build_grids(build_cells(table.runs), table.runs)


def squares(svg: ElementTree.Element) -> list[ElementTree.Element]:
    return svg.findall(f"{SVG}g")


@pytest.mark.parametrize(
    ("attempts", "kind", "sign"),
    [
        ([RESOLVED], "resolved", "✓"),
        ([SALVAGED], "salvaged", "✓"),
        ([UNRESOLVED], "unresolved", "✗"),
        ([FAILED], "none", "?"),
        ([NOT_STARTED], "absent", "·"),
        ([RESOLVED, RESOLVED], "resolved", "✓"),
        ([RESOLVED, UNRESOLVED, RESOLVED], "partly", "2"),
        ([UNRESOLVED, UNRESOLVED], "unresolved", "✗"),
        ([RESOLVED, FAILED], "none", "?"),
        ([RESOLVED, None], "none", "?"),
        ([None, None], "absent", "·"),
    ],
)
def test_a_square_has_a_colour_and_a_sign(
    attempts: list[Played | None], kind: str, sign: str
) -> None:
    table = Table()
    table.add("m", "other", [RESOLVED])
    for number, one in enumerate(attempts, start=1):
        table.add("m", "a", None if one is None else [one], attempt=number)
    (grid,) = grids_of(table)
    (row,) = grid.rows

    assert (row.squares[1].kind, row.squares[1].sign) == (kind, sign)


def test_instances_that_most_cells_resolve_stand_first() -> None:
    table = Table()
    table.add("m", "a", {"none": UNRESOLVED, "one": RESOLVED, "both": SALVAGED})
    table.add("m", "b", {"none": FAILED, "one": UNRESOLVED, "both": RESOLVED})
    (grid,) = grids_of(table)

    assert [row.instance_id for row in grid.rows] == ["both", "one", "none"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instances", "models", "agents", "height", "width"),
    [(1, 2, 2, 350, 700), (40, 2, 2, 1200, 700), (300, 2, 4, 2600, 1300)],
)
def test_a_picture_holds_all_squares_and_stays_on_a_page(
    instances: int, models: int, agents: int, height: int, width: int
) -> None:
    table = Table()
    for model in range(models):
        for agent in range(agents):
            played = {f"django__django-{n}": RESOLVED for n in range(instances)}
            table.add(f"model-{model}", f"agent-{agent}", played)
    svg = ElementTree.fromstring(draw_grids("night", grids_of(table)))

    rects = [square.find(f"{SVG}rect") for square in squares(svg)]
    assert len(rects) == instances * models * agents + 1, "and one of the legend"
    assert float(svg.attrib["height"]) <= height
    assert float(svg.attrib["width"]) <= width
    for rect in rects:
        assert rect is not None
        assert float(rect.attrib["x"]) + 18 <= float(svg.attrib["width"])
        assert float(rect.attrib["y"]) + 18 <= float(svg.attrib["height"])
    places = {(rect.attrib["x"], rect.attrib["y"]) for rect in rects if rect is not None}
    assert len(places) == len(rects), "none lies on another"


def test_the_evening_is_four_squares_with_their_words() -> None:
    table = Table()
    for (model, agent), played in EVENING.items():
        table.add(model, agent, [played])
    svg = ElementTree.fromstring(draw_grids("evening", grids_of(table)))
    told = [square.findtext(f"{SVG}title") or "" for square in squares(svg)]

    assert any("41 of 52 calls broken, out of steps" in words for words in told)
    shown = " ".join(text.text or "" for text in svg.iter(f"{SVG}text"))
    assert "openhands with gemma: 0 of 1 (0%)" in shown
    assert "resolved, salvaged: the agent never submitted it" in shown


@pytest.mark.parametrize("odd", ["<&>\"'", "a\0b\x1b[2J", "日本語" * 40, "x" * 500, "\ud83d"])
def test_odd_names_stay_in_the_picture(odd: str) -> None:
    table = Table()
    table.add(odd, "a", {odd: RESOLVED})

    text = draw_grids(odd, grids_of(table))

    assert ElementTree.fromstring(text.encode("utf-8", "strict"))


def test_a_picture_needs_nothing_beside_it_and_knows_light_from_dark() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED])
    text = draw_grids("m", grids_of(table))

    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "@import" not in text
    assert "url(" not in text


def test_several_benchmarks_stand_below_each_other() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED], benchmark="smoke")
    table.add("m", "a", [RESOLVED] * 3, benchmark="demo")
    svg = ElementTree.fromstring(draw_grids("m", grids_of(table)))
    shown = [text.text for text in svg.iter(f"{SVG}text")]

    assert "smoke, 1 instance" in shown
    assert "demo, 3 instances" in shown


def test_a_matrix_of_which_nothing_started_can_be_drawn() -> None:
    table = Table()
    table.add("m", "a", None)

    assert ElementTree.fromstring(draw_grids("m", grids_of(table)))
