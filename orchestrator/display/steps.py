"""An agent's steps as they happen, for `rollout.show_steps`."""

from __future__ import annotations

from rich.text import Text

from orchestrator.agents.steps import Step
from orchestrator.text import printable
from orchestrator.worker.messages import Progress

THOUGHT_LINES, ACTION_LINES, OBSERVATION_LINES = 4, 20, 12
LINE_CHARS = 500
NO_ACTION = "no command in a form that the agent can read"


def render_steps(event: Progress, name: str) -> Text | None:
    """The steps that an event brings, of the rollout that people know by a name; None where it
    brings none."""
    if not event.new_steps:
        return None
    first = event.steps_sent - len(event.new_steps) + 1
    return Text("\n").join(
        _render(step, f"{name} step {first + index}") for index, step in enumerate(event.new_steps)
    )


def _render(step: Step, title: str) -> Text:
    text = Text(f"── {title}", style="bold")
    text.append(_shortened(step.thought, THOUGHT_LINES, "   "), style="not bold italic")
    if step.action.strip():
        text.append(_shortened(step.action, ACTION_LINES, " $ "), style="not bold cyan")
    else:
        text.append(f"\n {NO_ACTION}", style="not bold yellow")
    text.append(_shortened(step.observation, OBSERVATION_LINES, " │ "), style="not bold dim")
    return text


def _shortened(text: str, limit: int, margin: str) -> str:
    """Its first lines, each on a line of its own behind a margin; empty for nothing."""
    lines = printable(text).strip("\n").expandtabs(4).splitlines()
    left_out = len(lines) - limit
    if left_out > 0:
        lines = [*lines[: limit - 1], f"… {left_out + 1} more lines"]
    cut = (line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}…" for line in lines)
    return "".join(f"\n{margin}{line}" for line in cut)
