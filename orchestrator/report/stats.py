"""Intervals and quantiles for the numbers that people compare."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z95 = 1.959963984540054


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Unlike the normal one it stays within [0, 1] and is honest for few instances. No instances at
    all say nothing: (0, 1). Counts are whole numbers, but for an effective `n`.
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


def clustered_wilson(shares: Sequence[float], attempts: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a rate that is the mean of instances, each attempted `attempts` times.

    `shares` are the resolved shares of each instance's attempts. The attempts at one instance are
    no independent trials: instances are the clusters (E. Miller, Adding Error Bars to Evals, 2024,
    arXiv:2411.00640). Wilson's interval is taken at the effective number of trials, the one at
    which independent trials would have the variance of these shares (E. L. Korn, B. I. Graubard,
    Survey Methodology 24, 1998). It lies between the number of instances, as if further attempts
    said nothing, and that of all attempts. Of one attempt each it is Wilson's.
    """
    n = len(shares)
    if n == 0:
        return wilson(0, 0)
    rate = math.fsum(shares) / n
    effective = float(n)
    if n > 1 and 0 < rate < 1:
        variance_of_mean = statistics.variance(shares) / n
        most = float(n * attempts)
        of_shares = rate * (1 - rate) / variance_of_mean if variance_of_mean > 0 else most
        effective = min(max(of_shares, n), most)
    return wilson(rate * effective, effective, z)


def sign_test(better: int, worse: int) -> float:
    """The exact two-sided p-value that so many of the instances on which two differ fall to either
    side, where each side is as likely. Of pairs of verdicts it is McNemar's test in its exact form
    (Q. McNemar, Psychometrika 12, 1947; W. J. Dixon, A. M. Mood, JASA 41, 1946).

    1 where they differ nowhere.
    """
    if better < 0 or worse < 0:
        raise ValueError(f"{better} and {worse}")
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / (1 << n))


def paired_interval(differences: Sequence[float], z: float = Z95) -> tuple[float, float]:
    """The interval of a mean difference between two that met the same instances.

    `differences` are one an instance, of [-1, 1]. One of each sign is added to them, then the
    normal interval is taken (D. G. Bonett, R. M. Price, Journal of Educational and Behavioral
    Statistics 37, 2012, which M. W. Fagerland and others recommend in Statistics in Medicine 33,
    2014). No instances at all say nothing: (-1, 1).
    """
    if not differences:
        return -1.0, 1.0
    n = len(differences) + 2
    mean = math.fsum(differences) / n
    variance = (math.fsum(d * d for d in differences) + 2) / n - mean * mean
    margin = z * math.sqrt(variance / n)
    return max(-1.0, mean - margin), min(1.0, mean + margin)


def holm(p_values: Sequence[float]) -> list[float]:
    """The same p-values, in their order, corrected for being many: the chance that even one of
    those under 5 % is there by luck stays under 5 % (S. Holm, Scandinavian Journal of Statistics
    6, 1979)."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    by_size = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(by_size):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def quantiles(values: Sequence[float], parts: int) -> list[float]:
    """The `parts - 1` values that cut sorted values into equal parts, linear between neighbours.

    Of 20 parts the tenth cut is the median, the last one the 95th percentile. Raises ValueError
    where there are no values.
    """
    # Python before 3.13 refuses a single value
    several = [*values, *values] if len(values) == 1 else values
    return statistics.quantiles(several, n=parts, method="inclusive")
