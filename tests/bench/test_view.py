"""What `bench` prints."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from support.levels import QUESTION, dead, level

from orchestrator.bench.advice import conclude
from orchestrator.bench.conversations import shape_for
from orchestrator.bench.levels import Level
from orchestrator.bench.target import Target
from orchestrator.bench.view import Sweep, level_line, render_sweep
from orchestrator.config.schema import Endpoint, Model


def test_a_level_is_one_line() -> None:
    assert level_line(level(8, 390)) == (
        "   8 at once: 387 tokens/s, first token 0.50 s, answer 1.50 s"
    )
    assert level_line(dead(4, timeout=3)) == "   4 at once: no answer, 3 x timeout"


def shown(*levels: Level, ended: str | None = None) -> str:
    url = "http://h:8000/v1"
    target = Target(url, {}, {}, 10, shape_for(32768, 40), 3.0, True, None)
    model = Model(name="m", served_name="m", endpoint=Endpoint(base_url=url))
    console = Console(file=io.StringIO(), width=80)
    console.print(render_sweep(Sweep(model, target, QUESTION, conclude(levels, QUESTION, ended))))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.slow
def test_people_see_a_picture_a_recommendation_and_what_the_time_rests_on() -> None:
    text = shown(level(1, 100), level(4, 400), level(8, 410, preemptions=2), ended="why not")

    assert "   4  ███████" in text
    assert "Recommended: 4 at once." in text
    assert "--set model.max_concurrency=4" in " ".join(text.split())
    assert "300 instances would take about" in text
    assert "40 steps on average" in text
    assert "left out: why not" in text
    assert max(map(len, text.splitlines())) <= 80


def test_people_see_when_nothing_works() -> None:
    text = shown(dead(1, refused=9))

    assert "nothing was measured (no answer, 9 x refused)" in text
    assert "No recommendation" in text
    assert shown().strip().startswith("No recommendation")
