"""One example of each failure: the request and its answer, kept as files and shown on wish."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.diagnose.judge import Kind
from orchestrator.diagnose.levels import Judged, LevelCell
from orchestrator.errors import ConfigError
from orchestrator.paths import write_atomic
from orchestrator.text import printable, writable

SHOWN_CHARS = 600


@dataclass(frozen=True)
class Example:
    cell: LevelCell
    judged: Judged

    @property
    def name(self) -> str:
        kind = self.judged.judgement.kind.replace(" ", "-")
        return f"{self.cell.level.value}-{self.cell.protocol}-{kind}.json"

    def as_dict(self) -> dict[str, Any]:
        judgement, exchange = self.judged.judgement, self.judged.exchange
        return {
            "level": self.cell.level.name.lower(),
            "protocol": str(self.cell.protocol),
            "at_once": self.cell.at_once,
            "turn": self.judged.turn,
            "kind": str(judgement.kind),
            "detail": judgement.detail,
            "request": exchange.request,
            "status": exchange.status,
            "answer": exchange.answer if exchange.answer is not None else exchange.words,
        }

    def lines(self) -> list[str]:
        """What was asked last and what came, for people."""
        exchange = self.judged.exchange
        asked = str(exchange.request["messages"][-1]["content"])
        try:
            came = json.dumps(exchange.answer["choices"][0]["message"], ensure_ascii=False)
        except (KeyError, IndexError, TypeError):
            came = exchange.words or json.dumps(exchange.answer, ensure_ascii=False)
        head = f"{self.name.removesuffix('.json')}: {self.judged.judgement.detail}"
        words = (head, f"  asked: {asked}", f"  came:  {came}")
        return [" ".join(printable(line)[:SHOWN_CHARS].split("\n")) for line in words]


def collect(cells: Sequence[LevelCell]) -> list[Example]:
    """The first of each kind in each cell."""
    found: dict[str, Example] = {}
    for cell in cells:
        for judged in cell.answers:
            example = Example(cell, judged)
            if judged.judgement.kind is not Kind.VALID:
                found.setdefault(example.name, example)
    return list(found.values())


def require_folder(folder: Path) -> None:
    """Make a folder for examples. Raises ConfigError where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / ".writable", "")
        (folder / ".writable").unlink(missing_ok=True)  # another diagnosis may be here too
    except OSError as error:
        raise ConfigError(f"--save {folder}: {error.strerror}") from None


def clear(folder: Path) -> None:
    """Remove what an earlier diagnosis left in a folder of ours."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)


def save(examples: Sequence[Example], folder: Path) -> None:
    """A file each. One of an earlier diagnosis that has the same name is overwritten."""
    for example in examples:
        text = json.dumps(example.as_dict(), ensure_ascii=False, indent=1)
        write_atomic(folder / example.name, writable(text))
