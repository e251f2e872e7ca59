"""What trials of gold patches come to, and the rate of a run without what its host can't grade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.rows import graded, rolled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.report.build import Report, build_report
from orchestrator.report.calibration import (
    GoldStanding,
    GoldTrial,
    Gradable,
    GradingTerms,
    standing_of,
)
from orchestrator.report.markdown import headline, render_markdown
from orchestrator.report.stats import wilson

CONFIG = load_config(RunRequest("demo", run_id="r1"))
TERMS = GradingTerms(harness="5.0.2", limit_s=1800, memory_gb=8, network=True)
IMAGE = "x@sha256:1"


def trial(resolved: bool, why: str = "", **more: Any) -> GoldTrial:
    given: dict[str, Any] = {"image": IMAGE, "terms": TERMS, "run_id": "g", "at": 1.0}
    return GoldTrial(resolved=resolved, why=why, **(given | more))


@pytest.mark.parametrize(
    ("ends", "gradable"),
    [
        ([True], Gradable.OK),
        ([True] * 3, Gradable.OK),
        ([False], Gradable.NOT_GRADABLE),
        ([False] * 3, Gradable.NOT_GRADABLE),
        ([True, False], Gradable.FLICKERS),
        ([False, True, True], Gradable.FLICKERS),
    ],
)
def test_an_instance_is_gradable_or_not_or_flickers(ends: list[bool], gradable: Gradable) -> None:
    found = standing_of("a", [trial(end, f"trial {n}") for n, end in enumerate(ends)])

    assert found is not None
    assert (found.gradable, found.resolved, found.trials) == (gradable, sum(ends), len(ends))
    last = max((n for n, end in enumerate(ends) if not end), default=None)
    assert found.why == ("" if last is None else f"trial {last}")


def test_nothing_is_known_of_what_was_never_tried() -> None:
    assert standing_of("a", []) is None


@pytest.mark.parametrize(
    ("resolved", "image", "terms", "holds"),
    [
        (True, IMAGE, {}, True),
        (True, "mirror:5000/x@sha256:1", {}, True),
        (True, "x@sha256:2", {}, False),
        (True, "", {}, False),
        (True, IMAGE, {"harness": "5.0.3"}, False),
        (True, IMAGE, {"network": False}, False),
        (True, IMAGE, {"limit_s": 3600, "memory_gb": 16}, True),
        (True, IMAGE, {"limit_s": 60}, False),  # here it may be too slow
        (True, IMAGE, {"memory_gb": 2}, False),
        (False, IMAGE, {}, True),
        (False, IMAGE, {"limit_s": 60, "memory_gb": 2}, True),
        (False, IMAGE, {"limit_s": 3600}, False),  # with more time it may well be resolved
        (False, IMAGE, {"memory_gb": 16}, False),
    ],
)
def test_a_trial_holds_where_another_patch_would_be_graded_alike(
    resolved: bool, image: str, terms: dict[str, Any], holds: bool
) -> None:
    other = TERMS.model_copy(update=terms)

    assert trial(resolved).holds_for(image, other) is holds


def test_a_sandbox_without_images_has_the_same_one_always() -> None:
    assert trial(True, image="").holds_for("", TERMS)


def standings(**gradable: Sequence[bool]) -> dict[str, GoldStanding]:
    found = {i: standing_of(i, [trial(end, "it fails") for end in e]) for i, e in gradable.items()}
    return {i: standing for i, standing in found.items() if standing is not None}


def report(known: dict[str, GoldStanding], ends: str = "ruru") -> Report:
    ids = "abcdefgh"[: len(ends)]
    seen = state(
        *(rolled(i) for i in ids),
        grades=[graded(i, end == "r") for i, end in zip(ids, ends, strict=True)],
        ids=list(ids),
    )
    return build_report(CONFIG, seen, {}, standings=known)


def test_the_calibrated_rate_stands_beside_the_raw_one() -> None:
    found = report(standings(a=[True], b=[False], c=[True, False]))
    calibrated = found.calibrated

    assert (found.resolved, found.instances) == (2, 4)
    assert calibrated is not None
    assert (calibrated.resolved, calibrated.instances) == (1, 2)  # c is out, though resolved
    assert (calibrated.resolve_rate, calibrated.ci95) == (0.5, wilson(1, 2))
    assert (list(calibrated.left_out), calibrated.calibrated) == (["b", "c"], 3)
    assert headline(found).startswith("2 of 4 resolved (50.0%")


def test_the_report_names_what_was_left_out_and_why() -> None:
    seen = state(*map(rolled, "ab"), grades=[graded("a", True), graded("b", False)], ids=("a", "b"))
    known = standings(a=[True], b=[False, False])
    text = render_markdown(build_report(CONFIG, seen, {}, standings=known), seen)

    assert "| calibrated: without what can't be graded here | 1 of 1 (100.0%" in text
    assert (
        "| b | not resolved | can't be graded here: gold resolved 0 of 2 times; it fails |" in text
    )


def test_a_host_that_grades_everything_changes_no_number() -> None:
    found = report(standings(a=[True], b=[True], c=[True], d=[True]))

    assert found.calibrated is not None
    assert (found.calibrated.resolved, found.calibrated.instances) == (2, 4)
    assert found.calibrated.words == (
        "the same, as every gold patch was resolved (4 of 4 calibrated)"
    )
    assert found.validity.is_valid


def test_where_nothing_can_be_graded_no_rate_is_made_up() -> None:
    calibrated = report(standings(a=[False], b=[False], c=[False], d=[False])).calibrated

    assert calibrated is not None
    assert (calibrated.resolved, calibrated.instances, calibrated.resolve_rate) == (0, 0, 0.0)
    assert calibrated.ci95 == (0.0, 1.0)


def test_without_a_calibration_there_is_no_such_rate() -> None:
    assert report({}).calibrated is None
    assert report(standings(z=[False])).calibrated is None, "of another benchmark's instance"


@pytest.mark.parametrize(
    ("ends", "known", "is_quarantined"),
    [
        ("ruuu", standings(b=[False], c=[True, False]), True),
        ("ruuu", standings(b=[False]), False),
        ("ruuu", standings(b=[True], c=[True], d=[True]), False),
        ("rrrr", standings(a=[False], b=[False], c=[False]), False),  # it was graded all the same
        ("rrrr", {}, False),
    ],
)
def test_a_run_whose_zeros_are_largely_its_hosts_is_quarantined(
    ends: str, known: dict[str, GoldStanding], is_quarantined: bool
) -> None:
    found = report(known, ends)

    assert found.validity.is_quarantined is is_quarantined
    if is_quarantined:
        assert "2 of 3 unresolved instances can't be graded on this host" in headline(found)


def test_where_no_patch_was_nobody_graded_and_the_host_is_not_to_blame() -> None:
    seen = state(*(rolled(i, patch="") for i in "abc"))

    found = build_report(CONFIG, seen, {}, standings=standings(a=[False], b=[False], c=[False]))

    assert found.validity.is_valid
