"""Sealed answers pass through hands that can't read them."""

from __future__ import annotations

import pytest

from orchestrator.gold_answers import GoldAnswer, seal, unseal
from orchestrator.types import SealedAnswer

ANSWER = GoldAnswer("a__b-1", "diff --git a/x b/x\n", {"instance_id": "a__b-1"})


def test_a_sealed_answer_comes_out_as_it_went_in() -> None:
    assert unseal(seal(ANSWER)) == ANSWER


def test_nothing_else_is_taken_for_an_answer() -> None:
    with pytest.raises(AssertionError):
        unseal(SealedAnswer({"gold_patch": "x"}))
