"""Benchmarks to instances: from the hub, from local files, or from official v5 task repos."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.keys import nearest
from orchestrator.config.schema import Benchmark, Selection
from orchestrator.connections import environment_for, problem_words, way_to
from orchestrator.errors import ConfigError, PrerequisiteError, one_line
from orchestrator.gold_answers import GoldAnswer, seal
from orchestrator.types import Instance, SealedAnswer

BUNDLED = {name: Path(__file__).parent / name for name in ("demo", "smoke")}
"""The task repos that ship with this project, by the NAME of `bundled:NAME`."""
ROW_COLUMNS = ("instance_id", "repo", "base_commit", "problem_statement", "patch", "version")
TEST_COLUMNS = ("FAIL_TO_PASS", "PASS_TO_PASS")
V5_COLUMNS = ("image", "eval_script", "log_parser", "eval_type")


@dataclass(frozen=True)
class Dataset:
    """The instances that a run covers, in order, and apart from them the answers by instance id."""

    instances: tuple[Instance, ...]
    answers: Mapping[str, SealedAnswer]
    sha256: str
    """Of the selected rows, in their order."""


def load_dataset(benchmark: Benchmark, selection: Selection | None = None) -> Dataset:
    """Read the benchmark and select from it.

    Raises:
        ConfigError: not a dataset, columns are missing, or a selected id is unknown.
        PrerequisiteError: the hub can't be reached.
    """
    rows, task_repo = _read(benchmark)
    _require_columns(rows, benchmark)
    by_id = {str(row["instance_id"]): row for row in rows}
    chosen = select(list(by_id), selection or Selection())
    instances = tuple(_instance(by_id[instance_id], task_repo) for instance_id in chosen)
    answers = {
        instance_id: seal(
            GoldAnswer(instance_id, str(by_id[instance_id]["patch"]), by_id[instance_id])
        )
        for instance_id in chosen
    }
    return Dataset(instances, answers, _digest([by_id[instance_id] for instance_id in chosen]))


def task_repo_of(benchmark: Benchmark) -> Path | None:
    """The task repo that a benchmark is read from; None where it is rows of a file or of the hub.

    Raises:
        ConfigError: no such bundled benchmark.
    """
    if benchmark.is_bundled:
        _, colon, name = benchmark.source.partition(":")
        if not colon:
            name = "demo"
        if name not in BUNDLED:
            raise ConfigError(f"unknown bundled benchmark {name!r}{nearest(name, list(BUNDLED))}")
        return BUNDLED[name]
    path = Path(benchmark.source).expanduser()
    return path if path.is_dir() else None


def select(instance_ids: Sequence[str], selection: Selection) -> list[str]:
    """Ids in the order that the run takes them: filter, then shuffle, then slice."""
    chosen = list(instance_ids)
    if selection.instances:
        wanted: dict[str, None] = {}
        for pattern in _expand_files(selection.instances):
            wanted |= dict.fromkeys(_matching(pattern, instance_ids))
        chosen = [instance_id for instance_id in instance_ids if instance_id in wanted]
    if selection.shuffle:
        random.Random(selection.seed).shuffle(chosen)
    if selection.slice is not None:
        chosen = chosen[_parse_slice(selection.slice)]
    if not chosen:
        raise ConfigError("the selection leaves no instance; widen --instances or --slice")
    return chosen


def _expand_files(patterns: Sequence[str]) -> list[str]:
    expanded: list[str] = []
    for pattern in patterns:
        if not pattern.startswith("@"):
            expanded.append(pattern)
            continue
        try:
            text = Path(pattern[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--instances {pattern}: {error}") from None
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        expanded += [line for line in lines if line]
    return expanded


def _matching(pattern: str, instance_ids: Sequence[str]) -> list[str]:
    if pattern in instance_ids:
        return [pattern]
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--instances {pattern!r} is no id and no regex: {error}") from None
    found = [instance_id for instance_id in instance_ids if regex.fullmatch(instance_id)]
    if not found:
        known = list(instance_ids)
        hint = nearest(pattern, known) if len(known) <= 20 else _nearest_only(pattern, known)
        raise ConfigError(f"unknown instance {pattern!r}{hint}")
    return found


def _nearest_only(pattern: str, known: list[str]) -> str:
    hint = nearest(pattern, known)
    return hint if "did you mean" in hint else f"; none of the {len(known)} ids matches it"


def _parse_slice(text: str) -> slice:
    match = re.fullmatch(r"(-?\d+)?:(-?\d+)?", text.strip())
    if not match:
        raise ConfigError(f"--slice {text!r}: write it as START:STOP, such as 0:50")
    start, stop = (int(part) if part else None for part in match.groups())
    return slice(start, stop)


def _read(benchmark: Benchmark) -> tuple[list[dict[str, Any]], Path | None]:
    task_repo = task_repo_of(benchmark)
    if task_repo is not None:
        return _read_task_repo(task_repo), task_repo
    path = Path(benchmark.source).expanduser()
    if path.suffix in (".parquet", ".jsonl", ".json"):
        return _read_file(path), None
    if benchmark.dataset_dir:
        return _read_file(_local_copy(benchmark)), None
    return _read_hub(benchmark), None


def _local_copy(benchmark: Benchmark) -> Path:
    """The file in dataset_dir that stands for a hub dataset."""
    assert benchmark.dataset_dir is not None
    folder = Path(benchmark.dataset_dir).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"--dataset-dir {folder}: no such folder")
    stem = f"{benchmark.source.split('/')[-1]}-{benchmark.split}"
    names = [benchmark.data_file] if benchmark.data_file else []
    names += [f"{stem}{suffix}" for suffix in (".parquet", ".jsonl", ".json")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"--dataset-dir {folder} holds no {' or '.join(dict.fromkeys(names))}")


def _read_file(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            import pandas  # takes a second to import, and only this needs it

            frame = pandas.read_parquet(path)
            return [{str(key): row[key] for key in row} for row in frame.to_dict("records")]
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = json.loads(text)
    except OSError as error:
        raise ConfigError(f"dataset {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"dataset {path} can't be read: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"dataset {path} is not a list of rows")
    return rows


def _read_task_repo(path: Path) -> list[dict[str, Any]]:
    from swebench.task.repo import select_tasks

    try:
        return [dict(row) for row in select_tasks(path)]
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{path} is not an official v5 task repo: {error}; try `swebench dataset check {path}`"
        ) from None


def _read_hub(benchmark: Benchmark) -> list[dict[str, Any]]:
    import datasets
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.constants import ENDPOINT

    datasets.disable_progress_bars()
    try:
        with environment_for(ENDPOINT):
            table = datasets.load_dataset(benchmark.source, split=benchmark.split)
        return [dict(row) for row in table]
    except DatasetNotFoundError:
        raise ConfigError(f"the hub has no dataset {benchmark.source!r}") from None
    except ValueError as error:
        raise ConfigError(f"dataset {benchmark.source}: {one_line(error)}") from None
    except PrerequisiteError:
        raise
    except (OSError, RuntimeError) as error:
        # the hub's client raises both its own errors and plain ones for "no network"
        name = benchmark.data_file or f"{benchmark.source.split('/')[-1]}-{benchmark.split}.parquet"
        raise PrerequisiteError(
            f"can't load {benchmark.source} from the Hugging Face hub{way_to(ENDPOINT)} "
            f"({problem_words(error)}).",
            f"Check the network, or pass --dataset-dir DIR with a folder that holds {name}.",
        ) from None


def _require_columns(rows: Sequence[Mapping[str, Any]], benchmark: Benchmark) -> None:
    if not rows:
        raise ConfigError(f"dataset {benchmark.source} has no rows")
    present = set.intersection(*(set(row) for row in rows))
    missing = [c for c in (*ROW_COLUMNS, *TEST_COLUMNS) if c not in present]
    if missing:
        raise ConfigError(
            f"dataset {benchmark.source} is not SWE-bench's: no column {', '.join(missing)}"
        )
    counts = Counter(str(row["instance_id"]) for row in rows)
    doubled = [instance_id for instance_id, count in counts.items() if count > 1]
    if doubled:
        raise ConfigError(f"dataset {benchmark.source} holds {doubled[0]!r} more than once")
    missing = [column for column in V5_COLUMNS if column not in present]
    if missing:
        raise ConfigError(
            f"dataset {benchmark.source} lacks the v5 columns {', '.join(missing)}; use the "
            "SWE-bench/… datasets (the princeton-nlp/… ones are older), or build your own with "
            "`swebench dataset build`"
        )


def _instance(row: Mapping[str, Any], task_repo: Path | None) -> Instance:
    instance_id = str(row["instance_id"])
    return Instance(
        instance_id=instance_id,
        repo=str(row["repo"]),
        base_commit=str(row["base_commit"]),
        problem_statement=str(row["problem_statement"]),
        image=str(row["image"]),
        version=str(row["version"]),
        task_dir=str(task_repo / "tasks" / instance_id) if task_repo else None,
    )


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        text = json.dumps({key: str(row[key]) for key in sorted(row)}, ensure_ascii=False)
        digest.update(text.encode("utf-8"))
    return digest.hexdigest()
