"""Writing and reading journal.sqlite."""

from __future__ import annotations

import json
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.errors import JournalError, one_line
from orchestrator.journal.model_requests import (
    insert_requests,
    insert_samples,
    load_requests,
    load_samples,
)
from orchestrator.journal.records import (
    decision_row,
    grade_row,
    load_decisions,
    load_grades,
    load_rollouts,
    rollout_row,
)
from orchestrator.journal.schema import DDL, READABLE, VERSION, migration
from orchestrator.journal.views import RunState, SessionRow
from orchestrator.paths import flush_folder
from orchestrator.types import (
    Decision,
    FailureKind,
    GradeRecord,
    Instance,
    ModelRequest,
    PulledImage,
    RolloutKey,
    RolloutRecord,
    patch_sha256,
)

HEARTBEAT_S = 30.0
ENDS_KEY = "ends_at"


class Journal:
    """The one writer. Every append is a transaction that is on disk when the call returns."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self._path = path
        self._clock = clock
        self._db = connection
        self._session: int | None = None
        self._seen_at = 0.0

    @classmethod
    def create(cls, path: Path, run_id: str, instances: Sequence[Instance]) -> Journal:
        """A new journal. Raises JournalError where one is there already, or the disk is full."""
        if path.exists():
            raise JournalError(f"{path} exists already")
        # under another name first: a journal that exists is whole
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        with _as_journal_errors(path):
            with closing(_connect(unfinished)) as connection, connection:
                _lay_out(connection, run_id, instances)
            unfinished.rename(path)
            flush_folder(path.parent)
            return cls(path, _connect(path))

    @classmethod
    def in_memory(
        cls, run_id: str, instances: Sequence[Instance], clock: Callable[[], float] = time.time
    ) -> Journal:
        """A journal without a file, for runs that nobody keeps; it closes as it is dropped."""
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        with connection:
            _lay_out(connection, run_id, instances)
        journal = cls(Path(":memory:"), connection, clock)
        weakref.finalize(journal, connection.close)
        return journal

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> Journal:
        """An existing journal. Raises JournalError where it is absent or corrupt."""
        version = _require_sound(path)
        with _as_journal_errors(path):
            connection = _connect(path)
            if version != VERSION:
                connection.executescript(f"BEGIN; {migration(version)} COMMIT;")
            return cls(path, connection, clock)

    def begin_session(self) -> None:
        now = self._clock()
        with _as_journal_errors(self._path), self._db:
            # a session that was killed ends where it was last seen
            self._db.execute("UPDATE session SET ended_at = last_seen_at WHERE ended_at IS NULL")
            self._db.execute("DELETE FROM run WHERE key = ?", (ENDS_KEY,))  # as that one expected
            cursor = self._db.execute(
                "INSERT INTO session (started_at, last_seen_at) VALUES (?, ?)", (now, now)
            )
            self._session = cursor.lastrowid
            self._seen_at = now

    def heartbeat(self, left_s: Callable[[], tuple[float, float] | None] = lambda: None) -> None:
        """Record that the driver lives, and between which times it expects to be done, which
        `left_s` says from now on; every half minute, however often it is called."""
        now = self._clock()
        if now - self._seen_at < HEARTBEAT_S:
            return
        left = left_s()
        ends = None if left is None else json.dumps([round(now + seconds) for seconds in left])
        with _as_journal_errors(self._path), self._db:
            self._db.execute(
                "UPDATE session SET last_seen_at = ? WHERE id = ?", (now, self._session)
            )
            if ends is None:
                self._db.execute("DELETE FROM run WHERE key = ?", (ENDS_KEY,))
            else:
                self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (ENDS_KEY, ends))
        self._seen_at = now

    def end_session(self) -> None:
        now = self._clock()
        with _as_journal_errors(self._path), self._db:
            self._db.execute(
                "UPDATE session SET ended_at = ?, last_seen_at = ? WHERE id = ?",
                (now, now, self._session),
            )

    def append_rollout(self, record: RolloutRecord) -> None:
        """Record a rollout whose files are in place."""
        self._insert("rollout", rollout_row(record))

    def replace_patch(self, key: RolloutKey, patch: str) -> None:
        """Record that a person has changed a patch's file; verdicts stay with the old patch."""
        with _as_journal_errors(self._path), self._db:
            self._db.execute(
                "UPDATE rollout SET patch_sha256 = ?, patch_bytes = ? "
                "WHERE instance_id = ? AND attempt = ?",
                (patch_sha256(patch), len(patch.encode("utf-8")), key.instance_id, key.attempt),
            )

    def append_grade(self, record: GradeRecord) -> None:
        """Record a grade whose files are in place."""
        self._insert("grade", grade_row(record))

    def append_decision(self, decision: Decision) -> None:
        """Record what a person decided. Earlier decisions stay, and the last one counts."""
        self._insert("decision", decision_row(decision))

    def add_pulled(self, image: PulledImage) -> None:
        """Record that the run is about to pull an image: no kill leaves one unknown."""
        with _as_journal_errors(self._path), self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO pulled_image (name, node, at) VALUES (?, ?, ?)",
                (image.name, image.node, self._clock()),
            )

    def remove_pulled(self, image: PulledImage) -> None:
        """Record that an image which the run had pulled has been evicted."""
        with _as_journal_errors(self._path), self._db:
            self._db.execute(
                "DELETE FROM pulled_image WHERE name = ? AND node = ?", (image.name, image.node)
            )

    def pulled(self) -> tuple[PulledImage, ...]:
        """The images that the run has pulled, whoever did it in whichever session, and that were
        not evicted; in the order in which they came."""
        with _as_journal_errors(self._path):
            return _load_pulled(self._db)

    def count_failures(self, instance_id: str, kind: FailureKind) -> int:
        """How many of an instance's rollouts have ended in this failure."""
        query = "SELECT count(*) FROM rollout WHERE instance_id = ? AND failure = ?"
        with _as_journal_errors(self._path):
            return int(self._db.execute(query, (instance_id, kind)).fetchone()[0])

    def append_requests(
        self, requests: Sequence[ModelRequest], samples: Sequence[LoadSample] = ()
    ) -> None:
        """Record what the model was asked, all in one transaction."""
        if not requests and not samples:
            return
        with _as_journal_errors(self._path), self._db:
            insert_requests(self._db, requests)
            insert_samples(self._db, samples)

    def state(self) -> RunState:
        with _as_journal_errors(self._path):
            return _load(self._db)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        columns = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        with _as_journal_errors(self._path), self._db:
            self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", row)


