"""What a run says when it begins and when it has ended."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console

from orchestrator.backends.host import Host, limits_on_host
from orchestrator.config import RunConfig
from orchestrator.display.terminal import print_line
from orchestrator.driver.capacity import Capacity, grades
from orchestrator.driver.plan import Plan
from orchestrator.errors import EXIT_DONE
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report
from orchestrator.report.markdown import headline
from orchestrator.report.names import NO_PREDICTION
from orchestrator.report.terminal import render_report
from orchestrator.report.words import counted, duration


def announce(config: RunConfig, plan: Plan, paths: RunPaths, console: Console) -> None:
    """What is going to happen in a run."""
    model = f" with {config.model.name}" if config.model else ""
    patches = "1 patch" if len(plan.grades) == 1 else f"{len(plan.grades)} patches"
    to_grade = f", {patches} to grade" if plan.grades else ""
    done = f", {plan.done} done before" if plan.done else ""
    done += f", {plan.set_aside} set aside (see the report)" if plan.set_aside else ""
    print_line(
        console,
        f"{paths.run_id}: {counted(len(plan.rollouts), 'rollout')} of {config.benchmark.name} by "
        f"{config.agent_name}{model}{to_grade}{done}; everything goes to {paths.root}",
    )


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
    else:
        yield f"{grades(cluster)} at once, as cluster.grading.slots says"


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


def summarize(report: Report, paths: RunPaths, exit_code: int, console: Console) -> None:
    """The numbers, where to read more, and how to go on where something is left."""
    console.print(render_report(report))
    for warning in report.warnings:
        print_line(console, warning, "yellow")
    console.print(headline(report), style="bold", markup=False, highlight=False)
    where = f"{duration(report.wall_s)}; report: {paths.report_md}"
    print_line(console, where)
    is_hopeless = set(report.failures) <= {NO_PREDICTION}
    is_hopeless |= set(report.failure_ids) <= set(report.set_aside_ids)
    if exit_code != EXIT_DONE and not is_hopeless:
        command = f"python -m orchestrator resume {shlex.quote(str(paths.root))}"
        print_line(console, f"go on with: {command}")
