"""Which instances of a benchmark a run covers, and in which order."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.config.keys import nearest
from orchestrator.config.schema import SLICE, Selection
from orchestrator.errors import ConfigError
from orchestrator.text_files import read_text


def select(instance_ids: Sequence[str], selection: Selection) -> list[str]:
    """Ids in the order that the run takes them: filter, then shuffle, then slice."""
    chosen = list(instance_ids)
    if selection.instances:
        wanted: dict[str, None] = {}
        for pattern in _expand_files(selection.instances):
            wanted |= dict.fromkeys(_matching(pattern, instance_ids))
        chosen = [instance_id for instance_id in instance_ids if instance_id in wanted]
    if selection.shuffle:
        random.Random(selection.seed).shuffle(chosen)
    if selection.slice is not None:
        chosen = chosen[_parse_slice(selection.slice)]
    if not chosen:
        raise ConfigError("the selection leaves no instance; widen --instances or --slice")
    return chosen


def _expand_files(patterns: Sequence[str]) -> list[str]:
    expanded: list[str] = []
    for pattern in patterns:
        if not pattern.startswith("@"):
            expanded.append(pattern)
            continue
        text = read_text(Path(pattern[1:]), f"--instances {pattern}")
        lines = (line.partition("#")[0].strip() for line in text.split("\n"))
        expanded += [line for line in lines if line]
    return expanded


def _matching(pattern: str, instance_ids: Sequence[str]) -> list[str]:
    if pattern in instance_ids:
        return [pattern]
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--instances {pattern!r} is no id and no regex: {error}") from None
    found = [instance_id for instance_id in instance_ids if regex.fullmatch(instance_id)]
    if not found:
        known = list(instance_ids)
        hint = nearest(pattern, known) if len(known) <= 20 else _nearest_only(pattern, known)
        raise ConfigError(f"unknown instance {pattern!r}{hint}")
    return found


def _nearest_only(pattern: str, known: list[str]) -> str:
    hint = nearest(pattern, known)
    return hint if "did you mean" in hint else f"; none of the {len(known)} ids matches it"


def _parse_slice(text: str) -> slice:
    match = re.fullmatch(SLICE, text.strip())
    if not match:
        raise ConfigError(f"--slice {text!r}: write it as START:STOP, such as 0:50")
    start, stop = (int(part) if part else None for part in match.groups())
    return slice(start, stop)
