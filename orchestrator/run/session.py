"""The program, from a request to a report; everything else serves it.

`launch` starts a run, `resume` reopens one. Either way one session of it is run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.agents import load_agent_kind
from orchestrator.backends import find_backend
from orchestrator.backends.imageless import NeedsNoImages
from orchestrator.backends.images import is_built_here
from orchestrator.config import RunConfig, RunRequest, load_config, load_run_config
from orchestrator.config.changes import change
from orchestrator.config.sections import AUTO
from orchestrator.dataset import Dataset
from orchestrator.display.summary import announce
from orchestrator.display.terminal import make_display, print_line, waiting
from orchestrator.display.view import View
from orchestrator.doctor.case import Case
from orchestrator.doctor.dataset_checks import TaskFolders
from orchestrator.doctor.examine import Checked, require_passed, require_ready
from orchestrator.doctor.model_checks import ModelAddress
from orchestrator.driver.admission import Admission
from orchestrator.driver.capacity import make_capacity
from orchestrator.driver.files import (
    disk_errors_as_journal_errors,
    follow_changed_patches,
    rewrite_predictions,
)
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.image_disk import ImageDisk
from orchestrator.driver.image_night import (
    find_image_facts,
    find_missing_images,
    foresee_images,
    order_plan,
)
from orchestrator.driver.images import ImageKeeper, ImageNeeds
from orchestrator.driver.loop import Driver, RequestBuilder
from orchestrator.driver.plan import make_plan
from orchestrator.driver.scheduler import Scheduler
from orchestrator.driver.stop import StopSignal, stop_on_signals
from orchestrator.driver.this_host import free_for_images_gb, memory_here
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_INTERRUPTED, ConfigError
from orchestrator.images.layers import ImageSize
from orchestrator.images.names import source_of
from orchestrator.images.sizes import known_sizes
from orchestrator.journal import Journal, RunState
from orchestrator.paths import MatrixPaths, RunPaths
from orchestrator.plugins import BACKENDS
from orchestrator.report.images import image_warnings
from orchestrator.run.cleanup import (
    clean_attempt,
    clean_before_session,
    clean_run,
    evict_left_images,
    hold_driver_lock,
)
from orchestrator.run.folder import (
    as_rollouts,
    create_run,
    open_dataset,
    record_changes,
    record_rollouts,
    write_reports,
)
from orchestrator.run.image_words import image_lines
from orchestrator.run.lock import RunLock, make_lock
from orchestrator.run.notify import ended_words, notifying
from orchestrator.run.ready import Finished, Session
from orchestrator.run.services import Services, start_services
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


def launch(request: RunRequest, console: Console) -> Finished:
    """Start a new run and take it to its report.

    Raises:
        ConfigError: the request is wrong, or a run of that id exists.
        PrerequisiteError: something is missing.
        JournalError: the record can't be written (any more).
    """
    with start(request, console) as session:
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
    request: RunRequest, console: Console, predictions: Sequence[Prediction] = ()
) -> Iterator[Session]:
    """A new run: check what it needs, then lay out its folder. Raises as `launch`."""
    config = load_config(request)
    paths = RunPaths.of(config.runs_dir, config.run_id)
    with begin(Case(config, paths.root, request), console, predictions) as session:
        yield session


@contextmanager
def begin(
    case: Case, console: Console, predictions: Sequence[Prediction] = ()
) -> Iterator[Session]:
    """The same of a run whose case is known. Raises as `launch`."""
    config, paths = case.config, RunPaths(case.run_dir)
    require_new(paths)
    require_passed(case, [ModelAddress()])
    with waiting(console, f"reading {config.benchmark.name}"):
        dataset = case.dataset
    _require_known(predictions, dataset, config)
    agent = case.agent
    made = as_rollouts(config.run_id, predictions)
    state = RunState.of_new(config.run_id, dataset.instances, [result.record for result in made])
    plan = make_plan(dataset.instances, state)
    if agent is None:
        plan = plan.without_rollouts
    case.known["plan"] = plan
    checked = _clean_up_and_check(case, paths, console)
    lock = make_lock(config, dataset, checked, agent)
    if config.agent:
        agent = load_agent_kind(config.agent, lock.versions)  # from now on it is these
    with disk_errors_as_journal_errors(paths):
        create_run(paths, config, dataset, lock)
        with hold_driver_lock(paths), Journal.open(paths.journal) as journal:
            record_rollouts(paths, journal, made)
            yield Session(config, dataset, paths, lock, agent, plan, checked, journal)


@contextmanager
def reopen(
    run_dir: Path,
    console: Console,
    *,
    workers: int | None = None,
    only_grades: bool = False,
    settings: Mapping[str, Any] | None = None,
    known: Mapping[str, Any] | None = None,
) -> Iterator[Session]:
    """A run that was started before, with what is left to do. Raises as `launch`.

    `known` are facts of its case that were found already, by name.
    """
    paths = RunPaths(run_dir.resolve())
    kept, changes = change(load_run_config(paths.config), settings or {})
    config = kept
    if workers is not None:
        cluster = config.cluster.model_copy(update={"workers": workers})
        config = config.model_copy(update={"cluster": cluster})
    lock = RunLock.read(paths)
    with waiting(console, f"reading {config.benchmark.name}"):
        dataset, remark = open_dataset(paths, config, lock)
    if remark:
        print_line(console, remark, "yellow")
    agent = load_agent_kind(config.agent, lock.versions) if config.agent else None
    with (
        disk_errors_as_journal_errors(paths),
        hold_driver_lock(paths),
        Journal.open(paths.journal) as journal,
    ):
        follow_changed_patches(paths, journal)
        plan = make_plan(dataset.instances, journal.state())
        if only_grades or agent is None:
            plan = plan.without_rollouts
        facts = {**(known or {}), "dataset": dataset, "agent": agent, "plan": plan}
        case = Case(config, paths.root, **facts)
        checked = _clean_up_and_check(case, paths, console, journal)
        lock = record_changes(paths, kept, lock, changes)
        yield Session(config, dataset, paths, lock, agent, plan, checked, journal)


def _clean_up_and_check(
    case: Case, paths: RunPaths, console: Console, journal: Journal | None = None
) -> Checked:
    """Clean up after dead sessions, which may have filled the disk; then check what is needed.

    `journal` is that of a run that goes on.
    """
    require_passed(case, [TaskFolders()])
    config, host = case.config, case.host
    # where `auto` chooses the kind, earlier sessions may have had another
    others = BACKENDS if config.cluster.sandbox.kind == AUTO else ()
    clean_before_session(paths, host.kind, others, console)
    if journal is not None:
        with waiting(console, "removing images that earlier sessions left"):
            free_gb = free_for_images_gb(host, paths.root)
            evict_left_images(config, case.dataset.instances, journal, case.plan, host, free_gb)
    with waiting(console, "checking what the run needs"):
        return require_ready(case)


def run_sessions(
    sessions: Sequence[Session], console: Console, name: str = ""
) -> tuple[Finished, ...]:
    """Run what several sessions have planned, and write each run's reports.

    `name` is what people call them all together.
    """
    return tuple(run_session(session, console) for session in sessions)


def run_session(session: Session, console: Console) -> Finished:
    """Run what is planned, write the reports, and tell who is to be notified how it ended."""
    with notifying(session.config, session.plan, console) as ending:
        finished = _run_and_report(session, console)
        ending.text = ended_words(finished.report, finished.exit_code)
        return finished


def _run_and_report(session: Session, console: Console) -> Finished:
    paths, journal, stop = session.paths, session.journal, StopSignal()
    rewrite_predictions(session.config, paths, journal.state())
    with ExitStack() as until_reported:
        if not session.plan.is_empty:
            _run_plan(session, stop, until_reported, console)
        with waiting(console, "writing the reports"):
            report = write_reports(
                session.config, paths, session.dataset, journal.state(), session.lock
            )
    if stop.count:
        return Finished(report, paths, EXIT_INTERRUPTED)
    return Finished(report, paths, EXIT_DONE if report.valid else EXIT_FAILURES_LEFT)


def _run_plan(
    session: Session, stop: StopSignal, until_reported: ExitStack, console: Console
) -> None:
    """Run the plan's rollouts and grades, show what happens, and leave nothing behind.

    A closed terminal may say so twice: from the first event on, until the reports are written,
    signals are counted and end nothing by themselves.
    """
    paths, plan, checked = session.paths, session.plan, session.checked
    instances, config = session.dataset.instances, session.config
    missing = find_missing_images(instances, checked.host)
    capacity = make_capacity(config, plan, checked.host, memory_here())
    planned = {key.instance_id for key in (*plan.rollouts, *plan.grades)}
    slots = capacity.slots.count
    with waiting(console, "asking what the images take"):
        left = [instance for instance in instances if instance.instance_id in planned]
        facts = find_image_facts(config, left, checked.host)
        plan = order_plan(config, instances, plan, facts, slots)
        night = foresee_images(config, instances, plan, facts, slots, checked.host)
    lines = image_lines(config, night, slots, time.time())
    announce(config, plan, capacity, checked.host, paths, console, lines)
    session = replace(session, plan=plan)
    changed = (
        *session.lock.serving_warnings(checked.serving),
        *session.lock.sandbox.host_warnings(checked.host),
        *moved_images(session),
    )
    for warning in (*checked.warnings, *changed):
        print_line(console, warning, "yellow")

    agent = session.agent if plan.rollouts else None
    session.journal.begin_session()
    try:
        with start_services(
            config, session.dataset, paths, slots, checked.key, agent, console
        ) as services:
            images = make_image_keeper(session, services, missing, facts.sizes)
            driver = make_driver(session, services, slots, stop, images)
            view = View.of(session.journal.state(), time.monotonic())
            until_reported.enter_context(stop_on_signals(stop))
            with make_display(console, view) as display:
                for event in driver.events(plan):
                    display.notice(driver.notice())
                    if event is not None:
                        display.show(event)
    finally:
        # an engine that has died meanwhile must not cost the report
        for problem in clean_run(paths, [checked.host.kind]).problems:
            print_line(console, f"{problem} `clean` removes what is left.", "yellow")
    session.journal.end_session()


def moved_images(session: Session) -> Iterator[str]:
    """Where a run that goes on finds other images under the names of those that it has used."""
    state, lock = session.journal.state(), session.lock
    if not state.rollouts and not lock.images:
        return
    host, instances = session.checked.host, session.dataset.instances
    here = find_backend(host.kind).image_ids(instances, host.platform)
    yield from image_warnings(state, lock.images_at_start, lock.by_instance(here))


def make_image_keeper(
    session: Session,
    services: Services,
    missing: frozenset[str],
    told: Mapping[str, ImageSize],
) -> ImageKeeper | None:
    """None where the sandboxes need no images; `missing` are not on this host, and `told` are the
    sizes that registries have been asked for."""
    cluster, host = session.config.cluster, session.checked.host
    instances, backend = session.dataset.instances, find_backend(host.kind)
    if isinstance(backend, NeedsNoImages):
        return None
    pulled = [instance for instance in instances if not is_built_here(instance)]
    sizes = {**known_sizes(pulled, host.platform), **told}
    return ImageKeeper(
        ImageNeeds(instances, sizes, source_of(cluster.images), missing),
        session.plan,
        cluster,
        host,
        ImageDisk.of(cluster, host, session.paths.root),
        services.executor,
        session.journal,
    )


def make_driver(
    session: Session,
    services: Services,
    slots: int,
    stop: StopSignal,
    images: ImageKeeper | None = None,
) -> Driver:
    """The driver, with its scheduler, and with a listener where there is a gateway."""
    config, gateway, listener = session.config, services.gateway, None
    host = session.checked.host
    requests = RequestBuilder(
        config,
        session.paths,
        {instance.instance_id: instance for instance in session.dataset.instances},
        session.dataset.answers,
        host,
        gateway,
        token=gateway.token if gateway else "",
        agent=session.agent,
    )
    limits = config.rollout
    scheduler = Scheduler(slots, config.cluster.grading.slots, limits.retries, limits.retry_delay_s)
    if gateway is not None and config.model is not None:
        endpoint = config.model.endpoint
        admission = Admission(slots) if endpoint.admission == "auto" else None
        listener = GatewayListener(
            gateway, session.journal, scheduler, admission, endpoint.max_outage_s
        )
    clean = partial(clean_attempt, session.paths, host.kind)
    return Driver(
        requests, services.executor, scheduler, session.journal, stop, listener, clean, images
    )


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
