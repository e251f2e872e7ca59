"""The rows that a run is made up from: real ones where they can be had, else made-up ones too."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.dataset.load import dataset_of
from orchestrator.dataset.rows import SourceRow, check_rows
from orchestrator.errors import PrerequisiteError
from orchestrator.made_up.facts import NAME
from orchestrator.made_up.rows import made_up_rows

ROWS = 300
"""As many as SWE-bench Lite has."""


@dataclass(frozen=True)
class BenchmarkRows:
    """A benchmark with its rows, and in words which one it is."""

    benchmark: Benchmark
    dataset: Dataset
    words: str


def made_up_benchmark(count: int = ROWS, seed: int = 0) -> BenchmarkRows:
    """Rows of projects that do not exist."""
    rows = [SourceRow(f"row {n}", row) for n, row in enumerate(made_up_rows(count, seed), start=1)]
    benchmark = Benchmark(
        name=NAME,
        description="Instances of projects that do not exist; they can be looked at, not run.",
        source=f"{NAME}.jsonl",
    )
    dataset = dataset_of(check_rows(rows, NAME), None, f"made up from seed {seed}")
    return BenchmarkRows(benchmark, dataset, f"{count} made-up instances")


def lite_or_made_up(dataset_dir: str | None, seed: int = 0) -> BenchmarkRows:
    """SWE-bench Lite from a folder, else from the hub, else a made-up benchmark of its size.

    Raises:
        ConfigError: the folder does not hold it.
    """
    settings = {"benchmark.dataset_dir": dataset_dir} if dataset_dir else {}
    benchmark = load_config(RunRequest("lite", "scripted", settings=settings)).benchmark
    try:
        dataset = load_dataset(benchmark)
    except PrerequisiteError as error:
        if dataset_dir:
            raise
        made_up = made_up_benchmark(seed=seed)
        return BenchmarkRows(made_up.benchmark, made_up.dataset, f"{made_up.words} ({error})")
    return BenchmarkRows(
        benchmark, dataset, f"{len(dataset.instances)} instances of SWE-bench Lite"
    )
