"""Sessions of runs, taken to their ends together: one driver, one queue, one executor, one keeper
of images, and a lane for each model's server. A session alone is the same with one run.

Each run keeps what is its own: folder, journal, lock, limits and retries, and its report. What is
shared is said by the settings of the cluster, in which they must agree.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from rich.console import Console

from orchestrator.backends import find_backend
from orchestrator.backends.host import Place
from orchestrator.backends.imageless import NeedsNoImages
from orchestrator.backends.images import is_built_here
from orchestrator.bench.kept import measured_at_once
from orchestrator.display.summary import announce, announce_host
from orchestrator.display.terminal import make_display, print_line, waiting
from orchestrator.display.view import View
from orchestrator.driver.admission import Admission, first_limit
from orchestrator.driver.capacity import Capacity, RunWork, share_capacity
from orchestrator.driver.durations import SessionDurations, make_durations
from orchestrator.driver.files import rewrite_predictions
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.image_disk import ImageDisk
from orchestrator.driver.image_night import (
    ImageFacts,
    find_image_facts,
    find_missing_images,
    foresee_images,
    is_ordered_by_us,
    order_plan,
)
from orchestrator.driver.images import ImageKeeper, ImageNeeds
from orchestrator.driver.lanes import Lane
from orchestrator.driver.loop import Driver
from orchestrator.driver.runs import DrivenRun, RequestBuilder
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage
from orchestrator.driver.stop import StopSignal, stop_on_signals
from orchestrator.driver.this_host import busy_cores, memory_here
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_INTERRUPTED
from orchestrator.images.layers import ImageSize
from orchestrator.images.names import source_of
from orchestrator.images.sizes import known_sizes
from orchestrator.report.images import image_warnings
from orchestrator.run.cleanup import clean_attempt, clean_run
from orchestrator.run.drift import drift_warnings, look_again
from orchestrator.run.folder import begin_what_reports_need, write_reports
from orchestrator.run.image_words import image_lines
from orchestrator.run.joined import Joined
from orchestrator.run.notify import all_ended_words, ended_words, notifying
from orchestrator.run.ready import Finished, Session
from orchestrator.run.services import Services, start_services


def run_together(sessions: Sequence[Session], console: Console, name: str) -> tuple[Finished, ...]:
    """Run what is planned, write the reports, and tell who is to be notified how it ended."""
    if not sessions:
        return ()
    joined = Joined.of(sessions)
    title = "" if len(sessions) == 1 else name or f"{len(sessions)} runs"
    with notifying(sessions[0].config, joined.plan, console, title) as ending:
        finished = _run_and_report(sessions, joined, title, console)
        reports, exit_code = [one.report for one in finished], finished[0].exit_code
        if title:
            ending.text = all_ended_words(title, reports, exit_code)
        else:
            ending.text = ended_words(reports[0], exit_code)
        return finished


def _run_and_report(
    sessions: Sequence[Session], joined: Joined, title: str, console: Console
) -> tuple[Finished, ...]:
    stop = StopSignal()
    for session in sessions:
        rewrite_predictions(session.config, session.paths, session.journal.state())
    with ExitStack() as until_reported:
        if joined.sessions:
            _run_plan(joined, title, stop, until_reported, console)
            if not stop.count:
                with waiting(console, "looking at the model's server again"):
                    sessions = [look_again(session) for session in sessions]
        with waiting(console, "writing the reports"):
            reports = [
                write_reports(s.config, s.paths, s.dataset, s.journal.state(), s.lock)
                for s in sessions
            ]
    return tuple(
        Finished(report, session.paths, _exit_code(stop, report.valid))
        for session, report in zip(sessions, reports, strict=True)
    )


def _exit_code(stop: StopSignal, valid: bool) -> int:
    if stop.count:
        return EXIT_INTERRUPTED
    return EXIT_DONE if valid else EXIT_FAILURES_LEFT


def _run_plan(
    joined: Joined, title: str, stop: StopSignal, until_reported: ExitStack, console: Console
) -> None:
    """Run the plan's rollouts and grades, show what happens, and leave nothing behind.

    A closed terminal may say so twice: from the first event on, until the reports are written,
    signals are counted and end nothing by themselves.
    """
    missing = find_missing_images(joined.instances, joined.host)
    joined, capacity, facts = _announce(joined, console)
    slots, grade_slots = capacity.slots.count, capacity.grade_slots
    with (
        _recorded(joined.sessions, console),
        start_services(joined.sessions, joined.lanes, slots, grade_slots, console) as services,
    ):
        images = make_image_keeper(joined, services, missing, facts.sizes)
        durations = expect(joined, facts)
        driver = make_driver(joined, services, capacity, stop, images, durations)
        states = [session.journal.state() for session in joined.sessions]
        view = View.of(*states, now=time.monotonic(), name=title, time_left=driver.time_left)
        until_reported.enter_context(stop_on_signals(stop))
        with make_display(console, view) as display:
            for event in driver.events(joined.plan):
                display.notice(driver.notice())
                if event is not None:
                    display.show(event)
                    if _ends_with_what_runs(view):
                        begin_what_reports_need()


def _ends_with_what_runs(view: View) -> bool:
    """Whether every instance is decided, or its grade is under way."""
    grades = sum(stage is Stage.GRADE for stage, _ in view.slots)
    return view.decided + grades >= view.instances


def _announce(joined: Joined, console: Console) -> tuple[Joined, Capacity, ImageFacts]:
    """Say what is going to happen. The plan in its order, how much at once, and what is known of
    images and of earlier runs."""
    config, configs, host = joined.config, joined.configs, joined.host
    work = [RunWork(s.config, s.plan, joined.lanes.get(s.config.run_id)) for s in joined.sessions]
    capacity = share_capacity(work, host, memory_here())
    slots, grade_slots = capacity.slots.count, capacity.grade_slots
    with waiting(console, "asking what the images take"):
        facts = find_image_facts(config, joined.planned, host)
        plan = order_plan(config, joined.instances, joined.plan, facts, slots)
        night = foresee_images(configs, joined.instances, plan, facts, slots, grade_slots, host)
    for session in joined.sessions:
        announce(session.config, session.plan, session.paths, console)
    lines = image_lines(config, night, slots, time.time())
    announce_host(configs, plan, capacity, host, console, lines)
    warnings = (warning for session in joined.sessions for warning in _warnings(session))
    for warning in dict.fromkeys(warnings):
        print_line(console, warning, "yellow")
    return replace(joined, plan=plan), capacity, facts


def _warnings(session: Session) -> Iterator[str]:
    yield from session.checked.warnings
    yield from drift_warnings(session)
    yield from _moved_images(session)


def _moved_images(session: Session) -> Iterator[str]:
    """Where a run that goes on finds other images under the names of those that it has used."""
    state, lock = session.journal.state(), session.lock
    if not state.rollouts and not lock.images:
        return
    host, instances = session.checked.host, session.dataset.instances
    here = find_backend(host.kind).image_ids(instances, host.platform)
    yield from image_warnings(state, lock.images_at_start, lock.by_instance(here))


@contextmanager
def _recorded(sessions: Sequence[Session], console: Console) -> Iterator[None]:
    """Each run's journal has its session; what is left on the host when it is over is removed."""
    for session in sessions:
        session.journal.begin_session()
    try:
        yield
    finally:
        # an engine that has died meanwhile must not cost the report
        problems = [
            problem
            for session in sessions
            for problem in clean_run(session.paths, [session.checked.host.kind]).problems
        ]
        for problem in dict.fromkeys(problems):
            print_line(console, f"{problem} `clean` removes what is left.", "yellow")
    for session in sessions:
        session.journal.end_session()


