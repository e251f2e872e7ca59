"""Evidence of made-up instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Evidence, TestKind, TestResult
from orchestrator.types import (
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutKey,
    RolloutRecord,
    Usage,
)

KEY = RolloutKey("r", "a__a-1", 1)
F2P, P2P = TestKind.FAIL_TO_PASS, TestKind.PASS_TO_PASS


def change(path: str, added: str = "x = 1", new: bool = False) -> str:
    """A patch that adds lines to a file."""
    lines = added.split("\n")
    body = "".join(f"+{line}\n" for line in lines)
    if new:
        head = f"new file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n"
    else:
        head = f"--- a/{path}\n+++ b/{path}\n@@ -1 +1,{len(lines) + 1} @@\n first\n"
    return f"diff --git a/{path} b/{path}\n{head}{body}"


GOLD = change("src/money.py")
GOLD_TESTS = change("tests/test_money.py")


def rollout(outcome: Outcome = Outcome.SUBMITTED, patch: str = "", **more: Any) -> RolloutRecord:
    salvaged = bool(patch) and outcome is not Outcome.SUBMITTED
    given = {"usage": Usage(steps=9, completion_tokens=9), "salvaged": salvaged} | more
    return RolloutRecord(KEY, outcome=outcome, **given).with_patch(patch)


def grade(reason: GradeReason = GradeReason.TESTS, resolved: bool = False) -> GradeRecord:
    return GradeRecord(KEY, "", resolved=resolved, reason=reason)


def counted(*, f2p: str = "", p2p: str = "") -> tuple[TestResult, ...]:
    """A test for every character: `.` has passed, all others have not."""
    named = [(F2P, f"test_target_{n}", mark) for n, mark in enumerate(f2p)]
    named += [(P2P, f"test_other_{n}", mark) for n, mark in enumerate(p2p)]
    return tuple(TestResult(name, kind, mark == ".") for kind, name, mark in named)


def steps(*commands: str) -> Sequence[Step]:
    """The same command prints the same."""
    return [Step("", command, f"printed by {command}") for command in commands]


def evidence(
    outcome: Outcome = Outcome.SUBMITTED,
    patch: str = "",
    reason: GradeReason | None = GradeReason.TESTS,
    **more: Any,
) -> Evidence:
    """An unresolved instance; it is graded where there is a patch."""
    given: dict[str, Any] = {
        "rollout": rollout(outcome, patch),
        "grade": grade(reason) if patch and reason else None,
        "patch": patch,
        "gold_patch": GOLD,
        "gold_test_patch": GOLD_TESTS,
    }
    return Evidence("a__a-1", "a/a", **(given | more))
