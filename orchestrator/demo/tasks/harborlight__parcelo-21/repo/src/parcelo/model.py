"""The parcel itself."""

from __future__ import annotations

from dataclasses import dataclass

ZONES = ("city", "country", "abroad")


@dataclass(frozen=True)
class Parcel:
    id: str
    weight_g: int
    zone: str = "city"
    priority: int = 0

    def __post_init__(self) -> None:
        if self.weight_g <= 0:
            raise ValueError(f"parcel {self.id}: weight must be positive")
        if self.zone not in ZONES:
            raise ValueError(f"parcel {self.id}: unknown zone {self.zone!r}")
