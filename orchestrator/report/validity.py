"""Whether a run's number may be quoted, and if not, why. Pure.

A run is *valid*, or *quarantined* for a reason that somebody should look into, or *unfinished*:
nothing speaks against it, but something has not been tried yet. Each rule looks for one reason.
What counts as too much is a setting (`config.schema.ReportSettings`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.config.schema import RunConfig
from orchestrator.journal.views import RunState
from orchestrator.report.images import image_warnings
from orchestrator.report.names import FAILURE_WORDS, NOT_GRADED, NOT_STARTED
from orchestrator.report.words import counted
from orchestrator.types import (
    FailureKind,
    GradeReason,
    GradeRecord,
    Outcome,
    RequestResult,
    RolloutRecord,
)

TO_BE_TRIED = frozenset({NOT_STARTED, NOT_GRADED, FailureKind.INTERRUPTED})
"""Why an instance has no verdict though nothing has failed: a person's stop is no failure."""
QUIET_SHARE = 0.1
"""What is odd in a stretch is so of at most such a share elsewhere: else it is the model's way."""


@dataclass(frozen=True)
class Validity:
    """Whether the resolve rate may be quoted; its fields are keys of report.json.

    Neither valid nor quarantined is a run of which instances were never tried, and nothing else.
    """

    is_valid: bool
    is_quarantined: bool
    reasons: tuple[str, ...]
    """Why it is not valid, one line each, what weighs most first; empty where it is."""

    @property
    def state(self) -> str:
        """`valid`, `quarantined` or `unfinished`."""
        if self.is_valid:
            return "valid"
        return "quarantined" if self.is_quarantined else "unfinished"

    @property
    def words(self) -> str:
        """`valid`, or such as `quarantined: ` and the first reason, and how many more there are."""
        if self.is_valid:
            return self.state
        more = len(self.reasons) - 1
        return f"{self.state}: {self.reasons[0]}{f' (and {more} more)' if more else ''}"


class Part(StrEnum):
    """What of a run's surroundings its number depends on, and may change on the way."""

    SERVER = "server"
    HOST = "host"
    HARNESS = "harness"
    AGENT = "agent"


GRADES_DEPEND_ON = frozenset({Part.HOST, Part.HARNESS})
ROLLOUTS_DEPEND_ON = frozenset({Part.SERVER, Part.HOST, Part.AGENT})


@dataclass(frozen=True)
class Drift:
    """A part of the surroundings that is not what the run began with, as a session found it.

    Times are seconds since the epoch.
    """

    part: Part
    words: str
    """What is another, in one line."""
    since: float
    """Results from then on are of the other, or may be."""
    until: float | None = None
    """From then on it was again as the run began; None: it was never found so."""
    within_session: bool = False
    """It changed while a session went on: where all results are of that session, they are of
    both."""

    def has_mixed(self, starts: Sequence[float]) -> bool:
        """Whether results that were begun at these times are of both."""
        end = math.inf if self.until is None else self.until
        other = [start for start in starts if self.since <= start < end]
        return bool(other) and (self.within_session or len(other) < len(starts))


@dataclass(frozen=True)
class Seen:
    """All that the rules look at."""

    config: RunConfig
    state: RunState
    failures: Mapping[str, int]
    """What keeps instances from a verdict (`Report.failures`)."""
    images_at_start: Mapping[str, str] = field(default_factory=dict)
    """By instance."""
    drifts: Sequence[Drift] = ()
    unresolved: frozenset[str] = frozenset()
    not_gradable: frozenset[str] = frozenset()
    """Instances of which a gold run on such a host says that they can't be graded, or flicker."""

    @property
    def outcomes(self) -> Sequence[RolloutRecord]:
        """The rollouts that count, in the order in which they ended."""
        return [row for row in self.state.rollouts if row.outcome is not None]

    @property
    def verdicts(self) -> Sequence[GradeRecord]:
        return list(self.state.verdicts.values())

    def is_too_many(self, part: int, whole: int) -> bool:
        settings = self.config.report
        return whole >= settings.quarantine_least and part > settings.quarantine_share * whole


