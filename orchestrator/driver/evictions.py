"""Which of the images that a run has pulled may go again, and which are on their way. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.types import Instance, PulledImage


@dataclass
class Evictions:
    """An image may go once every instance that has it is done: has its verdict, or an outcome
    without a patch, or was left to a person."""

    instances: Mapping[str, Instance]
    pulled: set[PulledImage]
    """By this run, in any session, and not evicted since."""
    unfinished: set[str]
    """Instances that are not done."""
    under_way: set[PulledImage] = field(default_factory=set)

    def may_go(self) -> list[PulledImage]:
        """What is not under way yet."""
        needed = {self.instances[name].image for name in self.unfinished if name in self.instances}
        idle = self.pulled - self.under_way
        return sorted(image for image in idle if image.name not in needed)

    def begin(self, images: Iterable[PulledImage]) -> None:
        self.under_way.update(images)

    def end(self, image: PulledImage, gone: bool) -> None:
        """One that is not gone, as it is in use, is tried again later."""
        self.under_way.discard(image)
        if gone:
            self.pulled.discard(image)
