"""What a person reads in the morning of a model whose calls, or answers, could not be used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console
from support.rows import failed, graded, rolled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.display.summary import summarize
from orchestrator.endpoint.tool_calls import CallProblem
from orchestrator.journal import RunState
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report, build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.report.tool_calls import SHOWN
from orchestrator.types import CallCounts, Outcome, RolloutResult, Usage

CONFIG = load_config(RunRequest("demo", run_id="r1"))
DIAGNOSE = "`python -m orchestrator diagnose --model scripted`"
LACKS = "str_replace_editor lacks path"
GEMMA = CallCounts(
    40,
    {"missing parameters": 31, "malformed": 6, "no call": 3},
    {LACKS: 20, "bash lacks command": 11, "the arguments of bash are no JSON": 6},
)
WELL = CallCounts(12)


def report(seen: RunState) -> Report:
    return build_report(CONFIG, seen, {})


def called(instance_id: str, calls: CallCounts | None, **more: Any) -> RolloutResult:
    return rolled(instance_id, calls=calls, **more)


def on_terminal(seen: RunState) -> str:
    """What a run says at its end."""
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        summarize(report(seen), RunPaths.of(CONFIG.runs_dir, "r1"), console)
    return captured.get()


MORNING = state(
    called("a", GEMMA, outcome=Outcome.FORMAT_ERRORS, usage=Usage(steps=40)),
    called("b", WELL, usage=Usage(steps=12)),
    grades=[graded("a", False), graded("b", True)],
    ids=("a", "b"),
)


def test_in_the_morning_the_report_says_that_calls_were_broken_and_how_and_what_to_do() -> None:
    text = render_markdown(report(MORNING), MORNING)

    (warning,) = (line for line in text.splitlines() if line.startswith("> "))
    assert "40 of 52 (76.9%) tool calls were broken" in warning
    assert "31 missing parameters, 6 malformed, 3 no call" in warning
    assert f"most often: {LACKS} (20 x)" in warning.replace("\\", "")
    assert DIAGNOSE in warning.replace("\\", "")
    assert "--agent sweagent" in warning
    assert "| well formed | `████▋░░░░░░░░░░░░░░░` | 12 of 52 (23.1%) |" in text
    assert "| missing parameters | `███████████▉░░░░░░░░` | 31 of 52 (59.6%) |" in text
    assert "Calls were broken in 1 of 2 rollouts." in text
    assert f"| {LACKS} | 20 |" in text
    instances = text.partition("## Instances")[2]
    assert "| steps | tokens | broken calls | why |" in instances
    assert "| 40 |  | 40 / 40 | its tests fail (tests) |" in instances
    assert "| 12 |  |  |  |" in instances


def test_in_the_morning_the_terminal_says_it_too() -> None:
    text = on_terminal(MORNING)

    told = "40 of 52 (76.9%): 31 missing parameters, 6 malformed, 3 no call"
    assert f"broken tool calls  {told}" in text
    assert "40 of 52 (76.9%) tool calls were broken" in text
    assert DIAGNOSE in text


def test_the_report_has_the_calls_of_every_rollout_as_json() -> None:
    found = json.loads(json.dumps(report(MORNING).as_dict()))

    calls = found["tool_calls"]
    assert (calls["calls"], calls["broken"], calls["rollouts_with_trouble"]) == (52, 40, 1)
    assert calls["problems"] == {"missing parameters": 31, "malformed": 6, "no call": 3}
    assert calls["details"][LACKS] == 20
    assert calls["rollouts"][1] == {"instance_id": "b", "attempt": 1, "calls": 12, "problems": {}}
    assert (found["steps"], found["unusable_answers"]) == (52, 0)


def test_calls_of_attempts_that_came_to_nothing_count_as_their_tokens_do() -> None:
    lost = failed("a", 1)
    seen = state(
        RolloutResult(lost.record.__class__(lost.key, failure=lost.failure, calls=GEMMA)),
        called("a", WELL, attempt=2),
    )

    found = report(seen).tool_calls

    assert found is not None
    assert (found.calls, found.broken) == (52, 40)
    assert "| 40 / 52 |" in render_markdown(report(seen), seen)
    assert [row.attempt for row in found.rollouts] == [1, 2]


@pytest.mark.parametrize(
    ("calls", "broken", "is_warned"),
    [(52, 0, False), (10, 1, False), (2, 2, False), (3, 3, True), (100, 5, False), (100, 6, True)],
)
def test_a_model_that_slips_now_and_then_is_no_warning(
    calls: int, broken: int, is_warned: bool
) -> None:
    problems = {"malformed": broken} if broken else {}

    warnings = report(state(called("a", CallCounts(calls, problems)))).warnings

    assert any("tool calls were broken" in warning for warning in warnings) == is_warned


def test_calls_that_are_all_well_formed_are_told_in_one_row() -> None:
    seen = state(called("a", WELL))
    text = render_markdown(report(seen), seen)

    assert "| well formed | `████████████████████` | 12 of 12 (100.0%) |" in text
    assert "Calls were broken" not in text
    assert "broken tool calls" not in on_terminal(seen)


def test_answers_that_were_cut_off_need_room_first() -> None:
    (warning,) = report(state(called("a", CallCounts(9, {"cut off": 8, "no call": 1})))).warnings

    assert "What can be done: a higher model.sampling.max_tokens" in warning


def test_a_model_that_makes_up_names_does_not_fill_the_report() -> None:
    details = {f"there is no tool | `{n}`": 1 for n in range(15)}
    seen = state(
        called("a", CallCounts(15, {"unknown tool": 15}, details)),
        called("b", CallCounts(5, {"unknown tool": 5}, {"there is no tool | `7`": 5})),
    )
    text = render_markdown(report(seen), seen)

    rows = [line for line in text.splitlines() if line.startswith("| there is no tool")]
    assert len(rows) == SHOWN
    assert rows[0] == "| there is no tool \\| \\`7\\` | 6 |"


def test_where_no_answer_came_nothing_is_said_of_calls() -> None:
    seen = state(called("a", CallCounts()))

    assert "## Tool calls" not in render_markdown(report(seen), seen)
    assert report(seen).warnings == ()
    assert "broken" not in on_terminal(seen)


IN_TEXT = state(
    rolled("a", unusable_answers=8, usage=Usage(steps=9), outcome=Outcome.FORMAT_ERRORS),
    rolled("b", usage=Usage(steps=6)),
)


def test_answers_in_text_that_could_not_be_used_are_told_alike() -> None:
    found, text = report(IN_TEXT), render_markdown(report(IN_TEXT), IN_TEXT)

    assert found.tool_calls is None
    assert (found.unusable_answers, found.steps) == (8, 15)
    assert "| answers without an action that could be used | 8 of 15 (53.3%) |" in text
    (warning,) = found.warnings
    assert warning.startswith("8 of 15 (53.3%) answers held no action that the agent could use.")
    assert DIAGNOSE in warning
    assert "## Tool calls" not in text
    assert "| steps | tokens | answers without an action | why |" in text
    assert "| 8 / 9 |" in text
    assert "0 / 6" not in text
    assert "answers without an action  8 of 15 (53.3%)" in on_terminal(IN_TEXT)


def test_answers_with_several_calls_that_an_agent_takes_none_of_are_told_too() -> None:
    """SWE-agent takes one a step, though each can be used."""
    seen = state(called("a", CallCounts(18), unusable_answers=9, usage=Usage(steps=9)))

    (warning,) = report(seen).warnings

    assert warning.startswith("9 of 9 (100.0%) answers held no action")
    assert "answers without an action  9 of 9 (100.0%)" in on_terminal(seen)


def test_one_trouble_is_told_once() -> None:
    seen = state(called("a", GEMMA, unusable_answers=40, usage=Usage(steps=40)))

    assert len(report(seen).warnings) == 1


@pytest.mark.parametrize("problem", CallProblem)
def test_every_problem_has_its_row(problem: CallProblem) -> None:
    seen = state(called("a", CallCounts().with_call(problem).with_call(None)))

    assert f"| {problem} | `██████████░░░░░░░░░░` | 1 of 2 (50.0%) |" in render_markdown(
        report(seen), seen
    )
