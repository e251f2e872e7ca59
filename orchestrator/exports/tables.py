"""A run as tables, a row a rollout and a row a request: for pandas and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.exports.base import Exported, RunToExport, iso
from orchestrator.paths import write_atomic
from orchestrator.report.words import counted
from orchestrator.types import GradeRecord, ModelRequest, RolloutRecord

Row = dict[str, Any]
ROLLOUTS = "rollouts"
REQUESTS = "requests"
TIMES = ("started_at", "ended_at")
PHASES = ("image", "sandbox", "agent", "harvest", "remove")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of text may begin with that spreadsheets compute (OWASP, CSV injection)."""
NULLABLE = {
    "resolved": "boolean",
    "patch_applied": "boolean",
    "cached_tokens": "Int64",
    "status": "Int64",
    "graded_s": "Float64",
    "first_token_s": "Float64",
}
"""Types of columns that may lack a value in every row, by pandas' names."""


def rollout_rows(run: RunToExport) -> list[Row]:
    """One row a rollout, failed ones too, in the order in which they ended. `counts` says which is
    the instance's outcome; its verdict stands in the same row. Durations in seconds."""
    return [_rollout_row(run, record) for record in run.reader.state.rollouts]


def instance_rows(run: RunToExport) -> list[Row]:
    """One row an instance, in the run's order: the rollout that counts, else its last one."""
    last: dict[str, RolloutRecord] = {r.instance_id: r for r in run.reader.state.rollouts}
    rows = {
        instance_id: _rollout_row(run, run.reader.state.outcomes.get(instance_id, record))
        for instance_id, record in last.items()
    }
    return [
        rows.get(instance_id, {"instance_id": instance_id, "repo": repo})
        for instance_id, repo in run.reader.state.instances.items()
    ]


def request_rows(run: RunToExport) -> list[Row]:
    """One row a request of an agent to its model, in the order in which they ended."""
    run_id = run.reader.state.run_id
    return [_request_row(run_id, request) for request in run.reader.state.requests]


def _rollout_row(run: RunToExport, record: RolloutRecord) -> Row:
    state, config = run.reader.state, run.reader.config
    counts = state.outcomes.get(record.instance_id) is record
    grade = state.verdicts.get(record.instance_id) if counts else None
    finding = run.findings.get(record.instance_id) if counts else None
    failure = record.failure or (state.failures.get(record.instance_id) if counts else None)
    return {
        "run_id": state.run_id,
        "benchmark": config.benchmark.name,
        "model": config.model.name if config.model else "",
        "agent": config.agent_name,
        "instance_id": record.instance_id,
        "repo": state.instances[record.instance_id],
        "attempt": record.key.attempt,
        "counts": counts,
        "outcome": str(record.outcome or ""),
        "resolved": _resolved(record, grade) if counts else None,
        "verdict_from": str(grade.reason or "") if grade else "",
        "cause": str(finding.cause or "") if finding else "",
        "because": finding.because if finding else "",
        "spoofed": finding.spoofed if finding else "",
        "failure": str(failure.kind) if failure else "",
        "failure_detail": failure.detail if failure else "",
        "salvaged": record.salvaged,
        "patch_bytes": record.patch_bytes,
        **asdict(record.usage),
        "unusable_answers": record.unusable_answers,
        "tool_calls": record.calls.calls if record.calls else 0,
        "broken_tool_calls": record.calls.broken if record.calls else 0,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        **{f"{phase}_s": record.phases_s.get(phase, 0.0) for phase in PHASES},
        "graded_s": grade.ended_at - grade.started_at if grade else None,
        "image": record.image,
        "notes": "; ".join(record.notes),
    }


def _resolved(record: RolloutRecord, grade: GradeRecord | None) -> bool | None:
    """None where there is no verdict. What has changed nothing is unresolved without a grade."""
    if not record.has_patch:
        return False
    return grade.resolved if grade else None


def _request_row(run_id: str, request: ModelRequest) -> Row:
    row = asdict(request)
    key = row.pop("key")
    return {
        "run_id": run_id,
        "instance_id": key["instance_id"],
        "attempt": key["attempt"],
        **row,
        "result": str(request.result),
        "server": request.server,
    }


def export_parquet(run: RunToExport, folder: Path) -> Exported:
    """rollouts.parquet and requests.parquet; times are UTC."""
    tables = {ROLLOUTS: rollout_rows(run), REQUESTS: request_rows(run)}
    for name, rows in tables.items():
        write_atomic(folder / f"{name}.parquet", _parquet(rows))
    words = ", ".join(f"{counted(len(rows), name[:-1])}" for name, rows in tables.items())
    return Exported(folder, words)


def export_csv(run: RunToExport, folder: Path) -> Exported:
    """rollouts.csv and requests.csv."""
    tables = {ROLLOUTS: rollout_rows(run), REQUESTS: request_rows(run)}
    for name, rows in tables.items():
        write_atomic(folder / f"{name}.csv", csv_text(rows))
    words = ", ".join(f"{counted(len(rows), name[:-1])}" for name, rows in tables.items())
    return Exported(folder, words)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """By RFC 4180, with a line of names; times as ISO 8601. A text that a spreadsheet would compute
    has an apostrophe before it."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows({name: _cell(name, value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(name: str, value: Any) -> Any:
    if name in TIMES and isinstance(value, float):
        return iso(value)
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def _parquet(rows: Sequence[Row]) -> bytes:
    import pandas  # takes a second to import

    table = pandas.DataFrame(rows)
    for name in TIMES:
        if name in table:
            times = [datetime.fromtimestamp(seconds, UTC) for seconds in table[name]]
            table[name] = pandas.to_datetime(pandas.Series(times), utc=True)
    for name, kind in NULLABLE.items():
        if name in table:
            table[name] = table[name].astype(kind)  # type: ignore[call-overload]
    data = io.BytesIO()
    table.to_parquet(data, index=False)
    return data.getvalue()
