"""How checks are made: in their order, each told once, none able to stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.config import RunConfig
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, Severity, failed, passed, warned
from orchestrator.doctor.checks import CHECKS
from orchestrator.doctor.examine import Examined, checks_of, examine, require_passed
from orchestrator.errors import ConfigError, OrchestratorError, PrerequisiteError


def check(
    name: str, *found: CheckFinding, applies: bool = True, raises: Exception | None = None
) -> Check:
    class Made(Check):
        depth = Depth.DOCTOR

        def applies(self, case: Case) -> bool:
            return applies

        def look(self, case: Case) -> Iterator[CheckFinding]:
            yield from found
            if raises is not None:
                raise raises

    Made.name = name
    return Made()


class AsksForDataset(Check):
    depth = Depth.DOCTOR

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def look(self, case: Case) -> Iterator[CheckFinding]:
        yield passed(f"{len(case.dataset.instances)} rows")


@pytest.fixture
def case(make_config: Callable[..., RunConfig]) -> Case:
    return Case(make_config("nop", {"cluster.sandbox.kind": "process"}), Path("runs"))


@pytest.fixture
def case_without_dataset(make_config: Callable[..., RunConfig]) -> Case:
    config = make_config("nop")
    benchmark = config.benchmark.model_copy(update={"source": "/no/such/rows.jsonl"})
    return Case(config.model_copy(update={"benchmark": benchmark}), Path("runs"))


def by_name(found: Iterator[Examined]) -> dict[str, Examined]:
    return {examined.check.name: examined for examined in found}


def test_what_is_missing_is_told_by_the_first_check_that_meets_it_and_skipped_by_the_others(
    case_without_dataset: Case,
) -> None:
    checks = [AsksForDataset("first"), check("other", passed("fine")), AsksForDataset("second")]

    found = by_name(examine(case_without_dataset, checks))

    assert [one.level for one in found.values()] == [Severity.FAIL, Severity.PASS, Severity.SKIPPED]
    assert "/no/such/rows.jsonl" in found["first"].findings[0].what
    assert found["second"].findings[0].what == "can't be looked at: see first"
    assert found["second"].problem is None


def test_two_checks_that_meet_the_same_problem_by_themselves_tell_it_once(case: Case) -> None:
    checks = [check(name, raises=PrerequisiteError("it burns.", "Put it out.")) for name in "ab"]

    assert [one.level for one in examine(case, checks)] == [Severity.FAIL, Severity.SKIPPED]


def test_a_check_that_does_not_apply_says_nothing(case: Case) -> None:
    assert not list(examine(case, [check("none", failed("never"), applies=False)]))


@pytest.mark.parametrize(
    ("found", "level"),
    [
        ([passed("a"), warned("b")], Severity.WARN),
        ([warned("a"), failed("b"), passed("c")], Severity.FAIL),
        ([passed("a")], Severity.PASS),
        ([], Severity.PASS),
    ],
)
def test_a_check_is_as_bad_as_the_worst_that_it_found(
    case: Case, found: list[CheckFinding], level: Severity
) -> None:
    (examined,) = examine(case, [check("one", *found)])

    assert examined.level is level


@pytest.mark.parametrize(
    "error",
    [PrerequisiteError("no disk.", "Buy one."), ConfigError("no such key")],
)
def test_what_a_check_raises_fails_it_and_stops_a_launch(
    case: Case, error: OrchestratorError
) -> None:
    checks = [check("one", warned("early"), raises=error), check("two", passed("fine"))]

    first, second = examine(case, checks)

    assert (first.level, second.level) == (Severity.FAIL, Severity.PASS)
    assert first.findings[0].level is Severity.FAIL
    with pytest.raises(type(error), match=str(error)):
        require_passed(case, checks)


@pytest.mark.parametrize(
    "bug", [KeyError("x"), ImportError("no module named 'ray'"), ZeroDivisionError("by zero")]
)
def test_a_check_that_breaks_is_told_in_a_line_and_the_others_go_on(
    case: Case, bug: Exception
) -> None:
    first, second = examine(case, [check("one", raises=bug), check("two", passed("fine"))])

    (finding,) = first.findings
    assert (first.level, second.level) == (Severity.FAIL, Severity.PASS)
    assert type(bug).__name__ in finding.what
    assert "test_examine.py:" in finding.what
    assert "\n" not in finding.what


def test_warnings_of_all_checks_are_one_line_each_with_their_cure(case: Case) -> None:
    checks = [check("one", warned("it is late.", "Sleep."), passed("x")), check("two", warned("y"))]

    assert require_passed(case, checks) == ("it is late. Sleep.", "y")


def test_each_check_has_a_name_of_its_own_and_says_when_it_is_made() -> None:
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
    assert all(len(name.split()) <= 3 for name in names)
    made = {depth: set(checks_of(depth)) for depth in Depth}
    assert made[Depth.PLAN] < made[Depth.LAUNCH] < made[Depth.DOCTOR] == set(CHECKS)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("Python", "dataset"),
        ("packages", "sandboxes"),
        ("dataset", "sandboxes"),
        ("sandboxes", "engine's disk"),
        ("engine's disk", "tiny sandbox"),
        ("tiny sandbox", "registries"),
        ("sandbox trial", "registries"),
        ("model's address", "model server"),
        ("model server", "context"),
    ],
)
def test_a_cause_is_looked_at_before_what_it_breaks(first: str, then: str) -> None:
    names = [check.name for check in CHECKS]

    assert names.index(first) < names.index(then)
