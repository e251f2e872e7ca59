"""The report: a pure function of the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from orchestrator.config.schema import RunConfig
from orchestrator.evidence.facts import Finding
from orchestrator.journal.views import RunState
from orchestrator.report.calibration import (
    Calibrated,
    GoldStanding,
    Gradable,
    calibrated_of,
)
from orchestrator.report.causes import count_causes, finding_rows, spoof_warnings
from orchestrator.report.images import (
    image_warnings,
    images_used,
    integrity_summary,
    integrity_warnings,
    platform_warnings,
)
from orchestrator.report.intervals import Intervals, Subset, build_intervals, build_subset
from orchestrator.report.model_usage import (
    ModelUsage,
    RolloutCost,
    build_model_usage,
    model_usage_warnings,
    rollout_costs,
)
from orchestrator.report.names import NO_PREDICTION, NOT_GRADED, NOT_STARTED
from orchestrator.report.retries import Retries, retries_of
from orchestrator.report.tool_calls import ToolCalls, build_tool_calls, call_warnings
from orchestrator.report.undecided import undecided_warnings
from orchestrator.report.validity import Drift, Seen, Validity, validity_of
from orchestrator.report.words import counted
from orchestrator.types import FailureKind, GradeReason, Outcome


@dataclass(frozen=True)
class Report:
    """The numbers of a run; its fields are the keys of report.json.

    `resolve_rate` is resolved / instances: what failed or never started stays in the denominator.
    `valid` says that every instance has a verdict, or that a person has decided to count it as
    unresolved. Whether the rate may be quoted is a further question: `validity`.
    """

    run_id: str
    benchmark: str
    model: str | None
    agent: str
    instances: int
    attempted: int
    """Instances with an outcome."""
    submitted: int
    salvaged: int
    empty: int
    """Outcomes without a patch: unresolved, and not graded."""
    graded: int
    resolved: int
    resolve_rate: float
    ci95: tuple[float, float]
    intervals: Intervals
    """Of the rate, each with what it is of."""
    subset: Subset
    """What of the benchmark the rate is of, and whether that is a random sample."""
    outcomes: Mapping[str, int]
    failures: Mapping[str, int]
    """What keeps instances from a verdict; `not_started` is one of them."""
    by_repo: Mapping[str, Mapping[str, int]]
    resolved_ids: tuple[str, ...]
    unresolved_ids: tuple[str, ...]
    failure_ids: tuple[str, ...]
    set_aside_ids: tuple[str, ...]
    """Those of the failures that are not redone before a person decides."""
    decided: Mapping[str, Mapping[str, Any]]
    """What a person decided to count as unresolved, by instance: because, by, at. It stands in
    neither of the lists above."""
    salvaged_ids: tuple[str, ...]
    causes: Mapping[str, int]
    """Why instances were not resolved, and how many of each cause, in the order of the taxonomy's
    rules; empty where nobody looked."""
    findings: Mapping[str, Mapping[str, Any]]
    """By instance that has one: its cause, the evidence for it in a line (`because`), why its test
    output is not to be believed (`spoofed`), and what else holds of it (`facts`)."""
    spoofed_ids: tuple[str, ...]
    """Instances whose patch can have written their own test results, resolved ones too."""
    calibrated: Calibrated | None
    """The rate over the instances that the host can grade; None where nobody has looked."""
    retries: Retries
    """What was redone, and after which failure."""
    valid: bool
    validity: Validity
    """Whether the rate may be quoted, and why not."""
    wall_s: float
    tokens: Mapping[str, int]
    """Of all attempts, those too that came to nothing."""
    steps: int
    """Of all attempts, as what follows: those too that came to nothing."""
    unusable_answers: int
    """Steps whose answer held no action that could be used."""
    tool_calls: ToolCalls | None
    """None where no function was offered, or nobody counted."""
    model_traffic: ModelUsage | None
    """None where no model was asked, or nothing was recorded of it."""
    versions: Mapping[str, str]
    changes: tuple[str, ...]
    """Of the configuration, made by `resume --set`."""
    emulation: str
    """`linux/amd64 images on a linux/arm64 engine`; empty where nothing was emulated."""
    platform: str
    """Of the images, such as linux/amd64; empty where there were none, or nobody knows."""
    images: Mapping[str, str]
    """By instance: repository and digest, or id, of what its last sandbox was started from."""
    integrity: Mapping[str, Any]
    """What images held that came after their base commits (`images.integrity_summary`)."""
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _SortedOut:
    """The instances of a run by how they came out."""

    config: RunConfig
    state: RunState

    @cached_property
    def resolved(self) -> tuple[str, ...]:
        """In the run's order, as those that are failing."""
        verdicts = self.state.verdicts
        return tuple(i for i in self.state.instances if i in verdicts and verdicts[i].resolved)

    @cached_property
    def empty(self) -> frozenset[str]:
        """Those whose rollout that counts has changed nothing."""
        return frozenset(i for i, row in self.state.outcomes.items() if not row.has_patch)

    @cached_property
    def measured(self) -> frozenset[str]:
        return self.empty | self.state.verdicts.keys()

    @cached_property
    def unresolved(self) -> frozenset[str]:
        return self.measured - set(self.resolved)

    @cached_property
    def failing(self) -> tuple[str, ...]:
        """Those with neither a verdict nor a person's decision."""
        done = self.measured | self.state.decided.keys()
        return tuple(i for i in self.state.instances if i not in done)

    @cached_property
    def settled(self) -> frozenset[str]:
        return frozenset(self.state.instances) - set(self.failing)

    @cached_property
    def failures(self) -> dict[str, int]:
        """Why so many are failing, by name."""
        return dict(sorted(Counter(map(self._why_failing, self.failing)).items()))

    def _why_failing(self, instance_id: str) -> str:
        if instance_id in self.state.failures:
            return str(self.state.failures[instance_id].kind)
        if instance_id in self.state.outcomes:
            return NOT_GRADED
        return NO_PREDICTION if self.config.predictions is not None else NOT_STARTED


