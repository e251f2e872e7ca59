"""The rows of a run, kept with it: what it began with, whatever becomes of the dataset."""

from __future__ import annotations

import hashlib
import json

from orchestrator.config.schema import Benchmark
from orchestrator.dataset.load import Dataset, dataset_of, rows_of
from orchestrator.dataset.rows import SourceRow, check_rows
from orchestrator.dataset.sources import task_repo_of
from orchestrator.errors import ConfigError
from orchestrator.text_files import kind_of, parse_json_lines


def kept_rows(dataset: Dataset) -> str:
    """The text of a run's rows.jsonl: a row a line, in the run's order."""
    return "".join(json.dumps(row) + "\n" for row in rows_of(dataset))


def row_digests(text: str, name: str) -> dict[str, str]:
    """SHA-256 of each row by its instance, of a text that `kept_rows` made. Raises ConfigError."""
    return {
        str(row["instance_id"]): hashlib.sha256(json.dumps(row).encode("utf-8")).hexdigest()
        for _, row in parse_json_lines(text, name)
        if isinstance(row, dict) and "instance_id" in row
    }


def read_kept_rows(text: str, name: str, benchmark: Benchmark, sha256: str) -> Dataset:
    """The dataset of which `kept_rows` made the text. `sha256` is what it had.

    Raises:
        ConfigError: a row can't be read, or not be used with the harness as it is now.
    """
    rows = []
    for number, row in parse_json_lines(text, name):
        if not isinstance(row, dict):
            raise ConfigError(f"{name}, line {number}: is {kind_of(row)}, and must be a row")
        rows.append(SourceRow(f"line {number}", row))
    return dataset_of(check_rows(rows, name), task_repo_of(benchmark), sha256)
