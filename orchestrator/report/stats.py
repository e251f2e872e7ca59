"""Intervals and quantiles for the numbers that people compare."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z95 = 1.959963984540054


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Unlike the normal one it stays within [0, 1] and is honest for few instances. No instances at
    all say nothing: (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # the bounds at 0 and n are exact; arithmetic leaves them off by an ulp
    low = 0.0 if successes == 0 else max(0.0, centre - margin)
    high = 1.0 if successes == n else min(1.0, centre + margin)
    return low, high


def quantiles(values: Sequence[float], parts: int) -> list[float]:
    """The `parts - 1` values that cut sorted values into equal parts, linear between neighbours.

    Of 20 parts the tenth cut is the median, the last one the 95th percentile. Raises ValueError
    where there are no values.
    """
    # Python before 3.13 refuses a single value
    several = [*values, *values] if len(values) == 1 else values
    return statistics.quantiles(several, n=parts, method="inclusive")
