"""A server's command line against what is known to be broken (`serving.faults`). Pure."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from orchestrator.serving.command import ServerCommand
from orchestrator.serving.faults import Fault, faults_of
from orchestrator.serving.pairing import QWEN, Pairing, family_of, parse_version, version_of_image

IN_THE_IMAGE = PurePosixPath("/vllm-workspace")
"""Where vLLM's images have its examples, and start the server."""
DEFAULT_MEMORY_SHARE = 0.92
"""vLLM's since 0.20; 0.9 before."""
HYBRIDS_CACHE_SINCE = (0, 26, 0)
"""From this version on, prefix caching is on for hybrid models unless told otherwise; for others it
always was. From the default in vLLM's config/model.py, compared over its releases."""
_OFF = ("0", "false", "no", "off")


def lint(command: ServerCommand, machine: str = "") -> tuple[Fault, ...]:
    """What is known to be broken in it; those that are fatal should not be started.

    `machine` is a recipe's, such as DGX Spark (GB10, SM121, 128 GB shared). Where it is not known,
    what is broken on some machines alone is told, and is not fatal.
    """
    return faults_of(pairing_of(command, machine))


def pairing_of(command: ServerCommand, machine: str = "") -> Pairing:
    """What a command tells of the server that it starts, what it leaves to defaults included.

    Where it names a file of flags (--config), what it does not say itself is not known.
    """
    known = not command.has("--config")
    names = command.value("--served-model-name") or ""
    family = family_of(command.weights, names)
    drafts = _json_of(command, "--speculative-config")
    method = drafts.get("method") or command.value("--spec-method") or ""
    return Pairing(
        family=family,
        server="vLLM",
        version=version_of_image(command.image),
        machine=machine,
        speculative=_drafts(command, drafts) or (False if known else None),
        draft_method=str(method).lower() or _older_method(command),
        prefix_caching=_caches_prefixes(command, family) if known else _cache_switch(command),
        image=command.image,
        weights=f"{command.weights} {command.value('--quantization') or ''}",
        tool_parser=_text(command, "--tool-call-parser", known),
        reasoning_parser=_text(command, "--reasoning-parser", known),
        chat_template=_text(command, "--chat-template", known),
        brings_template=_brings_template(command),
        offers_tools=_switch(command, "enable-auto-tool-choice", False if known else None),
        eager=_is_eager(command),
        memory_share=_memory_share(command, known),
        deep_gemm=command.env.get("VLLM_USE_DEEP_GEMM", "1").strip().lower() not in _OFF,
        unreadable=_has_unreadable(command),
    )


def _text(command: ServerCommand, flag: str, known: bool) -> str | None:
    return (command.value(flag) or "").strip() if known or command.has(flag) else None


def _switch(command: ServerCommand, name: str, default: bool | None) -> bool | None:
    """Whether the last of --NAME and --no-NAME is the former; the default where there is none."""
    for flag, value in reversed(command.flags):
        if flag == f"--no-{name}":
            return False
        if flag == f"--{name}":
            return (value or "").strip().lower() not in _OFF
    return default


def _cache_switch(command: ServerCommand) -> bool | None:
    return _switch(command, "enable-prefix-caching", None)


def _caches_prefixes(command: ServerCommand, family: str) -> bool:
    told = _cache_switch(command)
    if told is not None:
        return told
    version = parse_version(version_of_image(command.image))
    return family not in QWEN or version is None or version >= HYBRIDS_CACHE_SINCE


DRAFT_FLAGS = ("--speculative-config", "--speculative-model", "--spec-method", "--spec-model")
"""Any of them makes the server draft, whatever it says; the second is of versions before 0.9."""


def _drafts(command: ServerCommand, drafts: Mapping[str, Any]) -> bool:
    return bool(drafts) or any(command.has(flag) for flag in DRAFT_FLAGS)


def _older_method(command: ServerCommand) -> str:
    """Of --speculative-model, which names a model or, in brackets, a method: [ngram]."""
    model = command.value("--speculative-model") or ""
    return model.strip("[]").lower() if model.startswith("[") else ""


def _json_of(command: ServerCommand, flag: str) -> dict[str, Any]:
    """A flag's JSON, and what its dotted forms (--flag.key value) add; empty where it has none."""
    found: dict[str, Any] = {}
    for name, value in command.flags:
        if name == flag:
            found |= _mapping(value) or {}
        elif name.startswith(f"{flag}."):
            found[name.removeprefix(f"{flag}.").replace("-", "_")] = value
    return found


def _mapping(value: str | None) -> dict[str, Any] | None:
    """JSON's, or None."""
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(value or "")
        return data if isinstance(data, dict) else None
    return None


def _is_eager(command: ServerCommand) -> bool:
    graphs = _json_of(command, "--compilation-config").get("cudagraph_mode")
    return (
        bool(_switch(command, "enforce-eager", False))
        or (str(graphs).upper() == "NONE" and graphs is not None)
        or command.value("--optimization-level") == "0"
    )


def _number(command: ServerCommand, flag: str) -> float | None:
    with contextlib.suppress(ValueError):
        number = float(command.value(flag) or "")
        return number if math.isfinite(number) else None
    return None


def _memory_share(command: ServerCommand, known: bool) -> float | None:
    if command.has("--kv-cache-memory-bytes"):
        return None  # which then says how much is taken
    if command.has("--gpu-memory-utilization"):
        return _number(command, "--gpu-memory-utilization")
    return DEFAULT_MEMORY_SHARE if known else None


JSON_FLAGS = (
    *("--speculative-config", "--default-chat-template-kwargs"),
    *("--override-generation-config", "--mm-processor-kwargs"),
)
"""Those of which agents' servers have one, and that take nothing but a mapping."""


def _has_unreadable(command: ServerCommand) -> bool:
    """Whether vLLM would refuse a value that is looked at here."""
    share = command.has("--gpu-memory-utilization")
    return any(name in JSON_FLAGS and _mapping(value) is None for name, value in command.flags) or (
        share and _number(command, "--gpu-memory-utilization") is None
    )


def _brings_template(command: ServerCommand) -> bool | None:
    """Whether the container has the file of --chat-template; None where there is no container."""
    value = command.value("--chat-template")
    if not value or not command.image or "{" in value:
        return None  # braces: the template itself
    path = IN_THE_IMAGE / value
    places = [PurePosixPath(_inside(mount)) for mount in command.mounts]
    return any(path.is_relative_to(place) for place in (IN_THE_IMAGE, *places))


def _inside(mount: str) -> str:
    """The container's side of host_path:container_path[:options]; a volume's alone is itself."""
    parts = mount.split(":")
    return parts[1] if len(parts) > 1 else parts[0]
