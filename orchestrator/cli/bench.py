"""`bench`: how many rollouts at once a model's server is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.bench.advice import Question
    from orchestrator.bench.levels import Level
    from orchestrator.bench.target import Target

INTERRUPTED = "interrupted"


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    model: Annotated[
        str,
        typer.Argument(help="A model profile (see `models`) or a YAML file.", show_default=False),
    ],
    levels: Annotated[
        str | None,
        typer.Option(help="Numbers of agents at once, as 1,2,4; else up to twice max_concurrency."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each level is measured.")] = 60,
    pause: Annotated[
        float, typer.Option(min=0, help="Mean seconds between steps, in which commands run.")
    ] = 1,
    instances: Annotated[
        int, typer.Option(min=1, help="How many instances to estimate the time of.")
    ] = 300,
    steps_per_rollout: Annotated[
        float, typer.Option(min=1, help="Assumed mean number of steps of a rollout.")
    ] = 40,
    steps_spread: Annotated[
        float | None,
        typer.Option(min=0, help="Their standard deviation; else half of the mean."),
    ] = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Measure a model's server with agents' traffic; recommend how many rollouts at once.

    Each level lets so many simulated agents work: conversations that grow step by step, short
    answers, short pauses. Nothing else should use the server meanwhile.

    Examples:

        python -m orchestrator bench qwen3.5-35b

        python -m orchestrator bench qwen3.5-35b --levels 4,8,12,16 --seconds 120
    """
    from orchestrator.bench.advice import Question, conclude
    from orchestrator.bench.kept import keep
    from orchestrator.bench.target import require_target
    from orchestrator.bench.view import Sweep, opening, render_sweep
    from orchestrator.endpoint.key import require_key
    from orchestrator.errors import EXIT_INTERRUPTED, PrerequisiteError

    console = opt.make_console(as_json=as_json)
    config = opt.load_model(model, settings, config_dirs, "bench")
    assert config.model is not None
    wanted = parse_levels(levels) if levels else default_levels(config.model.max_concurrency)
    spread = steps_per_rollout / 2 if steps_spread is None else steps_spread
    question = Question(seconds, pause, instances, steps_per_rollout, spread)
    key = require_key(config.model.endpoint)
    target = require_target(config.model, key, round(steps_per_rollout))
    console.print(opening(config.model.name, target, wanted, seconds), highlight=False)

    done: list[Level] = []
    try:
        ended = _measure(target, wanted, question, done, console)
    except KeyboardInterrupt:
        ended = INTERRUPTED
    sweep = Sweep(config.model, target, question, conclude(done, question, ended))
    if ended != INTERRUPTED and (at_once := sweep.findings.clean_advice) is not None:
        keep(target.base_url, config.model.served_name, at_once)
    if as_json:
        opt.print_json(sweep.as_dict())
    else:
        console.print(render_sweep(sweep), highlight=False)
    if ended == INTERRUPTED:
        raise typer.Exit(EXIT_INTERRUPTED)
    if sweep.findings.advice is None:
        raise PrerequisiteError(
            f"{target.base_url} answered reliably at no level.", "Look at the server's log."
        )


def parse_levels(text: str) -> list[int]:
    """`1,2,4` as rising numbers. Raises ConfigError."""
    from orchestrator.errors import ConfigError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f"--levels {text}: write numbers from 1 up, as 1,2,4,8")
    return sorted({int(part) for part in parts})


def default_levels(max_concurrency: int) -> list[int]:
    """Doubling from 1 to twice what the profile says, which is the last."""
    top = 2 * max_concurrency
    return [*(1 << power for power in range(top.bit_length()) if 1 << power < top), top]


def _measure(
    target: Target, wanted: list[int], question: Question, done: list[Level], console: Console
) -> str | None:
    """Measure the levels in order and append each to `done`; why it ended early, if it did."""
    from orchestrator.bench.advice import stop_reason
    from orchestrator.bench.measure import measure_level
    from orchestrator.bench.view import level_line, live_line

    for at_once in wanted:
        with opt.redrawn(console, live_line) as on_tick:
            level = measure_level(
                target, at_once, seconds=question.seconds, pause_s=question.pause_s, on_tick=on_tick
            )
        done.append(level)
        console.print(level_line(level), highlight=False, soft_wrap=True)
        reason = stop_reason(done)
        if reason and at_once != wanted[-1]:
            return reason
    return None
