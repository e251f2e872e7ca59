"""Rollouts', grades' and decisions' records as rows of the journal's tables, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.types import (
    CallCounts,
    Choice,
    Decision,
    Failure,
    FailureKind,
    Future,
    GradeReason,
    GradeRecord,
    Outcome,
    RolloutKey,
    RolloutRecord,
    Usage,
)

USAGE = tuple(Usage.__dataclass_fields__)


def rollout_row(record: RolloutRecord) -> dict[str, Any]:
    return {
        **_common_columns(record),
        "outcome": record.outcome,
        "salvaged": int(record.salvaged),
        "patch_bytes": record.patch_bytes,
        **asdict(record.usage),
        "notes": json.dumps(record.notes),
        "future": json.dumps(asdict(record.future)) if record.future else "",
        "calls": json.dumps(asdict(record.calls)) if record.calls else "",
        "unusable_answers": record.unusable_answers,
    }


def grade_row(record: GradeRecord) -> dict[str, Any]:
    return {
        **_common_columns(record),
        "resolved": None if record.resolved is None else int(record.resolved),
        "reason": record.reason,
    }


def decision_row(decision: Decision) -> dict[str, Any]:
    return asdict(decision)


def load_decisions(db: sqlite3.Connection) -> tuple[Decision, ...]:
    """In the order in which they were made."""
    columns = ", ".join(Decision.__dataclass_fields__)
    return tuple(
        Decision(**{**dict(row), "choice": Choice(row["choice"])})
        for row in db.execute(f"SELECT {columns} FROM decision ORDER BY id")
    )


def load_rollouts(db: sqlite3.Connection, run_id: str) -> tuple[RolloutRecord, ...]:
    """In the order in which they ended."""
    return tuple(
        RolloutRecord(
            **_common_fields(run_id, row),
            outcome=Outcome(row["outcome"]) if row["outcome"] else None,
            salvaged=bool(row["salvaged"]),
            patch_bytes=row["patch_bytes"],
            usage=Usage(**{name: row[name] for name in USAGE}),
            notes=tuple(json.loads(row["notes"])),
            future=_future(row),
            calls=CallCounts(**json.loads(row["calls"])) if row.get("calls") else None,
            unusable_answers=row.get("unusable_answers", 0),
        )
        for row in map(dict, db.execute("SELECT * FROM rollout ORDER BY rowid"))
    )


def load_grades(db: sqlite3.Connection, run_id: str) -> tuple[GradeRecord, ...]:
    """In the order in which they ended."""
    return tuple(
        GradeRecord(
            **_common_fields(run_id, row),
            resolved=None if row["resolved"] is None else bool(row["resolved"]),
            reason=GradeReason(row["reason"]) if row["reason"] else None,
        )
        for row in map(dict, db.execute("SELECT * FROM grade ORDER BY id"))
    )


def _common_columns(record: RolloutRecord | GradeRecord) -> dict[str, Any]:
    return {
        "instance_id": record.key.instance_id,
        "attempt": record.key.attempt,
        "failure": record.failure.kind if record.failure else None,
        "detail": record.failure.detail if record.failure else "",
        "patch_sha256": record.patch_sha256,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "phases_s": json.dumps(dict(record.phases_s)),
        "image": record.image,
    }


def _common_fields(run_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    failure = Failure(FailureKind(row["failure"]), row["detail"]) if row["failure"] else None
    return {
        "key": RolloutKey(run_id, row["instance_id"], row["attempt"]),
        "failure": failure,
        "patch_sha256": row["patch_sha256"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "phases_s": json.loads(row["phases_s"]),
        # an older journal, read without being written to, lacks columns that were added later
        "image": row.get("image", ""),
    }


def _future(row: Mapping[str, Any]) -> Future | None:
    if not row.get("future"):
        return None
    written = json.loads(row["future"])
    return Future(written["found"], tuple(written["names"]), written["dropped"])
