"""`diagnose`: can a model call tools through its server, and which agent suits it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.diagnose.levels import Diagnosis
    from orchestrator.diagnose.report import DiagnosisReport


def register(app: typer.Typer) -> None:
    app.command("diagnose")(diagnose)


def diagnose(
    name: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The same as --model.")
    ] = None,
    model: opt.ModelOption = None,
    agents: Annotated[
        list[str] | None,
        typer.Option(
            "--agent", "-a", help="Ask only as this agent speaks; repeatable.", metavar="NAME"
        ),
    ] = None,
    times: Annotated[
        int, typer.Option(min=1, help="Answers for each level and protocol; unclear ones get more.")
    ] = 10,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Stop asking after so long, and say what is known.")
    ] = 20,
    save: Annotated[
        Path | None,
        typer.Option(help="Folder for an example of each failure; else in the user's cache."),
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Print those examples too.")] = False,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Find out whether a model can call tools through its server, and which agent suits it.

    Three levels, in function calling and in each text protocol: one call with two tools; many tools
    and a long system prompt; loops of several turns, alone and as many at once as max_concurrency
    says, eight at most. It says what goes wrong, whose doing it is, and what mends it. Exit code 3
    where no agent works.

    Example: python -m orchestrator diagnose --model gemma-4-26b
    """
    from orchestrator.diagnose.examples import clear, require_folder
    from orchestrator.diagnose.levels import Diagnosis, make_plan
    from orchestrator.diagnose.protocols import forms_of, system_templates
    from orchestrator.diagnose.report import make_report
    from orchestrator.diagnose.target import require_target
    from orchestrator.diagnose.view import opening
    from orchestrator.endpoint.key import require_key
    from orchestrator.user_paths import diagnosis_folder

    console = opt.make_console(as_json=as_json)
    config = opt.load_model(_one_name(name, model), settings, config_dirs, "diagnose")
    assert config.model is not None
    forms = forms_of(agents or ())
    templates = system_templates(tuple(config_dirs or ()))
    folder = save or diagnosis_folder(config.model.name)
    require_folder(folder)
    with require_target(config.model, require_key(config.model.endpoint)) as target:
        measured = (target.context, target.chars_per_token)
        plan = make_plan(*measured, config.model, times, 60 * minutes, forms)
        console.print(opening(config.model, plan), highlight=False)
        diagnosis = Diagnosis(target, templates, plan)
        is_interrupted = _ask(diagnosis, console)
    if save is None:
        clear(folder)
    report = make_report(
        *(config.model, plan, diagnosis.cells, folder),
        is_gone=diagnosis.is_gone,
        is_interrupted=is_interrupted,
    )
    _print(report, console, as_json=as_json, with_examples=examples)
    raise typer.Exit(report.exit_code)


def _one_name(name: str | None, model: str | None) -> str:
    """Of a model that may be given in two ways. Raises ConfigError."""
    from orchestrator.errors import ConfigError

    if name and model and name != model:
        raise ConfigError(f"two models are named, {name!r} and {model!r}: diagnose asks one")
    if not (name or model):
        raise ConfigError("name a model: --model NAME (see `models`)")
    return str(model or name)


def _ask(diagnosis: Diagnosis, console: Console) -> bool:
    """Ask cell after cell, saying so; whether a person ended it."""
    from orchestrator.diagnose.view import cell_line, live_line

    try:
        with opt.redrawn(console, live_line) as diagnosis.on_tick:
            for cell in diagnosis.run():
                if not cell.skipped or cell.answers:
                    console.print(cell_line(cell), highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        return True
    return False


def _print(
    report: DiagnosisReport, console: Console, *, as_json: bool, with_examples: bool
) -> None:
    from orchestrator.diagnose.view import render

    if as_json:
        opt.print_json(report.as_dict())
    else:
        console.print(render(report), highlight=False)
    for example in report.examples if with_examples else ():
        console.print("", *example.lines(), sep="\n", highlight=False, soft_wrap=True)
