"""Chance that is the same every time: a generator for each purpose, by the run's seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def chance(seed: int, *purpose: object) -> random.Random:
    """A generator of its own for a purpose, so that none disturbs what others draw."""
    return random.Random(" ".join(map(str, (seed, *purpose))))


def weighted(rng: random.Random, weights: Mapping[T, float]) -> T:
    """One of the keys, each as often as its weight says."""
    return rng.choices(list(weights), list(weights.values()))[0]
