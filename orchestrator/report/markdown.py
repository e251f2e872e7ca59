"""report.md: the report for people, with a picture of every number that is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.evidence.taxonomy import RULES
from orchestrator.journal.views import RunState
from orchestrator.report.bars import bar, cells_of, interval_bar
from orchestrator.report.build import Report
from orchestrator.report.images import USUAL_PLATFORM
from orchestrator.report.intervals import interval_lines
from orchestrator.report.model_server import model_server_section
from orchestrator.report.model_usage import rollout_costs
from orchestrator.report.names import CAUSE_WORDS, FILLS, NOT_GRADED, NOT_STARTED, Mark, named
from orchestrator.report.tool_calls import ToolCalls
from orchestrator.report.undecided import decision_words
from orchestrator.report.words import (
    by_number,
    cell,
    compact,
    counted,
    duration,
    interval_words,
    share_of,
)
from orchestrator.types import GradeRecord

MAX_EXAMPLES = 3
"""Of each cause."""


def render_markdown(report: Report, state: RunState) -> str:
    """The whole file's text."""
    return "\n".join(
        [
            *_head(report),
            *_outcomes(report),
            *_intervals(report),
            *_repos(report),
            *_causes(report),
            *_left_out(report),
            *_tool_calls(report.tool_calls),
            *model_server_section(report, state.samples),
            *_instances(report, state),
        ]
    )


def headline(report: Report) -> str:
    """The one line that a person looks for in the morning: the number where it may be quoted, else
    first why it may not."""
    rate = f"{report.resolved} of {report.instances} resolved"
    interval = f"{report.resolve_rate:.1%}, 95% interval {interval_words(report.ci95)}"
    by_hand = f"; {len(report.decided)} decided by a person" if report.decided else ""
    if report.validity.is_valid:
        return f"{rate} ({interval}{by_hand}), valid"
    so_far = "" if report.valid else " so far"
    return f"{report.validity.words}; {rate}{so_far} ({interval}{by_hand})"


def _shares(report: Report) -> str:
    """All instances as a bar, and `✓ 8 resolved, ✗ 3 unresolved, ? 1 without a verdict`."""
    shares = {
        Mark.RESOLVED: (report.resolved, "resolved"),
        Mark.UNRESOLVED: (len(report.unresolved_ids) + len(report.decided), "unresolved"),
        Mark.NO_VERDICT: (len(report.failure_ids), "without a verdict"),
    }
    cells = cells_of([count for count, _ in shares.values()], 60)
    drawn = "".join(FILLS[mark] * length for mark, length in zip(shares, cells, strict=True))
    words = [f"{mark} {count:,} {word}" for mark, (count, word) in shares.items() if count]
    return f"`{drawn}` {', '.join(words)}"


def _head(report: Report) -> Iterable[str]:
    yield f"# {cell(report.run_id)}"
    yield ""
    yield f"**{cell(headline(report), 2000)}**"
    yield ""
    low, high = report.ci95
    if report.validity.is_valid:
        yield f"`0% {interval_bar(low, report.resolve_rate, high, 60)} 100%`"
        yield ""
    yield f"{_shares(report)}. To look at: [report.html](report.html)."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| benchmark | {cell(report.benchmark)} |"
    yield f"| model | {cell(report.model or 'none')} |"
    yield f"| agent | {cell(report.agent)} |"
    reasons = "<br>".join(cell(reason, 2000) for reason in report.validity.reasons)
    yield f"| {report.validity.state} | {reasons or 'yes'} |"
    if report.calibrated is not None:
        yield f"| calibrated: without what can't be graded here | {report.calibrated.words} |"
    yield f"| attempted / instances | {report.attempted} / {report.instances} |"
    yield f"| submitted by the agent | {report.submitted} |"
    yield f"| salvaged (changed, not submitted) | {report.salvaged} |"
    yield f"| empty (no change) | {report.empty} |"
    yield f"| graded | {report.graded} |"
    if report.decided:
        yield f"| decided by a person, as unresolved | {len(report.decided)} |"
    yield f"| redone after failures | {report.retries.words or 'nothing'} |"
    yield f"| wall clock | {duration(report.wall_s)} |"
    yield f"| tokens | {report.tokens['prompt']:,} in, {report.tokens['completion']:,} out |"
    if report.unusable_answers:
        without = share_of(report.unusable_answers, report.steps)
        yield f"| answers without an action that could be used | {without} |"
    if report.platform not in ("", USUAL_PLATFORM):
        yield f"| platform | {cell(report.platform)} |"
    if report.emulation:
        yield f"| emulated | {cell(report.emulation)} |"
    for change in report.changes:
        yield f"| changed on resume | {cell(change)} |"
    yield ""
    for warning in report.warnings:
        yield f"> {cell(warning, 2000)}"
        yield ""


