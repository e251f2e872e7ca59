"""Tariff: price by weight and zone."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Parcel


class TooHeavy(ValueError):
    """No tier takes a parcel of this weight."""


@dataclass(frozen=True)
class Tier:
    label: str
    limit_g: int
    price_cents: int


TIERS = (
    Tier("up to 500 g", 500, 290),
    Tier("up to 2 kg", 2000, 450),
    Tier("up to 5 kg", 5000, 690),
    Tier("up to 10 kg", 10000, 1050),
    Tier("up to 31.5 kg", 31500, 1890),
)

# in per cent of the city price
ZONE_FACTOR = {"city": 100, "country": 120, "abroad": 250}


def tier_for(weight_g: int) -> Tier:
    for tier in TIERS:
        if weight_g <= tier.limit_g:
            return tier
    raise TooHeavy(f"{weight_g} g is more than {TIERS[-1].limit_g} g")


def price_cents(parcel: Parcel) -> int:
    """Price of one parcel, rounded up to whole cents."""
    hundredths = tier_for(parcel.weight_g).price_cents * ZONE_FACTOR[parcel.zone]
    return -(-hundredths // 100)


def total_cents(parcels) -> int:
    return sum(price_cents(parcel) for parcel in parcels)
