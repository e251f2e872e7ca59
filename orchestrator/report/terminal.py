"""The report on the terminal: the number first, then what it is made of, on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.report.bars import bar, cells_of, interval_bar, large
from orchestrator.report.build import Report
from orchestrator.report.names import CAUSE_WORDS, FILLS, STYLES, Mark, named, what_ran
from orchestrator.report.words import (
    by_number,
    compact,
    counted,
    duration,
    interval_words,
    share_of,
)
from orchestrator.text import printable

INDENT = 2
MAX_WIDTH = 120
"""Lines that are longer than this are read no better."""
OUTCOMES_SHOWN, FAILURES_SHOWN = 4, 3
"""Those that are most; of the others there is their number."""
REASONS_SHOWN = CAUSES_SHOWN = 3
REPO_LINES = 2
REPO_BAR = 8


def render_report(report: Report, width: int, *, is_terminal: bool) -> RenderableType:
    """`is_terminal`: the number is drawn large, where nobody searches for it in a file."""
    width = min(width, MAX_WIDTH) - INDENT
    parts: list[RenderableType] = [_title(report), Text()]
    if report.validity.is_valid:
        parts.append(_number(report, width, is_terminal=is_terminal))
    else:
        parts += _why_not_valid(report)
    parts += [Text(), *_shares(report, width), Text(), *_ends(report, width)]
    if len(report.by_repo) > 1:
        parts += [Text(), *_repos(report, width)]
    if facts := [*_calibrated(report), *_causes(report), *_costs(report)]:
        parts += [Text(), *facts]
    return Padding(Group(*parts), (0, 0, 0, INDENT))


def _title(report: Report) -> Text:
    text = Text(report.run_id, style="bold")
    ran = what_ran(report.benchmark, report.agent, report.model)
    return text.append(printable(f"  {ran}; {duration(report.wall_s)}"), style="not bold dim")


def _number(report: Report, width: int, *, is_terminal: bool) -> RenderableType:
    """The rate, how sure it is, and that it may be quoted."""
    low, high = report.ci95
    rate = f"{report.resolve_rate:.1%}"
    said = Text(f"{report.resolved:,} of {report.instances:,} resolved, ", style="bold")
    said.append("valid", style=STYLES[Mark.RESOLVED])
    if report.decided:
        said.append(f"; {len(report.decided):,} decided by a person", style="not bold")
    interval = f"95% interval {interval_words(report.ci95)}"
    digits = large(rate)
    room = width - len(digits[0]) - 3
    is_large = is_terminal and room >= len(interval)
    is_one_line = not is_large and width >= 2 * len(interval)
    if not is_large:
        said = Text(f"{rate}: ", style="bold").append(said)
        room = width - len(interval) - 2 if is_one_line else width
    line = f"0% {interval_bar(low, report.resolve_rate, high, max(10, min(60, room - 8)))} 100%"
    if is_one_line:
        return Group(said, Text(f"{line}  {interval}"))
    if not is_large:
        return Group(said, Text(line), Text(interval))
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row(Text("\n".join(digits), style="bold"), Group(said, Text(line), Text(interval)))
    return table


def _why_not_valid(report: Report) -> Iterator[Text]:
    """Why the number may not be quoted, before the number."""
    validity = report.validity
    style = STYLES[Mark.NO_VERDICT if not validity.is_quarantined else Mark.UNRESOLVED]
    for number, reason in enumerate(validity.reasons[:REASONS_SHOWN]):
        text = Text(f"{validity.state}: " if number == 0 else "and: ", style=f"bold {style}")
        yield text.append(printable(reason), style="bold default")
    if (more := len(validity.reasons) - REASONS_SHOWN) > 0:
        yield Text(f"and {counted(more, 'more reason')}: see the report")
    so_far = " so far" if report.failures else ""
    rate = (
        f"{report.resolved:,} of {report.instances:,} resolved{so_far} ({report.resolve_rate:.1%}"
    )
    yield Text(f"{rate}, 95% interval {interval_words(report.ci95)})")


@dataclass(frozen=True)
class Share:
    """Instances that came out alike."""

    mark: Mark
    count: int
    words: str


def _shares(report: Report, width: int) -> Iterator[Text]:
    """All instances as one bar, and what its parts are."""
    by_hand = f", {len(report.decided):,} of them by a person" if report.decided else ""
    unresolved = len(report.unresolved_ids) + len(report.decided)
    shares = (
        Share(Mark.RESOLVED, report.resolved, "resolved"),
        Share(Mark.UNRESOLVED, unresolved, f"unresolved{by_hand}"),
        Share(Mark.NO_VERDICT, len(report.failure_ids), "without a verdict"),
    )
    cells = cells_of([share.count for share in shares], min(60, width))
    drawn, legend = Text(), Text()
    for share, length in zip(shares, cells, strict=True):
        style = STYLES[share.mark]
        drawn.append(FILLS[share.mark] * length, style=style)
        if share.count or share.mark is not Mark.NO_VERDICT:
            legend.append(f"{FILLS[share.mark]} {share.mark} ", style=style)
            legend.append(f"{share.count:,} {share.words}   ")
    yield drawn
    legend.rstrip()
    yield legend


def _ends(report: Report, width: int) -> Iterator[RenderableType]:
    """How the rollouts ended, and what failed; each way by its words and its identifier."""
    yield Text("how the rollouts ended", style="dim")
    outcomes = by_number(report.outcomes)[:OUTCOMES_SHOWN]
    rows = [(Text(named(name)), count, "") for name, count in outcomes]
    failed = f"{Mark.NO_VERDICT} "
    style = STYLES[Mark.NO_VERDICT]
    rows += [
        (Text(f"{failed}{named(name)}"), count, style)
        for name, count in by_number(report.failures)[:FAILURES_SHOWN]
    ]
    label = max((text.cell_len for text, _, _ in rows), default=0)
    digits = len(f"{report.instances:,}")
    bar_width = max(8, min(30, width - label - digits - 4))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    for text, count, row_style in rows:
        drawn = bar(count, report.instances, bar_width)
        table.add_row(text, drawn, f"{count:,}", style=row_style)
    yield table
    others = max(0, len(report.outcomes) - OUTCOMES_SHOWN)
    others += max(0, len(report.failures) - FAILURES_SHOWN)
    more = f"and {counted(others, 'other way')}" if others else ""
    if words := ", ".join(filter(None, [more, *_patch_words(report)])):
        yield Text(words, style="dim")


def _patch_words(report: Report) -> Iterator[str]:
    if report.salvaged:
        patches = "1 patch" if report.salvaged == 1 else f"{report.salvaged:,} patches"
        yield f"{patches} salvaged (changed, never submitted)"
    if report.empty:
        yield f"{counted(report.empty, 'rollout')} without a patch"


def _repos(report: Report, width: int) -> Iterator[RenderableType]:
    """Of each repository how many were resolved, in columns; the largest where they are many."""
    yield Text("resolved by repository", style="dim")
    rows = sorted(report.by_repo.items(), key=lambda item: -item[1]["instances"])
    names = _short_names(report.by_repo)
    ratios = {repo: f"{row['resolved']:,}/{row['instances']:,}" for repo, row in rows}
    label = max(Text(name).cell_len for name in names.values())
    taken = label + REPO_BAR + max(map(len, ratios.values())) + 6
    columns = max(1, width // taken)
    room = REPO_LINES * columns
    shown = rows if len(rows) <= room else rows[:room]
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
    for start in range(0, len(shown), columns):
        cells: list[RenderableType] = []
        for repo, row in shown[start : start + columns]:
            drawn = bar(row["resolved"], row["instances"], REPO_BAR)
            cells += [Text(names[repo]), Text(drawn), Text(ratios[repo])]
        table.add_row(*cells)
    yield table
    if rest := rows[len(shown) :]:
        resolved = sum(row["resolved"] for _, row in rest)
        instances = sum(row["instances"] for _, row in rest)
        yield Text(f"and {len(rest):,} more with {resolved:,}/{instances:,}", style="dim")


def _short_names(repos: Mapping[str, object]) -> dict[str, str]:
    """Repositories without their owners where that tells them apart."""
    names = {repo: printable(repo.rpartition("/")[2]) for repo in repos}
    is_clear = len(set(names.values())) == len(names)
    return names if is_clear else {repo: printable(repo) for repo in repos}


def _calibrated(report: Report) -> Iterator[Text]:
    """The rate without what this host can't grade, beside the whole and never instead."""
    if report.calibrated is not None:
        yield _cost("calibrated", report.calibrated.words)


