"""`serve`: a model's server on its GPU host, as the profile's recipe has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import options as opt
from orchestrator.errors import EXIT_PREREQUISITE, ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.config.schema import Model
    from orchestrator.serving.faults import Fault
    from orchestrator.serving.plan import ServePlan
    from orchestrator.serving.shell import Shell


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


@dataclass(frozen=True)
class ServeRequest:
    """What was asked for, beside the deed."""

    name: str
    """A model's profile; with --lint also a command line, or a container."""
    shell: Shell
    variant: str | None
    port: int | None
    follow: bool
    lines: int
    replace: bool
    force: bool
    chat_template: Path | None
    machine: str
    wait_s: float
    settings: list[str] | None
    config_dirs: tuple[Path, ...]
    as_json: bool

    @property
    def console(self) -> Console:
        return opt.make_console(as_json=self.as_json)

    def model(self) -> Model:
        """Raises ConfigError: no such profile, or a setting of something else."""
        from orchestrator.config import load_config

        dirs = list(self.config_dirs)
        model = load_config(opt.model_request(self.name, self.settings, dirs, "a server")).model
        assert model is not None
        return model

    def plan(self) -> ServePlan:
        """What would be started. Raises ConfigError where it must not be."""
        from orchestrator.serving.plan import make_plan

        plan = make_plan(
            self.model(),
            self.config_dirs,
            variant=self.variant,
            port=self.port,
            template_file=self.chat_template,
            force=self.force,
        )
        self.refuse(plan.faults)
        return plan

    def refuse(self, faults: tuple[Fault, ...]) -> None:
        """Tell them all; raises ConfigError where one is fatal and --force was not given."""
        for line in fault_lines(faults):
            typer.echo(line, err=True)
        fatal = [fault.name for fault in faults if fault.is_fatal]
        if fatal and not self.force:
            names = ", ".join(fatal)
            raise ConfigError(f"known to be broken, as told above ({names}); --force goes on")


