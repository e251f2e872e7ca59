"""Where rows come from: the hub, local files, or official v5 task repos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.keys import nearest
from orchestrator.config.load import DATASET_FILES
from orchestrator.config.schema import Benchmark
from orchestrator.dataset.rows import SourceRow
from orchestrator.errors import ConfigError, PrerequisiteError, one_line
from orchestrator.network.connections import Way, environment_for, open_client, way_to
from orchestrator.network.problems import Problem
from orchestrator.text_files import kind_of, read_json, read_json_lines

BUNDLED = {name: Path(__file__).parents[1] / name for name in ("demo", "smoke")}
"""The task repos that ship with this project, by the NAME of `bundled:NAME`."""
HUB_TIMEOUT_S = 4.0


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
    path = _local(benchmark.source)
    is_folder = os.path.isdir(path) or (path.is_absolute() and not _is_file(path))
    return path if is_folder else None


def is_local(benchmark: Benchmark) -> bool:
    """Whether its rows lie on this host, so that the hub need not be asked for them."""
    if benchmark.dataset_dir is not None or task_repo_of(benchmark) is not None:
        return True
    return _is_file(_local(benchmark.source))


def read_rows(benchmark: Benchmark) -> list[SourceRow]:
    """All rows, as they are.

    Raises:
        ConfigError: not a dataset.
        PrerequisiteError: the hub can't be reached.
    """
    task_repo = task_repo_of(benchmark)
    if task_repo is not None:
        return _read_task_repo(task_repo)
    path = _local(benchmark.source)
    if _is_file(path):
        return _read_file(path)
    if benchmark.dataset_dir:
        return _read_file(_local_copy(benchmark))
    return _numbered(_read_hub(benchmark), f"dataset {benchmark.source}")


def _local(source: str) -> Path:
    return Path(os.path.expanduser(source))


def _is_file(path: Path) -> bool:
    """By its name, whether it is there or not."""
    return path.suffix.lower() in DATASET_FILES


def _local_copy(benchmark: Benchmark) -> Path:
    """The file in dataset_dir that stands for a hub dataset."""
    assert benchmark.dataset_dir is not None
    folder = _local(benchmark.dataset_dir)
    if not os.path.isdir(folder):
        raise ConfigError(f"--dataset-dir {folder}: no such folder")
    stem = f"{benchmark.source.split('/')[-1]}-{benchmark.split}"
    names = [benchmark.data_file] if benchmark.data_file else []
    names += [f"{stem}{suffix}" for suffix in DATASET_FILES]
    for name in names:
        if os.path.isfile(folder / name):
            return folder / name
    raise ConfigError(f"--dataset-dir {folder} holds no {' or '.join(dict.fromkeys(names))}")


def _read_file(path: Path) -> list[SourceRow]:
    name = f"dataset {path}"
    if path.suffix.lower() == ".parquet":
        return _numbered(_read_parquet(path, name), name)
    if path.suffix.lower() == ".jsonl":
        rows = ((f"line {number}", row) for number, row in read_json_lines(path, name))
        return list(_as_rows(rows, name))
    found = read_json(path, name)
    if not isinstance(found, list):
        raise ConfigError(f"{name} is not a list of rows: it is {kind_of(found)}")
    return _numbered(found, name)


def _read_parquet(path: Path, name: str) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow.parquet import ParquetFile  # `read_table` would import pandas, half a second more

    try:
        with open(path, "rb") as file:
            table = ParquetFile(file).read()
        return list(table.drop_columns(_pandas_index(table.schema)).to_pylist())
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror or one_line(error)}") from None
    except (pyarrow.ArrowException, ValueError, LookupError, TypeError, OverflowError) as error:
        raise ConfigError(f"{name} can't be read: {one_line(error)}") from None


def _pandas_index(schema: Any) -> list[str]:
    """The columns in which pandas keeps the names of its rows, which are no values of theirs."""
    described = schema.pandas_metadata
    kept = described.get("index_columns", []) if isinstance(described, dict) else []
    return [column for column in schema.names if column in kept]


def _numbered(rows: Iterable[Any], name: str) -> list[SourceRow]:
    return list(_as_rows(((f"row {n}", row) for n, row in enumerate(rows, start=1)), name))


def _as_rows(rows: Iterable[tuple[str, Any]], name: str) -> Iterator[SourceRow]:
    for where, row in rows:
        if not isinstance(row, dict):
            raise ConfigError(f"{name} is not a list of rows: {where} is {kind_of(row)}")
        yield SourceRow(where, row)


def _read_task_repo(path: Path) -> list[SourceRow]:
    from swebench.task.repo import load_task, select_tasks, task_dirs

    # swebench checks nothing: whatever its reading of somebody's files raises is a file's fault
    odd = (OSError, LookupError, ValueError, TypeError, AttributeError, RecursionError)
    try:
        rows = [dict(row) for row in select_tasks(path)]
        return [SourceRow(f"tasks/{row['instance_id']}", row) for row in rows]
    except (*odd, yaml.YAMLError) as error:
        problem, where = one_line(error), path
    try:
        for where in task_dirs(path):
            load_task(where)
    except (*odd, yaml.YAMLError) as error:
        problem = one_line(error)
    else:
        where = path
    raise ConfigError(
        f"{where} is not of an official v5 task repo: {problem}; "
        f"try `swebench dataset check {path}`"
    )


def _read_hub(benchmark: Benchmark) -> list[dict[str, Any]]:
    """By the hub's own client, which asks six times within 24 s before it takes what it has kept:
    where the hub is away, it is told to take that at once."""
    import datasets
    import pyarrow
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.constants import ENDPOINT

    datasets.disable_progress_bars()
    try:
        with environment_for(ENDPOINT):
            way = way_to(ENDPOINT)
            problem = _why_no_hub(way)
            with _without_hub() if problem else nullcontext():
                table = datasets.load_dataset(benchmark.source, split=benchmark.split)
        return [dict(row) for row in table]
    except DatasetNotFoundError:
        raise ConfigError(f"the hub has no dataset {benchmark.source!r}") from None
    except (ValueError, DatasetsError, pyarrow.ArrowException) as error:
        raise ConfigError(f"dataset {benchmark.source}: {one_line(error)}") from None
    except PrerequisiteError:
        raise
    except (OSError, RuntimeError) as error:
        # the hub's client raises both its own errors and plain ones for "no network"
        name = benchmark.data_file or f"{benchmark.source.split('/')[-1]}-{benchmark.split}.parquet"
        problem = problem or way.problem(error)
        raise PrerequisiteError(
            f"can't load {benchmark.source} from the Hugging Face hub, {ENDPOINT}{way} "
            f"({problem.what}).",
            f"{problem.cure or 'Check the network.'} Or pass --dataset-dir DIR with a folder that "
            f"holds {name}.",
        ) from None


def _why_no_hub(way: Way) -> Problem | None:
    """What keeps the hub away; None where it answers, whatever it says."""
    import httpx

    try:
        with open_client(way.url, timeout=HUB_TIMEOUT_S) as client:
            client.head(way.url)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return way.problem(error)
    return None


@contextmanager
def _without_hub() -> Iterator[None]:
    """The switch of the hub's client that HF_HUB_OFFLINE sets when it is imported."""
    import datasets.config
    import huggingface_hub.constants

    owners: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [owner.HF_HUB_OFFLINE for owner in owners]
    try:
        for owner in owners:
            owner.HF_HUB_OFFLINE = True
        yield
    finally:
        for owner, was in zip(owners, before, strict=True):
            owner.HF_HUB_OFFLINE = was
