"""What a run says when it begins and when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.backends.host import Host, limits_on_host
from orchestrator.config import RunConfig
from orchestrator.display.terminal import print_line
from orchestrator.driver.capacity import Capacity, grading_line
from orchestrator.driver.plan import Plan
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report
from orchestrator.report.names import what_ran
from orchestrator.report.next_steps import NextStep, next_steps
from orchestrator.report.terminal import render_report
from orchestrator.report.words import counted
from orchestrator.text import printable

SCREEN_LINES = 40
VERB_WIDTH = 9
WARNING, WARNING_STYLE = "⚠", "yellow"


def announce(config: RunConfig, plan: Plan, paths: RunPaths, console: Console) -> None:
    """What is going to happen in a run."""
    patches = "1 patch" if len(plan.grades) == 1 else f"{len(plan.grades)} patches"
    to_grade = f", {patches} to grade" if plan.grades else ""
    done = f", {plan.done} done before" if plan.done else ""
    done += f", {plan.set_aside} set aside (see the report)" if plan.set_aside else ""
    model = config.model.name if config.model else None
    print_line(
        console,
        f"{paths.run_id}: {counted(len(plan.rollouts), 'rollout')}{to_grade}{done} "
        f"({what_ran(config.benchmark.name, config.agent_name, model)})",
    )
    print_line(console, f"everything goes to {paths.root}")


def announce_host(
    configs: Sequence[RunConfig],
    plan: Plan,
    capacity: Capacity,
    host: Host,
    console: Console,
    of_images: Iterable[str] = (),
) -> None:
    """Where it is going to happen, for all runs of a session; `of_images` are the lines on
    images."""
    for line in (*host_lines(configs[0], plan, capacity, host), *of_images):
        print_line(console, line)
    emulated = (emulation_notice(config, host) for config in configs)
    for emulation in dict.fromkeys(filter(None, emulated)):
        print_line(console, emulation, "yellow")
    if not host.isolates:
        print_line(
            console,
            f"{host.kind} sandboxes isolate nothing: what the agent does, it does on this machine",
            "yellow",
        )


def host_lines(config: RunConfig, plan: Plan, capacity: Capacity, host: Host) -> Iterator[str]:
    """Where the sandboxes are, and how many at once and why."""
    cluster, slots = config.cluster, capacity.slots
    because = f", as {cluster.because} (--cluster NAME takes another)" if cluster.because else ""
    engine = f" of {host.engine_name} {host.engine_version}" if host.engine_name else ""
    yield f"cluster {cluster.name}{because}; {host.kind} sandboxes{engine}"
    if plan.rollouts:
        yield f"{slots.count} at once: {slots.bound}"
    yield grading_line(capacity.grading)


def emulation_notice(config: RunConfig, host: Host) -> str:
    """What a person should know of sandboxes whose processors are emulated; else empty."""
    if not host.emulated:
        return ""
    command_s = limits_on_host(config.rollout, host.emulated).command_timeout_s
    return (
        f"{host.emulation}: emulated, several times slower. A command of the agent's gets "
        f"{command_s:g} s, the tests of a grade {config.cluster.grading.limit_s(host.emulated)} s; "
        "where they run longer, the gold patch's show whether that was enough"
    )


def summarize(report: Report, paths: RunPaths, console: Console, *, is_live: bool = False) -> None:
    """How a run has ended, or stands while it `is_live`: the number, what it is made of, what to
    know, and what comes next.

    On a terminal it fits a screen, but for what is on many instances and can't be said shorter; a
    file gets every warning, each on a line of its own.
    """
    body = render_report(report, console.width, is_terminal=console.is_terminal)
    steps = next_steps(report, RunPaths(as_typed(paths.root)), is_live=is_live)
    console.print(body)
    console.print()
    if console.is_terminal:
        taken = len(console.render_lines(body, pad=False)) + len(steps) + 5
        _print_warnings(report.warnings, SCREEN_LINES - taken, console)
    else:
        for warning in report.warnings:
            print_line(console, f"  {WARNING} {printable(warning)}", WARNING_STYLE)
    if report.warnings:
        console.print()
    print_steps(steps, console)


def _print_warnings(warnings: Sequence[str], room: int, console: Console) -> None:
    """As many as there is room for, and where the others are to be read."""
    shown = 0
    for warning in warnings:
        line = _beside(f"  {WARNING}", Text(printable(warning), style=WARNING_STYLE))
        room -= len(console.render_lines(line, pad=False))
        if room < 0:
            break
        console.print(line)
        shown += 1
    if more := len(warnings) - shown:
        words = counted(more, "more warning" if shown else "warning")
        console.print(Text(f"  {WARNING} {words}: see the report", WARNING_STYLE))


def print_steps(steps: Iterable[NextStep], console: Console) -> None:
    """What a person does next, a line each."""
    console.print(Text("  next", "dim"))
    for step in steps:
        _print_step(step, console)


def _print_step(step: NextStep, console: Console) -> None:
    """What is to be typed is not broken; words are, and go on below themselves."""
    verb = f"  {step.verb:<{VERB_WIDTH}}"
    if step.is_command:
        console.print(Text(verb, "dim").append(step.text, "not dim bold"), soft_wrap=True)
    else:
        console.print(_beside(verb[:-1], Text(printable(step.text))))


def _beside(left: str, right: Text) -> Table:
    """Words that go on below their own beginning, and not below what stands before them."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(left, right.style), right)
    return table


def as_typed(folder: Path) -> Path:
    """The same, as a person would type it who is where this process is."""
    here = Path.cwd()
    is_inside = folder != here and folder.is_relative_to(here)
    return folder.relative_to(here) if is_inside else folder
