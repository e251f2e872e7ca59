"""Two that met the same instances, compared instance by instance. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.report.stats import paired_interval, sign_test, smallest_difference


@dataclass(frozen=True)
class Paired:
    """One against another, on the instances that both have a verdict on.

    The more often resolved of two is the better one; of one attempt each that is McNemar's test.
    """

    instances: int
    better: int
    """Instances at which the one was."""
    worse: int
    both: int
    """As often resolved by both, and at least once."""
    neither: int
    difference: float | None
    """Mean over instances of the one's resolved share less the other's. None where there are no
    instances, as for what follows."""
    ci95: tuple[float, float]
    p: float | None
    """Exact, two-sided."""
    smallest_difference: float | None
    """That so many instances show with a power of 80 %, at 5 %, where two differ as often as these
    do. None where they could show none."""


def compare_paired(
    one: Mapping[str, float], other: Mapping[str, float], unnamed: int = 0
) -> Paired:
    """`one` and `other` are resolved shares by instance; those that both have are compared, and so
    many more that nobody names, which neither resolved."""
    common = sorted(one.keys() & other.keys())
    differences = [one[i] - other[i] for i in common] + [0.0] * unnamed
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    both = sum(one[i] == other[i] > 0 for i in common)
    n = len(differences)
    return Paired(
        instances=n,
        better=better,
        worse=worse,
        both=both,
        neither=n - better - worse - both,
        difference=statistics.fmean(differences) if n else None,
        ci95=paired_interval(differences),
        p=sign_test(better, worse) if n else None,
        smallest_difference=smallest_difference(n, (better + worse) / n) if n else None,
    )
