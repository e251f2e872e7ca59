"""Writing a made-up run: a whole run's folder, as a real night would have left it.

From any benchmark's rows and a seed, by the classes that write real ones; the same seed gives the
same bytes. Nothing is run, and no model is asked: patches, trajectories and tests' outputs are made
up, and the official harness's own code reads the outputs. Everything that is shown of it says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.agents.steps import Step, trajectory_json
from orchestrator.backends.grading import harness_report
from orchestrator.dataset.harness import harness_module
from orchestrator.dataset.load import rows_of
from orchestrator.driver.files import rewrite_predictions, save_grade, save_rollout
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.errors import ConfigError
from orchestrator.evidence.facts import Cause
from orchestrator.journal import Journal
from orchestrator.made_up.benchmark import BenchmarkRows
from orchestrator.made_up.chance import chance
from orchestrator.made_up.facts import NOTE, SERVER, made_up_config, made_up_lock
from orchestrator.made_up.fates import CLAIMED, Fate, FateSubject, fates
from orchestrator.made_up.nights import (
    Attempt,
    MadeUpNight,
    Span,
    TakenStep,
    TimedGrade,
    grade_times,
    spend_night,
)
from orchestrator.made_up.patches import Golds, PatchKind, make_patch
from orchestrator.made_up.samples import sample_night
from orchestrator.made_up.steps import PlannedStep, plan_steps
from orchestrator.made_up.stories import StoryScene, tell
from orchestrator.made_up.test_outputs import (
    broken_output,
    claimed_output,
    eval_output,
    hanging_output,
    passed_tests,
)
from orchestrator.paths import TRAJECTORY, RunPaths
from orchestrator.run.folder import create_run
from orchestrator.types import (
    Failure,
    GradeRecord,
    GradeResult,
    ModelRequest,
    RequestResult,
    RolloutKey,
    RolloutRecord,
    RolloutResult,
    Usage,
    patch_sha256,
)
from orchestrator.verdict import (
    INSTANCE_LOG,
    PATCH_APPLY_FAILED,
    REPORT,
    TEST_OUTPUT,
    verdict,
)

OFFICIAL_TIMEOUT_S = 1800


def write_made_up_run(
    root: Path, rows: BenchmarkRows, *, seed: int = 0, failures_left: int = 0
) -> RunPaths:
    """Lay out a whole run in the new folder `root`, whose name is the run's id.

    `failures_left` instances fail whenever they are tried: then the run is not valid.

    Raises:
        ConfigError: something lies there already, or its name can be no run's id.
        JournalError: the disk takes no more.
    """
    paths = RunPaths(root.resolve())
    if os.path.lexists(paths.root) and not (paths.root.is_dir() and not os.listdir(paths.root)):
        raise ConfigError(f"{root} is there already: name a new folder for the made-up run")
    config = made_up_config(paths.run_id, rows.benchmark)
    create_run(paths, config, rows.dataset, made_up_lock(config, rows.dataset, seed))
    history = History(paths.run_id, seed, tuple(rows_of(rows.dataset)), failures_left)
    clock = _Clock()
    with Journal.open(paths.journal, clock) as journal:
        for session in history.sessions:
            clock.now = session.start
            journal.begin_session()
            for result in history.results(session):
                if isinstance(result, RolloutResult):
                    save_rollout(paths, result)
                    journal.append_rollout(result.record)
                else:
                    save_grade(config, paths, result)
                    journal.append_grade(result.record)
            clock.now = session.end
            journal.end_session()
        journal.append_requests(history.requests(), list(history.samples()))
        rewrite_predictions(config, paths, journal.state())
    return paths


@dataclass
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class _Part:
    """All that is made up of one instance."""

    row: Mapping[str, Any]
    fate: Fate
    patch: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True)
class History:
    """What has happened in a run, by its seed."""

    run_id: str
    seed: int
    rows: Sequence[Mapping[str, Any]]
    failures_left: int

    @cached_property
    def parts(self) -> Mapping[str, _Part]:
        subjects = {
            str(row["instance_id"]): FateSubject(
                str(row["repo"]), str(row["patch"]), len(row["FAIL_TO_PASS"])
            )
            for row in self.rows
        }
        chosen = fates(self.seed, subjects)
        return {
            instance_id: self._part(row, chosen[instance_id], subjects)
            for instance_id, row in zip(subjects, self.rows, strict=True)
        }

    def _part(
        self, row: Mapping[str, Any], fate: Fate, subjects: Mapping[str, FateSubject]
    ) -> _Part:
        instance_id = str(row["instance_id"])
        own = subjects[instance_id]
        rng = chance(self.seed, instance_id, "story")
        others = [
            other.gold_patch
            for other_id, other in subjects.items()
            if other.repo == own.repo and other_id != instance_id
        ]
        patch = make_patch(fate.patch, Golds(own.gold_patch, others), rng)
        tests = (*row["FAIL_TO_PASS"], *row["PASS_TO_PASS"])
        statement = str(row["problem_statement"])
        scene = StoryScene(statement, patch or own.gold_patch, fate, tests)
        told = tell(scene, rng.randint(*fate.steps), rng)
        return _Part(row, fate, patch, plan_steps(told, statement, rng))

    @cached_property
    def night(self) -> MadeUpNight:
        left = chance(self.seed, "left").sample(
            sorted(self.parts), min(self.failures_left, len(self.parts))
        )
        planned = {instance_id: part.steps for instance_id, part in self.parts.items()}
        return spend_night(self.seed, planned, frozenset(left))

    @cached_property
    def grades(self) -> Mapping[str, tuple[TimedGrade, ...]]:
        ended = [
            (attempt.instance_id, attempt.span.end)
            for attempt in self.night.attempts
            if attempt.failure is None and self.parts[attempt.instance_id].patch
        ]
        seconds = {instance_id: self._grade_s(instance_id) for instance_id, _ in ended}
        return grade_times(self.seed, ended, seconds, self.night)

    def _grade_s(self, instance_id: str) -> float:
        part = self.parts[instance_id]
        if part.fate.cause is Cause.TESTS_TOO_LONG:
            return OFFICIAL_TIMEOUT_S + 20.0
        tests = len(part.row["PASS_TO_PASS"]) + len(part.row["FAIL_TO_PASS"])
        return (18 + 0.1 * tests) * chance(self.seed, instance_id, "tests").lognormvariate(0, 0.5)

    @cached_property
    def sessions(self) -> tuple[Span, ...]:
        """The last one goes on until all is graded."""
        first, second = self.night.sessions
        ends = [grade.span.end for times in self.grades.values() for grade in times]
        return first, Span(second.start, max([second.end, *(end + 20 for end in ends)]))

    def results(self, session: Span) -> Iterator[RolloutResult | GradeResult]:
        """All rollouts and grades of a session, in the order in which they ended."""
        found: list[tuple[float, int, RolloutResult | GradeResult]] = []
        for attempt in self.night.attempts:
            if not session.holds(attempt.span.start):
                continue
            found.append((attempt.span.end, 0, self._rollout(attempt)))
        for instance_id, times in self.grades.items():
            for time in times:
                if session.holds(time.span.start):
                    found.append((time.span.end, 1, self._grade(instance_id, time)))
        found.sort(key=lambda one: (one[0], one[1], one[2].key))
        return (result for _, _, result in found)

    def _rollout(self, attempt: Attempt) -> RolloutResult:
        part, failure = self.parts[attempt.instance_id], attempt.failure
        key = RolloutKey(self.run_id, attempt.instance_id, attempt.number)
        fate = part.fate
        record = RolloutRecord(
            key,
            outcome=None if failure else fate.outcome,
            failure=failure,
            salvaged=failure is None and fate.salvaged,
            usage=_usage(attempt.steps),
            started_at=attempt.span.start,
            ended_at=attempt.span.end,
            phases_s=attempt.phases_s,
            notes=(NOTE,),
            image=_image(part.row),
            unusable_answers=sum(not step.planned.exchange.action for step in attempt.steps),
        )
        steps = [_step(step) for step in attempt.steps]
        files = {TRAJECTORY: _bytes(trajectory_json(steps))} if steps else {}
        return RolloutResult(record, "" if failure else part.patch, files=files)

    def _grade(self, instance_id: str, time: TimedGrade) -> GradeResult:
        part = self.parts[instance_id]
        number = next(
            one.number
            for one in self.night.attempts
            if one.instance_id == instance_id and one.failure is None
        )
        files = self._harness_files(part, time.failure)
        resolved, reason = (None, None) if time.failure else verdict(instance_id, files)
        record = GradeRecord(
            RolloutKey(self.run_id, instance_id, number),
            patch_sha256(part.patch),
            resolved=resolved,
            reason=reason,
            failure=time.failure,
            started_at=time.span.start,
            ended_at=time.span.end,
            phases_s={"harness": round(time.span.seconds, 3)},
            image=_image(part.row),
        )
        return GradeResult(record, files)

    def _harness_files(self, part: _Part, failure: Failure | None) -> dict[str, bytes]:
        """As the harness leaves them; of a grade that failed, its log alone."""
        instance_id = str(part.row["instance_id"])
        files = {
            "patch.diff": _bytes(part.patch),
            "eval.sh": _bytes(str(part.row["eval_script"])),
            INSTANCE_LOG: _bytes(f"{harness_module('constants').APPLY_PATCH_PASS}:\n({NOTE})\n"),
        }
        if failure is not None:
            return {INSTANCE_LOG: files[INSTANCE_LOG]}
        if part.fate.patch is PatchKind.BROKEN:
            log = f"git apply --verbose: exit 1\nerror: patch failed\n{PATCH_APPLY_FAILED}\n"
            return files | {INSTANCE_LOG: _bytes(log)}
        files[TEST_OUTPUT] = _bytes(self._test_output(part))
        if part.fate.cause is not Cause.TESTS_TOO_LONG:
            files[REPORT] = harness_report(part.row, instance_id, part.patch, files[TEST_OUTPUT])
        return files

    def _test_output(self, part: _Part) -> str:
        row, fate = part.row, part.fate
        if fate.cause is Cause.TESTS_TOO_LONG:
            return hanging_output(row, OFFICIAL_TIMEOUT_S)
        if fate.cause is Cause.TESTS_DID_NOT_RUN:
            return broken_output(row)
        rng = chance(self.seed, row["instance_id"], "tests' output")
        lists = row["FAIL_TO_PASS"], row["PASS_TO_PASS"]
        passed = passed_tests(*lists, fate.fails, fate.breaks, rng)
        if fate.patch is PatchKind.SPOOFING:
            return claimed_output(row, passed, rng, believed=fate == CLAIMED)
        return eval_output(row, passed, rng)

    def requests(self) -> list[ModelRequest]:
        """One a step, in the order in which they ended."""
        found = [
            _request(RolloutKey(self.run_id, attempt.instance_id, attempt.number), step)
            for attempt in self.night.attempts
            for step in attempt.steps
        ]
        return sorted(found, key=lambda one: (one.started_at + one.total_s, one.key))

    def samples(self) -> Iterator[LoadSample]:
        return sample_night(self.night, self.sessions)


def _request(key: RolloutKey, step: TakenStep) -> ModelRequest:
    planned = step.planned
    return ModelRequest(
        key,
        RequestResult.ANSWERED,
        SERVER,
        200,
        started_at=round(step.asked_at, 3),
        total_s=round(step.held_s + planned.model_s, 3),
        held_s=round(step.held_s, 3),
        first_token_s=round(0.25 * planned.model_s, 3),
        retries=int(step.held_s > 0),
        prompt_tokens=planned.prompt_tokens,
        cached_tokens=planned.cached_tokens,
        completion_tokens=planned.completion_tokens,
        reasoning_tokens=planned.reasoning_tokens,
    )


def _usage(steps: Sequence[TakenStep]) -> Usage:
    return Usage(
        steps=len(steps),
        prompt_tokens=sum(step.planned.prompt_tokens for step in steps),
        completion_tokens=sum(step.planned.completion_tokens for step in steps),
        model_s=round(sum(step.planned.model_s for step in steps), 3),
        held_s=round(sum(step.held_s for step in steps), 3),
    )


def _step(step: TakenStep) -> Step:
    exchange = step.planned.exchange
    return Step(
        exchange.thought,
        exchange.action,
        exchange.observation,
        exchange.shown,
        round(step.answered_at, 3),
        step.planned.prompt_tokens,
        step.planned.completion_tokens,
    )


def _image(row: Mapping[str, Any]) -> str:
    """A digest that no image has."""
    name = str(row["image"]).partition(":")[0]
    return f"{name}@sha256:{patch_sha256(NOTE + name)}"


def _bytes(text: str) -> bytes:
    """As the program's own writers do it; half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace")
