"""A run, from a request to a report. This is the program; everything else serves it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console

from orchestrator.config import RunConfig, RunRequest, load_config, load_run_config
from orchestrator.dataset import Dataset, load_instances
from orchestrator.display.messages import announce
from orchestrator.display.terminal import make_display, waiting
from orchestrator.display.view import View
from orchestrator.driver.admission import Admission
from orchestrator.driver.files import (
    disk_errors_as_journal_errors,
    follow_changed_patches,
    read_patches,
    rewrite_predictions,
    save_rollout,
)
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.loop import Driver, Work
from orchestrator.driver.plan import Plan, choose_slots, estimate, image_warnings, make_plan
from orchestrator.driver.scheduler import Scheduler
from orchestrator.driver.stop import StopSignal, stop_on_signals
from orchestrator.errors import (
    EXIT_DONE,
    EXIT_FAILURES_LEFT,
    EXIT_INTERRUPTED,
    ConfigError,
    PrerequisiteError,
)
from orchestrator.journal import Journal, RunState
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.build import Report, build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.run.cleanup import clean_attempt, clean_dead_runs, clean_run, hold_driver_lock
from orchestrator.run.lock import make_lock
from orchestrator.run.preflight import (
    Host,
    Ready,
    check_ready,
    docker_client,
    free_disk_gb,
    missing_images,
    resolve_host,
)
from orchestrator.run.services import Live, services
from orchestrator.types import Outcome, Prediction, RolloutKey, RolloutRecord, RolloutResult


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    report: Report
    paths: RunPaths
    exit_code: int


def launch(request: RunRequest, console: Console) -> Finished:
    """Start a new run and take it to its report.

    Raises:
        ConfigError: the request is wrong, or a run of that id exists.
        PrerequisiteError: something is missing.
        JournalError: the record can't be written (any more).
    """
    config = load_config(request)
    _require_new(config)
    with waiting(console, f"reading {config.benchmark.name}"):
        dataset = load_instances(config.benchmark, config.selection)
    with waiting(console, "checking what the run needs"):
        ready = check_ready(config, dataset, RunPaths.of(config.runs_dir, config.run_id).root)
    paths = create_run(config, dataset, ready)
    return _carry_on(paths, config, dataset, console, ready)


def resume(
    run_dir: Path, console: Console, *, workers: int | None = None, only_grades: bool = False
) -> Finished:
    """Go on with a run: redo failures and what never started, grade what is ungraded.

    Raises: as `launch`.
    """
    paths = RunPaths(run_dir.resolve())
    config = load_run_config(paths.config)
    if workers is not None:
        cluster = config.cluster.model_copy(update={"workers": workers})
        config = config.model_copy(update={"cluster": cluster})
    dataset = load_instances(config.benchmark, config.selection)
    _require_same_dataset(paths, dataset)
    return _carry_on(paths, config, dataset, console, only_grades=only_grades)


def grade_predictions(
    request: RunRequest, predictions: Sequence[Prediction], console: Console
) -> Finished:
    """Grade predictions that someone else made, as a run of their own."""
    config = load_config(request)
    _require_new(config)
    dataset = load_instances(config.benchmark, config.selection)
    known = {instance.instance_id for instance in dataset.instances}
    unknown = [p.instance_id for p in predictions if p.instance_id not in known]
    if unknown:
        raise ConfigError(
            f"{len(unknown)} predictions are for instances that {config.benchmark.name!r} does not "
            f"hold, such as {unknown[0]!r}"
        )
    ready = check_ready(config, dataset, RunPaths.of(config.runs_dir, config.run_id).root)
    paths = create_run(config, dataset, ready)
    now = time.time()
    with Journal.open(paths.journal) as journal:
        for prediction in predictions:
            record = RolloutRecord(
                RolloutKey(config.run_id, prediction.instance_id, 1),
                outcome=Outcome.SUBMITTED if prediction.model_patch else Outcome.GAVE_UP,
                started_at=now,
                ended_at=now,
            )
            result = RolloutResult(record, patch=prediction.model_patch)
            save_rollout(paths, result)
            journal.append_rollout(result.record)
    return _carry_on(paths, config, dataset, console, ready, only_grades=True)


def _require_new(config: RunConfig) -> None:
    if RunPaths.of(config.runs_dir, config.run_id).journal.exists():
        raise ConfigError(
            f"run {config.run_id!r} exists in {config.runs_dir}: "
            f"`resume {config.run_id}` goes on with it, --run-id NAME starts another"
        )


def create_run(config: RunConfig, dataset: Dataset, ready: Ready) -> RunPaths:
    """Lay out the run's folder.

    The journal is written last: a folder without one is no run, and is written over.
    """
    paths = RunPaths.of(config.runs_dir, config.run_id)
    lock = make_lock(config, dataset, ready.host, ready.serving)
    with disk_errors_as_journal_errors(paths):
        write_atomic(paths.config, _to_yaml(config))
        write_atomic(paths.lock, json.dumps(lock, indent=1, ensure_ascii=False))
        Journal.create(paths.journal, config.run_id, dataset.instances).close()
    return paths


def finish(config: RunConfig, paths: RunPaths, dataset: Dataset, state: RunState) -> Report:
    """Write the reports of a run as its journal stands."""
    from orchestrator.report.official import write_official_report

    report = build_report(config, state, _read_lock(paths))
    write_atomic(paths.report_json, json.dumps(report.as_dict(), indent=1, ensure_ascii=False))
    write_atomic(paths.report_md, render_markdown(report, state))
    name = config.model_name_or_path
    predictions = {
        instance_id: Prediction(instance_id, name, patch)
        for instance_id, patch in read_patches(paths, state).items()
    }
    write_official_report(config, paths, dataset.instances, predictions)
    return report


@dataclass(frozen=True)
class Session:
    """One launch or resume of a run."""

    paths: RunPaths
    config: RunConfig
    dataset: Dataset
    ready: Ready
    journal: Journal
    stop: StopSignal
    console: Console


def _carry_on(
    paths: RunPaths,
    config: RunConfig,
    dataset: Dataset,
    console: Console,
    ready: Ready | None = None,
    *,
    only_grades: bool = False,
) -> Finished:
    """One session of a run: plan, do, report. What was checked already is handed in."""
    stop = StopSignal()
    with (
        disk_errors_as_journal_errors(paths),
        hold_driver_lock(paths),
        Journal.open(paths.journal) as journal,
    ):
        host = ready.host if ready else resolve_host(config, dataset.instances)
        _clean_up_before(paths, host, console)
        follow_changed_patches(paths, journal)
        state = journal.state()
        plan = make_plan(dataset.instances, state)
        if only_grades or config.agent.kind == "predictions":
            plan = Plan((), plan.grades, plan.done)
        rewrite_predictions(config, paths, state)
        if not plan.is_empty:
            if ready is None:
                ready = check_ready(
                    config,
                    dataset,
                    paths.root,
                    ask_model=bool(plan.rollouts),
                    agent_commit=_agent_commit(paths),
                )
            _work_off(plan, Session(paths, config, dataset, ready, journal, stop, console))
        with waiting(console, "writing the reports"):
            report = finish(config, paths, dataset, journal.state())
    if stop.count:
        return Finished(report, paths, EXIT_INTERRUPTED)
    return Finished(report, paths, EXIT_DONE if report.valid else EXIT_FAILURES_LEFT)


def _work_off(plan: Plan, session: Session) -> None:
    """Take a plan through the engine, showing what happens, and leave nothing behind."""
    config, paths, dataset, ready = session.config, session.paths, session.dataset, session.ready
    host = ready.host
    slots = choose_slots(config.cluster, config.model, host.memory_gb, host.cpus)
    slots = max(1, min(slots, len(plan.rollouts)))
    announce(config, plan, slots, host, paths, session.console)
    for worry in [*ready.warnings, *_image_worries(plan, slots, session)]:
        session.console.print(worry, style="yellow", highlight=False)

    session.journal.begin_session()
    try:
        with ExitStack() as stack:
            with waiting(session.console, "starting Ray"):
                live = stack.enter_context(
                    services(
                        config,
                        dataset,
                        paths,
                        slots,
                        ready.key,
                        ask_model=bool(plan.rollouts),
                        agent_commit=_agent_commit(paths),
                    )
                )
            driver = _make_driver(live, slots, session)
            view = View.of(session.journal.state(), time.monotonic())
            display = make_display(session.console, view)
            with stop_on_signals(session.stop), display:
                for event in driver.events(plan):
                    display.notice(driver.notice())
                    if event is not None:
                        display.show(event)
    finally:
        _clean_up_after(paths, host, session.console)
    session.journal.end_session()


def _make_driver(live: Live, slots: int, session: Session) -> Driver:
    config, paths, host = session.config, session.paths, session.ready.host
    instances = {instance.instance_id: instance for instance in session.dataset.instances}
    gateway, listener = live.gateway, None
    work = Work(
        config,
        paths,
        instances,
        session.dataset.answers,
        host.sandbox_kind,
        gateway,
        token=gateway.token if gateway else "",
        agent_commit=_agent_commit(paths),
    )
    limits = config.rollout
    scheduler = Scheduler(slots, config.cluster.grading.slots, limits.retries, limits.retry_delay_s)
    if gateway is not None and config.model is not None:
        endpoint = config.model.endpoint
        admission = Admission(slots) if endpoint.admission == "auto" else None
        listener = GatewayListener(
            gateway, session.journal, scheduler, admission, endpoint.max_outage_s
        )
    lost = partial(_clean_up_attempt, paths, host)
    return Driver(work, live.engine, scheduler, session.journal, session.stop, listener, lost)


def _image_worries(plan: Plan, slots: int, session: Session) -> Sequence[str]:
    planned = {key.instance_id for key in plan.rollouts}
    wanted = [i for i in session.dataset.instances if i.instance_id in planned]
    missing = len(missing_images(session.ready.host, wanted))
    need_gb = estimate(session.config, plan, slots, missing).disk_gb
    return image_warnings(session.config, missing, need_gb, free_disk_gb(session.paths.root))


def _clean_up_before(paths: RunPaths, host: Host, console: Console) -> None:
    """Remove what dead runs left on this host, this run's earlier sessions included."""
    client = docker_client(host)
    cleaned = clean_run(paths, client) + clean_dead_runs(paths.root.parent, client)
    if cleaned:
        console.print(f"removed what dead runs had left: {cleaned}", highlight=False)


