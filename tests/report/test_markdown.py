from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import asked, decision, failed, graded, key_of, rolled, sampled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import Predictions
from orchestrator.evidence.facts import Cause, Finding
from orchestrator.journal import RunState, SessionRow
from orchestrator.report.bars import bar
from orchestrator.report.build import build_report
from orchestrator.report.markdown import headline, render_markdown
from orchestrator.types import (
    Failure,
    FailureKind,
    GradeReason,
    Outcome,
    RequestResult,
    RolloutRecord,
    Usage,
)

CONFIG = load_config(RunRequest("demo", run_id="r1"))


def render(seen: RunState) -> str:
    return render_markdown(build_report(CONFIG, seen, {}), seen)


def row_of(text: str, instance_id: str) -> str:
    """The instance's row in the last table; a repository may have its name."""
    return [line for line in text.splitlines() if line.startswith(f"| {instance_id} |")][-1]


def test_a_finished_run_says_its_number_and_where_it_comes_from() -> None:
    text = render(
        state(
            rolled("a-1", usage=Usage(4, 12345, 678)),
            rolled("b-1", outcome=Outcome.STEP_LIMIT, salvaged=True, notes=("slow disk",)),
            rolled("b-2", patch="", outcome=Outcome.GAVE_UP),
            grades=[
                graded("a-1", True),
                graded("b-1", False, reason=GradeReason.PATCH_DOES_NOT_APPLY),
            ],
            sessions=[SessionRow(0, 3900, 3900)],
            ids=("a-1", "b-1", "b-2"),
        )
    )

    assert text.startswith("# r1\n")
    assert "**1 of 3 resolved (33.3%, 95% interval" in text
    assert "| valid | yes |" in text
    assert "`0% ┄┄┄┄├━" in text
    assert f"`{'█' * 20}{'▒' * 40}` ✓ 1 resolved, ✗ 2 unresolved. To look at: " in text
    assert "[report.html](report.html)" in text
    assert "| wall clock | 1 h 05 min |" in text
    assert "| tokens | 12,345 in, 678 out |" in text
    assert "> slow disk (1 rollout)" in text
    assert row_of(text, "a-1") == "| a-1 | ✓ resolved | submitted | 4 | 13.0 k |  |"
    assert "✗ unresolved | out of steps (step_limit), salvaged" in row_of(text, "b-1")
    assert "patch_does_not_apply" in row_of(text, "b-1")
    assert "no patch" in row_of(text, "b-2")


def test_a_run_without_recorded_requests_has_no_section_on_the_model_server() -> None:
    assert "## The model server" not in render(state(rolled("a")))


def test_the_model_server_has_its_numbers_and_a_picture_of_the_night() -> None:
    text = render(
        state(
            rolled("a"),
            grades=[graded("a", True)],
            requests=[
                asked(prompt_tokens=9000, completion_tokens=500, cached_tokens=4500, total_s=4.0),
                asked(result=RequestResult.ABANDONED, retries=2, held_s=3600.0),
            ],
            samples=[sampled(10.0), sampled(20.0, down_s=10.0, outages=1)],
        )
    )
    section = text[text.index("## The model server") : text.index("## Instances")]

    assert "| requests | 2: 1 answered, 1 abandoned; 2 retries |" in section
    assert "| tokens | 9.00 k in, 500 out |" in section
    assert "| prompts found in the cache | 50.0% |" in section
    assert "| tokens per resolved instance | 9.50 k |" in section
    assert "| an answer took | 4 s (median)" in section
    assert "first token" not in section
    assert "| outages | 1: no server was up for 10 s |" in section
    assert "| requests waited, all together | 1 h 00 min for servers that were away" in section
    assert "rollouts under way    █x 1\n" in section
    assert "`x`: no server was up" in section


def test_a_night_without_outages_says_so() -> None:
    assert "| outages | none |" in render(state(samples=[sampled(10.0)]))


def test_tokens_of_an_attempt_that_failed_stand_beside_its_instance() -> None:
    row = row_of(render(state(failed("a"), requests=[asked("a", prompt_tokens=950)])), "a")

    assert row.startswith("| a | ? **failure** | | | 950 | the worker was lost (worker_lost)")


def test_a_run_with_failures_left_says_that_its_rate_is_not_valid() -> None:
    text = render(
        state(
            rolled("a"), failed("b", 1, FailureKind.SANDBOX_UNAVAILABLE), grades=[graded("a", True)]
        )
    )

    quarantined = "quarantined: 2 of 3 instances have no verdict (not started: 1, no sandbox: 1)"
    assert f"**{quarantined}; 1 of 3 resolved so far (33.3%, 95% interval" in text
    assert "| quarantined | 2 of 3 instances have no verdict" in text
    assert "| ? *failure: no sandbox (sandbox_unavailable)* |" in text


