"""The journal's tables of what the model was asked: one row a request, one a sample of the night.

Only reports use them, so many are written in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.types import ModelRequest, RequestResult, RolloutKey

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


_KEY = ("instance_id", "attempt")
_REQUEST = tuple(f.name for f in fields(ModelRequest) if f.name != "key")
_SAMPLE = tuple(f.name for f in fields(LoadSample) if f.name != "server")
_SERVER = {
    "running": "running",
    "server_waiting": "waiting",
    "kv_usage": "kv_usage",
    "preemptions": "preemptions",
    "prefix_queries": "prefix_queries",
    "prefix_hits": "prefix_hits",
}
"""Column to field of the servers' metrics; all of them NULL where servers show none."""


def insert_requests(db: sqlite3.Connection, requests: Sequence[ModelRequest]) -> None:
    rows = [
        (r.key.instance_id, r.key.attempt, *(getattr(r, name) for name in _REQUEST))
        for r in requests
    ]
    _insert(db, "request", (*_KEY, *_REQUEST), rows)


def insert_samples(db: sqlite3.Connection, samples: Sequence[LoadSample]) -> None:
    rows = [
        (
            *(getattr(sample, name) for name in _SAMPLE),
            *(getattr(sample.server, name, None) for name in _SERVER.values()),
        )
        for sample in samples
    ]
    _insert(db, "sample", (*_SAMPLE, *_SERVER), rows)


def load_requests(db: sqlite3.Connection, run_id: str) -> tuple[ModelRequest, ...]:
    """All of them, in the order in which they ended."""
    rows = db.execute(f"SELECT {', '.join((*_KEY, *_REQUEST))} FROM request ORDER BY id")
    return tuple(_request(run_id, dict(row)) for row in rows)


def load_samples(db: sqlite3.Connection) -> tuple[LoadSample, ...]:
    rows = db.execute(f"SELECT {', '.join((*_SAMPLE, *_SERVER))} FROM sample ORDER BY id")
    return tuple(_sample(dict(row)) for row in rows)


def _request(run_id: str, row: dict[str, Any]) -> ModelRequest:
    key = RolloutKey(run_id, row.pop("instance_id"), row.pop("attempt"))
    return ModelRequest(**{**row, "key": key, "result": RequestResult(row["result"])})


def _sample(row: dict[str, Any]) -> LoadSample:
    shown = {name: row.pop(column) for column, name in _SERVER.items()}
    is_shown = shown["running"] is not None
    return LoadSample(**row, server=ServerMetrics(**shown) if is_shown else None)


def _insert(
    db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    marks = ", ".join("?" * len(columns))
    db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