def _causes(report: Report) -> Iterator[Text]:
    """Why instances were not resolved, as far as somebody has looked into the files."""
    if not report.causes:
        return
    causes = by_number(report.causes)[:CAUSES_SHOWN]
    words = ", ".join(f"{CAUSE_WORDS[cause]}: {count:,}" for cause, count in causes)
    others = len(report.causes) - len(causes)
    more = f", and {counted(others, 'other cause')}" if others else ""
    yield _cost("why not resolved", f"{words}{more}")


def _costs(report: Report) -> Iterator[Text]:
    """What it took, and what got in its way: a line each, nothing where there is nothing."""
    tokens, usage = report.tokens, report.model_traffic
    if tokens["total"]:
        each = compact(tokens["total"] / report.resolved) if report.resolved else ""
        per = f"; {each} per resolved instance" if each else ""
        spent = f"{compact(tokens['prompt'])} in, {compact(tokens['completion'])} out"
        yield _cost("tokens", f"{spent}{per}")
    calls, unusable = report.tool_calls, report.unusable_answers
    if calls is not None and calls.broken:
        problems = ", ".join(f"{count:,} {name}" for name, count in calls.problems.items())
        yield _cost("broken tool calls", f"{share_of(calls.broken, calls.calls)}: {problems}")
    elif unusable:
        yield _cost("answers without an action", share_of(unusable, report.steps))
    away_s = usage.outage_s if usage is not None else None
    if usage is not None and away_s is not None and away_s >= 1:  # less is a hiccup
        yield _cost(
            "no model server was up",
            f"{duration(away_s)} ({counted(usage.outages or 0, 'outage')})",
        )


def _cost(what: str, words: str) -> Text:
    return Text(f"{what}  ", style="dim").append(printable(words), style="not dim default")
