"""A benchmark to the instances that a run covers and, apart from them, their sealed answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.config.schema import Benchmark, Selection
from orchestrator.dataset.rows import SourceRow, check_rows
from orchestrator.dataset.selection import select
from orchestrator.dataset.sources import read_rows, task_repo_of
from orchestrator.errors import ConfigError
from orchestrator.gold_answers import GoldAnswer, seal, unseal
from orchestrator.types import Instance, SealedAnswer

ROW_COLUMNS = ("instance_id", "repo", "base_commit", "problem_statement", "patch", "version")
TEST_COLUMNS = ("FAIL_TO_PASS", "PASS_TO_PASS")
V5_COLUMNS = ("image", "eval_script", "log_parser", "eval_type")


@dataclass(frozen=True)
class Dataset:
    """The instances that a run covers, in order, and apart from them the answers by instance id."""

    instances: tuple[Instance, ...]
    answers: Mapping[str, SealedAnswer]
    sha256: str
    """Of the selected rows, in their order, as their source has them."""
    of_benchmark: int = field(default=0, compare=False)
    """How many instances the whole benchmark has; 0 where that is not known. Rows that a run has
    kept do not say it."""


def load_dataset(benchmark: Benchmark, selection: Selection | None = None) -> Dataset:
    """Read the benchmark, select from it, and check what is selected.

    Raises:
        ConfigError: not a dataset, columns are missing, a selected id is unknown, or a selected row
            can't be run or graded.
        PrerequisiteError: the hub can't be reached.
    """
    rows = read_rows(benchmark)
    source = f"dataset {benchmark.source}"
    _require_columns(rows, source)
    by_label = _by_label(rows, source)
    chosen = [by_label[label] for label in select(list(by_label), selection or Selection())]
    task_repo = task_repo_of(benchmark)
    checked = check_rows(chosen, source)
    if task_repo is not None:
        _require_folders(checked, task_repo)
    dataset = dataset_of(checked, task_repo, _digest(row.values for row in chosen))
    return replace(dataset, of_benchmark=len(by_label))


def dataset_of(
    rows: Sequence[Mapping[str, Any]], task_repo: Path | None, sha256: str = ""
) -> Dataset:
    """Checked rows in two halves: what an agent may see, and what it must not."""
    instances = tuple(_instance(row, task_repo) for row in rows)
    answers = {
        row["instance_id"]: seal(GoldAnswer(row["instance_id"], row["patch"], row)) for row in rows
    }
    return Dataset(instances, answers, sha256)


def rows_of(dataset: Dataset) -> Iterator[Mapping[str, Any]]:
    """The whole rows again, answers and all, in the run's order."""
    for instance in dataset.instances:
        yield unseal(dataset.answers[instance.instance_id]).row


def _require_columns(rows: Sequence[SourceRow], source: str) -> None:
    """Raises ConfigError where a column is in no row: then it is another kind of dataset."""
    if not rows:
        raise ConfigError(f"{source} has no rows")
    present = set().union(*(row.values for row in rows))
    missing = [c for c in (*ROW_COLUMNS, *TEST_COLUMNS) if c not in present]
    if missing:
        raise ConfigError(f"{source} is not SWE-bench's: no column {', '.join(missing)}")
    missing = [column for column in V5_COLUMNS if column not in present]
    if missing:
        raise ConfigError(
            f"{source} lacks the v5 columns {', '.join(missing)}; use the SWE-bench/… datasets "
            "(the princeton-nlp/… ones are older), or build your own with `swebench dataset build`"
        )


def _by_label(rows: Iterable[SourceRow], source: str) -> dict[str, SourceRow]:
    """Raises ConfigError where an id stands twice: a selection could mean either."""
    found: dict[str, SourceRow] = {}
    for row in rows:
        other = found.setdefault(row.label, row)
        if other is not row:
            raise ConfigError(
                f"{source} holds {row.label!r} more than once: {other.where} and {row.where}"
            )
    return found


def _require_folders(rows: Iterable[Mapping[str, Any]], task_repo: Path) -> None:
    for row in rows:
        name = row["instance_id"]
        if not (task_repo / "tasks" / name).is_dir():
            raise ConfigError(
                f"{task_repo} has no folder tasks/{name}: a task's folder is named by its "
                "instance_id"
            )


def _instance(row: Mapping[str, Any], task_repo: Path | None) -> Instance:
    instance_id = row["instance_id"]
    return Instance(
        instance_id=instance_id,
        repo=row["repo"],
        base_commit=row["base_commit"],
        problem_statement=row["problem_statement"],
        image=row["image"],
        version=row["version"],
        task_dir=str(task_repo / "tasks" / instance_id) if task_repo else None,
    )


def _digest(rows: Iterable[Mapping[str, Any]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        text = json.dumps({key: str(row[key]) for key in sorted(row)}, ensure_ascii=False)
        digest.update(text.encode("utf-8"))
    return digest.hexdigest()
