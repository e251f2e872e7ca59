"""Intervals, exact tests and quantiles for the numbers that people compare.

What scipy has is asked of it; what it has not keeps its source in the docstring. scipy.stats takes
a second and 70 MB to import, so that it is imported where it is needed. The report of a run does
with scipy.special, which takes a third of that, unless the run is a sample of its benchmark.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

Z95 = 1.959963984540054


def wilson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Unlike the normal one it stays within [0, 1] and is honest for few instances. No instances at
    all say nothing: (0, 1). By its formula, as no library takes an effective number of instances,
    which is no whole number. Raises ValueError where there are more successes than instances.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # the bounds at 0 and n are exact; arithmetic leaves them off by an ulp
    low = 0.0 if successes == 0 else max(0.0, centre - margin)
    high = 1.0 if successes == n else min(1.0, centre + margin)
    return low, high


def finite_interval(
    resolved: int, sampled: int, population: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of the rate of a whole benchmark of `population` instances, of which a random
    sample of `sampled` was tried.

    Exact, by inversion of the hypergeometric distribution: those rates that leave neither tail
    under (1 - confidence) / 2 (W. G. Cochran, Sampling Techniques, 3rd edition 1977, section 3.6).
    A sample of everything is the rate itself; one of nothing says nothing.
    """
    if not 0 <= resolved <= sampled <= population or population == 0:
        raise ValueError(f"{resolved} of {sampled}, of {population}")
    import numpy
    from scipy.stats import hypergeom

    tail = (1 - confidence) / 2
    possible = numpy.arange(resolved, population - (sampled - resolved) + 1)
    at_least = hypergeom.sf(resolved - 1, population, possible, sampled)
    at_most = hypergeom.cdf(resolved, population, possible, sampled)
    kept = possible[(at_least > tail) & (at_most > tail)]
    return float(kept.min()) / population, float(kept.max()) / population


def interval_by_cluster(
    clusters: Mapping[str, Sequence[bool]], confidence: float = 0.95
) -> tuple[float, float] | None:
    """The interval of a rate whose instances come in clusters, such as repositories.

    The cluster-robust one of a mean, with G / (G - 1) and Student's t of G - 1 degrees, as is
    right for few clusters (A. C. Cameron, D. L. Miller, Journal of Human Resources 50, 2015). It
    is never narrower than Wilson's, which alone is left where all instances came out alike. None
    of less than two clusters, which say nothing of how clusters differ.
    """
    if len(clusters) < 2 or not all(clusters.values()):
        return None
    from scipy.special import stdtrit

    n = sum(map(len, clusters.values()))
    resolved = sum(map(sum, clusters.values()))
    rate, count = resolved / n, len(clusters)
    squares = math.fsum((sum(each) - rate * len(each)) ** 2 for each in clusters.values())
    error = math.sqrt(count / (count - 1) * squares) / n
    margin = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    low, high = wilson(resolved, n, confidence)
    return max(0.0, min(low, rate - margin)), min(1.0, max(high, rate + margin))


def clustered_wilson(shares: Sequence[float], attempts: int) -> tuple[float, float]:
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
    return wilson(rate * effective, effective)


def sign_test(better: int, worse: int) -> float:
    """The exact two-sided p-value that so many of the instances on which two differ fall to either
    side, where each side is as likely. Of pairs of verdicts it is McNemar's test in its exact form
    (Q. McNemar, Psychometrika 12, 1947; W. J. Dixon, A. M. Mood, JASA 41, 1946).

    1 where they differ nowhere.
    """
    if better < 0 or worse < 0:
        raise ValueError(f"{better} and {worse}")
    if better == worse:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse, 0.5).pvalue)


def power_of_sign_test(
    n: int, differing: float, difference: float, significance: float = 0.05
) -> float:
    """How likely the exact sign test of `n` instances finds a difference of rates, where two differ
    on the share `differing` of the instances.

    How many of them differ is itself by chance: the power is the mean over all such numbers (S. W.
    Duffy, Statistics in Medicine 3, 1984). `difference` lies within [0, differing].
    """
    import numpy
    from scipy.stats import binom

    share = min(1.0, (1 + difference / differing) / 2) if differing else 0.5
    numbers = numpy.arange(n + 1)
    needed = binom.isf(significance / 2, numbers, 0.5) + 1
    found = binom.sf(needed - 1, numbers, share) + binom.cdf(numbers - needed, numbers, share)
    return float(numpy.sum(binom.pmf(numbers, n, differing) * found))


def smallest_difference(
    n: int, differing: float, power: float = 0.8, significance: float = 0.05
) -> float | None:
    """The smallest difference of rates that the sign test of `n` instances finds with this power,
    where two differ on the share `differing` of them. None where not even all differences to one
    side would do."""
    if not 0 <= differing <= 1:
        raise ValueError(f"a share of {differing}")
    if power_of_sign_test(n, differing, differing, significance) < power:
        return None
    from scipy.optimize import brentq

    def lacking(difference: float) -> float:
        return power_of_sign_test(n, differing, difference, significance) - power

    return float(brentq(lacking, 0.0, differing, xtol=1e-6))


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
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
    margin = Z95 * math.sqrt(variance / n)
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
