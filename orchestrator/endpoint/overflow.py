"""Is a prompt that a server would not take too long for it? Decided by what is known, pure.

Servers say it in their own words, under any status, or do not say it. Words are a help: a refusal
in known words is believed. Where a server says something else, or fails, it is asked for the same
conversation without its middle. If it takes that, and not the whole, it minds the length, provided
that the whole is also longer than anything it took so far, or fills the context that is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from orchestrator.endpoint.fields import error_code, error_text, error_type

OVERFLOW_CODE = "context_length_exceeded"
"""OpenAI's code, which agents know."""
REFUSALS_FOR_LENGTH = (400, 413, 422)
"""HTTP statuses of refusals that may be for length; others, such as 401, may quote the prompt."""
TOO_LATE = (504, 524)
"""Statuses of proxies that waited too long for an answer: never for the prompt's length."""
NEARLY_FULL = 0.9
"""An estimate may be off by a tenth."""
HARDLY_USED = 0.5
"""Of a known context: a prompt under that is not too long, though it be the longest so far."""
CHARS_PER_TOKEN = 4.0
"""Of JSON, where nothing was counted yet: on the long side, so that estimates are low."""
KEPT_CHARS = 400
"""Of each text of a conversation that is cut to the bone."""
READ_CHARS = 600
"""Of an error: what comes later may be the prompt."""

Said = Literal["yes", "perhaps", "no"]


class Words(NamedTuple):
    """What some server says of a prompt that is too long. Services are met through LiteLLM."""

    server: str
    pattern: str
    source: str
    """Where it was seen: an issue of that repository, or a file of that version."""


KNOWN_WORDS = (
    Words("vLLM", r"maximum context length", "vllm 0.32, renderers"),
    Words("vLLM", r"longer than the maximum model length", "vllm 0.32, v1/engine"),
    Words("vLLM", r"max_tokens must be at least 1, got -\d+", "vllm#4667, mended by #36789"),
    Words("vLLM", r"context length is only|maximum input length", "versions of 2025"),
    Words("vLLM", r"too long to fit into the model", "versions of 2025"),
    Words("SGLang", r"longer than the model's context length", "sglang#8096, litellm#10793"),
    Words("SGLang", r"exceeds the maximum allowed length", "sglang#4048"),
    Words("SGLang", r"max_new_tokens must be at least 0, got -\d+", "sampling_params.py"),
    Words("llama.cpp", r"exceeds? (?:the )?(?:available )?context size", "llama.cpp#15780"),
    Words("llama.cpp", r"context size has been exceeded", "llama.cpp#19774"),
    Words("llama-cpp-python", r"exceed(?:s|ed)? context window", "llama-cpp-python#416"),
    Words("LM Studio", r"when (?:the )?context (?:the )?overflows", "lmstudio-bug-tracker#546"),
    Words("LM Studio", r"input length \d+ exceeds context length", "lmstudio-ai/examples#29"),
    Words("LM Studio", r"is greater than the context length", "seen in clients' tests, 2026"),
    Words("LM Studio", r"reached context length of \d+ tokens", "seen in users' notes, 2025"),
    Words("Ollama", r"input (?:length )?exceeds (?:the )?context length", "nano-brain#208"),
    Words("Ollama", r"exceeded max context length", "seen in users' notes, 2026"),
    Words("TensorRT-LLM", r"should not exceed max_num_tokens", "its own tests, test_llm.py"),
    Words("TGI", r"`inputs` tokens \+ `max_new_tokens` must be", "chat-ui#340"),
    Words("TGI", r"`inputs` must have less than \d+ tokens", "text-generation-inference#695"),
    Words("LiteLLM", r"ContextWindowExceededError|exceeds? context limit", "litellm#228, #12113"),
    Words("Azure", r"tokens exceed the configured limit", "litellm#15968"),
    Words("Gemini", r"exceeds the maximum number of tokens", "litellm#18282"),
    Words("Anthropic", r"(?:prompt|input) is too long", "litellm#21647"),
    Words("xAI", r"maximum prompt length is \d+", "seen in clients' tests, 2026"),
    Words("Mistral", r"too large for model with \d+", "litellm#21647"),
    Words("OpenAI", r"context length exceeded|reduce the length of the messages", "litellm#15968"),
    Words("rkllama", r"the model context window is \d+", "taOS#1738"),
    Words("others", r"exceeds? the (?:model's )?(?:maximum )?context (?:window|length|limit)", ""),
)
_WORDS = re.compile("|".join(words.pattern for words in KNOWN_WORDS), re.IGNORECASE)
_KNOWN_TYPES = (OVERFLOW_CODE, "exceed_context_size_error", "ContextWindowExceededError")


