"""What is known to be wrong with any run of a matrix, told before the first one starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.config import RunRequest
from orchestrator.config.address import require_addresses
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Depth
from orchestrator.doctor.examine import checks_of, examine
from orchestrator.driver.lanes import make_lanes
from orchestrator.errors import ConfigError, OrchestratorError, PrerequisiteError
from orchestrator.matrix.cells import CellRun
from orchestrator.matrix.read import load_cell_config
from orchestrator.matrix.record import MatrixRecord
from orchestrator.paths import MatrixPaths, RunPaths
from orchestrator.run.folder import open_dataset
from orchestrator.run.joined import require_one_cluster
from orchestrator.run.lock import RunLock
from orchestrator.run.session import require_new


def require_new_matrix(paths: MatrixPaths, runs: Sequence[CellRun]) -> None:
    """Raises ConfigError where the matrix, or one of its runs, is there."""
    if paths.record.exists():
        raise ConfigError(
            f"matrix {paths.matrix_id!r} exists in {paths.root.parent}: `resume {paths.root}` goes "
            "on with it, as it was started; --run-id NAME starts another"
        )
    for root in (paths.root, *(paths.run(run.run_id).root for run in runs)):
        require_new(RunPaths(root))


def load_datasets(runs: Sequence[CellRun]) -> dict[str, Dataset]:
    """The instances of each benchmark, which all of its cells share.

    Raises:
        ConfigError: a profile gives one of the cells others.
        PrerequisiteError: the hub can't be reached.
    """
    datasets: dict[str, Dataset] = {}
    first: dict[str, CellRun] = {}
    for run in runs:
        known = first.setdefault(run.benchmark, run)
        if run.benchmark not in datasets:
            datasets[run.benchmark] = load_dataset(run.config.benchmark, run.config.selection)
            continue
        same = (known.config.benchmark, known.config.selection)
        if (run.config.benchmark, run.config.selection) != same:
            raise ConfigError(
                f"{run.run_id} and {known.run_id} would have other instances: overrides of a "
                "profile change benchmark or selection, which all cells share"
            )
    return datasets


def reopen_datasets(
    record: MatrixRecord, runs: Sequence[CellRun], paths: MatrixPaths
) -> dict[str, Dataset]:
    """Those that the matrix began with, for these runs: a run that has started keeps its rows.

    Raises:
        ConfigError: no run's rows can be read, and the benchmark has other ones by now.
        PrerequisiteError: the hub can't be reached.
    """
    return {
        benchmark: _reopen_dataset(record, benchmark, paths)
        for benchmark in dict.fromkeys(run.benchmark for run in runs)
    }


def _reopen_dataset(record: MatrixRecord, benchmark: str, paths: MatrixPaths) -> Dataset:
    runs = [run for run in record.runs if run.benchmark == benchmark]
    for run in runs:
        if (kept := _kept_dataset(run, paths)) is not None:
            return kept
    config = runs[0].config
    dataset = load_dataset(config.benchmark, config.selection)
    if dataset.sha256 != record.datasets.get(benchmark):
        raise ConfigError(
            f"the dataset of {benchmark} is not the one that {record.matrix_id} was started "
            "with, and no run of it holds its rows: start a new matrix"
        )
    return dataset


def _kept_dataset(run: CellRun, paths: MatrixPaths) -> Dataset | None:
    """None of a run that never started, or that somebody has damaged: that is told when it is
    reopened, and no other run suffers from it."""
    kept = paths.run(run.run_id)
    if not kept.rows.exists():
        return None
    try:
        load_cell_config(run, kept)
        dataset, _ = open_dataset(kept, run.config, RunLock.read(kept))
    except OrchestratorError:
        return None
    return dataset


def check_runs(
    runs: Sequence[CellRun],
    datasets: Mapping[str, Dataset],
    paths: MatrixPaths,
    requests: Mapping[str, RunRequest] | None = None,
) -> None:
    """Everything of every run that a plan asks, whenever its turn is: profiles, agents, sandboxes,
    disks, and whether those of a benchmark can go on together. No model server is asked.
    `requests`, by run, tell where an address stands.

    Raises:
        ConfigError, PrerequisiteError: of the first run that could not start.
    """
    told = requests or {}
    require_addresses((run.config, told[run.run_id]) for run in runs if run.run_id in told)
    kinds: dict[str, tuple[str, str]] = {}
    for benchmark in dict.fromkeys(run.benchmark for run in runs):
        configs = [run.config for run in runs if run.benchmark == benchmark]
        require_one_cluster(configs)
        make_lanes(configs)
    for run in runs:
        case = Case(
            run.config,
            paths.run(run.run_id).root,
            told.get(run.run_id),
            dataset=datasets[run.benchmark],
        )
        for examined in examine(case, checks_of(Depth.PLAN)):
            if examined.problem is not None:
                raise _of_run(run, examined.problem)
        other, kind = kinds.setdefault(run.benchmark, (run.run_id, case.host.kind))
        if kind != case.host.kind:
            raise ConfigError(
                f"{other} would have sandboxes of kind {kind}, and {run.run_id} of kind "
                f"{case.host.kind}: --sandbox KIND says one for all"
            )


def _of_run(run: CellRun, problem: OrchestratorError) -> OrchestratorError:
    if isinstance(problem, PrerequisiteError):
        return PrerequisiteError(f"{run.run_id}: {problem.what}", problem.cure)
    return ConfigError(f"{run.run_id}: {problem}")
