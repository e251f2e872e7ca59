"""Our one form of what agents did."""

from __future__ import annotations

import json

import pytest

from orchestrator.agents.steps import FORMAT, Step, shorten, trajectory_json


def test_our_form_names_itself_and_keeps_every_letter() -> None:
    text = trajectory_json([Step("größer", "ls", "ok")])

    assert "größer" in text
    assert json.loads(text)["format"] == FORMAT == "swe-orchestrator-2"
    assert json.loads(text)["steps"][0]["action"] == "ls"


def test_what_the_model_was_shown_is_there_where_it_differs() -> None:
    shown = [Step("", "ls", "a.py", "<output>a.py</output>"), Step("", "ls", "a.py")]

    first, second = json.loads(trajectory_json(shown))["steps"]

    assert (first["observation"], first["shown"]) == ("a.py", "<output>a.py</output>")
    assert "shown" not in second


def test_nothing_done_is_no_steps() -> None:
    assert json.loads(trajectory_json([])) == {"format": FORMAT, "steps": []}


@pytest.mark.parametrize("text", ["", "a" * 10])
def test_what_fits_is_not_cut(text: str) -> None:
    assert shorten(text, 10) == text


def test_what_is_too_long_loses_its_middle_and_says_how_much() -> None:
    assert shorten("abcdefghijkl", 4) == "ab\n[... 8 characters left out ...]\nkl"
    assert shorten("abcdefghijkl", 4, "; use head") == (
        "ab\n[... 8 characters left out; use head ...]\nkl"
    )