def build_report(
    config: RunConfig,
    state: RunState,
    versions: Mapping[str, str],
    changes: tuple[str, ...] = (),
    emulation: str = "",
    platform: str = "",
    images: Mapping[str, str] | None = None,
    *,
    drifts: Sequence[Drift] = (),
    findings: Mapping[str, Finding] | None = None,
    standings: Mapping[str, GoldStanding] | None = None,
    benchmark_instances: int | None = None,
) -> Report:
    """Count what the journal holds. The rest is what the run's lock says; `images` are those that
    were there at the start, by instance. `findings` are what the run's files say of each instance;
    None where nobody looked. `standings` are what gold patches have shown of such a host."""
    outcomes, verdicts, found = state.outcomes, state.verdicts, findings or {}
    sorted_out = _SortedOut(config, state)
    resolved, unresolved, failing = sorted_out.resolved, sorted_out.unresolved, sorted_out.failing
    failures, n = sorted_out.failures, len(state.instances)
    started = {row.instance_id for row in state.rollouts}
    subset = build_subset(
        config.selection, state.instances, sorted_out.settled, started, benchmark_instances
    )
    intervals = build_intervals(state.instances, resolved, subset)
    costs = rollout_costs(state)
    model = config.model.name if config.model else None
    steps = sum(row.usage.steps for row in state.rollouts)
    unusable = sum(row.unusable_answers for row in state.rollouts)
    tool_calls = build_tool_calls(state.rollouts)
    return Report(
        run_id=state.run_id,
        benchmark=config.benchmark.name,
        model=model,
        agent=config.agent_name,
        instances=n,
        attempted=len(outcomes),
        submitted=sum(row.outcome is Outcome.SUBMITTED for row in outcomes.values()),
        salvaged=sum(row.salvaged for row in outcomes.values()),
        empty=len(sorted_out.empty),
        graded=len(verdicts),
        resolved=len(resolved),
        resolve_rate=len(resolved) / n if n else 0.0,
        ci95=intervals.wilson,
        intervals=intervals,
        subset=subset,
        outcomes=dict(sorted(Counter(str(row.outcome) for row in outcomes.values()).items())),
        failures=failures,
        by_repo=_by_repo(state, set(resolved)),
        resolved_ids=tuple(sorted(resolved)),
        unresolved_ids=tuple(sorted(unresolved)),
        failure_ids=tuple(sorted(failing)),
        set_aside_ids=tuple(sorted(state.set_aside)),
        decided={
            i: {"because": decision.because, "by": decision.by, "at": decision.at}
            for i, decision in sorted(state.decided.items())
        },
        salvaged_ids=tuple(sorted(i for i, row in outcomes.items() if row.salvaged)),
        calibrated=calibrated_of(state, resolved, standings or {}),
        retries=retries_of(state),
        causes=count_causes(found),
        findings=finding_rows(found),
        spoofed_ids=tuple(sorted(i for i, finding in found.items() if finding.spoofed)),
        valid=not failing,
        validity=validity_of(
            Seen(
                config,
                state,
                failures,
                images or {},
                drifts,
                unresolved,
                _not_gradable(standings or {}),
            )
        ),
        wall_s=round(state.wall_s, 1),
        tokens=_tokens(costs),
        steps=steps,
        unusable_answers=unusable,
        tool_calls=tool_calls,
        model_traffic=build_model_usage(state, costs, len(resolved)),
        versions=dict(versions),
        changes=changes,
        emulation=emulation,
        platform=platform,
        images=images_used(state),
        integrity=integrity_summary(state),
        warnings=(
            *_warnings(state),
            *_notes(state, of_all=True),
            *spoof_warnings(found, set(resolved)),
            *call_warnings(tool_calls, unusable, steps, model),
            *_notes(state, of_all=False),
            *integrity_warnings(state),
            *image_warnings(state, images or {}),
            *platform_warnings(platform),
            *_emulation_warnings(state, emulation),
        ),
    )


