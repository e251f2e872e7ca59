"""Where the details of instances lie: in the page while they are small, else in files beside it.

A page may be sent to somebody by itself, so that what people ask first is in it as far as there
is room. A file is a script that hands its data over, because a page that was opened from a disk may
load scripts beside it, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from orchestrator.page.instances.details import Details
from orchestrator.page.instances.rows import key_of
from orchestrator.paths import RunPaths, folder_name
from orchestrator.text import writable

RECEIVER = "receiveDetails"
"""The function of the page that files call."""


@dataclass
class Room:
    """How many bytes of one part the page takes: those of an instance, and those of all."""

    each: int
    left: int

    def takes(self, text: str) -> bool:
        """First come, first served, so that the same run gives the same page."""
        if len(text) > min(self.each, self.left):
            return False
        self.left -= len(text)
        return True


def rooms() -> dict[str, Room]:
    """By part."""
    return {"overview": Room(40_000, 1_600_000), "steps": Room(16_000, 400_000)}


@dataclass(frozen=True)
class Kept:
    """The details of one instance, as they are kept."""

    key: str
    """Of the instance, as in `InstanceRow.key`."""
    embedded: Markup
    """JSON of the parts that stand in the page, fit for a script's element."""
    url: str
    """Of the file with the other parts, from the page; empty where there are none."""


def keep(details: Iterable[Details], paths: RunPaths) -> tuple[Kept, ...]:
    """Write what is large into `report_files`; what is there from an earlier report goes away."""
    space, kept = rooms(), []
    before = set(paths.report_files.glob("*.js"))
    for of_instance in details:
        inside, outside = _divide(of_instance, space)
        url, name = "", writable(of_instance.instance_id)
        if outside:
            path = paths.report_files / f"{folder_name(of_instance.instance_id)}.js"
            _write(path, f"{RECEIVER}({_json(name)}, {_object(outside)});\n")
            before.discard(path)
            url = f"{quote(path.parent.name)}/{quote(path.name)}"
        kept.append(Kept(key_of(name), Markup(_object(inside)), url))
    for path in before:
        path.unlink(missing_ok=True)
    return tuple(kept)


def _divide(details: Details, space: dict[str, Room]) -> tuple[dict[str, str], dict[str, str]]:
    """The parts as JSON: those for the page, and those for a file."""
    inside: dict[str, str] = {}
    outside: dict[str, str] = {}
    for part, text in _parts(details):
        (inside if space[part].takes(text) else outside)[part] = text
    return inside, outside


def _parts(details: Details) -> Iterator[tuple[str, str]]:
    yield "overview", _json(details.overview)
    yield "steps", _json(details.steps)


def _json(value: Any) -> str:
    """In ASCII, whatever a browser takes a file's encoding for; and without `<`, so that no text
    ends the element that it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _object(parts: dict[str, str]) -> str:
    return "{" + ",".join(f'"{part}":{text}' for part, text in parts.items()) + "}"


def _write(path: Path, text: str) -> None:
    """Whole or not at all. It can be made again, so that nobody waits for the drive."""
    data = text.encode("ascii")
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
