"""Locks end with the process that holds them, and others may ask about them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.file_locks import Locked, hold_lock, is_held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_lock_is_held_by_one_and_free_afterwards(path: Path) -> None:
    with hold_lock(path):
        assert is_held(path)
        with pytest.raises(Locked) as caught, hold_lock(path):
            pass
        assert caught.value.holder.startswith(f"pid {os.getpid()} on ")
        assert is_held(path), "who was refused has not taken it"

    assert not is_held(path)
    with hold_lock(path):
        pass


def test_a_shared_lock_is_held_by_many_and_keeps_others_out(path: Path) -> None:
    with hold_lock(path, shared=True), hold_lock(path, shared=True):
        with pytest.raises(Locked, match="held by somebody else"), hold_lock(path):
            pass
        assert not is_held(path), "alone"

    with hold_lock(path), pytest.raises(Locked), hold_lock(path, shared=True):
        pass


def test_asking_whether_a_lock_is_held_takes_and_creates_nothing(path: Path) -> None:
    assert not is_held(path)
    assert not path.exists()


def test_a_lock_that_can_not_be_opened_counts_as_held(tmp_path: Path) -> None:
    assert is_held(tmp_path), "a folder can't be opened"
