"""Which of the images that a run has pulled may go again, and which are on their way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.types import Instance, PulledImage

AT_ONCE = 4
"""Each takes a process on its host, and a session that goes on may find hundreds of them idle."""


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
    in_use: set[PulledImage] = field(default_factory=set)
    """Tried in vain since an instance was last done."""

    def may_go(self) -> list[PulledImage]:
        """What nobody needs, and is not under way yet."""
        needed = {self.instances[name].image for name in self.unfinished if name in self.instances}
        idle = self.pulled - self.under_way - self.in_use
        return sorted(image for image in idle if image.name not in needed)

    def begin(self) -> list[PulledImage]:
        """What is to be evicted now: as many as may be under way beside those that are."""
        images = self.may_go()[: AT_ONCE - len(self.under_way)]
        self.under_way.update(images)
        return images

    def end(self, image: PulledImage, gone: bool) -> None:
        """One that is not gone, as it is in use, is tried again when another instance is done."""
        self.under_way.discard(image)
        (self.pulled.discard if gone else self.in_use.add)(image)

    def instance_done(self, instance_id: str) -> None:
        self.unfinished.discard(instance_id)
        self.in_use.clear()