@dataclass(frozen=True)
class Oddity:
    """What may happen to one rollout or grade, and at many tells of the infrastructure."""

    noun: str
    words: str
    """Such as `ended without a patch`."""
    of_instances: Sequence[tuple[str, bool]]
    """Each instance, in the order of the ends, and whether it is so of it."""
    is_of_tasks: bool = True
    """Whether the tasks of one repository may all have it for a reason of their own."""
    explained: frozenset[str] = frozenset()
    """Instances at which a weak model explains it: these tell of the infrastructure only where it
    is so of nearly all."""


def validity_of(seen: Seen) -> Validity:
    """Ask every rule."""
    reasons = tuple(reason for rule in RULES for reason in rule(seen))
    to_do = tuple(_to_be_tried(seen))
    return Validity(
        is_valid=not reasons and not to_do,
        is_quarantined=bool(reasons),
        reasons=(*reasons, *to_do),
    )


def _failures_left(seen: Seen) -> Iterator[str]:
    """What has failed, or has no prediction, and has neither a verdict nor a person's decision."""
    if not seen.failures.keys() <= TO_BE_TRIED:
        yield _without_verdict(seen)


def _to_be_tried(seen: Seen) -> Iterator[str]:
    """No rule: a run that goes on, or was stopped, is not suspect."""
    if seen.failures and seen.failures.keys() <= TO_BE_TRIED:
        yield _without_verdict(seen)


def _without_verdict(seen: Seen) -> str:
    kinds, instances = seen.failures, len(seen.state.instances)
    number = sum(kinds.values())
    have = "has" if number == 1 else "have"
    words = ", ".join(f"{FAILURE_WORDS[name]}: {count:,}" for name, count in kinds.items())
    return f"{number:,} of {counted(instances, 'instance')} {have} no verdict ({words})"


def _our_bugs(seen: Seen) -> Iterator[str]:
    """Also where a retry went well: what else was wrong with it, nobody knows."""
    rows: list[RolloutRecord | GradeRecord] = [*seen.state.rollouts, *seen.state.grades]
    bugs = [
        row.instance_id
        for row in rows
        if row.failure is not None and row.failure.kind is FailureKind.INTERNAL_ERROR
    ]
    if bugs:
        yield (
            f"this program's own code failed {counted(len(bugs), 'time')} (internal_error), first "
            f"at {bugs[0]}"
        )


def _drifts(seen: Seen) -> Iterator[str]:
    """What the number depends on was another for some of the results."""
    for drift in seen.drifts:
        rollouts = seen.outcomes if drift.part in ROLLOUTS_DEPEND_ON else ()
        grades = seen.verdicts if drift.part in GRADES_DEPEND_ON else ()
        if any(drift.has_mixed([row.started_at for row in rows]) for rows in (rollouts, grades)):
            yield f"{drift.words}: the results are of both"


def _moved_images(seen: Seen) -> Iterator[str]:
    yield from image_warnings(seen.state, seen.images_at_start)


def _too_many(seen: Seen) -> Iterator[str]:
    """More than a share of all, or all in a stretch of the night and hardly one elsewhere."""
    for oddity in _oddities(seen):
        odd, whole = sum(is_odd for _, is_odd in oddity.of_instances), len(oddity.of_instances)
        unexplained = sum(is_odd and i not in oddity.explained for i, is_odd in oddity.of_instances)
        is_nearly_all = odd > (1 - QUIET_SHARE) * whole and seen.is_too_many(odd, whole)
        if is_nearly_all or seen.is_too_many(unexplained, whole):
            yield f"{odd:,} of {counted(whole, oddity.noun)} {oddity.words}"
        elif not seen.is_too_many(odd, whole) and (words := _stretch_words(seen, oddity)):
            yield words


def _oddities(seen: Seen) -> Iterator[Oddity]:
    config, outcomes = seen.config, seen.outcomes
    if config.model is not None or config.predictions is not None:  # `nop` never changes anything
        events = [(row.instance_id, not row.has_patch) for row in outcomes]
        explored = frozenset(row.instance_id for row in outcomes if row.outcome in OUT_OF_STEPS)
        yield Oddity("rollout", "ended without a patch", events, explained=explored)
    if config.model is not None:
        for outcome, why in ODD_OUTCOMES.items():
            is_of_tasks = outcome is not Outcome.FORMAT_ERRORS
            events = [(row.instance_id, row.outcome is outcome) for row in outcomes]
            yield Oddity("rollout", f"ended in {outcome}{why}", events, is_of_tasks)
        yield _swallowed(seen)
    for reason, words in ODD_REASONS.items():
        events = [(row.instance_id, row.reason is reason) for row in seen.verdicts]
        yield Oddity("verdict", words, events)


