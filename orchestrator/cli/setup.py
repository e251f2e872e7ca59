"""`init` and `models add`: profiles of one's own, written from what is there."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli import options as opt

ServedNameOption = Annotated[
    str | None,
    typer.Option("--served-name", help="Which of the models that the server serves."),
]
KeyVariableOption = Annotated[
    str | None,
    typer.Option("--api-key-env", help="Environment variable that holds the server's key."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Write anew what is there already.")]


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="1. The model's server: a URL or a host."),
    ] = None,
    api_key_env: KeyVariableOption = None,
    served_name: ServedNameOption = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="2. A name for the model's new profile.")
    ] = None,
    sandboxes: Annotated[
        str | None,
        typer.Option(
            "--sandboxes",
            help="3. Where they run: here (this host's engine), process (without one; isolates "
            "nothing), or HOST:PORT of a Ray cluster's head.",
        ),
    ] = None,
    images_gb: Annotated[
        str | None,
        typer.Option("--images-gb", help="4. GB that images may take at once, or all."),
    ] = None,
    keep_images: Annotated[
        bool | None,
        typer.Option("--keep-images/--drop-images", help="Whether they stay for the next night."),
    ] = None,
    night_hours: Annotated[
        str | None, typer.Option("--night-hours", help="How long a night is; 9 unless told.")
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(
            "--notify",
            help="5. Who is told when a run has ended: a URL that takes a POST (a topic of ntfy, "
            "a webhook), $NAME of a variable with one, a command, or none.",
        ),
    ] = None,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send a test message there.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing that has an answer found by looking.")
    ] = False,
    force: ForceOption = False,
    doctor: Annotated[
        bool, typer.Option("--doctor/--no-doctor", help="End by examining what is there.")
    ] = True,
    config_dirs: opt.ConfigDirOption = None,
) -> None:
    """Five questions, and then everything is ready for the first night.

    Writes a profile of your model and one of this machine into your own folder of profiles, which
    is searched before the shipped ones, and ends by running the doctor. Without a terminal, each
    question is a flag.

    Example:

        python -m orchestrator init --base-url http://spark:8000/v1 --yes
    """
    from orchestrator.setup.given import Given
    from orchestrator.setup.init import init as set_up
    from orchestrator.setup.questions import Asker

    given = Given(
        base_url=base_url,
        api_key_env=api_key_env,
        served_name=served_name,
        model=model,
        sandboxes=sandboxes,
        images_gb=images_gb,
        keep_images=keep_images,
        night_hours=night_hours,
        notify=notify,
        send_test=send_test,
        force=force,
    )
    at_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    asker = Asker(opt.make_console(), at_terminal=at_terminal, takes_defaults=yes)
    dirs = tuple(folder.resolve() for folder in config_dirs or ())
    raise typer.Exit(set_up(given, asker, dirs, with_doctor=doctor))


def add(
    name: Annotated[str, typer.Argument(help="Name of the new profile.", show_default=False)],
    base_url: Annotated[
        str, typer.Option("--base-url", help="The model's server, as http://HOST:PORT/v1.")
    ],
    served_name: ServedNameOption = None,
    api_key_env: KeyVariableOption = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="How its server is started; see `models show`.")
    ] = None,
    force: ForceOption = False,
    config_dirs: opt.ConfigDirOption = None,
) -> None:
    """Ask a server what it serves, and write a profile of it.

    It goes into your own folder of profiles (or --config-dir), with comments, for you to edit.

    Example:

        python -m orchestrator models add my-qwen --base-url http://spark:8000/v1
    """
    from orchestrator.setup.add_model import add_model
    from orchestrator.setup.view import added_lines

    dirs = tuple(folder.resolve() for folder in config_dirs or ())
    added = add_model(
        name,
        base_url,
        served_name=served_name,
        api_key_env=api_key_env,
        recipe=recipe,
        force=force,
        config_dirs=dirs,
    )
    for line in added_lines(added, dirs):
        typer.echo(line)
