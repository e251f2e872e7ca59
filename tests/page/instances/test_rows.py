from __future__ import annotations

from collections.abc import Callable

from support.rows import decision, failed, graded, rolled, state

from orchestrator.config import RunConfig
from orchestrator.evidence.facts import Cause, Finding
from orchestrator.journal import RunState
from orchestrator.page.instances.rows import InstanceTable, InstanceVerdict, instance_table
from orchestrator.report.build import build_report
from orchestrator.report.names import CAUSE_WORDS
from orchestrator.types import Outcome, Usage


def table_of(config: RunConfig, found: RunState, *findings: Finding) -> InstanceTable:
    report = build_report(config, found, {})
    return instance_table(report, found, {finding.instance_id: finding for finding in findings})


def every_kind() -> RunState:
    return state(
        rolled("resolved-1", usage=Usage(7, 100, 20), started_at=0.0, ended_at=90.0),
        rolled("unresolved-1"),
        rolled("empty-1", patch="", outcome=Outcome.GAVE_UP),
        failed("failed-1"),
        failed("failed-1", attempt=2),
        rolled("ungraded-1"),
        rolled("broken-1"),
        failed("decided-1"),
        grades=[
            graded("resolved-1", True),
            graded("unresolved-1", False),
            graded("broken-1", None),
        ],
        decisions=[decision("decided-1")],
        ids=(
            *("resolved-1", "unresolved-1", "empty-1", "failed-1", "ungraded-1", "broken-1"),
            *("decided-1", "waiting-1"),
        ),
    )


def test_each_instance_says_in_words_how_it_came_out(demo_config: RunConfig) -> None:
    table = table_of(demo_config, every_kind())

    assert {row.instance_id: (row.verdict.value, row.why) for row in table.rows} == {
        "resolved-1": ("resolved", ""),
        "unresolved-1": ("unresolved", ""),
        "empty-1": ("unresolved", ""),
        "failed-1": ("no verdict", "the worker was lost"),
        "ungraded-1": ("no verdict", "not graded"),
        "broken-1": ("no verdict", "the worker was lost"),
        "decided-1": ("decided", "a person's decision"),
        "waiting-1": ("not started", "not started"),
    }


def test_what_failed_has_another_mark_than_what_is_unresolved() -> None:
    unresolved = InstanceVerdict.UNRESOLVED.mark

    others = (
        InstanceVerdict.NO_VERDICT,
        InstanceVerdict.NOT_STARTED,
        InstanceVerdict.DECIDED,
        InstanceVerdict.RESOLVED,
    )
    assert all(verdict.mark is not unresolved for verdict in others)


def test_the_cause_and_its_evidence_stand_in_the_row(demo_config: RunConfig) -> None:
    finding = Finding("unresolved-1", Cause.WRONG_FILE, "it changed a.py", spoofed="it printed")

    row = table_of(demo_config, every_kind(), finding).rows[1]

    assert (row.why, row.because) == (CAUSE_WORDS[Cause.WRONG_FILE], "it changed a.py")
    assert row.spoofed == "it printed"


def test_numbers_are_of_the_last_rollout_and_what_is_unknown_is_no_zero(
    demo_config: RunConfig,
) -> None:
    rows = {row.instance_id: row for row in table_of(demo_config, every_kind()).rows}

    done, waiting = rows["resolved-1"], rows["waiting-1"]
    assert (done.steps, done.tokens, done.minutes, done.attempts) == (7, 120, 1.5, 1)
    assert rows["failed-1"].attempts == 2
    assert (waiting.steps, waiting.tokens, waiting.minutes, waiting.attempts) == (None,) * 3 + (0,)
    assert [words for _, words, _ in waiting.numbers] == ["–", "–", "–"]


def test_filters_offer_what_there_is_with_its_number(demo_config: RunConfig) -> None:
    filters = {
        filter_.name: filter_.values for filter_ in table_of(demo_config, every_kind()).filters
    }

    assert dict(filters["Verdict"]) == {
        "resolved": 1,
        "unresolved": 2,
        "no verdict": 3,
        "decided": 1,
        "not started": 1,
    }
    assert filters["Why"][0] == ("the worker was lost", 2)


def test_a_run_of_nothing_has_an_empty_table(make_config: Callable[..., RunConfig]) -> None:
    table = table_of(make_config(), state(ids=()))

    assert (table.rows, table.filters) == ((), ())