def _outcomes(report: Report) -> Iterable[str]:
    yield "## How the rollouts ended"
    yield ""
    yield "| outcome | | count |"
    yield "|---|---|---|"
    for name, count in by_number(report.outcomes):
        yield f"| {named(name)} | `{bar(count, report.instances)}` | {count} |"
    for name, count in by_number(report.failures):
        drawn = bar(count, report.instances)
        yield f"| {Mark.NO_VERDICT} *failure: {named(name)}* | `{drawn}` | {count} |"
    yield ""


def _intervals(report: Report) -> Iterable[str]:
    yield "## How sure the rate is"
    yield ""
    yield "At 95 % confidence:"
    yield ""
    for line in interval_lines(report.intervals, report.subset):
        yield f"- {cell(line, 400)}"
    yield ""


def _repos(report: Report) -> Iterable[str]:
    yield "## By repository"
    yield ""
    yield "| repository | resolved | |"
    yield "|---|---|---|"
    for repo, row in report.by_repo.items():
        resolved, instances = row["resolved"], row["instances"]
        yield f"| {cell(repo)} | `{bar(resolved, instances)}` | {resolved} / {instances} |"
    yield ""


def _causes(report: Report) -> Iterable[str]:
    """The causes as bars, with up to three examples each; nothing where there are none."""
    if report.causes:
        whole = sum(report.causes.values())
        yield "## Why instances were not resolved"
        yield ""
        yield "| cause | | count | such as |"
        yield "|---|---|---:|---|"
        for rule in RULES:
            if count := report.causes.get(rule.cause, 0):
                row = f"| {rule.words} (`{rule.cause}`) | `{bar(count, whole)}` | {count} |"
                yield f"{row} {'<br>'.join(_examples(report, rule.cause))} |"
        yield ""
        yield "The first rule that holds counts: docs/taxonomy.md explains each."
        yield ""
    if report.spoofed_ids:
        yield "## Test results that a patch can have written itself"
        yield ""
        yield "| instance | verdict | why |"
        yield "|---|---|---|"
        for instance_id in report.spoofed_ids:
            word = "**resolved**" if instance_id in report.resolved_ids else "unresolved"
            why = cell(report.findings[instance_id]["spoofed"], 400)
            yield f"| {cell(instance_id, 300)} | {word} | {why} |"
        yield ""


def _examples(report: Report, cause: str) -> Iterator[str]:
    found = [i for i, row in report.findings.items() if row["cause"] == cause]
    for instance_id in found[:MAX_EXAMPLES]:
        yield f"{cell(instance_id, 300)}: {cell(report.findings[instance_id]['because'])}"


def _left_out(report: Report) -> Iterable[str]:
    """What the calibrated rate is without, whatever became of it in this run."""
    if report.calibrated is None or not report.calibrated.left_out:
        return
    resolved = set(report.resolved_ids)
    yield "## Not gradable on this host"
    yield ""
    yield "Gold patches say so (`calibrate`). The calibrated rate is without these instances."
    yield ""
    yield "| instance | in this run | its gold patch here |"
    yield "|---|---|---|"
    for instance_id, why in report.calibrated.left_out.items():
        word = "resolved" if instance_id in resolved else "not resolved"
        yield f"| {cell(instance_id, 300)} | {word} | {cell(why)} |"
    yield ""


