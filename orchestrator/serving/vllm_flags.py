"""The arguments of `vllm serve`, read as its own parser reads them. Pure.

It takes underscores for dashes, `--flag=value`, short names, dotted names for a key of a JSON
value, and names that are cut short while they are no other's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Flags = tuple[tuple[str, str | None], ...]

SHORT = {
    **{"-q": "--quantization", "-tp": "--tensor-parallel-size", "-pp": "--pipeline-parallel-size"},
    **{"-dp": "--data-parallel-size", "-ep": "--enable-expert-parallel", "-n": "--nnodes"},
    **{"-sc": "--speculative-config", "-cc": "--compilation-config", "-ac": "--attention-config"},
    **{"-asc": "--api-server-count", "-r": "--node-rank"},
}
OPTIMIZATION = re.compile(r"-O(?:=?(\d)|(\..+))?")
"""-O3, -O=3, -O 3; and -O.key=value, which older versions take for --compilation-config.key."""

WITHOUT_VALUE = re.compile(
    r"--(no|enable|disable|trust|allow|skip|use|return)-(?!media-domains|ip|access-log-for).+"
    r"|--(help|headless|enforce-eager|language-model-only|async-scheduling|fully-sharded-loras)"
    r"|--(numa-bind|mm-encoder-only|interleave-mm-strings|tokens-only|grpc|log-error-stack)"
    r"|--(exclude-tools-when-tool-choice-none|cohere-is-reasoning-model|kv-sharing-fast-prefill)"
    r"|--(sleep-mode-offload-cudagraph|data-parallel-.+-lb|dcp-q-replicate|swa-bounded-replay)"
    r"|--(mm-device-do-normalize|specialize-active-lora|kv-cache-metrics|cudagraph-metrics)"
    r"|--(jit-monitor-verbose|long-prefill-token-threshold-adaptive|aggregate-engine-logging)"
    r"|--(scheduler-reserve-full-isl|fail-on-environ-validation|ray-workers-use-nsight)"
)
"""Of flags; what is behind one of them is the model, or another flag."""
WITH_MANY = (
    *("--served-model-name", "--api-key", "--lora-modules", "--allowed-media-domains"),
    *("--ignore-patterns", "--logits-processors", "--cudagraph-capture-sizes"),
    *("--lora-target-modules", "--kv-cache-dtype-skip-layers", "--collect-detailed-traces"),
    *("--cpu-offload-params", "--offload-params", "--numa-bind-nodes", "--numa-bind-cpus"),
    "--sleep-preserve-parameter-names",
)
"""Flags that take all words up to the next flag."""
READ_BY_LINT = (
    *("--gpu-memory-utilization", "--enforce-eager", "--enable-prefix-caching"),
    *("--no-enable-prefix-caching", "--tool-call-parser", "--reasoning-parser"),
    *("--enable-auto-tool-choice", "--speculative-config", "--default-chat-template-kwargs"),
)
_SHORTEST_CUT = len("--enforce")
_VALUE = re.compile(r"(?!-)|-\d|-$")
"""How a word begins that may be a value."""


def read_arguments(words: Sequence[str]) -> tuple[str, Flags]:
    """The model (empty where none is named), and the flags in their order.

    The values of a flag that takes several are one text, with blanks between them.
    """
    model = ""
    flags: list[tuple[str, str | None]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            model = model or word
            continue
        name, value = _split(word)
        if value is None and not WITHOUT_VALUE.fullmatch(name):
            value = _take_value(name, rest)
        if name == "--model":
            model = value or model
        elif name != "--":
            flags.append((name, value))
    return model, tuple(flags)


def _split(word: str) -> tuple[str, str | None]:
    """A flag's full name, and the value that stands in the same word."""
    name, equals, value = word.partition("=")
    if found := OPTIMIZATION.fullmatch(word if "." not in word else name):
        if found[2]:
            return f"--compilation-config{found[2]}", value if equals else None
        return "--optimization-level", found[1]
    head, dot, key = name.partition(".")
    head = SHORT.get(head, head)
    return _full_name(head.replace("_", "-")) + dot + key, value if equals else None


def _full_name(name: str) -> str:
    """Of a name that is cut short, where one alone of those that are looked at begins so."""
    if len(name) < _SHORTEST_CUT or name in READ_BY_LINT:
        return name
    meant = [known for known in READ_BY_LINT if known.startswith(name)]
    return meant[0] if len(meant) == 1 else name


def _take_value(name: str, rest: list[str]) -> str | None:
    """What stands behind a flag and belongs to it, taken from `rest`."""
    values: list[str] = []
    while rest and _VALUE.match(rest[0]) and (not values or name in WITH_MANY):
        values.append(rest.pop(0))
    return " ".join(values) if values else None
