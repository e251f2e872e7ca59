"""The journal's file: what it refuses, who may read it, and what a broken one says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.rows import graded, key_of, rolled

from orchestrator.errors import JournalError
from orchestrator.journal import Journal, read_journal, store
from orchestrator.types import (
    CallCounts,
    Choice,
    Decision,
    Failure,
    FailureKind,
    Future,
    GradeRecord,
    Instance,
    Outcome,
    PulledImage,
    RolloutRecord,
)

INSTANCES = [Instance(i, f"{i}/repo", "c0ffee", "an issue", "image") for i in ("b", "a")]
LOST = Failure(FailureKind.WORKER_LOST, "gone | away\nfor good")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    path.parent.mkdir()
    with Journal.create(path, "r1", INSTANCES) as journal:
        yield journal


def submitted(attempt: int = 1, instance_id: str = "a") -> RolloutRecord:
    return rolled(instance_id, attempt).record


def lost(attempt: int) -> RolloutRecord:
    return RolloutRecord(key_of("a", attempt), failure=LOST)


def verdict(resolved: bool, patch: str = "diff") -> GradeRecord:
    return graded("a", resolved, patch).record


def error_of(path: Path) -> str:
    with pytest.raises(JournalError) as caught:
        read_journal(path)
    with pytest.raises(JournalError):
        Journal.open(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_new_journal_knows_its_run_and_instances_in_order(journal: Journal) -> None:
    state = journal.state()

    assert state.run_id == "r1"
    assert list(state.instances.items()) == [("b", "b/repo"), ("a", "a/repo")]
    assert not state.rollouts


def test_two_outcomes_of_one_instance_are_refused(journal: Journal) -> None:
    journal.append_rollout(submitted(1))

    with pytest.raises(JournalError, match="UNIQUE"):
        journal.append_rollout(submitted(2))

    assert [row.key.attempt for row in journal.state().rollouts] == [1]


def test_one_attempt_is_recorded_once(journal: Journal) -> None:
    journal.append_rollout(lost(1))

    with pytest.raises(JournalError, match="UNIQUE"):
        journal.append_rollout(lost(1))


def test_an_outcome_may_follow_failures(journal: Journal) -> None:
    journal.append_rollout(lost(1))
    journal.append_rollout(lost(2))
    journal.append_rollout(submitted(3))

    state = journal.state()

    assert state.outcomes["a"].key.attempt == 3
    assert not state.failures


def test_two_verdicts_on_one_patch_are_refused(journal: Journal) -> None:
    journal.append_rollout(submitted())
    journal.append_grade(verdict(True))

    with pytest.raises(JournalError, match="UNIQUE"):
        journal.append_grade(verdict(False))

    assert journal.state().verdicts["a"].resolved is True


def test_a_changed_patch_may_have_a_verdict_of_its_own(journal: Journal) -> None:
    journal.append_rollout(submitted())
    journal.append_grade(verdict(True))
    journal.replace_patch(key_of("a"), "another")
    journal.append_grade(verdict(False, "another"))

    assert journal.state().verdicts["a"].resolved is False


def test_a_grade_of_no_rollout_is_refused(journal: Journal) -> None:
    with pytest.raises(JournalError, match="FOREIGN KEY"):
        journal.append_grade(verdict(True))


def test_a_rollout_of_another_benchmark_is_refused(journal: Journal) -> None:
    with pytest.raises(JournalError, match="FOREIGN KEY"):
        journal.append_rollout(submitted(instance_id="stranger"))


def test_a_reader_sees_what_is_written_while_the_writer_is_open(
    journal: Journal, path: Path
) -> None:
    journal.append_rollout(submitted())
    assert len(read_journal(path).rollouts) == 1
    journal.append_grade(verdict(True))
    assert read_journal(path).verdicts["a"].resolved


def test_what_was_written_is_there_when_the_journal_is_opened_again(path: Path) -> None:
    path.parent.mkdir()
    with Journal.create(path, "r1", INSTANCES) as journal:
        journal.append_rollout(submitted())
    with Journal.open(path) as journal:
        assert journal.state().outcomes["a"].outcome is Outcome.SUBMITTED


def test_a_journal_is_not_created_over_another(journal: Journal, path: Path) -> None:
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path, "r2", INSTANCES)

    assert journal.state().run_id == "r1"


def test_a_journal_whose_creation_failed_is_not_there(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(JournalError):
        Journal.create(path, "r1", [*INSTANCES, INSTANCES[0]])

    assert not path.exists()


def test_a_folder_without_a_journal_is_no_run(path: Path) -> None:
    assert "is not a run" in error_of(path)


@pytest.mark.parametrize("data", [b"", b"not a database at all" * 100])
def test_a_file_that_is_no_journal_says_what_to_do(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)

    assert "predictions.jsonl" in error_of(path)


@pytest.mark.parametrize("page", [1, 3, 5, 8])
def test_a_journal_with_a_broken_page_says_what_to_do(path: Path, page: int) -> None:
    path.parent.mkdir()
    with Journal.create(path, "r1", INSTANCES) as journal:
        for attempt in range(1, 40):
            journal.append_rollout(lost(attempt))
    data = bytearray(path.read_bytes())
    data[page * 4096 : page * 4096 + 2000] = b"\x55" * 2000
    path.write_bytes(data)

    assert "predictions.jsonl" in error_of(path)


def test_a_journal_cut_short_says_what_to_do(journal: Journal, path: Path) -> None:
    journal.close()
    path.write_bytes(path.read_bytes()[:6000])

    assert "predictions.jsonl" in error_of(path)


def test_a_journal_of_another_version_says_so(journal: Journal, path: Path) -> None:
    journal.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE run SET value = '99' WHERE key = 'version'")

    assert "version 99" in error_of(path)


def test_a_session_ends_when_it_is_ended(journal: Journal) -> None:
    journal.begin_session()
    assert journal.state().sessions[0].ended_at is None
    journal.end_session()

    (session,) = journal.state().sessions
    assert session.ended_at is not None
    assert session.seconds >= 0


def test_a_session_that_was_killed_ends_where_it_was_last_seen(journal: Journal) -> None:
    journal.begin_session()
    journal.begin_session()

    killed, live = journal.state().sessions
    assert killed.ended_at == killed.last_seen_at
    assert live.ended_at is None


def test_a_heartbeat_right_after_the_start_writes_nothing(journal: Journal) -> None:
    journal.begin_session()
    before = journal.state().sessions
    journal.heartbeat()

    assert journal.state().sessions == before


def test_a_heartbeat_says_when_a_session_expects_to_be_done(tmp_path: Path) -> None:
    now = [1000.0]
    with Journal.create(tmp_path / "journal.sqlite", "r1", []):
        pass
    with Journal.open(tmp_path / "journal.sqlite", lambda: now[0]) as journal:
        journal.begin_session()
        assert journal.state().ends_at is None
        now[0] += store.HEARTBEAT_S
        journal.heartbeat(lambda: (60.0, 90.0))
        assert read_journal(tmp_path / "journal.sqlite").ends_at == (1090.0, 1120.0)
        now[0] += store.HEARTBEAT_S
        journal.heartbeat(lambda: None)
        assert journal.state().ends_at is None


def test_a_session_begins_without_what_the_one_before_expected(tmp_path: Path) -> None:
    now = [1000.0]
    with Journal.create(tmp_path / "journal.sqlite", "r1", []):
        pass
    with Journal.open(tmp_path / "journal.sqlite", lambda: now[0]) as journal:
        journal.begin_session()
        now[0] += store.HEARTBEAT_S
        journal.heartbeat(lambda: (60.0, 90.0))
        journal.begin_session()
        assert journal.state().ends_at is None


DECISION = Decision("a", Choice.UNRESOLVED, "größer als 8 GB", "ana", 12.5, "", 3)


def test_decisions_are_kept_in_their_order(journal: Journal, path: Path) -> None:
    again = replace(DECISION, choice=Choice.AGAIN, patch_sha256="c0ffee")
    journal.append_decision(DECISION)
    journal.append_decision(again)

    assert read_journal(path).decisions == (DECISION, again)


def test_a_decision_on_no_instance_of_the_run_is_refused(journal: Journal) -> None:
    with pytest.raises(JournalError, match="FOREIGN KEY"):
        journal.append_decision(replace(DECISION, instance_id="stranger"))


def test_failures_are_counted_by_instance_and_kind(journal: Journal) -> None:
    journal.append_rollout(lost(1))
    journal.append_rollout(lost(2))
    journal.append_rollout(submitted(3))

    assert journal.count_failures("a", FailureKind.WORKER_LOST) == 2
    assert journal.count_failures("a", FailureKind.SANDBOX_BROKEN) == 0
    assert journal.count_failures("b", FailureKind.WORKER_LOST) == 0


def make_older(path: Path, version: int) -> None:
    """Take from a journal what later versions have added."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE run SET value = ? WHERE key = 'version'", (str(version),))
        db.executescript(
            "ALTER TABLE rollout DROP COLUMN calls;"
            "ALTER TABLE rollout DROP COLUMN unusable_answers;"
        )
        if version < 5:
            db.executescript(
                "ALTER TABLE rollout DROP COLUMN image; ALTER TABLE rollout DROP COLUMN future;"
                "ALTER TABLE grade DROP COLUMN image;"
            )
        if version < 4:
            db.executescript("DROP TABLE pulled_image;")
        if version < 3:
            db.executescript("DROP TABLE decision;")
        if version < 2:
            db.executescript("DROP TABLE request; DROP TABLE sample;")


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_journal_of_before_images_takes_them(journal: Journal, path: Path, version: int) -> None:
    journal.append_rollout(lost(1))
    journal.close()
    make_older(path, version)
    assert [row.image for row in read_journal(path).rollouts] == [""]

    found = Future({"commits": 2}, ("refs/tags/v2",), dropped=True)
    record = replace(submitted(2), image="an/image@sha256:12", future=found)
    with Journal.open(path) as opened:
        opened.append_rollout(record)
        opened.append_grade(
            replace(graded("a", True, "diff", attempt=2).record, image="an/image@sha256:34")
        )

    state = read_journal(path)
    assert state.rollouts == (lost(1), record)
    assert [row.image for row in state.grades] == ["an/image@sha256:34"]


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_a_journal_of_before_calls_were_counted_takes_them(
    journal: Journal, path: Path, version: int
) -> None:
    journal.append_rollout(lost(1))
    journal.close()
    make_older(path, version)
    (read,) = read_journal(path).rollouts
    assert (read.calls, read.unusable_answers) == (None, 0), "nobody counted"

    calls = CallCounts(9, {"malformed": 2}, {"the arguments of bash are no JSON": 2})
    record = replace(submitted(2), calls=calls, unusable_answers=3)
    with Journal.open(path) as opened:
        opened.append_rollout(record)

    assert read_journal(path).rollouts == (lost(1), record)


