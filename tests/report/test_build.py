from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import FAILED, asked, decision, failed, graded, rolled, sampled, state

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.endpoint.fields import SWALLOWED
from orchestrator.evidence.facts import Finding
from orchestrator.journal import RunState, SessionRow
from orchestrator.report.build import Report, build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.types import FailureKind, Future, GradeReason, Outcome, RequestResult, Usage

CONFIG = load_config(RunRequest("demo", run_id="r1"))


def report(seen: RunState, config: RunConfig = CONFIG, **more: Any) -> Report:
    return build_report(config, seen, more.get("versions", {}))


DONE = state(
    rolled("a-1", notes=("careful",), usage=Usage(3, 100, 10)),
    failed("b-1", 1),
    rolled("b-1", 2, outcome=Outcome.STEP_LIMIT, salvaged=True, notes=("careful",)),
    rolled("a-2", patch="", outcome=Outcome.GAVE_UP, usage=Usage(1, 5, 5)),
    grades=[graded("a-1", True), graded("b-1", False, attempt=2)],
    sessions=[SessionRow(0, 60, 60)],
    ids=("a-1", "b-1", "a-2"),
)


def test_a_run_that_is_done_counts_everything_once() -> None:
    found = report(DONE, versions={"swebench": "5"})

    assert (found.instances, found.attempted, found.submitted) == (3, 3, 1)
    assert (found.salvaged, found.empty, found.graded, found.resolved) == (1, 1, 2, 1)
    assert found.resolve_rate == pytest.approx(1 / 3)
    assert found.resolved_ids == ("a-1",)
    assert found.unresolved_ids == ("a-2", "b-1")
    assert found.salvaged_ids == ("b-1",)
    assert found.outcomes == {"gave_up": 1, "step_limit": 1, "submitted": 1}
    assert found.by_repo == {
        "a": {"instances": 2, "resolved": 1},
        "b": {"instances": 1, "resolved": 0},
    }
    assert found.tokens == {"prompt": 105, "completion": 15, "total": 120}
    assert found.wall_s == 60
    assert found.versions == {"swebench": "5"}
    assert found.warnings == ("careful (2 rollouts)",)
    assert (found.benchmark, found.model, found.agent) == ("demo", "scripted", "mini")


def test_a_run_that_is_done_is_valid() -> None:
    assert report(DONE).valid
    assert not report(DONE).failures


def test_failures_left_stay_in_the_denominator_and_withhold_valid() -> None:
    found = report(state(rolled("a"), failed("b", 1), failed("b", 2), grades=[graded("a", True)]))

    assert not found.valid
    assert found.resolve_rate == pytest.approx(1 / 3)
    assert found.failures == {"not_started": 1, "worker_lost": 1}
    assert found.failure_ids == ("b", "c")


def test_a_patch_without_a_verdict_withholds_valid() -> None:
    found = report(state(rolled("a"), ids=("a",)))

    assert not found.valid
    assert found.failures == {"not_graded": 1}


def test_a_grade_that_failed_withholds_valid() -> None:
    found = report(state(rolled("a"), grades=[graded("a", None)], ids=("a",)))

    assert not found.valid
    assert found.failures == {FailureKind.WORKER_LOST: 1}
    assert found.attempted == 1


def test_tokens_of_failed_attempts_were_paid_for() -> None:
    lost = failed("a", 1)
    spent = replace(lost, record=replace(lost.record, usage=Usage(1, 70, 7)))

    assert report(state(spent, rolled("a", 2))).tokens["total"] == 77


def test_tokens_are_those_of_the_requests_where_there_are_any() -> None:
    """A rollout whose worker died gave no account of itself, and its requests were paid for."""
    old = rolled("b", usage=Usage(1, 70, 7))
    agents_own = rolled("a", 2, usage=Usage(1, 1, 1))
    requests = [asked("a", attempt=1, prompt_tokens=100), asked("a", attempt=2, prompt_tokens=30)]

    found = report(state(failed("a", 1), agents_own, old, requests=requests))

    assert found.tokens == {"prompt": 200, "completion": 7, "total": 207}


def test_what_requests_show_is_warned_of_before_what_rollouts_remarked() -> None:
    requests = [asked(result=RequestResult.SWALLOWED)]

    first, second = report(state(rolled("a", notes=("careful",)), requests=requests)).warnings

    assert first == f"{SWALLOWED} (1 of 1 answer)"
    assert second == "careful (1 rollout)"


def test_a_run_without_recorded_requests_says_nothing_of_its_model_server() -> None:
    assert report(DONE).as_dict()["model_traffic"] is None


def test_what_the_model_was_asked_is_json() -> None:
    seen = state(rolled("a"), requests=[asked()], samples=[sampled(10.0)])
    traffic = json.loads(json.dumps(report(seen).as_dict()))["model_traffic"]

    assert traffic["latency_s"] == {"p50": 1.0, "p95": 1.0, "max": 1.0}
    assert traffic["rollouts"][0]["instance_id"] == "a"


def test_an_agent_without_a_model_has_none_in_its_report() -> None:
    assert report(DONE, load_config(RunRequest("demo", agent="gold"))).model is None


def test_the_report_is_json() -> None:
    assert json.loads(json.dumps(report(DONE).as_dict()))["ci95"] == list(report(DONE).ci95)


endings = st.sampled_from(["nothing", "failure", "empty", "ungraded", "lost", "no", "yes"])


