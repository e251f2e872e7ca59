"""`status` and `report` as people meet them. `clean` is tested with what it removes: run/."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from support.commands import Ended

Say = Callable[..., Ended]


@pytest.mark.slow
def test_a_run_that_never_started_is_to_be_resumed(say: Say) -> None:
    (row,) = json.loads(say("status there --json --runs-dir {runs}").succeeded())

    assert (row["run_id"], row["state"], row["attempted"]) == ("there", "to be resumed", 0)


@pytest.mark.slow
def test_where_there_are_no_runs_people_are_told_so(say: Say) -> None:
    assert "no runs in" in say("status --runs-dir {runs}/..").succeeded()


@pytest.mark.slow
def test_one_corrupt_run_does_not_hide_the_others(say: Say) -> None:
    assert "there" in say("status --runs-dir {runs}").stdout


@pytest.mark.slow
def test_a_run_that_never_started_has_a_report_that_is_not_valid(say: Say) -> None:
    found = json.loads(say("report there --json --runs-dir {runs}").succeeded())

    assert not found["valid"]
    assert found["failures"] == {"not_started": 12}


@pytest.mark.parametrize(
    ("live", "ends", "words"),
    [
        (True, (720, 1080), "12 to 18 min"),
        (True, (-90, -60), "1 s"),
        (True, None, "live"),
        (False, (720, 1080), "to be resumed"),
    ],
    ids=["live", "later than expected", "not known yet", "dead"],
)
def test_status_says_how_much_time_is_left_of_a_live_run(
    live: bool,
    ends: tuple[int, int] | None,
    words: str,
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    ends_at = None if ends is None else (now + ends[0] + 5, now + ends[1] - 5)
    monkeypatch.setattr("orchestrator.journal.store._ends_at", lambda meta: ends_at)
    monkeypatch.setattr("orchestrator.driver.leftovers.is_live", lambda folder: live)

    said = say("status there --runs-dir {runs}").stdout

    assert words in " ".join(said.split())
    assert ("live, left" in said) is (live and ends is not None)
