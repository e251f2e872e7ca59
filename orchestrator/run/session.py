"""The program, from a request to a report; everything else serves it.

`launch` starts a run, `resume` reopens one. Either way one session of it is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig, RunRequest, load_config, load_run_config
from orchestrator.config.changes import change
from orchestrator.config.sections import AUTO
from orchestrator.dataset import Dataset
from orchestrator.display.terminal import print_line, waiting
from orchestrator.doctor.case import Case
from orchestrator.doctor.dataset_checks import TaskFolders
from orchestrator.doctor.examine import Checked, require_passed, require_ready
from orchestrator.doctor.model_checks import ModelAddress
from orchestrator.driver.files import (
    disk_errors_as_journal_errors,
    follow_changed_patches,
)
from orchestrator.driver.plan import make_plan
from orchestrator.driver.this_host import free_for_images_gb
from orchestrator.errors import ConfigError
from orchestrator.journal import Journal, RunState
from orchestrator.paths import MatrixPaths, RunPaths
from orchestrator.plugins import BACKENDS
from orchestrator.run.bases import bring_bases
from orchestrator.run.begun import Begun
from orchestrator.run.cleanup import (
    clean_before_session,
    evict_left_images,
    hold_driver_lock,
)
from orchestrator.run.drift import record_drifts
from orchestrator.run.folder import (
    as_rollouts,
    create_run,
    open_dataset,
    record_changes,
    record_rollouts,
)
from orchestrator.run.lock import RunLock, make_lock
from orchestrator.run.ready import Finished, Session
from orchestrator.run.together import run_together
from orchestrator.types import Prediction

__all__ = (
    "Finished",
    "Session",
    "begin",
    "grade_predictions",
    "launch",
    "reopen",
    "resume",
    "run_session",
    "run_sessions",
    "start",
)


def launch(request: RunRequest, console: Console, begun: Begun | None = None) -> Finished:
    """Start a new run and take it to its report. `begun`: see `start`.

    Raises:
        ConfigError: the request is wrong, or a run of that id exists.
        PrerequisiteError: something is missing.
        JournalError: the record can't be written (any more).
    """
    with start(request, console, begun=begun) as session:
        return run_session(session, console)


def resume(
    run_dir: Path,
    console: Console,
    *,
    workers: int | None = None,
    only_grades: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Finished:
    """Go on with a run: redo failures and what never started, grade what is ungraded.

    `workers` is for this session alone; `settings`, by dotted key, are kept.

    Raises: as `launch`.
    """
    with reopen(
        run_dir, console, workers=workers, only_grades=only_grades, settings=settings
    ) as session:
        return run_session(session, console)


def grade_predictions(
    request: RunRequest, predictions: Sequence[Prediction], console: Console
) -> Finished:
    """Grade predictions that someone else made, as a run of their own. Raises as `launch`."""
    with start(request, console, predictions) as session:
        return run_session(session, console)


@contextmanager
def start(
    request: RunRequest,
    console: Console,
    predictions: Sequence[Prediction] = (),
    begun: Begun | None = None,
) -> Iterator[Session]:
    """A new run: check what it needs, then lay out its folder. Raises as `launch`.

    `begun` is somebody else's, who closes it; without it, what is needed is begun here.
    """
    config = load_config(request)
    case = Case(config, RunPaths.of(config.runs_dir, config.run_id).root, request)
    with begin(case, console, predictions, begun=begun) as session:
        yield session


@contextmanager
def begin(
    case: Case,
    console: Console,
    predictions: Sequence[Prediction] = (),
    kept: RunConfig | None = None,
    begun: Begun | None = None,
) -> Iterator[Session]:
    """The same of a run whose case is known. Raises as `launch`.

    `kept` is the configuration that is written down, where that of this session is another.
    """
    config, paths = case.config, RunPaths(case.run_dir)
    require_new(paths)
    with ExitStack() as stack:
        if begun is None:
            begun = stack.enter_context(Begun().begin(config))
        with waiting(console, f"reading {config.benchmark.name}"):
            require_passed(case, [ModelAddress()])
            dataset = case.dataset
        _require_known(predictions, dataset, config)
        agent = case.agent
        made = as_rollouts(config.run_id, predictions)
        state = RunState.of_new(config.run_id, dataset.instances, [done.record for done in made])
        plan = make_plan(dataset.instances, state)
        if agent is None:
            plan = plan.without_rollouts
        case.known["plan"] = plan
        checked = _clean_up_and_check(case, paths, console)
        lock = make_lock(config, dataset, checked, agent)
        if config.agent:
            agent = load_agent_kind(config.agent, lock.versions)  # from now on it is these
        stack.enter_context(disk_errors_as_journal_errors(paths))
        create_run(paths, kept or config, dataset, lock)
        stack.enter_context(hold_driver_lock(paths))
        journal = stack.enter_context(Journal.open(paths.journal))
        record_rollouts(paths, journal, made)
        yield Session(config, dataset, paths, lock, agent, plan, checked, journal, begun)


@contextmanager
def reopen(
    run_dir: Path,
    console: Console,
    *,
    workers: int | None = None,
    only_grades: bool = False,
    settings: Mapping[str, Any] | None = None,
    known: Mapping[str, Any] | None = None,
    together_with: Sequence[Path] = (),
    begun: Begun | None = None,
) -> Iterator[Session]:
    """A run that was started before, with what is left to do. Raises as `launch`.

    `known` are facts of its case that were found already, by name. `together_with` are the folders
    of other runs that go on in the same session: the images that they need are not cleaned away.
    `begun` is somebody else's, who closes it; without it, what is needed is begun here.
    """
    paths = RunPaths(run_dir.resolve())
    kept, changes = change(load_run_config(paths.config), settings or {})
    config = kept
    if workers is not None:
        cluster = config.cluster.model_copy(update={"workers": workers})
        config = config.model_copy(update={"cluster": cluster})
    lock = RunLock.read(paths)
    with ExitStack() as stack:
        if begun is None:
            begun = stack.enter_context(Begun().begin(config))
        with waiting(console, f"reading {config.benchmark.name}"):
            dataset, remark = open_dataset(paths, config, lock)
        if remark:
            print_line(console, remark, "yellow")
        agent = load_agent_kind(config.agent, lock.versions) if config.agent else None
        stack.enter_context(disk_errors_as_journal_errors(paths))
        stack.enter_context(hold_driver_lock(paths))
        journal = stack.enter_context(Journal.open(paths.journal))
        follow_changed_patches(paths, journal)
        plan = make_plan(dataset.instances, journal.state())
        if only_grades or agent is None:
            plan = plan.without_rollouts
        facts = {**(known or {}), "dataset": dataset, "agent": agent, "plan": plan}
        case = Case(config, paths.root, **facts)
        checked = _clean_up_and_check(case, paths, console, journal, together_with)
        lock = record_changes(paths, kept, lock, changes)
        lock = record_drifts(paths, config, lock, checked)
        yield Session(config, dataset, paths, lock, agent, plan, checked, journal, begun)


def _clean_up_and_check(
    case: Case,
    paths: RunPaths,
    console: Console,
    journal: Journal | None = None,
    together_with: Sequence[Path] = (),
) -> Checked:
    """Clean up after dead sessions, which may have filled the disk; then check what is needed, and
    bring what images are built from.

    `journal` is that of a run that goes on.
    """
    require_passed(case, [TaskFolders()])
    if case.asks_server:
        Case.servers.begin(case)  # it may think about its answer while all else is looked at
    config, host = case.config, case.host
    # where `auto` chooses the kind, earlier sessions may have had another
    others = BACKENDS if config.cluster.sandbox.kind == AUTO else ()
    clean_before_session(paths, host.kind, others, console)
    if journal is not None:
        with waiting(console, "removing images that earlier sessions left"):
            free_gb = free_for_images_gb(host, paths.root)
            instances, plan = case.dataset.instances, case.plan
            evict_left_images(config, instances, journal, plan, host, free_gb, together_with)
    with waiting(console, "checking what the run needs"):
        checked = require_ready(case)
    return replace(checked, warnings=(*checked.warnings, *bring_bases(case, console)))


def run_session(session: Session, console: Console) -> Finished:
    """Run what is planned, write the reports, and tell who is to be notified how it ended."""
    return run_sessions([session], console)[0]


def run_sessions(
    sessions: Sequence[Session], console: Console, name: str = ""
) -> tuple[Finished, ...]:
    """Run what several sessions have planned together: `run.together` says how.

    `name` is what people call them all; each run has a report of its own.

    Raises:
        ConfigError: they can't share what they would have to.
        PrerequisiteError: something is missing.
        JournalError: a record can't be written any more.
    """
    return run_together(sessions, console, name)


def require_new(paths: RunPaths) -> None:
    """Raises ConfigError where a run, or a matrix, has this id."""
    if paths.journal.exists() or MatrixPaths(paths.root).record.exists():
        raise ConfigError(
            f"run {paths.run_id!r} exists in {paths.root.parent}: "
            f"`resume {paths.root}` goes on with it, --run-id NAME starts another"
        )


def _require_known(predictions: Sequence[Prediction], dataset: Dataset, config: RunConfig) -> None:
    known = {instance.instance_id for instance in dataset.instances}
    unknown = [p.instance_id for p in predictions if p.instance_id not in known]
    if unknown:
        raise ConfigError(
            f"{len(unknown)} predictions are for instances that {config.benchmark.name!r} does not "
            f"hold, such as {unknown[0]!r}"
        )