def read_journal(path: Path) -> RunState:
    """What a journal holds, read without disturbing its writer. Raises JournalError."""
    _require_sound(path)
    with _as_journal_errors(path), closing(_connect(path, read_only=True)) as connection:
        return _load(connection)


def read_pulled(path: Path) -> tuple[PulledImage, ...]:
    """`Journal.pulled`, read without disturbing the writer; of an older journal, which has none,
    nothing. Raises JournalError."""
    _require_sound(path)
    with _as_journal_errors(path), closing(_connect(path, read_only=True)) as connection:
        tables = "SELECT 1 FROM sqlite_master WHERE name = 'pulled_image'"
        if connection.execute(tables).fetchone() is None:
            return ()
        return _load_pulled(connection)


def _connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # on macOS alone these do something: `flush_to_drive` says what
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _load_pulled(connection: sqlite3.Connection) -> tuple[PulledImage, ...]:
    rows = connection.execute("SELECT name, node FROM pulled_image ORDER BY at, name")
    return tuple(PulledImage(row["name"], row["node"]) for row in rows)


def _lay_out(connection: sqlite3.Connection, run_id: str, instances: Sequence[Instance]) -> None:
    """Create the tables of a new journal, with its version, run id and instances."""
    connection.executescript(f"BEGIN;{DDL}")
    meta = {"version": str(VERSION), "run_id": run_id}
    connection.executemany("INSERT INTO run VALUES (?, ?)", meta.items())
    connection.executemany(
        "INSERT INTO instance VALUES (?, ?, ?)",
        [(i.instance_id, i.repo, n) for n, i in enumerate(instances)],
    )


def _require_sound(path: Path) -> int:
    """The journal's version. Raises JournalError where it can't be used."""
    if not path.is_file():
        raise JournalError(f"{path.parent} is not a run: it has no {path.name}")
    try:
        with closing(_connect(path, read_only=True)) as connection:
            check = one_line(connection.execute("PRAGMA quick_check").fetchone()[0])
            meta = dict(connection.execute("SELECT key, value FROM run"))
    except sqlite3.DatabaseError as error:
        check, meta = one_line(error), {}
    if check != "ok" or meta.get("version") not in READABLE:
        problem = f"version {meta['version']}" if check == "ok" and "version" in meta else check
        raise JournalError(
            f"{path} can't be used ({problem}). The patches are safe in {path.parent}/rollouts and "
            "predictions.jsonl: restore the file from a backup, or grade them again with "
            f"`grade --predictions {path.parent / 'predictions.jsonl'} BENCHMARK`."
        )
    return int(meta["version"])


@contextmanager
def _as_journal_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        advice = " Free some space and resume." if "full" in str(error) else ""
        raise JournalError(f"{path}: {error}.{advice}") from error


def _load(db: sqlite3.Connection) -> RunState:
    meta = dict(db.execute("SELECT key, value FROM run").fetchall())
    run_id, version = meta["run_id"], int(meta["version"])
    return RunState(
        run_id=run_id,
        instances={
            row["instance_id"]: row["repo"]
            for row in db.execute("SELECT * FROM instance ORDER BY position")
        },
        rollouts=load_rollouts(db, run_id),
        grades=load_grades(db, run_id),
        sessions=tuple(
            SessionRow(row["started_at"], row["ended_at"], row["last_seen_at"])
            for row in db.execute("SELECT * FROM session ORDER BY id")
        ),
        requests=load_requests(db, run_id) if version >= 2 else (),
        samples=load_samples(db) if version >= 2 else (),
        decisions=load_decisions(db) if version >= 3 else (),
        ends_at=_ends_at(meta),
    )


def _ends_at(meta: Mapping[str, str]) -> tuple[float, float] | None:
    if ENDS_KEY not in meta:
        return None
    low, high = json.loads(meta[ENDS_KEY])
    return float(low), float(high)
