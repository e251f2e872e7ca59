"""The belt: parcels come in, parcels leave by priority."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from .model import Parcel


class Conveyor:
    """Higher priority leaves first; equal priority leaves in order of arrival."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self._heap: list[tuple[int, str, Parcel]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def arrive(self, parcel: Parcel) -> None:
        heapq.heappush(self._heap, (-parcel.priority, parcel.id, parcel))
        self._say("arrives", parcel)

    def leave(self) -> Parcel:
        if not self._heap:
            raise IndexError("the belt is empty")
        parcel = heapq.heappop(self._heap)[-1]
        self._say("leaves", parcel)
        return parcel

    def run(self, parcels: Iterable[Parcel]) -> list[Parcel]:
        """Put all parcels on the belt, then take all of them off."""
        for parcel in parcels:
            self.arrive(parcel)
        return [self.leave() for _ in range(len(self))]

    def _say(self, verb: str, parcel: Parcel) -> None:
        if not self.quiet:
            print(
                f"belt: {parcel.id} {verb}, {parcel.weight_g} g to {parcel.zone}, "
                f"priority {parcel.priority}, {len(self)} on the belt"
            )
