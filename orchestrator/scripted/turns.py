"""What a persona is asked, and what it answers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.scripted.actions import Action

LOOK = "git status --short && ls"
LOOKS = (
    LOOK,
    "git log --oneline | head -n 5",
    "git ls-files | head -n 50",
    "head -n 40 README*",
    "git grep -n '^class ' | head -n 50",
    "git grep -n 'def ' | head -n 50",
)

# what a real vLLM 0.32 says
OVERFLOW_BODY: Mapping[str, object] = {
    "error": {
        "message": "This model's maximum context length is 32768 tokens. However, your prompt "
        "contains at least 32769 input tokens, which leaves no room for an answer. Please reduce "
        "the length of the input prompt.",
        "type": "BadRequestError",
        "param": "input_tokens",
        "code": 400,
    }
}


@dataclass(frozen=True)
class Turn:
    """Where a rollout's conversation stands when the endpoint is asked."""

    number: int
    """Answers that the conversation holds already."""
    tries: int
    """How often this very turn was asked for before."""
    since_first_s: float
    """Seconds since this instance's first request."""
    gold_patch: str
    parameter: float
    """The number after the colon in `slow:2`; each persona has its own default."""
    tools: int = 0
    """How many functions the model may call, offered by the request or told of in the prompt."""
    by_calls: bool = False
    """Functions are called as servers do it, and not in the answer's text."""


@dataclass(frozen=True)
class ScriptedReply:
    """What goes back over the wire."""

    command: Action | None = None
    """What the agent shall do; a protocol says in which words."""
    thought: str = "The next step."
    reasoning: str | None = None
    """Text in the reasoning field, with no content: a swallowed answer."""
    in_parts: bool = False
    """The content is a list of parts, and no text."""
    status: int = 200
    body: dict[str, object] | None = None
    """The error's body where `status` is not 200."""
    hang_up: bool = False
    delay_s: float = 0.0


Persona = Callable[[Turn], ScriptedReply]


def apply_command(patch: str) -> str:
    """A shell command that applies a patch, whatever characters stand in it."""
    encoded = base64.b64encode(patch.encode("utf-8")).decode("ascii")
    return f"echo {encoded} | base64 -d | git apply -v -"
