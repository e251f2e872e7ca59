"""The journal's tables of what the model was asked: one row a request, one a sample of the night.

Nothing hangs on them but numbers for people, so they are written many in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from orchestrator.types import ModelRequest, RequestResult


@dataclass(frozen=True, slots=True)
class TraceRow:
    """What happened over one interval. Tokens, seconds; None where servers do not show it."""

    at: float
    """Seconds since the epoch, at its end."""
    seconds: float
    rollouts: int
    """Under way at its end."""
    admitted: int
    """As many as might have been."""
    answers: int
    grown_tokens: int
    """By how much conversations grew: work that counts, whatever a cache did."""
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    """Mean of the answers, held time left out."""
    in_flight: int
    waiting: int
    """Requests that the gateway held at its end."""
    down_s: float
    outages: int = 0
    """That began in it: no server was up."""
    running: float | None = None
    server_waiting: float | None = None
    kv_usage: float | None = None
    preemptions: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None


DDL = """
CREATE TABLE request (
    id INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL,      -- no reference: a rollout's row comes after its requests
    attempt INTEGER NOT NULL,
    result TEXT NOT NULL,
    server TEXT NOT NULL,
    status INTEGER NOT NULL,
    started_at REAL NOT NULL,
    total_s REAL NOT NULL,
    queue_s REAL NOT NULL,
    held_s REAL NOT NULL,
    first_token_s REAL,
    retries INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL
) STRICT;

CREATE TABLE sample (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    rollouts INTEGER NOT NULL,
    admitted INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    grown_tokens INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    latency_s REAL NOT NULL,
    in_flight INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    down_s REAL NOT NULL,
    outages INTEGER NOT NULL,
    running REAL,
    server_waiting REAL,
    kv_usage REAL,
    preemptions REAL,
    prefix_queries REAL,
    prefix_hits REAL
) STRICT;
"""


def insert_requests(db: sqlite3.Connection, requests: Sequence[ModelRequest]) -> None:
    _insert(db, "request", ModelRequest, requests)


def insert_samples(db: sqlite3.Connection, rows: Sequence[TraceRow]) -> None:
    _insert(db, "sample", TraceRow, rows)


def load_requests(db: sqlite3.Connection) -> tuple[ModelRequest, ...]:
    """All of them, in the order in which they ended."""
    columns = ", ".join(f.name for f in fields(ModelRequest))
    rows = db.execute(f"SELECT {columns} FROM request ORDER BY id")
    return tuple(ModelRequest(**{**dict(r), "result": RequestResult(r["result"])}) for r in rows)


def load_samples(db: sqlite3.Connection) -> tuple[TraceRow, ...]:
    columns = ", ".join(f.name for f in fields(TraceRow))
    return tuple(
        TraceRow(**dict(row)) for row in db.execute(f"SELECT {columns} FROM sample ORDER BY id")
    )


def _insert(
    db: sqlite3.Connection, table: str, kind: type, rows: Sequence[ModelRequest | TraceRow]
) -> None:
    names = [f.name for f in fields(kind)]
    marks = ", ".join(f":{name}" for name in names)
    db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", map(asdict, rows))
