"""Which images the runs of a session have pulled, as their journals have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.journal import Journal
from orchestrator.types import PulledImage


class PulledImages:
    """Each is in one journal: in the one that had it, or that of the first run that wants it."""

    def __init__(self, journals: Mapping[str, Journal]) -> None:
        """By run id, in the order of the runs."""
        self._journals = journals
        self._in: dict[PulledImage, list[str]] = {}
        """Run ids; earlier sessions of several runs may each have pulled an image."""
        for run_id, journal in journals.items():
            for image in journal.pulled():
                self._in.setdefault(image, []).append(run_id)

    def of_node(self, node: str) -> set[str]:
        """Names of those that are there."""
        return {image.name for image in self._in if image.node == node}

    def note(self, image: PulledImage, wanted_by: Iterable[str]) -> None:
        """An image is about to come, for these runs."""
        if image not in self._in:
            users = set(wanted_by)
            first = next(run_id for run_id in self._journals if run_id in users)
            self._journals[first].add_pulled(image)
            self._in[image] = [first]

    def forget(self, image: PulledImage) -> None:
        """It did not come, or has gone, or is somebody else's."""
        for run_id in self._in.pop(image, ()):
            self._journals[run_id].remove_pulled(image)
