from __future__ import annotations

from support.pages import subject_of
from support.rows import graded, rolled, state

from orchestrator.evidence.facts import Cause, Finding
from orchestrator.page.sections.causes import EXAMPLES, build_causes

IDS = tuple("abcdefg")
SEEN = state(*map(rolled, IDS), grades=[graded(i, i == "g") for i in IDS], ids=IDS)
FINDINGS = {
    **{i: Finding(i, Cause.WRONG_FILE, f"it changed {i}.py") for i in "fedcb"},
    "a": Finding("a", Cause.LOOPED, "it did x 9 times"),
    "g": Finding("g", spoofed="conftest.py prints PASSED"),
}


def test_the_most_frequent_cause_is_first_with_a_few_examples_in_the_runs_order() -> None:
    causes = build_causes(subject_of(SEEN, findings=FINDINGS))

    assert causes is not None
    rows = [("wrong file", 5), ("went in circles", 1)]
    assert [(row.words, row.count) for row in causes.rows] == rows
    examples = causes.rows[0].examples
    assert [one.instance_id for one in examples] == ["b", "c", "d"][:EXAMPLES]
    assert examples[0].because == "it changed b.py"
    assert causes.unresolved == 6


def test_output_that_is_not_to_be_believed_is_shown_though_it_was_resolved() -> None:
    causes = build_causes(subject_of(SEEN, findings=FINDINGS))

    assert causes is not None
    assert [(one.instance_id, one.because) for one in causes.spoofed] == [
        ("g", "conftest.py prints PASSED")
    ]


def test_where_nobody_looked_there_is_no_section() -> None:
    assert build_causes(subject_of(SEEN)) is None
    assert build_causes(subject_of(SEEN, findings={"g": Finding("g")})) is None
