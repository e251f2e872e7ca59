"""`agents list` and `agents install`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from orchestrator.agents.sweagent.installation import Installation


def register(app: typer.Typer) -> None:
    agents = typer.Typer(
        help="The agents that have a profile, and SWE-agent's installation.",
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
    """The agents that have a profile; for SWE-agent, what is installed and where."""
    from orchestrator.agents.sweagent.installation import INSTALL, find_installation
    from orchestrator.cli.profiles import list_rows, print_rows

    rows = list_rows("agents", ("kind", "protocol"), config_dirs)
    found = find_installation()
    if as_json:
        facts = _facts(found)
        rows = [row | {"installed": facts} if row["kind"] == "sweagent" else row for row in rows]
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    print_rows(rows, ("kind", "protocol"))
    if found is None:
        typer.echo(f"SWE-agent is not installed; `{INSTALL}` does that.")
        return
    platforms = ", ".join(found.platforms)
    typer.echo(
        f"SWE-agent {found.ref} ({found.commit[:12]}) with SWE-ReX {found.versions['swe-rex']}, "
        f"for sandboxes of {platforms}, in {found.paths.root}"
    )


def install(
    agent: Annotated[str, typer.Argument(help="sweagent; all others come with the project.")],
    source: Annotated[
        str | None, typer.Option("--source", help="URL or path of SWE-agent's git repository.")
    ] = None,
    ref: Annotated[str | None, typer.Option("--ref", help="Tag, branch or commit.")] = None,
    platform: Annotated[
        str, typer.Option("--platform", help="Of the sandboxes: linux/amd64 or linux/arm64.")
    ] = "linux/amd64",
) -> None:
    """Install SWE-agent into an environment of its own in your cache folder.

    A second call takes a moment: what is there and fits is kept.
    """
    from rich.markup import escape

    from orchestrator.agents.sweagent import installation
    from orchestrator.errors import ConfigError

    if agent != "sweagent":
        raise ConfigError(f"agents install {agent}: only sweagent is installed this way")
    console = opt.make_console()
    with console.status("looking what is there") as status:

        def say(text: str) -> None:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            status.update(text)

        found = installation.install(
            source or installation.SOURCE,
            ref or installation.REF,
            platform,
            say,
            lambda line: status.update(escape(line[: console.width - 4])),
        )
    say(f"SWE-agent {found.ref} ({found.commit[:12]}) is in {found.paths.root}")


def _facts(found: Installation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "folder": str(found.paths.root),
        "source": found.source,
        "ref": found.ref,
        "commit": found.commit,
        "versions": found.versions,
        "platforms": found.platforms,
    }
