"""The report as a table on the terminal."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from orchestrator.report.build import Report
from orchestrator.report.markdown import bar
from orchestrator.report.words import compact, duration


def render_report(report: Report) -> Table:
    """How the rollouts ended, and what came of each repository."""
    by = f"{report.agent} with {report.model}" if report.model else report.agent
    table = Table(
        title=escape(f"{report.run_id}: {report.benchmark} by {by}"),
        title_justify="left",
        show_header=False,
        box=box.SIMPLE,
    )
    table.add_column("")
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    n = report.instances
    for name, count in report.outcomes.items():
        table.add_row(name, bar(count, n), f"{count}/{n}")
    for name, count in report.failures.items():
        table.add_row(f"failure: {name}", bar(count, n), f"{count}/{n}", style="red")
    table.add_section()
    table.add_row("salvaged patches", bar(report.salvaged, n), f"{report.salvaged}/{n}")
    table.add_row("no patch", bar(report.empty, n), f"{report.empty}/{n}")
    table.add_section()
    for repo, row in report.by_repo.items():
        count, of = row["resolved"], row["instances"]
        table.add_row(escape(f"resolved in {repo}"), bar(count, of), f"{count}/{of}")
    table.add_section()
    _add_calls(table, report)
    _add_model_usage(table, report)
    table.add_row("resolved", bar(report.resolved, n), f"{report.resolved}/{n}", style="bold")
    return table


def _add_calls(table: Table, report: Report) -> None:
    """What of the model's answers its agent could not use; nothing where it could use all."""
    calls, unusable = report.tool_calls, report.unusable_answers
    if calls is not None and calls.broken:
        table.add_row(
            "broken tool calls", bar(calls.broken, calls.calls), f"{calls.broken}/{calls.calls}"
        )
        for name, count in calls.problems.items():
            table.add_row(f"  {name}", bar(count, calls.calls), f"{count}/{calls.calls}")
    elif unusable:
        steps = report.steps
        table.add_row("answers without an action", bar(unusable, steps), f"{unusable}/{steps}")
    if unusable or (calls is not None and calls.broken):
        table.add_section()


def _add_model_usage(table: Table, report: Report) -> None:
    """What it cost, and that the server was away; nothing where there is nothing to say."""
    tokens, usage = report.tokens, report.model_traffic
    away_s = usage.outage_s if usage is not None else None
    if tokens["total"]:
        spent = f"{compact(tokens['prompt'])} in, {compact(tokens['completion'])} out"
        table.add_row("tokens", spent, compact(tokens["total"]))
        if report.resolved:
            each = compact(tokens["total"] / report.resolved)
            table.add_row("tokens per resolved instance", "", each)
    if usage is not None and away_s is not None and away_s >= 1:  # less is a hiccup
        table.add_row("no model server was up", duration(away_s), f"{usage.outages} x")
    if tokens["total"] or away_s:
        table.add_section()
