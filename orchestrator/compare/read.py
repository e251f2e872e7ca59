"""From what a person names on the command line to a side of the comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.compare.sides import Costs, Side
from orchestrator.config import RunConfig, load_run_config
from orchestrator.config.changes import is_free
from orchestrator.config.load import flatten
from orchestrator.config.problems import first_problem
from orchestrator.config.schema import Benchmark
from orchestrator.errors import ConfigError, one_line
from orchestrator.journal import RunState, read_journal
from orchestrator.made_up.facts import NAME as MADE_UP
from orchestrator.made_up.facts import NOTE as MADE_UP_NOTE
from orchestrator.matrix.record import MatrixRecord, is_matrix
from orchestrator.paths import MatrixPaths, RunPaths
from orchestrator.report.build import Report
from orchestrator.report.published import PublishedFile, names_of, read_published
from orchestrator.run.calibrations import standings_of
from orchestrator.run.folder import report_of
from orchestrator.run.lock import RunLock
from orchestrator.text_files import kind_of, read_json

PUBLISHED = "published:"
HOW_TO_NAME = (
    "write a run's id or folder, that of all attempts, MATRIX:MODEL.AGENT, published:FILE:SYSTEM, "
    "or the file of a harness's report (MODEL.RUN.json)"
)
NO_DIFFERENCE = ("run_id", "runs_dir", "selection.instances", "cluster.because")
"""Settings that say nothing of what was measured, or that the instances themselves tell."""
LONGEST = 60
"""Characters of a value that is shown as it is; of a longer one its digest is."""


def read_sides(names: Sequence[str], runs_dir: Path) -> tuple[Side, ...]:
    """Each of those that are named; a file of published results alone stands for all its systems.

    Raises:
        ConfigError: there is none of a name, it holds no verdicts, or one stands there twice.
        JournalError: a run can't be read.
    """
    sides = tuple(side for name in names for side in _read(name, runs_dir))
    told = [side.name for side in sides]
    if twice := next((name for name in told if told.count(name) > 1), None):
        raise ConfigError(f"{twice!r} would be compared with itself: name it once")
    if len(sides) < 2:
        raise ConfigError(f"to compare takes two or more; {HOW_TO_NAME}")
    return sides


def _read(name: str, runs_dir: Path) -> list[Side]:
    if name.startswith(PUBLISHED):
        return _read_published(name.removeprefix(PUBLISHED))
    for folder in (runs_dir / name, Path(name)):
        if (folder / "run.yaml").is_file():
            return [_of_runs(folder.resolve().name, "run", [RunPaths(folder.resolve())])]
    matrix, colon, cell = name.rpartition(":")
    if colon and (paths := _matrix(matrix, runs_dir)) is not None:
        return [_read_cell(paths, cell)]
    if (paths := _matrix(name, runs_dir)) is not None:
        return [_read_only_cell(paths, name)]
    if name.endswith(".json") and Path(name).is_file():
        return [_read_harness_report(Path(name))]
    raise ConfigError(f"nothing to compare by the name {name!r}: {HOW_TO_NAME}")


def _matrix(name: str, runs_dir: Path) -> MatrixPaths | None:
    """By its id or its folder; None where it is none."""
    both = (MatrixPaths((runs_dir / name).resolve()), MatrixPaths(Path(name).resolve()))
    return next((paths for paths in both if is_matrix(paths)), None)


def _read_published(text: str) -> list[Side]:
    """`FILE` or `FILE:SYSTEM`; a file's own name may hold colons."""
    if not text:
        raise ConfigError(f"{PUBLISHED} names no file: write {PUBLISHED}FILE:SYSTEM")
    path, system = Path(text), ""
    if not path.is_file():
        head, _, system = text.rpartition(":")
        path = Path(head or text)
    file = read_published(path)
    results = [file.named(system)] if system else file.results
    return [_of_published(file, result) for result in results]