def test_a_failures_detail_does_not_break_its_row() -> None:
    row = row_of(render(state(failed("a", 1))), "a")

    assert "the worker was lost (worker_lost): something \\| broke" in row


def test_an_instance_that_never_started_says_so() -> None:
    assert "not started" in row_of(render(state()), "a")


def test_an_instance_that_was_rolled_out_and_not_graded_does_not_say_that_it_never_started() -> (
    None
):
    row = row_of(render(state(rolled("a"))), "a")

    assert "not started" not in row
    assert "not graded" in row


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    text = render(
        state(
            rolled("a"),
            failed("b", 1),
            grades=[graded("a", True)],
            requests=[asked()],
            samples=[sampled(10.0)],
        )
    )
    width = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = line.replace("\\|", "").count("|")
        width = width or cells
        assert cells == width, line


def test_the_headline_of_a_valid_run_has_the_interval() -> None:
    seen = state(rolled("a"), grades=[graded("a", True)], ids=("a",))

    assert headline(build_report(CONFIG, seen, {})) == (
        "1 of 1 resolved (100.0%, 95% interval 20.7% to 100.0%), valid"
    )


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 4, "░░░░"), (4, 4, "████"), (2, 4, "██░░"), (1, 8, "▌░░░"), (0, 0, "░░░░")],
)
def test_a_bar_is_drawn_to_an_eighth_of_a_cell(part: int, whole: int, expected: str) -> None:
    assert bar(part, whole, 4) == expected


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_bar_is_as_wide_as_asked_for(count: tuple[int, int]) -> None:
    assert len(bar(*count, width=20)) == 20


ODD_NAMES = (
    "a|b",
    "`|`",
    "a\\",
    "\\|",
    "[x](y)",
    "<script>",
    "a\nb\r\n| c |",
    "🚀 *é*",
    "a\u2028|",
    "",
)


@pytest.mark.fuzz
@given(st.sampled_from(ODD_NAMES) | st.text(), st.sampled_from(ODD_NAMES) | st.text())
def test_any_names_and_words_stay_in_their_cells(name: str, words: str) -> None:
    lines, plain = _lines_with(name, words), _lines_with("x", "x")

    assert {line[:1] for line in lines} <= {line[:1] for line in plain}, "a line nobody has begun"
    assert len(lines) - lines.index("## Instances") == len({"a", name}) + 5
    widths = [len(re.findall(r"(?:\\.|[^|\\])*\|", line)) for line in lines if line[:1] == "|"]
    assert set(widths) == {3, 4, 7}
    assert "<" not in "".join(lines)


def _lines_with(name: str, words: str) -> list[str]:
    config = CONFIG.model_copy(
        update={
            "agent": None,
            "predictions": Predictions.model_construct(name=name),
            "benchmark": CONFIG.benchmark.model_copy(update={"name": words}),
        }
    )
    record = replace(rolled("a").record, notes=(words,))
    seen = RunState(
        "r1",
        {"a": words, name: name},
        [record, RolloutRecord(key_of(name), failure=Failure(FailureKind.WORKER_LOST, words))],
        [],
        (),
    )

    return render_markdown(build_report(config, seen, {}), seen).split("\n")


def test_a_decision_is_shown_as_a_persons() -> None:
    seen = state(
        rolled("a"),
        rolled("b"),
        grades=[graded("a", True), graded("b", None)],
        decisions=[decision("b", "diff")],
        ids=("a", "b"),
    )
    text = render(seen)

    assert "1 of 2 resolved" in text
    assert "; 1 decided by a person)" in text
    assert "| decided by a person, as unresolved | 1 |" in text
    assert "*unresolved, by hand*" in row_of(text, "b")
    assert "decided by ana on 1970-01-01: 30 GB" in row_of(text, "b")


def test_an_instance_has_its_cause_and_no_cell_says_that_nothing_was_broken() -> None:
    rolls = (rolled("a", unusable_answers=2, usage=Usage(steps=9)), rolled("b"))
    seen = state(*rolls, grades=[graded("a", False), graded("b", False)], ids=("a", "b"))
    findings = {"a": Finding("a", Cause.WRONG_FILE, "it changed x.py")}

    text = render_markdown(build_report(CONFIG, seen, {}, findings=findings), seen)

    assert row_of(text, "a").endswith("| 2 / 9 | wrong file |")
    assert row_of(text, "b").endswith("|  | its tests fail (tests) |")


def test_outcomes_stand_in_the_order_of_their_number() -> None:
    seen = state(rolled("a", outcome=Outcome.GAVE_UP), rolled("b"), rolled("c"))

    text = render(seen)

    assert text.index("| submitted |") < text.index("| gave up |")