def _not_gradable(standings: Mapping[str, GoldStanding]) -> frozenset[str]:
    return frozenset(i for i, s in standings.items() if s.gradable is not Gradable.OK)


def _by_repo(state: RunState, resolved: set[str]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for instance_id, repo in state.instances.items():
        row = table.setdefault(repo, {"instances": 0, "resolved": 0})
        row["instances"] += 1
        row["resolved"] += instance_id in resolved
    return dict(sorted(table.items()))


def _tokens(costs: Sequence[RolloutCost]) -> dict[str, int]:
    """Of all attempts, failed ones too."""
    prompt = sum(cost.prompt_tokens for cost in costs)
    completion = sum(cost.completion_tokens for cost in costs)
    return {"prompt": prompt, "completion": completion, "total": prompt + completion}


def _warnings(state: RunState) -> tuple[str, ...]:
    """Bugs, what is to be decided, and what requests show."""
    return (*_bugs(state), *undecided_warnings(state), *model_usage_warnings(state.requests))


def _notes(state: RunState, *, of_all: bool) -> Iterator[str]:
    """Remarks of the rollouts that count, each with its number; those that hold `of_all`, which say
    what the whole run is, apart from those of some."""
    notes = Counter(note for row in state.outcomes.values() for note in row.notes)
    return (
        f"{note} ({counted(count, 'rollout')})"
        for note, count in notes.most_common()
        if (count == len(state.outcomes)) is of_all
    )


def _emulation_warnings(state: RunState, emulation: str) -> Iterator[str]:
    """What slow processors may have had a part in, where they were emulated."""
    if not emulation:
        return
    yield f"{emulation}: the sandboxes were emulated, several times slower"
    in_time = sum(v.reason is GradeReason.TESTS_TIMED_OUT for v in state.verdicts.values())
    if in_time:
        yield (
            f"{counted(in_time, 'verdict')} came of emulated tests that ran too long "
            "(tests_timed_out), where the gold patches were resolved in time (gold_control.json)"
        )
    late = sum(row.outcome is Outcome.TIME_LIMIT for row in state.outcomes.values())
    if late:
        yield (
            f"{counted(late, 'rollout')} ended at time_limit, and emulated commands have taken a "
            "part of the time: a higher rollout.time_limit_s, in a run of its own, shows how much"
        )


def _bugs(state: RunState) -> Iterator[str]:
    """Bugs of this program. They are reported also where a retry went well."""
    ends = [(row.key.instance_id, row.failure) for row in state.rollouts]
    ends += [(row.key.instance_id, row.failure) for row in state.grades]
    failures = [
        (instance_id, failure.detail)
        for instance_id, failure in ends
        if failure is not None and failure.kind is FailureKind.INTERNAL_ERROR
    ]
    if failures:
        instance_id, detail = failures[0]
        yield (
            f"BUG: this program's own code failed {counted(len(failures), 'time')} "
            f"(internal_error), first at {instance_id}: {detail}. The files of these "
            "rollouts and grades, or gateway.log, hold the traceback: please report it."
        )
