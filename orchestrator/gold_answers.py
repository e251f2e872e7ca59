"""What decides an instance: the gold patch and the tests.

Only `dataset` (which reads it), `agents.gold`, `backends.grading` and `scripted.endpoint` may
import this module, so that no agent can see an answer by accident. A test holds that line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.types import SealedAnswer


@dataclass(frozen=True)
class GoldAnswer:
    """The hidden half of a benchmark row.

    `row` is the whole row as the official harness wants it, with the v5 columns.
    """

    instance_id: str
    gold_patch: str
    row: Mapping[str, Any]


def seal(answer: GoldAnswer) -> SealedAnswer:
    return SealedAnswer(answer)


def unseal(sealed: SealedAnswer) -> GoldAnswer:
    assert isinstance(sealed, GoldAnswer)
    return sealed