def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="A model profile (see `models`) or a YAML file. With --lint also a command line "
            "in quotes, or a container's name.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            help="The GPU host as ssh takes it: [user@]host, or a Host of ssh_config; this "
            "machine if absent.",
            show_default=False,
        ),
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Show the command, with reasons; without a flag too.")
    ] = False,
    up: Annotated[
        bool, typer.Option("--up", help="Start it there, and wait until it is healthy.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show how it stands; exit code 3 unless healthy.")
    ] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Show what it has printed.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Stop and remove it.")] = False,
    lint: Annotated[
        bool,
        typer.Option(
            "--lint",
            help="Say what is known to be broken in a command line or a container; exit code 2 "
            "where something is.",
        ),
    ] = False,
    variant: Annotated[
        str | None, typer.Option("--variant", help="One of the recipe's, not its default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="The server's, not the recipe's.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --up: in place of one with another command.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start what is known to be broken.")
    ] = False,
    chat_template: Annotated[
        Path | None,
        typer.Option("--chat-template", help="The recipe's chat template, where you have it."),
    ] = None,
    machine: Annotated[
        str,
        typer.Option(
            "--machine", help="With --lint: whose GPU it is for; 'other' for one that is no Spark."
        ),
    ] = "DGX Spark",
    wait: Annotated[
        float, typer.Option("--wait", min=0.01, help="With --up: minutes until it is healthy.")
    ] = 120,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="With --logs: go on as it prints more.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", min=1, help="With --logs: how many of the last ones.")
    ] = 200,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Start and look after a model's server on its GPU host, over ssh with docker.

    SWE_ORCHESTRATOR_SSH is another command than `ssh`, such as "ssh -F FILE".

    Examples:

        python -m orchestrator serve gemma-4-26b

        python -m orchestrator serve gemma-4-26b --host spark --up

        python -m orchestrator serve --lint "vllm serve MODEL --enforce-eager"
    """
    from orchestrator.serving.shell import Shell

    if host == "":  # of a variable that is not set, mostly
        raise ConfigError("--host is empty: name the GPU host, or leave it out for this machine")
    asked = ServeRequest(
        name=model,
        shell=Shell(host or "", say=lambda line: typer.echo(line, err=True)),
        variant=variant,
        port=port,
        follow=follow,
        lines=lines,
        replace=replace,
        force=force,
        chat_template=chat_template,
        machine=machine,
        wait_s=wait * 60,
        settings=settings,
        config_dirs=tuple(config_dirs or ()),
        as_json=as_json,
    )
    flags = (print_, up, status, logs, down, lint)
    wanted = [name for name, given in zip(DEEDS, flags, strict=True) if given]
    if len(wanted) > 1:
        raise ConfigError(f"{' and '.join(f'--{name}' for name in wanted)}: one of them at a time")
    deed = wanted[0] if wanted else "print"
    for option, (given, deeds) in {
        "--variant": (variant is not None, ("print", "up")),
        "--chat-template": (chat_template is not None, ("print", "up")),
        "--replace": (replace, ("up",)),
        "--follow": (follow, ("logs",)),
    }.items():
        if given and deed not in deeds:
            own = " and ".join(f"--{name}" for name in deeds)
            raise ConfigError(f"{option} means nothing to --{deed}: it goes with {own}")
    DEEDS[deed](asked)


def show(asked: ServeRequest) -> None:
    """`--print`: what would be started, as a command to paste."""
    from orchestrator.serving.view import as_dict, base_url, printed, where_to_write

    plan, shell = asked.plan(), asked.shell
    url = base_url(shell.address() if shell.destination else "HOST", plan.run.port)
    script = printed(plan.run, plan.recipe, plan.own_template)
    if asked.as_json:
        opt.print_json(as_dict(plan.run, script, url, plan.faults))
        return
    typer.echo(script)
    where = f"on {shell}: --up does it" if shell.destination else "on the GPU host"
    typer.echo(f"To be run {where}. {where_to_write(plan.model, url)}", err=True)


def bring_up(asked: ServeRequest) -> None:
    """`--up`: started there, and watched until it is healthy."""
    import time

    from orchestrator.display.serving import progress_on
    from orchestrator.display.terminal import print_line
    from orchestrator.report.words import duration
    from orchestrator.serving import bring_up as there
    from orchestrator.serving.server import why_not_reached
    from orchestrator.serving.view import advice, base_url, reached_lines

    plan, console, started = asked.plan(), asked.console, time.monotonic()
    text = plan.template_text()
    if words := advice(plan.recipe):
        print_line(console, words)
    with progress_on(console) as progress:
        was_up = there.bring_up(
            asked.shell, plan.run, text, progress, replace=asked.replace, limit_s=asked.wait_s
        )
    url = base_url(asked.shell.address(), plan.run.port)
    problem = why_not_reached(url)
    took = "was up already" if was_up else f"is up after {duration(time.monotonic() - started)}"
    print_line(console, f"{plan.model.name} {took} on {asked.shell}, healthy: {url}")
    for line in reached_lines(plan.model, asked.shell.destination, url, problem):
        print_line(console, line)
    if asked.as_json:
        opt.print_json({"base_url": url, "was_up": was_up, "not_reached_because": problem})


def status(asked: ServeRequest) -> None:
    """`--status`: how it stands; exits with 3 unless it is healthy."""
    from orchestrator.display.terminal import print_line
    from orchestrator.serving.docker_command import container_name
    from orchestrator.serving.server import look, why_not_reached
    from orchestrator.serving.view import base_url, status_lines

    found = look(asked.shell, container_name(asked.model().name), asked.port or 8000)
    url = base_url(asked.shell.address(), found.port)
    problem = why_not_reached(url) if found.is_healthy else ""
    if asked.as_json:
        more = {"is_healthy": found.is_healthy, "base_url": url, "not_reached_because": problem}
        opt.print_json(asdict(found) | more)
    else:
        for line in status_lines(found, url, problem):
            print_line(asked.console, line)
    if not found.is_healthy:
        raise typer.Exit(EXIT_PREREQUISITE)


def logs(asked: ServeRequest) -> None:
    """`--logs`: what it has printed."""
    from orchestrator.serving.docker_command import container_name
    from orchestrator.serving.server import read_logs

    name = container_name(asked.model().name)
    for line in read_logs(asked.shell, name, follow=asked.follow, lines=asked.lines):
        typer.echo(line)


def take_down(asked: ServeRequest) -> None:
    """`--down`: stopped and removed."""
    from orchestrator.display.terminal import print_line
    from orchestrator.serving.docker_command import container_name
    from orchestrator.serving.server import take_down as down_there

    name = container_name(asked.model().name)
    was_there = down_there(asked.shell, name)
    words = "is stopped and removed; its image and weights stay" if was_there else "is not there"
    print_line(asked.console, f"{name} on {asked.shell} {words}")


def check(asked: ServeRequest) -> None:
    """`--lint`: a command line or a container against what is known to be broken."""
    from orchestrator.serving.lint import lint
    from orchestrator.serving.running import command_asked_for

    command, machine = command_asked_for(asked.shell, asked.name, asked.config_dirs)
    faults = lint(command, machine or asked.machine)
    if asked.as_json:
        opt.print_json([asdict(fault) for fault in faults])
    asked.refuse(faults)
    if not faults:
        typer.echo("Nothing in it is known to be broken.", err=asked.as_json)


def fault_lines(faults: tuple[Fault, ...]) -> list[str]:
    """Two lines each: what will be seen, and what mends it, says who."""
    lines = []
    for fault in faults:
        kind = "broken" if fault.is_fatal else "risky"
        lines += [f"{kind}: {fault.symptom} [{fault.name}]", f"  {fault.cure} ({fault.source})"]
    return lines


DEEDS: dict[str, Callable[[ServeRequest], None]] = {
    "print": show,
    "up": bring_up,
    "status": status,
    "logs": logs,
    "down": take_down,
    "lint": check,
}
"""By the flag that asks for it."""
