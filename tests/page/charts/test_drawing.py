from __future__ import annotations

import functools
import re

import pytest
from support.pages import subject_of
from support.rows import graded, rolled, sampled, state

from orchestrator.page.charts.bars import draw_funnel, draw_hours, draw_shares
from orchestrator.page.charts.drawing import Chart
from orchestrator.page.charts.rates import draw_headline, draw_repositories
from orchestrator.page.charts.timeline import draw_night
from orchestrator.page.sections.funnel import build_funnel
from orchestrator.page.sections.headline import build_headline
from orchestrator.page.sections.night import NightView, build_night
from orchestrator.page.sections.repositories import build_repositories
from orchestrator.page.sections.spending import Spending, build_spending
from orchestrator.page.sections.subject import Subject
from orchestrator.report.published import Published

pytestmark = pytest.mark.slow
LONG = "x" * 300


@functools.cache
def subject() -> Subject:
    return subject_of(
        state(
            rolled("a-1", phases_s={"agent": 9, "sandbox": 1}),
            rolled("b-1"),
            grades=[graded("a-1", True), graded("b-1", False)],
            ids=("a-1", "b-1", f"{LONG}-1"),
            samples=[sampled(10), sampled(20, down_s=10.0, outages=1)],
        ),
        published=[Published(LONG, 3, 300), Published("<i>&", 0, 1)],
    )


def spending() -> Spending:
    found = build_spending(subject())
    assert found is not None
    return found


def night() -> NightView:
    found = build_night(subject())
    assert found is not None
    return found


DRAWN = {
    "rates": lambda: draw_headline(build_headline(subject())),
    "funnel": lambda: draw_funnel(build_funnel(subject())),
    "repositories": lambda: draw_repositories(build_repositories(subject())),
    "shares": lambda: draw_shares(spending()),
    "hours": lambda: draw_hours(spending()),
    "night": lambda: draw_night(night()),
}


@pytest.fixture(scope="module", params=DRAWN)
def chart(request: pytest.FixtureRequest) -> Chart:
    return DRAWN[request.param]()


def view_box(svg: str) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    return float(found[1]), float(found[2])


def test_all_colours_are_the_style_sheets(chart: Chart) -> None:
    for svg in (chart.wide, chart.narrow):
        colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))
        assert colours
        # none but variables: else the dark would show what was made for the light
        assert {c for c in colours if not c.startswith("var(--")} <= {"none", "transparent"}


def test_a_picture_is_as_wide_as_its_place(chart: Chart) -> None:
    assert view_box(chart.wide)[0] == pytest.approx(896, abs=12)
    assert view_box(chart.narrow)[0] == pytest.approx(328, abs=12)


def test_who_does_not_see_it_is_told_what_it_shows(chart: Chart) -> None:
    assert re.search(r"\d", chart.label)
    assert all('aria-hidden="true"' in svg for svg in (chart.wide, chart.narrow))


def test_names_of_others_are_text_in_it(chart: Chart) -> None:
    assert "<i>" not in chart.wide
    assert LONG not in chart.wide


def test_ids_are_told_apart_in_a_page() -> None:
    charts = [draw() for draw in DRAWN.values()]
    pictures = [svg for chart in charts for svg in (chart.wide, chart.narrow)]
    ids = [found for svg in pictures for found in re.findall(r'\bid="([^"]*)"', svg)]

    assert len(ids) == len(set(ids))
    for svg in pictures:
        own = set(re.findall(r'\bid="([^"]*)"', svg))
        assert set(re.findall(r"url\(#([^)]*)\)", svg)) <= own


def test_no_curve_of_the_night_leaves_its_panel() -> None:
    samples = [sampled(10 * n, rollouts=8 - n % 3) for n in range(1, 50)]
    night = build_night(subject_of(state(samples=samples)))
    assert night is not None

    areas = re.findall(r'd="(M[^"]*)"[^>]*fill="var\(--accent-soft\)"', draw_night(night).wide)

    assert areas
    for area in areas:
        heights = [float(y) for y in re.findall(r"[ML][\d.-]+,([\d.-]+)", area)]
        assert 0 <= min(heights) <= max(heights) <= 72
