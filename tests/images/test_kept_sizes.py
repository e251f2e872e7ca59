"""Sizes are kept in the user's cache; what can't be read there is asked for anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.images import kept_sizes
from orchestrator.images.kept_sizes import FRESH_S, find_kept, keep
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.user_paths import image_size_file

AMD = "linux/amd64"
IMAGE = "swebench/sweb.eval.x86_64.a_1776_b-1:latest"
SIZE = ImageSize((Layer("sha256:1", 5), Layer("sha256:2", 7)), "sha256:3")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_kept_is_found_for_its_platform() -> None:
    keep(IMAGE, AMD, SIZE)

    assert find_kept(IMAGE, AMD) == (SIZE, True)
    assert find_kept(IMAGE, "linux/arm64") is None
    assert find_kept("swebench/other", AMD) is None


def test_what_is_old_is_found_and_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(IMAGE, AMD, SIZE)
    now = kept_sizes.time.time()

    for later, is_fresh in ((FRESH_S - 60, True), (FRESH_S + 60, False), (-3600, False)):
        monkeypatch.setattr(kept_sizes.time, "time", lambda later=later: now + later)
        assert find_kept(IMAGE, AMD) == (SIZE, is_fresh)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": []},
        {"layers": [["sha256:1", -1]]},
        {"layers": [["sha256:1", "5"]]},
        {"layers": [["sha256:1"]]},
        {"layers": None},
        {"image": "another"},
        {"platform": "linux/arm64"},
        {"asked_at": None},
        {"more": 1},
    ],
)
def test_a_file_that_says_something_else_is_not_there(change: dict[str, Any]) -> None:
    keep(IMAGE, AMD, SIZE)
    path = image_size_file(IMAGE, AMD)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    assert find_kept(IMAGE, AMD) is None


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_a_file_that_is_broken_is_not_there(raw: bytes) -> None:
    keep(IMAGE, AMD, SIZE)
    image_size_file(IMAGE, AMD).write_bytes(raw)

    assert find_kept(IMAGE, AMD) is None
    keep(IMAGE, AMD, SIZE)
    assert find_kept(IMAGE, AMD) == (SIZE, True)


def test_a_cache_that_can_not_be_written_keeps_nothing_and_stops_nobody(cache: Path) -> None:
    cache.write_text("a file where the folder should be")

    keep(IMAGE, AMD, SIZE)

    assert find_kept(IMAGE, AMD) is None
