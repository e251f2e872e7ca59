"""What several attempts at the same instances say: pass@k, pass^k and how often verdicts flip.
Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.report.names import Mark
from orchestrator.report.stats import clustered_wilson


@dataclass(frozen=True)
class Estimate:
    """A mean over instances and its 95 % interval, with the instances as clusters."""

    k: int
    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class AttemptStatistics:
    """Several attempts at each instance; its fields are keys of matrix.json.

    Only instances count of which every attempt has a verdict.
    """

    attempts: int
    instances: int
    left_out: int
    """Instances without a verdict in one attempt or more."""
    pass_at: tuple[Estimate, ...]
    """pass@k, k from 1: at least one of k attempts resolves the instance."""
    pass_all: tuple[Estimate, ...]
    """pass^k, k from 1: all of k attempts do."""
    flip_rate: float
    """How often two attempts at an instance differ: over all pairs of attempts, then the mean over
    instances."""
    resolved_in: tuple[int, ...]
    """How many instances were resolved in 0, 1, ... of the attempts."""
    flipped: Mapping[str, str]
    """By instance whose attempts differ: a mark for each attempt, such as `✓✗✓`."""


def attempt_statistics(
    verdicts: Mapping[str, Sequence[bool]], left_out: int = 0
) -> AttemptStatistics | None:
    """From the verdicts of each instance, attempt by attempt, all of the same number.

    None where there are no instances, or one attempt at each.
    """
    attempts = len(next(iter(verdicts.values()), ()))
    if attempts < 2:
        return None
    counts = [sum(each) for each in verdicts.values()]
    ks = range(1, attempts + 1)
    return AttemptStatistics(
        attempts=attempts,
        instances=len(counts),
        left_out=left_out,
        pass_at=tuple(_mean(k, [pass_at(k, c, attempts) for c in counts], attempts) for k in ks),
        pass_all=tuple(_mean(k, [pass_all(k, c, attempts) for c in counts], attempts) for k in ks),
        flip_rate=math.fsum(flip_rate(c, attempts) for c in counts) / len(counts),
        resolved_in=tuple(counts.count(c) for c in range(attempts + 1)),
        flipped={
            instance_id: "".join(Mark.RESOLVED if one else Mark.UNRESOLVED for one in each)
            for instance_id, each in sorted(verdicts.items())
            if 0 < sum(each) < attempts
        },
    )


def pass_at(k: int, resolved: int, attempts: int) -> float:
    """The chance that at least one of `k` attempts, drawn of these without putting back, resolves
    the instance: unbiased (M. Chen and others, Evaluating Large Language Models Trained on Code,
    2021, arXiv:2107.03374)."""
    draws = math.comb(attempts, k)
    return (draws - math.comb(attempts - resolved, k)) / draws


def pass_all(k: int, resolved: int, attempts: int) -> float:
    """The chance that all of `k` attempts drawn so do, pass^k: unbiased (S. Yao and others,
    tau-bench, 2024, arXiv:2406.12045)."""
    return math.comb(resolved, k) / math.comb(attempts, k)


def flip_rate(resolved: int, attempts: int) -> float:
    """The chance that two attempts drawn so differ."""
    return resolved * (attempts - resolved) / math.comb(attempts, 2)


def _mean(k: int, estimates: Sequence[float], attempts: int) -> Estimate:
    value = math.fsum(estimates) / len(estimates)
    return Estimate(k, value, clustered_wilson(estimates, attempts))