def may_be_for_length(status: int) -> bool:
    """Whether a request that ends with this HTTP status may have been too long."""
    return status in REFUSALS_FOR_LENGTH or (status >= 500 and status not in TOO_LATE)


def said_to_be_too_long(status: int, answer: object) -> Said:
    """What an error body says of the prompt's length. `status` is HTTP's, or the error's own.

    "perhaps" is for words in an error that has other reasons too, or quotes what it was sent: a
    failure of a server, whose cache may be full, or a body that could not be read (422).
    """
    if error_type(answer) in _KNOWN_TYPES or error_code(answer) in _KNOWN_TYPES:
        return "yes"
    if not may_be_for_length(status) or not _WORDS.search(error_text(answer)[:READ_CHARS]):
        return "no"
    return "yes" if status in (400, 413) else "perhaps"


@dataclass(frozen=True)
class Prompt:
    """What is known of a prompt's length, and of what servers took so far. In tokens."""

    estimate: int
    context: int | None = None
    """What the server or the profile says that a prompt and its answer may have."""
    longest_taken: int = 0
    """The longest prompt that was answered in this run."""
    answer: int = 0
    """What is asked for at most."""

    @property
    def fills_context(self) -> bool:
        return self.context is not None and self.estimate >= NEARLY_FULL * self.context

    @property
    def may_be_too_long(self) -> bool:
        """Whether nothing that is known speaks against it."""
        if self.context is not None and self.estimate < HARDLY_USED * self.context:
            return False
        return self.fills_context or 0 < NEARLY_FULL * self.longest_taken < self.estimate

    @property
    def nothing_is_known(self) -> bool:
        return self.context is None and self.longest_taken == 0

    @property
    def is_asked_too_much(self) -> bool:
        """The answer alone would not fit: the profile is wrong, whatever the prompt."""
        return self.context is not None and self.answer >= self.context


def estimate_tokens(chars: int, known: tuple[int, int] | None) -> int:
    """Tokens of a request of so many characters; `known` are characters and tokens of an earlier
    one of the same conversation, as its server counted them."""
    if known is None or min(known) <= 0:
        return int(chars / CHARS_PER_TOKEN)
    known_chars, known_tokens = known
    return int(chars * known_tokens / known_chars)


def without_its_middle(messages: Sequence[Any]) -> list[Any] | None:
    """The conversation's start and its newest turn; None where there is nothing between.

    All that it leaves out was taken by the server with an earlier request, so that what is left
    holds everything that the server has not seen.
    """
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    if "user" not in roles or "assistant" not in roles:
        return None
    head = roles.index("user") + 1
    tail = len(roles) - 1 - roles[::-1].index("assistant")
    return [*messages[:head], *messages[tail:]] if tail > head else None


def cut_to_the_bone(messages: Sequence[Any]) -> list[Any]:
    """The conversation with no more than the first characters of each text."""
    return [
        {**message, "content": message["content"][:KEPT_CHARS]}
        if isinstance(message, Mapping) and isinstance(message.get("content"), str)
        else message
        for message in messages
    ]
