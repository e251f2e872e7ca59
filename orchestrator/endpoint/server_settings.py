"""How people set, on each kind of server, what this project wants of it. Pure.

Flags are those of the projects' own documents: `vllm serve --help`, SGLang's server arguments,
llama.cpp's tools/server/README.md, Ollama's docs/faq.mdx and docs/openai.md, LM Studio's `lms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.endpoint.fields import SWALLOWED_CURE
from orchestrator.endpoint.server_kind import LLAMA_CPP, LM_STUDIO, OLLAMA, SGLANG, VLLM

NO_THINKING = "chat_template_kwargs: {enable_thinking: false}"


@dataclass(frozen=True)
class ServerSettings:
    """Each text is a sentence's beginning, without its full stop."""

    context: str
    """How it takes prompts of `{tokens}` tokens."""
    name: str
    """How it serves a model under the name `{name}`."""
    no_thoughts: str
    """How its models stop thinking, where the profile's request fields alone don't do it."""
    whole_answers: str
    """What helps where answers come back as thoughts, with no content."""
    prefix_cache: str
    """How what it has computed of a prompt is kept for the next one."""
    may_cut: bool = False
    """Whether it may drop, without a word, what of a prompt does not fit."""
    ignores_eos: bool = False
    """Whether it writes as many tokens as it is asked for, with `ignore_eos`."""


OTHER = ServerSettings(
    context="Let the server take {tokens} tokens",
    name="Start it with that name",
    no_thoughts="Does its chat template know enable_thinking?",
    whole_answers=SWALLOWED_CURE,
    prefix_cache="Switch its prefix cache on",
    may_cut=True,
)
_KINDS: Mapping[str, ServerSettings] = {
    VLLM: ServerSettings(
        context="Start the server with `--max-model-len {tokens}`",
        name="Start it with `--served-model-name {name}`",
        no_thoughts="Does the model's chat template know enable_thinking?",
        whole_answers=SWALLOWED_CURE,
        prefix_cache="Start the server with `--enable-prefix-caching`",
        ignores_eos=True,
    ),
    SGLANG: ServerSettings(
        context="Start the server with `--context-length {tokens}`",
        name="Start it with `--served-model-name {name}`",
        no_thoughts="Does the model's chat template know enable_thinking?",
        whole_answers=SWALLOWED_CURE,
        prefix_cache="Start the server without `--disable-radix-cache`",
        ignores_eos=True,
    ),
    LLAMA_CPP: ServerSettings(
        context="Start the server with a `--ctx-size` of {tokens} for each `--parallel` slot",
        name="Start it with `--alias {name}`",
        no_thoughts="Start the server with `--jinja --reasoning-budget 0`",
        whole_answers=f"start it with `--reasoning-format none`, or set {NO_THINKING}",
        prefix_cache="Start the server without `--no-cache-prompt`",
        ignores_eos=True,
    ),
    OLLAMA: ServerSettings(
        context="Start the server as `OLLAMA_CONTEXT_LENGTH={tokens} ollama serve`",
        name="Make it so with `ollama pull {name}`, or `ollama cp OLD {name}`",
        no_thoughts="Ollama reads no chat_template_kwargs: set request_fields: "
        "{reasoning_effort: none} in the profile",
        whole_answers="set request_fields: {reasoning_effort: none} in the profile",
        prefix_cache="Keep the model loaded (`OLLAMA_KEEP_ALIVE=-1 ollama serve`)",
        may_cut=True,
    ),
    LM_STUDIO: ServerSettings(
        context="Load the model with `lms load MODEL --context-length {tokens}`",
        name="Load it with `lms load MODEL --identifier {name}`",
        no_thoughts="Turn thinking off in the model's settings in LM Studio",
        whole_answers="turn thinking off in the model's settings in LM Studio",
        prefix_cache="Keep the model loaded (`lms load MODEL` without `--ttl`)",
        may_cut=True,
    ),
}


def settings_of(kind: str) -> ServerSettings:
    """By the name of `server_kind`; those of no known kind where it is empty."""
    return _KINDS.get(kind, OTHER)
