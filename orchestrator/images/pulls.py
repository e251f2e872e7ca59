"""What comes of a pull, and what a registry says of the pulls that are left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PullProblem(StrEnum):
    """Why an image did not come. All but REFUSED are mended by waiting."""

    QUOTA = "quota"
    """The registry allows no more pulls for now (HTTP 429)."""
    AWAY = "away"
    """The registry does not answer, or fails, or a pull stalls."""
    NO_ROOM = "no_room"
    """The engine's disk is full."""
    ENGINE = "engine"
    """The engine does not answer."""
    REFUSED = "refused"
    """There is no such image, or it is not for us, or the engine can't take it."""


@dataclass(frozen=True)
class PullFailure:
    problem: PullProblem
    detail: str
    """In words of the engine or the registry, one line."""
    retry_after_s: float | None = None
    """What the registry asks to wait, where it says so."""


class PullFailed(Exception):
    """An image did not come."""

    def __init__(self, failure: PullFailure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True)
class Quota:
    """What a registry allows, as it told without counting the question."""

    limit: int
    """Pulls in a window."""
    remaining: int
    window_s: float
