"""A run as tables, a row a rollout and a row a request: for pandas and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from orchestrator.evidence.facts import Finding
from orchestrator.exports.base import Exported, RunToExport, iso
from orchestrator.exports.pandas_tables import parquet_bytes
from orchestrator.paths import write_atomic
from orchestrator.report.words import counted
from orchestrator.types import GradeRecord, ModelRequest, RequestResult, RolloutRecord, Usage

TIMES = ("started_at", "ended_at")
"""Columns of seconds since the epoch, which tables show as times in UTC."""
PHASES = ("image", "sandbox", "agent", "harvest", "remove")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of text may begin with that spreadsheets compute (OWASP, CSV injection)."""


@dataclass(frozen=True)
class RolloutRow:
    """One rollout; its fields are the table's columns. Durations in seconds."""

    run_id: str
    benchmark: str
    model: str
    """Empty where none was asked."""
    agent: str
    instance_id: str
    repo: str
    attempt: int = 0
    """0 where there was none yet."""
    counts: bool = False
    """Whether it is its instance's outcome; then the verdict stands in the same row."""
    outcome: str = ""
    resolved: bool | None = None
    """None where there is no verdict. What has changed nothing is unresolved without a grade."""
    verdict_from: str = ""
    cause: str = ""
    because: str = ""
    spoofed: str = ""
    failure: str = ""
    """Of the rollout, or where it counts, of its grade."""
    failure_detail: str = ""
    salvaged: bool = False
    patch_bytes: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_s: float = 0.0
    held_s: float = 0.0
    unusable_answers: int = 0
    tool_calls: int = 0
    broken_tool_calls: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    image_s: float = 0.0
    sandbox_s: float = 0.0
    agent_s: float = 0.0
    harvest_s: float = 0.0
    remove_s: float = 0.0
    graded_s: float | None = None
    image: str = ""
    notes: str = ""


@dataclass(frozen=True)
class RequestRow:
    """One request of an agent to its model, as `types.ModelRequest` has it."""

    run_id: str
    instance_id: str
    attempt: int
    result: RequestResult
    server: str
    status: int
    started_at: float
    total_s: float
    queue_s: float
    held_s: float
    first_token_s: float | None
    retries: int
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    reasoning_tokens: int


Row = RolloutRow | RequestRow
OF_REQUESTS = tuple(f.name for f in fields(RequestRow) if f.name in ModelRequest.__annotations__)
OF_USAGE = tuple(Usage.__annotations__)


def rollout_rows(run: RunToExport) -> list[RolloutRow]:
    """One row a rollout, failed ones too, in the order in which they ended."""
    return [_rollout_row(run, record) for record in run.reader.state.rollouts]


def instance_rows(run: RunToExport) -> list[RolloutRow]:
    """One row an instance, in the run's order: the rollout that counts, else its last one."""
    state = run.reader.state
    last = {record.instance_id: record for record in state.rollouts} | dict(state.outcomes)
    return [
        _rollout_row(run, last[instance_id])
        if instance_id in last
        else RolloutRow(**_names(run), instance_id=instance_id, repo=repo)
        for instance_id, repo in state.instances.items()
    ]


def request_rows(run: RunToExport) -> list[RequestRow]:
    """One row a request, in the order in which they ended."""
    return [
        RequestRow(
            run_id=request.key.run_id,
            instance_id=request.key.instance_id,
            attempt=request.key.attempt,
            **{name: getattr(request, name) for name in OF_REQUESTS},
        )
        for request in run.reader.state.requests
    ]


def _names(run: RunToExport) -> dict[str, Any]:
    config = run.reader.config
    return {
        "run_id": run.reader.state.run_id,
        "benchmark": config.benchmark.name,
        "model": config.model.name if config.model else "",
        "agent": config.agent_name,
    }


def _rollout_row(run: RunToExport, record: RolloutRecord) -> RolloutRow:
    state = run.reader.state
    counts = state.outcomes.get(record.instance_id) is record
    grade = state.verdicts.get(record.instance_id) if counts else None
    finding = run.finding(record.instance_id) if counts else Finding(record.instance_id)
    failure = record.failure or (state.failures.get(record.instance_id) if counts else None)
    return RolloutRow(
        **_names(run),
        instance_id=record.instance_id,
        repo=state.instances[record.instance_id],
        attempt=record.key.attempt,
        counts=counts,
        outcome=str(record.outcome or ""),
        resolved=_resolved(record, grade) if counts else None,
        verdict_from=str(grade.reason or "") if grade else "",
        cause=str(finding.cause or ""),
        because=finding.because,
        spoofed=finding.spoofed,
        failure=str(failure.kind) if failure else "",
        failure_detail=failure.detail if failure else "",
        salvaged=record.salvaged,
        patch_bytes=record.patch_bytes,
        unusable_answers=record.unusable_answers,
        tool_calls=record.calls.calls if record.calls else 0,
        broken_tool_calls=record.calls.broken if record.calls else 0,
        started_at=record.started_at,
        ended_at=record.ended_at,
        graded_s=grade.ended_at - grade.started_at if grade else None,
        image=record.image,
        notes="; ".join(record.notes),
        **_usage_and_phases(record),
    )


def _usage_and_phases(record: RolloutRecord) -> dict[str, Any]:
    usage = {name: getattr(record.usage, name) for name in OF_USAGE}
    return usage | {f"{phase}_s": record.phases_s.get(phase, 0.0) for phase in PHASES}


def _resolved(record: RolloutRecord, grade: GradeRecord | None) -> bool | None:
    if not record.has_patch:
        return False
    return grade.resolved if grade else None


def _tables(run: RunToExport) -> Mapping[str, tuple[type[Row], Sequence[Row]]]:
    """By the files' name: a table's columns, and its rows."""
    return {
        "rollouts": (RolloutRow, rollout_rows(run)),
        "requests": (RequestRow, request_rows(run)),
    }


def _words(tables: Mapping[str, tuple[type[Row], Sequence[Row]]]) -> str:
    """`324 rollouts, 10,355 requests`."""
    return ", ".join(counted(len(rows), name[:-1]) for name, (_, rows) in tables.items())


def export_parquet(run: RunToExport, folder: Path) -> Exported:
    """rollouts.parquet and requests.parquet; times are UTC."""
    tables = _tables(run)
    for name, (columns, rows) in tables.items():
        data = parquet_bytes(_types(columns), list(map(asdict, rows)), TIMES)
        write_atomic(folder / f"{name}.parquet", data)
    return Exported(folder, _words(tables))


def export_csv(run: RunToExport, folder: Path) -> Exported:
    """rollouts.csv and requests.csv."""
    tables = _tables(run)
    for name, (columns, rows) in tables.items():
        write_atomic(folder / f"{name}.csv", _csv(columns, rows))
    return Exported(folder, _words(tables))


def instances_csv(run: RunToExport) -> str:
    """A row an instance."""
    return _csv(RolloutRow, instance_rows(run))


def _types(columns: type[Row]) -> dict[str, str]:
    """Column to type, as it is written in the class."""
    return {field.name: str(field.type) for field in fields(columns)}


def _csv(columns: type[Row], rows: Sequence[Row]) -> str:
    return csv_text(tuple(_types(columns)), list(map(asdict, rows)))


def csv_text(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """By RFC 4180, with a line of names; times as ISO 8601. A text that a spreadsheet would compute
    has an apostrophe before it."""
    text = io.StringIO()
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
