"""What was measured of a server is where admission starts, and nothing else is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.bench import kept
from orchestrator.bench.kept import FRESH_S, keep, measured_at_once
from orchestrator.config.schema import Endpoint, Model
from orchestrator.driver.admission import FIRST_LIMIT, Admission, first_limit
from orchestrator.user_paths import bench_file

URL = "http://spark:8000/v1"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path))


def model(base_url: str = URL, served_name: str = "m", replicas: tuple[str, ...] = ()) -> Model:
    endpoint = Endpoint(base_url=base_url, replicas=replicas)
    return Model(name="x", served_name=served_name, endpoint=endpoint, max_concurrency=8)


def test_a_server_that_was_measured_is_given_most_of_that_from_the_start() -> None:
    keep(URL, "m", 6)

    assert measured_at_once(model()) == 6
    assert measured_at_once(model(f"{URL}/")) == 6
    keep(URL, "m", 8)
    assert Admission(8, first_limit(measured_at_once(model()))).limit == 6
    assert Admission(4, first_limit(measured_at_once(model()))).limit == 4
    assert "bench" in Admission(8, 6).reason


@pytest.mark.parametrize(
    ("measured", "start"), [(None, None), (1, 1), (2, 2), (3, 2), (4, 3), (8, 6), (32, 24)]
)
def test_admission_starts_a_little_below_what_was_measured(
    measured: int | None, start: int | None
) -> None:
    assert first_limit(measured) == start


@pytest.mark.parametrize(
    "other",
    [
        model("http://mac:8000/v1"),
        model(served_name="another"),
        model(replicas=("http://mac:8000/v1",)),
    ],
    ids=["another server", "another model", "one of two servers"],
)
def test_what_a_profile_says_of_a_server_that_nobody_measured_is_a_guess(other: Model) -> None:
    keep(URL, "m", 6)

    assert measured_at_once(other) is None
    assert Admission(8, first_limit(measured_at_once(other))).limit == FIRST_LIMIT


def test_two_servers_are_worth_what_both_are() -> None:
    keep(URL, "m", 6)
    keep("http://mac:8000/v1", "m", 3)

    assert measured_at_once(model(replicas=("http://mac:8000/v1",))) == 9


def _old(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(kept.time, "time", lambda: now + FRESH_S)


def _of_the_future(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(kept.time, "time", lambda: now - 3600)


ODD: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "old": _old,
    "of the future": _of_the_future,
    "cut off": lambda file, _: file.write_bytes(file.read_bytes()[:20]),
    "no JSON": lambda file, _: file.write_bytes(b"\xff\0"),
    "none at once": lambda file, _: file.write_text(file.read_text().replace("6", "0", 1)),
    "of another": lambda file, _: file.write_text(file.read_text().replace("spark", "mac")),
    "gone": lambda file, _: file.unlink(),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_is_old_or_can_not_be_read_counts_as_not_measured(
    odd: Callable[[Path, pytest.MonkeyPatch], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(URL, "m", 6)
    odd(bench_file(URL, "m"), monkeypatch)

    assert measured_at_once(model()) is None


def test_a_cache_that_can_not_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "file"))

    keep(URL, "m", 6)

    assert measured_at_once(model()) is None
