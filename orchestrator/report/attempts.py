"""Several attempts at the same instances: pass@k, pass^k, and what flips. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.report.stats import clustered_wilson


@dataclass(frozen=True)
class Estimate:
    """A mean over instances, with its 95 % interval: instances are the clusters."""

    rate: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Repeated:
    """What several attempts at each instance come to; its fields are keys of matrix.json."""

    attempts: int
    instances: int
    """Those of which every attempt has a verdict: the rest are no zeros, and not in here."""
    left_out: int
    pass_at: Mapping[int, Estimate]
    """By k: the chance that at least one of k attempts resolves an instance."""
    pass_all: Mapping[int, Estimate]
    """By k: the chance that all of k attempts do, pass^k."""
    flip_rate: float
    """The chance that two attempts at one instance come out differently, over instances."""
    flips: Mapping[str, int]
    """Instances that came out differently, with how many attempts resolved them."""


def pass_at_k(attempts: int, resolved: int, k: int) -> float:
    """Unbiased: the share of all choices of k attempts that hold a resolved one (M. Chen and
    others, Evaluating Large Language Models Trained on Code, 2021, arXiv:2107.03374)."""
    _require(attempts, resolved, k)
    return 1 - math.comb(attempts - resolved, k) / math.comb(attempts, k)


def pass_all_k(attempts: int, resolved: int, k: int) -> float:
    """Unbiased: the share of all choices of k attempts that hold resolved ones alone, pass^k
    (S. Yao and others, tau-bench, 2024, arXiv:2406.12045)."""
    _require(attempts, resolved, k)
    return math.comb(resolved, k) / math.comb(attempts, k)


def _require(attempts: int, resolved: int, k: int) -> None:
    if not (0 <= resolved <= attempts and 1 <= k <= attempts):
        raise ValueError(f"{k} of {attempts} attempts, {resolved} resolved")


def flip_chance(attempts: int, resolved: int) -> float:
    """That two different attempts of these come out differently."""
    return 2 * resolved * (attempts - resolved) / (attempts * (attempts - 1))


def build_repeated(resolved: Mapping[str, int], attempts: int, left_out: int) -> Repeated | None:
    """`resolved` is how many attempts resolved each instance of which all have a verdict. None of
    a single attempt, or where no instance has them all."""
    if attempts < 2 or not resolved:
        return None

    def mean(values: list[float]) -> Estimate:
        return Estimate(math.fsum(values) / len(values), clustered_wilson(values, attempts))

    counts = list(resolved.values())
    every_k = range(1, attempts + 1)
    return Repeated(
        attempts=attempts,
        instances=len(counts),
        left_out=left_out,
        pass_at={k: mean([pass_at_k(attempts, c, k) for c in counts]) for k in every_k},
        pass_all={k: mean([pass_all_k(attempts, c, k) for c in counts]) for k in every_k},
        flip_rate=math.fsum(flip_chance(attempts, c) for c in counts) / len(counts),
        flips={i: c for i, c in sorted(resolved.items()) if 0 < c < attempts},
    )


def repeated_lines(found: Repeated) -> tuple[str, ...]:
    """For people: each k in a line, then what flips."""
    lines = []
    for k in found.pass_at:
        one, every = found.pass_at[k], found.pass_all[k]
        lines.append(f"pass@{k} {_words(one)}" + (f"; pass^{k} {_words(every)}" if k > 1 else ""))
    flips = f"{len(found.flips)} of {found.instances} instances flip"
    lines.append(f"{flips}; two attempts at one differ in {found.flip_rate:.1%} of the cases")
    if found.left_out:
        lines.append(f"left out, as an attempt has no verdict: {found.left_out}")
    return tuple(lines)


def _words(estimate: Estimate) -> str:
    low, high = estimate.ci95
    return f"{estimate.rate:.1%} (95% interval {low:.1%} to {high:.1%})"
