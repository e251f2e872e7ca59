"""How far the pulls are, and how fast they come. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from orchestrator.driver.executor import ImageStatus
from orchestrator.types import PulledImage

WINDOW_S = 20.0
"""The rate is that of the time just past."""


@dataclass
class _Pull:
    total: int
    """Bytes that are to come."""
    is_estimated: bool
    came: int = 0


@dataclass
class Pulls:
    """Bytes are compressed, as they are sent. Times are seconds on a clock that is handed in."""

    _under_way: dict[PulledImage, _Pull] = field(default_factory=dict)
    _came: int = 0
    """In all."""
    _samples: deque[tuple[float, int]] = field(default_factory=deque)
    """When how many had come in all."""

    def begin(self, image: PulledImage, total: int, is_estimated: bool, now: float) -> None:
        self._under_way[image] = _Pull(total, is_estimated)
        self._samples.append((now, self._came))

    def came(self, image: PulledImage, compressed: int, now: float) -> None:
        """So many bytes of an image have come."""
        pull = self._under_way.get(image)
        if pull is None:
            return
        self._came += max(0, compressed - pull.came)
        pull.came = max(pull.came, compressed)
        pull.total = max(pull.total, pull.came)
        self._samples.append((now, self._came))

    def end(self, image: PulledImage) -> None:
        self._under_way.pop(image, None)

    def lose(self, node: str) -> None:
        """A node is gone, and what came to it."""
        for image in [image for image in self._under_way if image.node == node]:
            self.end(image)

    def status(self, ready: int, now: float) -> ImageStatus:
        pulls = self._under_way.values()
        if not pulls:
            self._samples.clear()
            return ImageStatus(ready=ready)
        return ImageStatus(
            pulling=len(pulls),
            came=sum(pull.came for pull in pulls),
            total=sum(pull.total for pull in pulls),
            is_estimated=any(pull.is_estimated for pull in pulls),
            bytes_per_s=self._rate(now),
            ready=ready,
        )

    def _rate(self, now: float) -> float:
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW_S:
            self._samples.popleft()
        if not self._samples or now <= self._samples[0][0]:
            return 0.0
        since, before = self._samples[0]
        return (self._came - before) / (now - since)