@pytest.mark.parametrize("version", [1, 2])
def test_a_journal_of_before_decisions_takes_one(
    journal: Journal, path: Path, version: int
) -> None:
    journal.append_rollout(lost(1))
    journal.close()
    make_older(path, version)
    assert read_journal(path).decisions == ()

    with Journal.open(path) as opened:
        opened.append_decision(DECISION)
    with Journal.open(path) as opened:
        assert opened.state().decisions == (DECISION,)
        assert len(opened.state().rollouts) == 1


def test_a_power_cut_on_a_mac_takes_no_row(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(store, "flush_folder", flushed.append)
    path.parent.mkdir()

    with Journal.create(path, "r1", INSTANCES) as journal:
        pragmas = ("synchronous", "fullfsync", "checkpoint_fullfsync")
        held = [journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    assert held == [2, 1, 1]  # 2 is FULL
    assert flushed == [path.parent], "its name is on the drive when it exists"


def test_what_a_run_pulls_is_known_until_it_is_evicted(journal: Journal, path: Path) -> None:
    here, there = PulledImage("an/image"), PulledImage("an/image", "a-node")
    for image in (here, there, here):
        journal.add_pulled(image)
    assert set(journal.pulled()) == {here, there}

    journal.remove_pulled(here)
    journal.remove_pulled(here)
    with Journal.open(path) as another:
        assert another.pulled() == (there,)
