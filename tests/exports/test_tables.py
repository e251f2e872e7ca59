"""Tables as pandas and spreadsheets read them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pandas
import pytest

from orchestrator.exports.base import RunToExport
from orchestrator.exports.tables import (
    csv_text,
    export_csv,
    export_parquet,
    instance_rows,
    instances_csv,
    rollout_rows,
)
from orchestrator.journal import RunState
from orchestrator.types import FailureKind


@pytest.mark.slow
def test_pandas_reads_one_row_a_rollout(run: RunToExport, tmp_path: Path) -> None:
    export_parquet(run, tmp_path)

    table = pandas.read_parquet(tmp_path / "rollouts.parquet")

    state = run.reader.state
    assert len(table) == len(state.rollouts)
    assert table["resolved"].sum() == run.report.resolved
    assert table["steps"].sum() == run.report.steps
    assert table["prompt_tokens"].sum() == run.report.tokens["prompt"]
    assert table["counts"].sum() == run.report.attempted
    assert str(table["started_at"].dtype.tz) == "UTC"
    seconds = table["started_at"].map(lambda time: time.timestamp())
    assert seconds.tolist() == pytest.approx([row.started_at for row in state.rollouts])


@pytest.mark.slow
def test_pandas_reads_one_row_a_request(run: RunToExport, tmp_path: Path) -> None:
    export_parquet(run, tmp_path)

    table = pandas.read_parquet(tmp_path / "requests.parquet")

    assert len(table) == len(run.reader.state.requests)
    assert table["completion_tokens"].sum() == run.report.tokens["completion"]
    assert set(table["result"]) == {"answered"}


@pytest.mark.slow
def test_a_rate_computed_in_pandas_is_the_reports(run: RunToExport, tmp_path: Path) -> None:
    export_parquet(run, tmp_path)
    table = pandas.read_parquet(tmp_path / "rollouts.parquet")

    by_repo = table[table["counts"]].groupby("repo")["resolved"].sum()

    assert {
        repo: row["resolved"] for repo, row in run.report.by_repo.items() if repo in by_repo
    } == (by_repo.to_dict())


def test_what_has_no_verdict_is_neither_true_nor_false(run: RunToExport) -> None:
    rows = rollout_rows(run)

    failed = [row for row in rows if row.failure == FailureKind.SANDBOX_UNAVAILABLE]
    assert failed
    assert {row.resolved for row in failed} == {None}
    unchanged = [row for row in rows if row.counts and not row.patch_bytes]
    assert {row.resolved for row in unchanged} == {False}


@pytest.mark.slow
def test_a_run_that_has_done_nothing_yet_has_empty_tables(run: RunToExport, tmp_path: Path) -> None:
    state = RunState("empty", run.reader.state.instances)
    empty = replace(run, reader=replace(run.reader, state=state), patches={})

    for name, export in (("none", empty), ("some", run)):
        (tmp_path / name).mkdir()
        export_parquet(export, tmp_path / name)

    for file in ("rollouts.parquet", "requests.parquet"):
        table = pandas.read_parquet(tmp_path / "none" / file)
        assert len(table) == 0
        assert table.dtypes.equals(pandas.read_parquet(tmp_path / "some" / file).dtypes)
    assert len(instance_rows(empty)) == len(state.instances)
    assert instances_csv(empty).count("\n") == len(state.instances) + 1


def test_a_table_of_instances_has_each_once_in_the_runs_order(run: RunToExport) -> None:
    rows = instance_rows(run)

    assert [row.instance_id for row in rows] == list(run.reader.state.instances)
    assert sum(row.resolved is True for row in rows) == run.report.resolved


@pytest.mark.slow
def test_a_csv_comes_back_as_it_was(run: RunToExport, tmp_path: Path) -> None:
    export_csv(run, tmp_path)

    table = pandas.read_csv(tmp_path / "rollouts.csv", parse_dates=["started_at", "ended_at"])

    assert len(table) == len(run.reader.state.rollouts)
    assert table["instance_id"].tolist() == [row.instance_id for row in run.reader.state.rollouts]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")'],
)
def test_a_spreadsheet_computes_nothing_that_a_model_wrote(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(csv_text(["because"], [{"because": text}])))

    assert row["because"] == f"'{text}"


@pytest.mark.parametrize("text", ["a,b", 'say "hi"', "two\nlines", "\u2028 sep", "naïve", ""])
def test_text_with_separators_stays_one_cell(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(csv_text(["a", "b"], [{"a": text, "b": 1.5}]), newline=""))

    assert row == {"a": text, "b": "1.5"}
