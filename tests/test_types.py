"""The nouns keep their own rules."""

from __future__ import annotations

import hashlib

import pytest

from orchestrator.types import ModelRequest, RequestResult, RolloutKey, patch_sha256


def test_attempts_count_from_one_and_go_on() -> None:
    key = RolloutKey("r", "a__b-1", 1)

    assert key.next_attempt == RolloutKey("r", "a__b-1", 2)
    with pytest.raises(AssertionError):
        RolloutKey("r", "a__b-1", 0)


def test_keys_sort_by_run_instance_and_attempt() -> None:
    keys = [RolloutKey("r", "b", 1), RolloutKey("r", "a", 10), RolloutKey("r", "a", 2)]

    assert sorted(keys) == [keys[2], keys[1], keys[0]]


def test_the_time_that_a_request_was_served_leaves_out_its_waiting() -> None:
    request = ModelRequest(
        RolloutKey("r", "a", 1),
        RequestResult.ANSWERED,
        "http://h/v1",
        200,
        0.0,
        total_s=60,
        queue_s=5,
        held_s=40,
    )

    assert request.served_s == 15


def test_a_patch_is_known_by_the_digest_of_its_utf8() -> None:
    assert patch_sha256("größer\r\n") == hashlib.sha256("größer\r\n".encode()).hexdigest()
