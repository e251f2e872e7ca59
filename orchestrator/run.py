"""A run, from a request to a report. This is the program; everything else serves it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console

from orchestrator.cleanup import clean_attempt, clean_dead_runs, clean_run, hold_driver_lock
from orchestrator.config import Request, RunConfig, load_config, load_run_config
from orchestrator.dataset import Dataset, load_instances
from orchestrator.display.terminal import make_display, waiting
from orchestrator.display.view import View, duration
from orchestrator.driver.base import Engine
from orchestrator.driver.drive import Driver, Work
from orchestrator.driver.files import (
    follow_changed_patches,
    full_disk_told,
    read_patches,
    rewrite_predictions,
    save_rollout,
)
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
from orchestrator.lock import make_lock
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.plan import Plan, choose_slots, make_plan
from orchestrator.preflight import (
    Host,
    api_key,
    docker_client,
    require_disk,
    require_personas,
    require_serving,
    resolve_host,
)
from orchestrator.report.build import NO_PREDICTION, Report, build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.types import Outcome, Prediction, RolloutResult


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    report: Report
    paths: RunPaths
    exit_code: int


def launch(request: Request, console: Console) -> Finished:
    """Start a new run and take it to its report.

    Raises:
        ConfigError: the request is wrong, or a run of that id exists.
        PrerequisiteError: something is missing.
        JournalError: the record can't be written (any more).
    """
    config = load_config(request)
    with waiting(console, f"reading {config.benchmark.name}"):
        dataset = load_instances(config.benchmark, config.selection)
    paths = create_run(config, dataset)
    return _carry_on(paths, config, dataset, console)


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
    return _carry_on(paths, config, dataset, console, only_grades)


def grade_predictions(
    request: Request, predictions: Sequence[Prediction], console: Console
) -> Finished:
    """Grade predictions that someone else made, as a run of their own."""
    config = load_config(request)
    dataset = load_instances(config.benchmark, config.selection)
    known = {instance.instance_id for instance in dataset.instances}
    unknown = [p.instance_id for p in predictions if p.instance_id not in known]
    if unknown:
        raise ConfigError(
            f"{len(unknown)} predictions are for instances that {config.benchmark.name!r} does not "
            f"hold, such as {unknown[0]!r}"
        )
    paths = create_run(config, dataset)
    now = time.time()
    with Journal.open(paths.journal) as journal:
        for prediction in predictions:
            result = RolloutResult(
                prediction.instance_id,
                attempt=1,
                outcome=Outcome.SUBMITTED if prediction.model_patch else Outcome.GAVE_UP,
                patch=prediction.model_patch,
                started_at=now,
                ended_at=now,
            )
            save_rollout(paths, result)
            journal.append_rollout(result)
    return _carry_on(paths, config, dataset, console, only_grades=True)


def create_run(config: RunConfig, dataset: Dataset) -> RunPaths:
    """Check all prerequisites, then lay out the run's folder.

    The journal is written last: a folder without one is no run, and is written over.
    """
    paths = RunPaths(Path(config.runs_dir).resolve() / config.run_id)
    if paths.journal.exists():
        raise ConfigError(
            f"run {config.run_id!r} exists in {config.runs_dir}: "
            f"`resume {config.run_id}` goes on with it, --run-id NAME starts another"
        )
    require_disk(config, paths.root)
    host = resolve_host(config, dataset.instances)
    require_personas(config)
    needs_server = config.model is not None and not config.scripted
    serving = require_serving(config, api_key(config)) if needs_server else None
    lock = make_lock(config, dataset, host, serving)
    with full_disk_told(paths):
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


def _carry_on(
    paths: RunPaths,
    config: RunConfig,
    dataset: Dataset,
    console: Console,
    only_grades: bool = False,
) -> Finished:
    """One session of a run: plan, do, report."""
    stop = StopSignal()
    with full_disk_told(paths), hold_driver_lock(paths), Journal.open(paths.journal) as journal:
        host = resolve_host(config, dataset.instances)
        require_disk(config, paths.root)
        _clean_up_before(paths, host, console)
        follow_changed_patches(paths, journal)
        state = journal.state()
        plan = make_plan(dataset.instances, state)
        if only_grades or config.agent.kind == "predictions":
            plan = Plan((), plan.grades, plan.done)
        rewrite_predictions(config, paths, state)
        if not plan.is_empty:
            journal.begin_session()
            try:
                _drive(plan, paths, config, dataset, host, journal, stop, console)
            finally:
                _clean_up_after(paths, host, console)
            journal.end_session()
        with waiting(console, "writing the reports"):
            report = finish(config, paths, dataset, journal.state())
    if stop.count:
        return Finished(report, paths, EXIT_INTERRUPTED)
    return Finished(report, paths, EXIT_DONE if report.valid else EXIT_FAILURES_LEFT)


def _drive(
    plan: Plan,
    paths: RunPaths,
    config: RunConfig,
    dataset: Dataset,
    host: Host,
    journal: Journal,
    stop: StopSignal,
    console: Console,
) -> None:
    """Take a plan through the engine, showing what happens."""
    slots = choose_slots(config.cluster, config.model, host.memory_gb, host.cpus)
    slots = max(1, min(slots, len(plan.rollouts)))
    grade_slots = config.cluster.grading.slots
    key = api_key(config) if plan.rollouts else ""
    if plan.rollouts and config.model is not None and not config.scripted:
        for warning in require_serving(config, key).warnings:
            console.print(warning, style="yellow", highlight=False)
    _announce(config, plan, slots, host, paths, console)
    with ExitStack() as stack:
        with waiting(console, "starting Ray"):
            live = stack.enter_context(services(config, dataset, paths, slots))
        work = Work(
            config,
            paths,
            {instance.instance_id: instance for instance in dataset.instances},
            dataset.answers,
            host.sandbox_kind,
            live.base_url,
            key,
        )
        scheduler = Scheduler(
            slots, grade_slots, config.rollout.retries, config.rollout.retry_delay_s
        )
        lost = partial(_clean_up_attempt, paths, host)
        driver = Driver(work, live.engine, scheduler, journal, stop, lost)
        display = make_display(console, View.of(journal.state(), time.monotonic()))
        with stop_on_signals(stop), display:
            for event in driver.events(plan):
                display.notice(driver.notice())
                if event is not None:
                    display.show(event)


@dataclass(frozen=True)
class Live:
    """The services of a run while it goes on."""

    engine: Engine
    base_url: str


@contextmanager
def services(config: RunConfig, dataset: Dataset, paths: RunPaths, slots: int) -> Iterator[Live]:
    """The scripted endpoint where the model is scripted, and the engine."""
    from orchestrator.driver.ray import RayEngine

    with ExitStack() as stack:
        base_url = config.model.endpoint.base_url if config.model else ""
        if config.scripted:
            base_url = stack.enter_context(_scripted_endpoint(config, dataset))
        cluster = config.cluster
        engine = RayEngine(slots, cluster.grading.slots, cluster.ray_address, config.run_id)
        stack.callback(engine.close)
        if cluster.ray_address is None:
            write_atomic(paths.ray_session, engine.session_dir)
            stack.callback(paths.ray_session.unlink, missing_ok=True)
        yield Live(engine, base_url)


@contextmanager
def _scripted_endpoint(config: RunConfig, dataset: Dataset) -> Iterator[str]:
    from orchestrator.testing.endpoint import ScriptedEndpoint

    assert config.model is not None
    personas = config.model.personas
    with ScriptedEndpoint(dataset.instances, dataset.answers, personas) as endpoint:
        yield endpoint.base_url


def _announce(
    config: RunConfig, plan: Plan, slots: int, host: Host, paths: RunPaths, console: Console
) -> None:
    model = f" with {config.model.name}" if config.model else ""
    grades = f", {len(plan.grades)} patches to grade" if plan.grades else ""
    done = f", {plan.done} done before" if plan.done else ""
    console.print(
        f"{paths.run_id}: {len(plan.rollouts)} rollouts of {config.benchmark.name} by "
        f"{config.agent.name}{model}{grades}{done}; {slots} at once in {host.sandbox_kind} "
        f"sandboxes; everything goes to {paths.root}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if host.sandbox_kind == "process":
        console.print(
            "process sandboxes isolate nothing: what the agent does, it does on this machine",
            style="yellow",
        )


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


def _clean_up_attempt(paths: RunPaths, host: Host, instance_id: str, attempt: int) -> None:
    with suppress(PrerequisiteError):  # an engine that is away is the next rollout's failure
        clean_attempt(paths, docker_client(host), instance_id, attempt)


def _require_same_dataset(paths: RunPaths, dataset: Dataset) -> None:
    """A run that goes on with other rows than it began with would mix two benchmarks."""
    locked = _read_lock(paths).get("dataset", {})
    if locked.get("sha256", dataset.sha256) != dataset.sha256:
        raise ConfigError(
            f"the dataset of {paths.run_id} is not the one that it was started with "
            f"(see {paths.lock}); start a new run"
        )


def _read_lock(paths: RunPaths) -> dict[str, dict[str, str]]:
    if not paths.lock.is_file():
        return {}
    return dict(json.loads(paths.lock.read_text(encoding="utf-8")))


def _to_yaml(config: RunConfig) -> str:
    return yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )


def summarize(finished: Finished, console: Console) -> None:
    """The run's end on the terminal."""
    from orchestrator.report.markdown import headline
    from orchestrator.report.terminal import render_report

    console.print(render_report(finished.report))
    console.print(headline(finished.report), style="bold", highlight=False)
    console.print(
        f"{duration(finished.report.wall_s)}; report: {finished.paths.report_md}",
        highlight=False,
        soft_wrap=True,
    )
    nothing_to_resume = set(finished.report.failures) <= {NO_PREDICTION}
    if finished.exit_code != EXIT_DONE and not nothing_to_resume:
        console.print(
            f"go on with: python -m orchestrator resume {finished.paths.run_id}", highlight=False
        )
