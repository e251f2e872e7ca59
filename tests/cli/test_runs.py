"""`status` and `report` as people meet them. `clean` is tested with what it removes: run/."""

from __future__ import annotations

import json
from collections.abc import Callable

from support.commands import Ended

Say = Callable[..., Ended]


def test_a_run_that_never_started_is_to_be_resumed(say: Say) -> None:
    (row,) = json.loads(say("status there --json --runs-dir {runs}").succeeded())

    assert (row["run_id"], row["state"], row["attempted"]) == ("there", "to be resumed", 0)


def test_where_there_are_no_runs_people_are_told_so(say: Say) -> None:
    assert "no runs in" in say("status --runs-dir {runs}/..").succeeded()


def test_one_corrupt_run_does_not_hide_the_others(say: Say) -> None:
    assert "there" in say("status --runs-dir {runs}").stdout


def test_a_run_that_never_started_has_a_report_that_is_not_valid(say: Say) -> None:
    found = json.loads(say("report there --json --runs-dir {runs}").succeeded())

    assert not found["valid"]
    assert found["failures"] == {"not_started": 12}