@given(st.lists(endings, min_size=1, max_size=15))
def test_every_instance_is_resolved_or_unresolved_or_a_failure(how: list[str]) -> None:
    ids = [f"r-{n}" for n in range(len(how))]
    rollouts, grades = [], []
    for key, ending in zip(ids, how, strict=True):
        if ending == "failure":
            rollouts.append(failed(key))
        elif ending != "nothing":
            rollouts.append(rolled(key, patch="" if ending == "empty" else "diff"))
        if ending in ("lost", "no", "yes"):
            grades.append(graded(key, {"lost": None, "no": False, "yes": True}[ending]))

    found = report(state(*rollouts, grades=grades, ids=ids))

    parts = (found.resolved_ids, found.unresolved_ids, found.failure_ids)
    assert sorted(sum(parts, ())) == sorted(ids)
    assert sum(found.failures.values()) == len(found.failure_ids)
    assert sum(found.outcomes.values()) == found.attempted
    assert found.valid == (not found.failure_ids)
    assert found.resolved == how.count("yes")
    assert found.ci95[0] <= found.resolve_rate <= found.ci95[1]


def test_a_bug_of_ours_is_reported_first_even_where_a_retry_went_well() -> None:
    bug = failed("a", 1, FailureKind.INTERNAL_ERROR)
    found = report(state(bug, rolled("a", 2, notes=("careful",)), ids=("a",)))

    first, second = found.warnings
    assert first.startswith("BUG: this program's own code failed 1 time (internal_error), first at")
    assert FAILED in first
    assert second == "careful (1 rollout)"


def test_what_a_person_decided_is_apart_from_what_the_harness_measured() -> None:
    found = report(
        state(
            rolled("a"),
            rolled("b"),
            failed("c"),
            grades=[graded("a", True), graded("b", None)],
            decisions=[decision("b", "diff"), decision("c")],
        )
    )

    assert found.valid
    assert (found.resolved_ids, found.unresolved_ids, found.failure_ids) == (("a",), (), ())
    assert list(found.decided) == ["b", "c"]
    assert found.decided["b"] == {"because": "30 GB", "by": "ana", "at": 1.0}
    assert (found.graded, found.resolve_rate) == (1, pytest.approx(1 / 3))
    (warning,) = found.warnings
    assert warning.startswith("2 instances counted as unresolved because a person said so")
    assert json.loads(json.dumps(found.as_dict()))["decided"]["c"]["by"] == "ana"


ON_ARM = "linux/amd64 images on a linux/arm64 engine"


def test_a_run_on_emulated_processors_says_so_and_what_they_may_have_had_a_part_in() -> None:
    seen = state(
        *(rolled(i, outcome=Outcome.TIME_LIMIT) for i in ("a", "b")),
        rolled("c"),
        grades=[graded("a", False, reason=GradeReason.TESTS_TIMED_OUT), graded("b", True)],
    )

    emulated, native = build_report(CONFIG, seen, {}, emulation=ON_ARM), report(seen)

    said = emulated.warnings[len(native.warnings) :]
    assert emulated.as_dict()["emulation"] == ON_ARM
    assert said[0] == f"{ON_ARM}: the sandboxes were emulated, several times slower"
    assert said[1].startswith("1 verdict came of emulated tests that ran too long")
    assert said[2].startswith("2 rollouts ended at time_limit, and emulated commands")
    assert "emulated" not in " ".join(native.warnings)
    assert f"| emulated | {ON_ARM} |" in render_markdown(emulated, seen)
    assert "| emulated |" not in render_markdown(native, seen)


def test_a_run_that_was_emulated_and_met_nothing_slow_says_just_that() -> None:
    found = build_report(CONFIG, DONE, {}, emulation=ON_ARM)

    assert len(found.warnings) == len(report(DONE).warnings) + 1


def test_of_one_thing_a_report_speaks_as_of_one() -> None:
    leak = Future({"commits": 2}, dropped=True)
    seen = state(
        failed("a", 1, FailureKind.INTERNAL_ERROR),
        rolled("a", 2, notes=("careful",), image="x@sha256:1", future=leak),
        rolled("b", outcome=Outcome.TIME_LIMIT, image="x@sha256:1"),
        rolled("c", future=replace(leak, dropped=False)),
        grades=[graded("b", False, reason=GradeReason.TESTS_TIMED_OUT), graded("c", None)],
        requests=[asked(result=result) for result in RequestResult] + [asked(retries=1)],
        decisions=[decision("c", "diff")],
    )
    found = build_report(CONFIG, seen, {}, emulation=ON_ARM, images={"b": "x@sha256:2"})
    text = render_markdown(found, seen)

    assert len(found.warnings) >= 10
    assert not re.findall(r"(?<![\d,./])1 (?:more )?[a-z]+s\b", text)
    assert "1 of 3 instances has no verdict" in text
    assert "; 1 retry" in text


def test_what_holds_of_the_whole_run_is_told_before_what_holds_of_one_instance() -> None:
    seen = state(
        rolled("a", notes=("made up",)),
        rolled("b", notes=("made up", "slow")),
        grades=[graded("a", True)],
    )
    findings = {"a": Finding("a", spoofed="prints PASSED")}

    warnings = build_report(CONFIG, seen, {}, findings=findings).warnings

    assert warnings[0] == "made up (2 rollouts)"
    assert warnings[-1] == "slow (1 rollout)"
