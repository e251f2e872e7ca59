from __future__ import annotations

import json

from support.rows import graded, rolled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.evidence.facts import Cause, Finding
from orchestrator.journal import RunState
from orchestrator.report.build import Report, build_report
from orchestrator.report.markdown import render_markdown

CONFIG = load_config(RunRequest("demo", run_id="r1"))
IDS = [f"a-{number}" for number in range(6)]
FORGED = "conftest.py defines pytest_runtest_makereport | <b>"
FINDINGS = {
    **{i: Finding(i, Cause.WRONG_FILE, f"it changed | {i}", {"files": 1}) for i in IDS[:4]},
    "a-4": Finding("a-4", Cause.LOOPED, "one command 9 times", spoofed="its output …"),
    "a-5": Finding("a-5", spoofed=FORGED),
}


def seen(*ids: str, resolved: tuple[str, ...] = ("a-5",)) -> RunState:
    grades = [graded(i, i in resolved) for i in ids]
    return state(*(rolled(i) for i in ids), grades=grades, ids=ids)


def report_of(findings: dict[str, Finding] | None = None) -> Report:
    return build_report(CONFIG, seen(*IDS), {}, findings=findings)


def test_causes_are_counted_in_the_order_of_the_rules_with_findings_by_instance() -> None:
    found = report_of(FINDINGS)

    assert list(found.causes.items()) == [("looped", 1), ("wrong_file", 4)]
    assert found.findings["a-0"] == {
        "cause": "wrong_file",
        "because": "it changed | a-0",
        "spoofed": "",
        "facts": {"files": 1},
    }
    assert found.spoofed_ids == ("a-4", "a-5")
    assert json.loads(json.dumps(found.as_dict()))["findings"]["a-5"]["cause"] is None


def test_causes_are_bars_with_up_to_three_examples_each() -> None:
    text = render_markdown(report_of(FINDINGS), seen(*IDS))

    (row,) = (line for line in text.splitlines() if "wrong file (`wrong_file`)" in line)
    assert "█" in row
    assert "| 4 |" in row
    assert row.count("<br>") == 2
    assert "a-2: it changed \\| a-2" in row
    assert "a-3" not in row


def test_a_resolved_instance_that_may_have_cheated_is_shown_and_warned_of() -> None:
    found = report_of(FINDINGS)
    text = render_markdown(found, seen(*IDS))

    (warning,) = (w for w in found.warnings if "can have written the test results" in w)
    assert warning.startswith("1 resolved instance ")
    assert "a-5: conftest.py" in warning
    assert "| a-5 | **resolved** | conftest.py" in text
    assert "| a-4 | unresolved |" in text
    assert "<b>" not in text


def test_where_nobody_looked_or_nothing_was_found_there_is_no_section() -> None:
    for findings in (None, {}, {"a-0": Finding("a-0")}):
        found = report_of(findings)

        assert (found.causes, found.findings, found.spoofed_ids) == ({}, {}, ())
        assert "## Why instances" not in render_markdown(found, seen(*IDS))


def test_the_order_of_the_journal_changes_nothing() -> None:
    backwards = dict(reversed(FINDINGS.items()))

    assert json.dumps(report_of(FINDINGS).as_dict()) == json.dumps(report_of(backwards).as_dict())
