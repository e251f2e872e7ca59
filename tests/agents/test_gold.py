"""`gold` hands in the reference patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.rows import changed_lines, failure_of

from orchestrator.agents.gold import PATCH_FILE
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import seal, unseal
from orchestrator.types import FailureKind, Instance, Outcome, RolloutResult

pytestmark = pytest.mark.slow

Play = Callable[..., RolloutResult]
MakeConfig = Callable[..., RunConfig]


def test_its_patch_is_the_gold_patch_and_nothing_else(
    play: Play, make_config: MakeConfig, demo: Dataset, instance: Instance, tmp_path: Path
) -> None:
    answer = demo.answers[instance.instance_id]

    result = play(make_config("gold"), instance, "process", tmp_path, sealed_answer=answer)

    assert (result.outcome, result.record.usage.steps) == (Outcome.SUBMITTED, 1)
    assert changed_lines(result.patch) == changed_lines(unseal(answer).gold_patch)
    assert PATCH_FILE not in result.patch


def test_a_gold_patch_that_does_not_apply_is_a_crash_that_says_why(
    play: Play, make_config: MakeConfig, demo: Dataset, instance: Instance, tmp_path: Path
) -> None:
    answer = unseal(demo.answers[instance.instance_id])
    patch = "diff --git a/no b/no\n--- a/no\n+++ b/no\n@@ -1 +1 @@\n-old\n+new\n"
    wrong = seal(replace(answer, gold_patch=patch))

    result = play(make_config("gold"), instance, "process", tmp_path, sealed_answer=wrong)

    kind, detail = failure_of(result)
    assert kind is FailureKind.AGENT_CRASHED
    assert "the gold patch does not apply: " in detail
    assert "no: No such file" in detail
