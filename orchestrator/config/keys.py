"""Which keys a configuration may have, read from the schema: for messages, and for `--set`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.config.schema import AgentSettings, RunConfig


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?` where something known is near, else what is known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


class Keys:
    """The keys of a run's configuration whose agent has a section of this class."""

    def __init__(self, agent: type[AgentSettings] = AgentSettings) -> None:
        self._agent = agent

    def at(self, parts: Sequence[str]) -> list[str]:
        """The known keys of the section that a path of keys leads to; empty where it is none."""
        section = self._section(parts)
        return list(section.model_fields) if section else []

    def split(self, dotted: str) -> tuple[str, ...]:
        """The parts of a dotted key; one that people made up (an instance id) may hold dots."""
        parts = dotted.split(".")
        for depth in range(1, len(parts)):
            if not self.at(parts[:depth]):
                simple = self._is_mapping(parts[:depth]) and parts[depth - 1] != "request_fields"
                if simple:
                    return (*parts[:depth], ".".join(parts[depth:]))
                break
        return tuple(parts)

    def known_part(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Where pydantic looked, less what it adds of its own: members of a union, `[key]`."""
        for depth in range(1, len(parts)):
            if not self.at(parts[:depth]):
                return parts[: depth + 1] if self._is_mapping(parts[:depth]) else parts[:depth]
        return parts

    def _section(self, parts: Sequence[str]) -> type[BaseModel] | None:
        section: type[BaseModel] | None = RunConfig
        for part in parts:
            if section is None:
                return None
            section = self._section_of(section.model_fields.get(part))
        return section

    def _section_of(self, field: FieldInfo | None) -> type[BaseModel] | None:
        """The class of a field that is a section, or a section or None."""
        classes = _classes_in(field.annotation) if field else ()
        section = next((c for c in classes if issubclass(c, BaseModel)), None)
        return self._agent if section is AgentSettings else section

    def _is_mapping(self, parts: Sequence[str]) -> bool:
        """Whether a path of keys leads to a mapping with keys of people's own."""
        section = self._section(parts[:-1])
        field = section.model_fields.get(parts[-1]) if section else None
        return field is not None and get_origin(field.annotation) is dict


def _classes_in(annotation: Any) -> Iterator[type]:
    """The annotation itself, or what a union or Annotated is made of."""
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _classes_in(argument)
