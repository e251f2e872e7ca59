"""What `bench` prints: a line a level, then picture, table, advice and what it rests on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.bench.advice import Findings, Question, trouble
from orchestrator.bench.levels import Level
from orchestrator.bench.measure import Tick
from orchestrator.bench.target import Target
from orchestrator.config.schema import Model
from orchestrator.report.bars import bar
from orchestrator.report.words import duration, three_digits

BAR_WIDTH = 36


@dataclass(frozen=True)
class Sweep:
    """What was measured, with what, and what for."""

    model: Model
    target: Target
    question: Question
    findings: Findings

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "model": self.model.name,
            "base_url": self.target.base_url,
            "context": self.target.shape.context,
            "conversation_steps": self.target.shape.expected_steps,
            "assumptions": asdict(self.question),
            **self.findings.as_dict(),
        }


def opening(model: str, target: Target, levels: Sequence[int], seconds: float) -> str:
    """Said before the first level, for it takes minutes until there is more."""
    at_least = duration(len(levels) * seconds)
    return (
        f"{model} at {target.base_url}\n"
        f"levels {', '.join(map(str, levels))}: {seconds:g} s each after a warm-up, so {at_least} "
        "and more\n"
        f"conversations of about {target.shape.expected_steps} steps in a context of "
        f"{target.shape.context:,} tokens"
    )


def live_line(tick: Tick) -> str:
    phase = "measures" if tick.warm else "warms up"
    problems = [(tick.rejected, "rejected"), (tick.errors, "errors")]
    more = "".join(f", {count} {word}" for count, word in problems if count)
    return f"{tick.at_once} at once {phase}: {tick.seconds:.0f} s, {tick.answers} answers{more}"


def level_line(level: Level) -> str:
    """One level in one line."""
    head = f"{level.at_once:>4} at once: "
    problems = trouble(level)
    if level.generated_per_s is None or level.first_token_s is None or level.answer_s is None:
        return f"{head}{problems}"
    first_token, answer = three_digits(level.first_token_s[0]), three_digits(level.answer_s[0])
    return (
        f"{head}{level.generated_per_s:,.0f} tokens/s, first token {first_token} s, "
        f"answer {answer} s" + (f"; {problems}" if problems else "")
    )


def render_sweep(sweep: Sweep) -> RenderableType:
    found = sweep.findings
    parts: list[RenderableType] = []
    if found.levels:
        parts += [
            Text("\ntokens generated a second, and the standard error\n"),
            _picture(found.levels),
            Text(""),
        ]
        parts += [_table(found.levels), Text(_legend(found.levels))]
    if found.ended_because:
        parts.append(Text(f"Higher levels were left out: {found.ended_because}.", style="yellow"))
    if found.advice is None:
        words = "No recommendation: the server answered reliably at no level."
        return Group(*parts, Text(f"\n{words}", style="bold"))
    advice = f"Recommended: {found.advice.at_once} at once. {found.advice.why}."
    parts += [Text(f"\n{advice}", style="bold"), Text(_how(found.advice.at_once, sweep.model))]
    parts += [Text(""), *_night(sweep)]
    parts += [Text(f"warning: {warning}.", style="yellow") for warning in found.warnings]
    return Group(*parts)


def _picture(levels: Sequence[Level]) -> RenderableType:
    top = max((level.generated_per_s or 0.0 for level in levels), default=0.0)
    lines = []
    for level in levels:
        speed = level.generated_per_s
        if speed is None:
            lines.append(f"{level.at_once:>4}  nothing was measured ({trouble(level)})")
        else:
            # a bar takes whole numbers; thousandths are finer than its eighths of a cell
            drawn = bar(round(1000 * speed), round(1000 * top), BAR_WIDTH)
            lines.append(
                f"{level.at_once:>4}  {drawn}  {speed:,.0f} ± {level.generated_error:,.0f}"
            )
    return Text("\n".join(lines))


def _table(levels: Sequence[Level]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in (
        *("at\nonce", "prompt\ntokens/s", "answers\n/min", "first token\np50 / p95 s"),
        *("answer\np50 / p95 s", "cached\n", "pre-\nempted", "re-\njected", "errors\n"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for level in levels:
        preemptions = "?" if level.preemptions is None else str(level.preemptions)
        table.add_row(
            str(level.at_once),
            _number(level.prompt_per_s),
            _number(level.answers_per_min),
            _pair(level.first_token_s),
            _pair(level.answer_s),
            "?" if level.cached is None else f"{level.cached:.0%}",
            preemptions,
            str(level.rejected),
            str(sum(level.errors.values())),
        )
    return table


def _legend(levels: Sequence[Level]) -> str:
    unknown = any(level.cached is None or level.preemptions is None for level in levels)
    more = "; ?: the server does not say" if unknown else ""
    return (
        "Prompt tokens count cached ones too; cached: their share that the prefix cache held; "
        f"a rejected request (429, 503) was sent again{more}."
    )


def _how(at_once: int, model: Model) -> str:
    servers = len(model.endpoint.base_urls)
    if servers > 1:
        return f"That is for one server; the model's profile names {servers}."
    if at_once == model.max_concurrency:
        return "That is what the model's profile says (max_concurrency)."
    return (
        f"The model's profile says {model.max_concurrency}: put max_concurrency: {at_once} there, "
        f"or launch with --set model.max_concurrency={at_once}."
    )


def _night(sweep: Sweep) -> list[RenderableType]:
    """The time for all instances, and under it what it rests on."""
    night, asked, target = sweep.findings.night, sweep.question, sweep.target
    if night is None:
        return [Text("Too few steps were measured to say how long a night takes.")]
    wall, low, high = duration(night.wall_s), duration(night.low_s), duration(night.high_s)
    shortest, longest = target.shape.answer
    answers = f"{shortest} to {longest}" if target.fixed_lengths else f"at most {longest}"
    grid = Table.grid(padding=(0, 1))
    for assumption in (
        f"a rollout takes {asked.steps:g} steps on average, with a standard deviation of "
        f"{asked.spread:g}; twice the steps take twice the time (--steps-per-rollout);",
        f"a step takes {three_digits(night.step_s)} s, the mean of {night.measured_steps} measured "
        f"ones: answers of {answers} tokens to prompts of up to {target.shape.context:,}, and "
        f"{asked.pause_s:g} s for the command (--pause);",
        "sandboxes, images, disk and grading keep up.",
    ):
        grid.add_row("-", assumption)
    return [
        Text(f"{night.instances} instances would take about {wall} ({low} to {high}), if", "bold"),
        grid,
        Text(
            "The interval (95 %) holds the chance in the measured steps and in the rollouts' "
            "lengths, not in these assumptions."
        ),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _pair(values: tuple[float, float] | None) -> str:
    return "-" if values is None else f"{three_digits(values[0])} / {three_digits(values[1])}"