def _tool_calls(found: ToolCalls | None) -> Iterable[str]:
    """How the model's calls of functions came out; nothing where it was offered none."""
    if found is None or not found.calls:
        return
    yield "## Tool calls"
    yield ""
    yield "| | | calls |"
    yield "|---|---|---|"
    for name, count in found.by_result:
        yield f"| {cell(name)} | `{bar(count, found.calls)}` | {share_of(count, found.calls)} |"
    yield ""
    if not found.broken:
        return
    rollouts = counted(len(found.rollouts), "rollout")
    yield f"Calls were broken in {found.rollouts_with_trouble} of {rollouts}."
    yield ""
    if found.details:
        yield "| most often wrong | times |"
        yield "|---|---:|"
        for words, count in found.details.items():
            yield f"| {cell(words)} | {count:,} |"
        yield ""


def _instances(report: Report, state: RunState) -> Iterable[str]:
    resolved = set(report.resolved_ids)
    tokens: Counter[str] = Counter()
    for cost in rollout_costs(state):
        tokens[cost.instance_id] += cost.tokens
    trouble = _trouble_by_instance(report, state)
    yield "## Instances"
    yield ""
    title, line = (f" {trouble.title} |", "---:|") if trouble else ("", "")
    yield f"| instance | verdict | outcome | steps | tokens |{title} why |"
    yield f"|---|---|---|---|---:|{line}---|"
    for instance_id in state.instances:
        name, outcome = cell(instance_id, 300), state.outcomes.get(instance_id)
        verdict = state.verdicts.get(instance_id)
        spent = compact(tokens[instance_id]) if tokens[instance_id] else ""
        if trouble:
            spent += f" | {trouble.cells.get(instance_id, '')}"
        if instance_id in report.failure_ids:
            failure = state.failures.get(instance_id)
            unknown = NOT_GRADED if outcome else NOT_STARTED
            kind, detail = (failure.kind, failure.detail) if failure else (unknown, "")
            why = f"{named(kind)}: {cell(detail)}" if detail else named(kind)
            yield f"| {name} | {Mark.NO_VERDICT} **failure** | | | {spent} | {why} |"
            continue
        if instance_id in state.decided:
            why = cell(decision_words(state.decided[instance_id]))
            yield f"| {name} | {Mark.UNRESOLVED} *unresolved, by hand* | | | {spent} | {why} |"
            continue
        assert outcome is not None
        assert outcome.outcome is not None
        is_resolved = instance_id in resolved
        word = f"{Mark.RESOLVED} resolved" if is_resolved else f"{Mark.UNRESOLVED} unresolved"
        how = f"{named(outcome.outcome)}{', salvaged' if outcome.salvaged else ''}"
        why = _why(verdict, report.findings.get(instance_id, {}))
        steps = outcome.usage.steps
        yield f"| {name} | {word} | {how} | {steps} | {spent} | {why} |"
    yield ""


def _why(verdict: GradeRecord | None, finding: Mapping[str, Any]) -> str:
    """The cause where somebody has looked for it; else what a verdict of unresolved rests on."""
    if finding.get("cause"):
        return CAUSE_WORDS[finding["cause"]]
    if verdict is None or verdict.reason is None:
        return "no patch"
    return "" if verdict.resolved else named(verdict.reason)


@dataclass(frozen=True)
class _Column:
    title: str
    cells: Mapping[str, str]
    """By instance that had any, such as `8 / 9`."""


def _trouble_by_instance(report: Report, state: RunState) -> _Column | None:
    """What was broken of the model's calls, or not usable of its answers, over all attempts; None
    where all could."""
    broken, made = Counter[str](), Counter[str]()
    if report.tool_calls is not None:
        title = "broken calls"
        for calls in report.tool_calls.rollouts:
            broken[calls.instance_id] += calls.broken
            made[calls.instance_id] += calls.calls
    elif report.unusable_answers:
        title = "answers without an action"
        for row in state.rollouts:
            broken[row.instance_id] += row.unusable_answers
            made[row.instance_id] += row.usage.steps
    else:
        return None
    return _Column(title, {i: f"{count:,} / {made[i]:,}" for i, count in broken.items() if count})
