"""`agents list` and `agents install`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from orchestrator.agents.base import InstalledKind


def register(app: typer.Typer) -> None:
    agents = typer.Typer(
        help="The agents that have a profile, and those with an installation of their own.",
        invoke_without_command=True,
    )
    agents.callback()(_default)
    agents.command("list")(list_agents)
    agents.command("install")(install)
    app.add_typer(agents, name="agents")


def _default(
    context: typer.Context,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    if context.invoked_subcommand is None:
        list_agents(config_dirs, as_json)


def list_agents(config_dirs: opt.ConfigDirOption = None, as_json: opt.JsonOption = False) -> None:
    """The agents that have a profile, and what is installed of those with an installation."""
    from orchestrator.cli.profiles import list_rows, print_rows
    from orchestrator.plugins import AGENTS

    rows = list_rows("agents", ("kind", "protocol"), config_dirs)
    kinds = [*AGENTS, *(str(row["kind"]) for row in rows)]
    installed = installed_kinds(kinds)
    if as_json:
        facts = {kind: found.installed() for kind, found in installed.items()}
        for row in rows:
            if row["kind"] in facts:
                row["installed"] = facts[row["kind"]]
        opt.print_json(rows)
        return
    print_rows(rows, {"kind": "kind", "protocol": "protocol"})
    for found in installed.values():
        typer.echo(found.installed_line())


def install(
    agent: Annotated[
        str,
        typer.Argument(help="The kind of an agent with an installation of its own: see `list`."),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="SWE-agent: URL or path of its git repository. OpenHands: a folder of wheels.",
            show_default=False,
        ),
    ] = "",
    ref: Annotated[
        str,
        typer.Option(
            "--version",
            "--ref",
            help="A version; SWE-agent: tag, branch or commit.",
            show_default=False,
        ),
    ] = "",
    platform: Annotated[
        str, typer.Option("--platform", help="Of the sandboxes: linux/amd64 or linux/arm64.")
    ] = "linux/amd64",
) -> None:
    """Install an agent into an environment of its own in your cache folder.

    A second call takes a moment: what is there and fits is kept.
    """
    from rich.markup import escape

    from orchestrator.errors import ConfigError
    from orchestrator.plugins import AGENTS

    known = installed_kinds([*AGENTS, agent])
    if agent not in known:
        names = " and ".join(known)
        raise ConfigError(f"agents install {agent}: what is installed this way is {names}")
    console = opt.make_console()
    with console.status("looking what is there") as status:

        def say(text: str) -> None:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            status.update(text)

        line = known[agent].install(
            source,
            ref,
            platform,
            say,
            lambda line: status.update(escape(line[: console.width - 4])),
        )
    say(line)


def installed_kinds(kinds: list[str]) -> dict[str, type[InstalledKind]]:
    """Those of these kinds that have an installation of their own; unknown ones are left out."""
    from orchestrator.config.schema import find_agent_kind
    from orchestrator.errors import ConfigError

    found: dict[str, type[InstalledKind]] = {}
    for kind in dict.fromkeys(kinds):
        try:
            agent = find_agent_kind(kind)
        except ConfigError:
            continue  # a launch with it says why
        if hasattr(agent, "installed_line"):
            found[kind] = agent
    return found
