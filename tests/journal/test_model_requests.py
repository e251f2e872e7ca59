"""The journal's rows of what the model was asked, and journals from before there were any."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.rows import asked, instances, key_of, rolled, sampled

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.errors import JournalError
from orchestrator.journal import Journal, read_journal
from orchestrator.journal.schema import _DDL_1, VERSION
from orchestrator.types import ModelRequest, RequestResult

FULL_REQUEST = ModelRequest(
    key=key_of("a", 2),
    result=RequestResult.SWALLOWED,
    server="http://h/v1",
    status=200,
    started_at=1000.5,
    total_s=9.5,
    queue_s=1.5,
    held_s=2.5,
    first_token_s=0.25,
    retries=3,
    prompt_tokens=100,
    cached_tokens=64,
    completion_tokens=10,
    reasoning_tokens=7,
)
FULL_SAMPLE = LoadSample(
    at=1010.5,
    seconds=10.25,
    rollouts=3,
    admitted=4,
    answers=5,
    grown_tokens=600,
    prompt_tokens=7000,
    completion_tokens=800,
    latency_s=9.5,
    in_flight=2,
    waiting=1,
    down_s=0.5,
    server=ServerMetrics(
        running=2.0,
        waiting=1.0,
        kv_usage=0.75,
        preemptions=1.0,
        prefix_queries=7000.0,
        prefix_hits=6500.0,
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def old_path(path: Path) -> Path:
    """A journal of version 1, with one instance."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(_DDL_1)
        db.executemany("INSERT INTO run VALUES (?, ?)", [("version", "1"), ("run_id", "r1")])
        db.execute("INSERT INTO instance VALUES ('a', 'a/repo', 0)")
    return path


def version_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("SELECT value FROM run WHERE key = 'version'").fetchone()
        return str(version)


def test_requests_and_samples_come_back_as_they_were_recorded(path: Path) -> None:
    requests = (FULL_REQUEST, *(asked("b", result) for result in RequestResult))
    samples = (FULL_SAMPLE, sampled(1020.0))
    with Journal.create(path, "r1", instances("a", "b")) as journal:
        journal.append_requests(requests, samples)

    found = read_journal(path)

    assert found.requests == requests
    assert found.samples == samples
    assert isinstance(found.requests[0].result, RequestResult)


def test_what_is_recorded_later_comes_later(path: Path) -> None:
    with Journal.create(path, "r1", instances("a")) as journal:
        journal.append_requests([asked(total_s=2.0)], [sampled(20.0)])
        journal.append_requests([asked(total_s=1.0)], [sampled(10.0)])
        found = journal.state()

    assert [request.total_s for request in found.requests] == [2.0, 1.0]
    assert [row.at for row in found.samples] == [20.0, 10.0]


def test_a_request_may_come_before_its_rollouts_row(path: Path) -> None:
    with Journal.create(path, "r1", instances("a")) as journal:
        journal.append_requests([asked("a")])
        journal.append_rollout(rolled("a").record)

        assert len(journal.state().requests) == 1


def test_nothing_to_record_records_nothing(path: Path) -> None:
    with Journal.create(path, "r1", instances("a")) as journal:
        journal.append_requests([], [])
        found = journal.state()

    assert (found.requests, found.samples) == ((), ())


def test_all_of_it_is_recorded_or_nothing(path: Path) -> None:
    unheard_of = sampled(10.0, rollouts="many")
    with Journal.create(path, "r1", instances("a")) as journal:
        with pytest.raises(JournalError):
            journal.append_requests([asked()], [unheard_of])

        assert journal.state().requests == ()


def test_a_journal_of_the_first_version_is_read_as_it_is(old_path: Path) -> None:
    found = read_journal(old_path)

    assert list(found.instances) == ["a"]
    assert (found.requests, found.samples) == ((), ())
    assert version_of(old_path) == "1"


def test_a_journal_of_the_first_version_is_brought_up_to_date_when_it_is_written_to(
    old_path: Path,
) -> None:
    with Journal.open(old_path) as journal:
        journal.append_rollout(rolled("a").record)
        journal.append_requests([FULL_REQUEST], [FULL_SAMPLE])

    assert version_of(old_path) == str(VERSION)
    found = read_journal(old_path)
    assert (found.requests, found.samples) == ((FULL_REQUEST,), (FULL_SAMPLE,))
    assert list(found.outcomes) == ["a"]


def test_a_journal_that_was_brought_up_to_date_is_opened_again(old_path: Path) -> None:
    with Journal.open(old_path) as journal:
        journal.append_requests([asked()])
    with Journal.open(old_path) as journal:
        journal.append_requests([asked()])

        assert len(journal.state().requests) == 2