OUT_OF_STEPS = frozenset({Outcome.STEP_LIMIT, Outcome.TOKEN_LIMIT})
"""A weak model looks around until its steps are over, and has changed nothing."""
ODD_OUTCOMES: Mapping[Outcome, str] = {
    Outcome.FORMAT_ERRORS: ": the model's answers could not be used",
    Outcome.CONTEXT_OVERFLOW: ": the server may take fewer tokens than the model could",
    Outcome.TIME_LIMIT: ": the server, or the host, may be too slow for the limit",
}
ODD_REASONS: Mapping[GradeReason, str] = {
    GradeReason.PATCH_DOES_NOT_APPLY: "say that the patch does not apply",
    GradeReason.TESTS_TIMED_OUT: "say that the tests ran too long",
    GradeReason.NO_TEST_RESULTS: "came of tests that printed no results",
}


def _swallowed(seen: Seen) -> Oddity:
    """Of most answers in a rollout nothing was left but reasoning."""
    answers, swallowed = Counter[str](), Counter[str]()
    counting = {row.key for row in seen.outcomes}
    for request in seen.state.requests:
        if request.key in counting and request.result.is_answer:
            answers[request.key.instance_id] += 1
            is_swallowed = request.result is RequestResult.SWALLOWED
            swallowed[request.key.instance_id] += is_swallowed
    events = [
        (i, 2 * swallowed[i] > answers[i])
        for i in (row.instance_id for row in seen.outcomes)
        if answers[i]
    ]
    return Oddity("rollout", "got answers of reasoning alone, mostly", events, is_of_tasks=False)


def _stretch_words(seen: Seen, oddity: Oddity) -> str:
    """Where it was so of one after the other for a while, and of hardly one elsewhere; else
    empty."""
    events, settings = oddity.of_instances, seen.config.report
    all_stretches = _stretches([is_odd for _, is_odd in events])
    stretches = [s for s in all_stretches if len(s) >= settings.quarantine_stretch]
    inside = [n for stretch in stretches for n in stretch]
    outside = len(events) - len(inside)
    odd_outside = sum(is_odd for _, is_odd in events) - len(inside)
    is_quiet = outside >= settings.quarantine_least and odd_outside <= QUIET_SHARE * outside
    if not inside or not is_quiet:
        return ""
    repos = {seen.state.instances.get(events[n][0]) for n in inside}
    if oddity.is_of_tasks and len(repos) == 1 and len(set(seen.state.instances.values())) > 1:
        return ""
    first = events[inside[0]][0]
    where = f"from {first} on" if inside == [*range(inside[0], len(events))] else f"first {first}"
    return (
        f"{counted(len(inside), oddity.noun)} in a row {oddity.words}, {where}, and "
        f"{odd_outside:,} of the {outside:,} others"
    )


def _stretches(flags: Sequence[bool]) -> Iterator[range]:
    """The positions of what holds one after the other, each stretch as long as it goes."""
    start = 0
    for position, flag in enumerate((*flags, False)):
        if not flag:
            if position > start:
                yield range(start, position)
            start = position + 1


def _not_gradable(seen: Seen) -> Iterator[str]:
    """The number says as much of this host's grading as of the model."""
    lost = {row.instance_id for row in seen.verdicts if not row.resolved}
    suspect = lost & seen.unresolved & seen.not_gradable  # where no patch was, nobody graded
    if len(suspect) > seen.config.report.quarantine_share * len(seen.unresolved):
        yield (
            f"{len(suspect):,} of {counted(len(seen.unresolved), 'unresolved instance')} can't be "
            "graded on this host, or not reliably, as their gold patches say"
        )


Rule = Callable[[Seen], Iterator[str]]
RULES: tuple[Rule, ...] = (
    _failures_left,
    _our_bugs,
    _drifts,
    _moved_images,
    _too_many,
    _not_gradable,
)
"""In the order in which reasons are told."""
