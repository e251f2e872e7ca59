"""The loop between scheduler, executor and journals. The scheduler decides what is done."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestrator.driver.durations import SessionDurations
from orchestrator.driver.eta import Eta
from orchestrator.driver.executor import Event, Executor, Notice, Remark
from orchestrator.driver.files import append_prediction, save_grade, save_rollout
from orchestrator.driver.gateway_listener import GatewayListener
from orchestrator.driver.grading_watch import GradingWatch
from orchestrator.driver.images import ImageKeeper
from orchestrator.driver.plan import Plan
from orchestrator.driver.runs import DrivenRun
from orchestrator.driver.scheduler import Hold, Place, Scheduler, Stage, Start, anywhere
from orchestrator.driver.stop import StopSignal
from orchestrator.driver.time_left import TimeRange
from orchestrator.errors import JournalError
from orchestrator.images.decisions import StoreHold
from orchestrator.journal.bounds import settle
from orchestrator.types import FailureKind, GradeResult, RolloutKey, RolloutResult
from orchestrator.worker.messages import ImageEvent, ImageGone

POLL_S = 0.25
DISK_EVERY_S = 10.0
ENOUGH_AGAIN = 1.1
"""Of `min_free_disk_gb`, must be free before rollouts go on that had to wait for room."""
STOP_NOW_PATIENCE_S = 60.0
LEAVE_THINGS_BEHIND = (
    FailureKind.WORKER_LOST,
    FailureKind.SHARED_WORKER_LOST,
    FailureKind.INTERNAL_ERROR,
)


class Driver:
    """Takes a plan of one or several runs to its end. The caller iterates over `events` and shows
    them."""

    def __init__(
        self,
        runs: Mapping[str, DrivenRun],
        executor: Executor,
        scheduler: Scheduler,
        stop: StopSignal,
        listeners: Sequence[GatewayListener] = (),
        images: ImageKeeper | None = None,
        *,
        durations: SessionDurations | None = None,
        busy_cores: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = POLL_S,
    ) -> None:
        """`runs` are by run id, and share one cluster's settings; a listener is for each lane.
        `durations` learn from what ends, and say what starts first; without them, what came first.
        `busy_cores` says how many cores of the sandboxes' host were busy since it was last asked.

        `clock` gives seconds and never goes backwards; the executor waits by the same clock, for at
        most `poll_s` at a time."""
        self._runs = runs
        self._executor = executor
        self._scheduler = scheduler
        self._stop = stop
        self._listeners = listeners
        self._clock = clock
        self._poll_s = poll_s
        self._images = images
        """None for sandboxes that need no images."""
        self._durations = durations
        self._eta = None if durations is None else Eta(scheduler, durations)
        if durations is not None:
            for stage in Stage:
                scheduler.sort(stage, durations.turn(stage))
        self._grading = GradingWatch(scheduler, executor, busy_cores, clock)
        self._disk_checked_at = -math.inf
        self._stopped_now_at: float | None = None
        self._hold_until = (-math.inf, "")
        """The end of a hold by the clock, and as the time of day, worked out once."""

    def events(self, plan: Plan) -> Iterator[Event | Start | None]:
        """Run until nothing is left, or a stop has been obeyed; None where nothing happened.

        Raises:
            JournalError: the record can't be written; everything recorded so far stands.
            OSError: the disk takes no more.
        """
        self._scheduler.add(Stage.ROLLOUT, plan.rollouts)
        self._scheduler.add(Stage.GRADE, plan.grades)
        place: Place = anywhere
        if self._images is not None:
            place, self._scheduler.is_ready = self._images.place, self._images.is_ready
        yield from self._see_to_images()
        while not self._scheduler.is_finished or self._waits_for_evictions:
            self._obey_stop()
            self._watch_disk()
            if self._stop_is_overdue():
                return
            for listener in self._listeners:
                yield from listener.listen()
            self._let_go_of_dropped()
            self._grading.look()
            for start in self._scheduler.admit(self._clock(), place):
                self._submit(start)
                yield start
            for event in self._executor.poll(self._poll_s):
                yield self._record(event)
            yield from self._end_after_bugs()
            yield from self._see_to_images()
            for run in self._runs.values():
                run.journal.heartbeat(self._bounds_left_s)
            yield None
        for listener in self._listeners:
            yield from listener.end()

    def notice(self) -> Notice:
        """Why nothing is admitted, or nothing that asks one of the models, for the display."""
        if self._stop.count >= 2:
            return Notice("stopping now: what runs is harvested and ends", "stop now")
        if self._stop.count == 1:
            text = "stopping: what runs may finish; once more (Ctrl-C) stops it now"
            return Notice(text, "stop")
        hold: Hold | StoreHold | None = self._scheduler.hold(self._clock())
        if hold is None and self._images is not None:
            hold = self._images.hold(self._clock())
        if hold is None:
            hold = self._scheduler.hold_of_lanes()
        if hold is None:
            return Notice()
        if hold.until is None:
            return Notice(hold.text, hold.about)
        if hold.until != self._hold_until[0]:
            at = time.localtime(time.time() + hold.until - self._clock())
            self._hold_until = hold.until, time.strftime("%H:%M:%S", at)
        return Notice(f"{hold.text} until {self._hold_until[1]} at the earliest", hold.about)

    def time_left(self, now: float) -> TimeRange | None:
        """Until all is over, at a moment of the driver's clock; None where that is not known."""
        return self._eta.time_left(now) if self._eta is not None else None

    def _bounds_left_s(self) -> tuple[float, float] | None:
        left = self.time_left(self._clock())
        return None if left is None else (left.low_s, left.high_s)

    def _submit(self, start: Start) -> None:
        is_here = self._images is not None and self._images.is_here(start.key, start.node)
        requests = self._runs[start.key.run_id].requests
        if start.stage is Stage.ROLLOUT:
            self._executor.submit_rollout(requests.rollout_request(start, is_here))
            return
        self._executor.submit_grade(requests.grade_request(start, is_here))
        self._grading.grade_started()

    def _record(self, event: Event) -> Event:
        """Files first, then the journal's row, then the scheduler. Returns what was recorded."""
        if isinstance(event, ImageGone | ImageEvent) and self._images is not None:
            self._images.take(event, self._clock())
        if isinstance(event, ImageGone):
            self._scheduler.give_back(event.key)
        if not isinstance(event, RolloutResult | GradeResult):
            return event
        run = self._runs[event.key.run_id]
        if isinstance(event, RolloutResult):
            kind = FailureKind.SANDBOX_BROKEN
            event = settle(event, run.journal.count_failures(event.key.instance_id, kind))
        failure, now = event.failure.kind if event.failure else None, self._clock()
        may_pause = not self._is_of_its_image_alone(event.key, failure)
        if isinstance(event, RolloutResult):
            save_rollout(run.paths, event)
            run.journal.append_rollout(event.record)
            if event.outcome is not None:
                append_prediction(run.config, run.paths, event)
            wants_grade = event.record.has_patch
            self._scheduler.rollout_done(event.key, failure, wants_grade, now, may_pause=may_pause)
        else:
            save_grade(run.config, run.paths, event)
            run.journal.append_grade(event.record)
            self._scheduler.grade_done(event.key, failure, now, may_pause=may_pause)
        if self._durations is not None:
            self._durations.take(event)
        if self._images is not None:
            self._images.ended(event.key, failure)
            self._let_go_of_image(event.key)
        if failure in LEAVE_THINGS_BEHIND:
            self._clean_up_after(event.key)
        return event

    def _let_go_of_image(self, key: RolloutKey) -> None:
        if self._images is not None and not self._scheduler.has_left(key):
            self._images.instance_over(key)

    def _let_go_of_dropped(self) -> None:
        """What waited for a model server that stayed away needs no image any more."""
        for key in self._scheduler.take_dropped():
            self._let_go_of_image(key)

    def _is_of_its_image_alone(self, key: RolloutKey, failure: FailureKind | None) -> bool:
        """A registry that gives nothing is waited for before anything starts: what fails after that
        is for this one image."""
        if self._images is None or failure is not FailureKind.IMAGE_UNAVAILABLE:
            return False
        return self._images.brings(key)

    def _see_to_images(self) -> Iterator[Event]:
        """After a stop no more images come; after a second one none goes either."""
        if self._images is not None and self._stop.count < 2:
            held, may_pull = self._scheduler.held_back(), not self._scheduler.stopping
            yield from self._images.act(self._clock(), may_pull=may_pull, held_back=held)

    @property
    def _waits_for_evictions(self) -> bool:
        return self._images is not None and self._images.is_evicting and self._stop.count < 2

    def _clean_up_after(self, key: RolloutKey) -> None:
        """Do what a worker could not do any more: remove its sandbox, drop its requests."""
        run = self._runs[key.run_id]
        run.clean(key)
        if run.requests.gateway is not None:
            run.requests.gateway.forget(key)

    def _obey_stop(self) -> None:
        """Admit nothing more after a person's first stop; end what runs after the second."""
        if self._stop.count >= 1:
            self._scheduler.stopping = True
        if self._stop.count >= 2 and self._stopped_now_at is None:
            self._stopped_now_at = self._clock()
            self._executor.stop_now()

    def _end_after_bugs(self) -> Iterator[Remark]:
        """End a session in one of whose runs our own code fails at one instance after the other,
        before it has burnt them all."""
        if self._scheduler.has_met_a_bug and not self._scheduler.stopping:
            self._scheduler.stopping = True
            yield Remark(
                "this program's own code fails at every instance (internal_error): the run ends "
                "here, and can be resumed with a version that mends it. The report has the details"
            )

    def _stop_is_overdue(self) -> bool:
        since = self._stopped_now_at
        return since is not None and self._clock() - since > STOP_NOW_PATIENCE_S

    def _watch_disk(self) -> None:
        """Start no rollout while the disk is nearly full.

        Raises:
            JournalError: it is, and nothing is under way that would free some.
        """
        now = self._clock()
        if now - self._disk_checked_at < DISK_EVERY_S:
            return
        self._disk_checked_at = now
        minimum_gb = max(run.config.cluster.min_free_disk_gb for run in self._runs.values())
        free_gb, root = min(
            (shutil.disk_usage(run.paths.root).free / 1e9, run.paths.root)
            for run in self._runs.values()
        )
        since = self._scheduler.disk_low_since
        frees = self._images is not None and self._images.may_free_runs_disk
        idle = self._scheduler.is_idle and not frees
        # at the very limit it would be full and not full in turns
        enough_gb = minimum_gb if since is None or idle else ENOUGH_AGAIN * minimum_gb
        is_low = free_gb < enough_gb
        self._scheduler.disk_low_since = (now if since is None else since) if is_low else None
        if is_low and idle:
            raise JournalError(
                f"{free_gb:.2f} GB are free at {root}, less than {minimum_gb:g} "
                "(cluster.min_free_disk_gb). Nothing is lost: free some space and resume."
            )
