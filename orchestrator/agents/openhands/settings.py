"""The section `agent` of a profile whose kind is `openhands`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.schema import AgentSettings

TEMPLATES = ("instance_template", "reminder_template", "no_call_template")


class OpenHandsSettings(AgentSettings):
    """Its system prompt and its functions are OpenHands' own. Templates are Jinja; docs/agents.md
    lists what is put into them."""

    protocol: Literal["function_calling", "text"] = "function_calling"
    """Whether the server is asked for calls, or OpenHands' prompt asks for them as text."""
    max_format_errors: int = Field(default=5, gt=0)
    """Rollouts end as format_errors after so many answers in a row that led to no action."""
    condense_after: int = Field(default=0, ge=0)
    """OpenHands' condenser sums the history up after so many events; 0: never."""
    instance_template: str = ""
    reminder_template: str = ""
    """Added to what the model is shown of each step, where it says anything."""
    no_call_template: str = "Go on with a function call."
    """What an answer without a call is told."""