def make_image_keeper(
    joined: Joined,
    services: Services,
    missing: frozenset[str],
    told: Mapping[str, ImageSize],
) -> ImageKeeper | None:
    """None where the sandboxes need no images; `missing` are not on this host, and `told` are the
    sizes that registries have been asked for."""
    cluster, host = joined.config.cluster, joined.host
    if isinstance(find_backend(host.kind), NeedsNoImages):
        return None
    pulled = [instance for instance in joined.instances if not is_built_here(instance)]
    sizes = {**known_sizes(pulled, host.platform), **told}
    return ImageKeeper(
        ImageNeeds(joined.instances, sizes, source_of(cluster.images), missing),
        joined.plan,
        cluster,
        host,
        ImageDisk.of(cluster, host, joined.sessions[0].paths.root),
        services.executor,
        joined.journals,
    )


def expect(joined: Joined, facts: ImageFacts) -> SessionDurations:
    """How long all takes; where no image has to come, rollouts that wait are sorted by it."""
    may_sort = is_ordered_by_us(joined.config) and not facts.missing
    return make_durations(
        joined.configs, joined.instances, facts.past, joined.host, longest_rollouts_first=may_sort
    )


def make_driver(
    joined: Joined,
    services: Services,
    capacity: Capacity,
    stop: StopSignal,
    images: ImageKeeper | None = None,
    durations: SessionDurations | None = None,
) -> Driver:
    """The driver, with its scheduler, and with a listener for each lane."""
    terms = {
        config.run_id: RunTerms(
            config.rollout.retries,
            config.rollout.retry_delay_s,
            joined.lanes.get(config.run_id),
        )
        for config in joined.configs
    }
    scheduler = Scheduler(capacity.slots.count, capacity.grading, terms)
    runs = {s.config.run_id: _driven(s, joined, services) for s in joined.sessions}
    listeners = [_listener(lane, joined, services, scheduler) for lane in services.gateways]
    return Driver(
        runs,
        services.executor,
        scheduler,
        stop,
        listeners,
        images,
        durations=durations,
        busy_cores=None if joined.host.place is Place.ELSEWHERE else busy_cores,
    )


def _driven(session: Session, joined: Joined, services: Services) -> DrivenRun:
    config, host = session.config, session.checked.host
    lane = joined.lanes.get(config.run_id)
    gateway = services.gateways[lane] if lane is not None else None
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
    return DrivenRun(requests, session.journal, partial(clean_attempt, session.paths, host.kind))


def _listener(
    lane: Lane, joined: Joined, services: Services, scheduler: Scheduler
) -> GatewayListener:
    asking = [s for s in joined.sessions if joined.lanes.get(s.config.run_id) is lane]
    model = asking[0].config.model
    assert model is not None, "a lane is a model's"
    slots = lane.admitted(scheduler.rollout_slots)
    return GatewayListener(
        services.gateways[lane],
        lane,
        {session.config.run_id: session.journal for session in asking},
        scheduler,
        Admission(slots, first_limit(measured_at_once(model)))
        if model.endpoint.admission == "auto"
        else None,
        model.endpoint.max_outage_s,
    )