def _of_published(file: PublishedFile, result: Any) -> Side:
    if result.ids is None:
        raise ConfigError(
            f"{file.path} says how many instances {result.name!r} resolved, and not which: they "
            "can't be paired"
        )
    return Side(
        name=result.name,
        kind="published results",
        shares=dict.fromkeys(sorted(result.ids), 1.0),
        unnamed=result.instances - len(result.ids),
        benchmark=f"{file.benchmark} ({file.split})",
        benchmark_names=frozenset({f"{file.benchmark.casefold()} {file.split}"}),
    )


class _HarnessReport(BaseModel):
    """What the official harness writes of a run of predictions."""

    model_config = ConfigDict(extra="ignore")

    resolved_ids: tuple[str, ...]
    unresolved_ids: tuple[str, ...] = ()
    empty_patch_ids: tuple[str, ...] = ()
    error_ids: tuple[str, ...] = ()
    incomplete_ids: tuple[str, ...] = ()
    submitted_ids: tuple[str, ...] = ()

    def shares(self) -> dict[str, float | None]:
        known: dict[str, float | None] = dict.fromkeys(
            (*self.submitted_ids, *self.error_ids, *self.incomplete_ids)
        )
        known |= dict.fromkeys((*self.unresolved_ids, *self.empty_patch_ids), 0.0)
        return dict(sorted((known | dict.fromkeys(self.resolved_ids, 1.0)).items()))


def _read_harness_report(path: Path) -> Side:
    data = read_json(path, f"report {path}")
    if not isinstance(data, dict):
        raise ConfigError(f"report {path} is {kind_of(data)}, and must be an object")
    if "systems" in data:
        raise ConfigError(f"{path} holds published results: write {PUBLISHED}{path}:SYSTEM")
    try:
        found = _HarnessReport.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            f"report {path} is none of the harness's: {first_problem(error)}"
        ) from None
    others = {*found.unresolved_ids, *found.empty_patch_ids, *found.error_ids}
    if both := next((i for i in found.resolved_ids if i in others), None):
        raise ConfigError(
            f"report {path}: {one_line(both, 80)} stands among the resolved and among the others"
        )
    return Side(path.name.removesuffix(".json"), "the harness's report", found.shares())


def _read_only_cell(paths: MatrixPaths, name: str) -> Side:
    """All attempts of a matrix of one cell, as `launch --attempts` makes it."""
    record = MatrixRecord.read(paths)
    if len({run.cell for run in record.runs}) > 1:
        raise ConfigError(f"{name!r} is a matrix: name a cell, {name}:MODEL.AGENT")
    return _of_cell(paths, record.matrix_id, [run.run_id for run in record.runs])


def _read_cell(paths: MatrixPaths, cell: str) -> Side:
    record = MatrixRecord.read(paths)
    of = {run.run_id: run.run_id.removeprefix(f"{record.matrix_id}.") for run in record.runs}
    runs = [
        run_id
        for run_id, own in of.items()
        if own == cell or (own.startswith(f"{cell}.") and own[len(cell) + 1 :].isdecimal())
    ]
    if not runs:
        known = ", ".join(of.values())
        raise ConfigError(f"{record.matrix_id} has no cell {cell!r}; its runs: {known}")
    return _of_cell(paths, f"{record.matrix_id}:{cell}", runs)


def _of_cell(paths: MatrixPaths, name: str, run_ids: Sequence[str]) -> Side:
    kind = "run of a matrix" if len(run_ids) == 1 else f"{len(run_ids)} runs of a matrix"
    return _of_runs(name, kind, [paths.run(run_id) for run_id in run_ids])