def _clean_up_after(paths: RunPaths, host: Host, console: Console) -> None:
    """Mostly nothing is left. An engine that has died meanwhile must not cost the report."""
    try:
        clean_run(paths, docker_client(host))
    except PrerequisiteError as error:
        console.print(f"{error} `clean` removes what is left.", style="yellow", markup=False)


def _clean_up_attempt(paths: RunPaths, host: Host, key: RolloutKey) -> None:
    with suppress(PrerequisiteError):  # an engine that is away is the next rollout's failure
        clean_attempt(paths, docker_client(host), key)


def _require_same_dataset(paths: RunPaths, dataset: Dataset) -> None:
    """A run that goes on with other rows than it began with would mix two benchmarks."""
    locked = _read_lock(paths).get("dataset", {})
    if locked.get("sha256", dataset.sha256) != dataset.sha256:
        raise ConfigError(
            f"the dataset of {paths.run_id} is not the one that it was started with "
            f"(see {paths.lock}); start a new run"
        )


def _agent_commit(paths: RunPaths) -> str:
    """Of an agent that is installed beside us, as the run began with it; empty for others."""
    return _read_lock(paths).get("versions", {}).get("sweagent_commit", "")


def _read_lock(paths: RunPaths) -> dict[str, dict[str, str]]:
    if not paths.lock.is_file():
        return {}
    return dict(json.loads(paths.lock.read_text(encoding="utf-8")))


def _to_yaml(config: RunConfig) -> str:
    return yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