def _of_runs(name: str, kind: str, folders: Sequence[RunPaths]) -> Side:
    """One or more attempts of the same model and agent."""
    if missing := next((each for each in folders if not each.journal.exists()), None):
        raise ConfigError(f"{missing.run_id} has not started: there is nothing to compare")
    runs = [_read_run(paths) for paths in folders]
    config, lock = runs[0][0], runs[0][1]
    reports, states = [run[3] for run in runs], [run[2] for run in runs]
    rollouts = [row for state in states for row in state.rollouts]
    files, pages = _links(folders, states)
    return Side(
        name=name,
        kind=kind,
        shares=_shares(reports, states),
        attempts=len(folders),
        benchmark=f"{config.benchmark.name} ({config.benchmark.split})",
        benchmark_names=_benchmark_names(config.benchmark),
        facts=_facts(config, lock),
        costs=Costs(
            tokens=sum(report.tokens["total"] for report in reports),
            seconds=sum(row.ended_at - row.started_at for row in rollouts),
        ),
        trajectories=files,
        pages=pages,
        warnings=tuple(_doubts([(run[1], run[3]) for run in runs])),
    )


def _doubts(runs: Sequence[tuple[RunLock, Report]]) -> Iterator[str]:
    """Why the numbers of runs may not be quoted."""
    for lock, report in runs:
        if MADE_UP in lock.versions:
            yield f"{report.run_id}: {MADE_UP_NOTE}"
        if not report.validity.is_valid:
            yield f"{report.run_id} is {report.validity.words}"


def _read_run(paths: RunPaths) -> tuple[RunConfig, RunLock, RunState, Report]:
    config = load_run_config(paths.config)
    lock, state = RunLock.read(paths), read_journal(paths.journal)
    standings = standings_of(paths, config, state, lock)
    return config, lock, state, report_of(config, state, lock, standings=standings)


def _shares(reports: Sequence[Report], states: Sequence[RunState]) -> dict[str, float | None]:
    ids = dict.fromkeys(i for state in states for i in state.instances)
    resolved = [set(report.resolved_ids) for report in reports]
    known = [each | set(r.unresolved_ids) for each, r in zip(resolved, reports, strict=True)]
    return {
        i: sum(i in each for each in resolved) / len(reports)
        if all(i in k for k in known)
        else None
        for i in ids
    }


def _benchmark_names(benchmark: Benchmark) -> frozenset[str]:
    return frozenset(f"{name.casefold()} {benchmark.split}" for name in names_of(benchmark))


def _facts(config: RunConfig, lock: RunLock) -> dict[str, str]:
    """Settings, versions and servers, as text that can be compared."""
    settings = flatten(config.model_dump(mode="json"))
    found = {
        key: str(value)
        for key, value in settings.items()
        if key not in NO_DIFFERENCE and not key.endswith(".description") and not is_free(key)
    }
    found |= {f"version of {name}": version for name, version in lock.versions.items()}
    found |= {
        f"sandbox {key}": str(value)
        for key, value in lock.sandbox.model_dump().items()
        if not key.startswith("host_")
    }
    for server in lock.serving:
        facts: Mapping[str, Any] = {k: v for k, v in server.items() if k != "base_url"}
        found |= {f"server {key}": str(value) for key, value in flatten(facts).items()}
    return {key: _shortened(value) for key, value in found.items()}


def _shortened(value: str) -> str:
    """As it is, or its first words and a digest of the whole, so that two never look alike."""
    if len(value) <= LONGEST and "\n" not in value:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{one_line(value, 30)}… ({len(value):,} characters, {digest})"


def _links(
    folders: Sequence[RunPaths], states: Sequence[RunState]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Of each instance's rollouts that count: the trajectories' files, and places in the pages."""
    files: dict[str, tuple[str, ...]] = {}
    pages: dict[str, tuple[str, ...]] = {}
    for paths, state in zip(folders, states, strict=True):
        for instance_id, row in state.outcomes.items():
            file = paths.trajectory(row.key)
            if file.is_file():
                files[instance_id] = (*files.get(instance_id, ()), str(file))
            if paths.report_html.is_file():
                place = f"{paths.report_html}#/{instance_id}"
                pages[instance_id] = (*pages.get(instance_id, ()), place)
    return files, pages
