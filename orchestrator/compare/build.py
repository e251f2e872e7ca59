"""The comparison: a pure function of its sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

from orchestrator.compare.sides import Side
from orchestrator.errors import ConfigError
from orchestrator.report.paired import Paired, compare_paired
from orchestrator.report.stats import clustered_wilson, holm
from orchestrator.report.words import counted

On = Literal["same", "common"]
"""`same`: all sides must have met the same instances. `common`: those that all have met."""


@dataclass(frozen=True)
class SideResult:
    """A side on the instances that are compared; its fields are keys of --json."""

    name: str
    kind: str
    instances: int
    resolved: float
    rate: float
    ci95: tuple[float, float]
    tokens_per_resolved: float | None
    """Of all of its rollouts, on instances that are not compared too. None where nothing was
    resolved, or nobody counted."""
    seconds_per_resolved: float | None
    left_out: int
    """Its instances that are not compared: another side lacks them, or a verdict is missing."""


@dataclass(frozen=True)
class PairResult:
    one: str
    other: str
    paired: Paired
    p_holm: float | None
    """Corrected for all pairs of the comparison."""


@dataclass(frozen=True)
class Solved:
    """Instances that the same sides resolved, and no other."""

    by: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Flipped:
    """An instance that some resolved and others did not, with each side's resolved share."""

    instance_id: str
    shares: Mapping[str, float]
    trajectories: Mapping[str, tuple[str, ...]]
    pages: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Comparison:
    """Its fields are the keys of --json."""

    differences: Mapping[str, Mapping[str, str]]
    """What differs between the locks, by key and side: told before any number."""
    unknown_locks: tuple[str, ...]
    """Sides of which nobody knows what they depend on."""
    instances: int
    sides: tuple[SideResult, ...]
    pairs: tuple[PairResult, ...]
    solved: tuple[Solved, ...]
    """Who resolved what: exclusive and joint solves, most first; by nobody last."""
    flipped: tuple[Flipped, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def build_comparison(sides: Sequence[Side], on: On = "same") -> Comparison:
    """Compare two sides or more.

    Raises:
        ConfigError: they are of different benchmarks or met different instances, and nobody said
            on what they are to be compared; or they have none in common.
    """
    _require_one_benchmark(sides)
    ids, unnamed = _instances(sides, on)
    judged = [i for i in ids if all(_share(side, i) is not None for side in sides)]
    n = len(judged) + unnamed
    if n == 0:
        raise ConfigError("no instance has a verdict on all sides: there is nothing to compare")
    shares = {side.name: {i: _share(side, i) or 0.0 for i in judged} for side in sides}
    pairs = _pairs(shares, unnamed)
    lost = len(ids) - len(judged)
    warnings = [warning for side in sides for warning in side.warnings]
    if lost:
        warnings.append(f"{counted(lost, 'instance')} left out: without a verdict on some side")
    warnings += _unsure_benchmarks(sides, len(ids))
    if any(side.costs and side.instances > n for side in sides):
        warnings.append(
            "tokens and time per resolved instance are of all instances that a side has met, and "
            "not of those alone that are compared"
        )
    differences, unknown = _differences(sides)
    return Comparison(
        differences=differences,
        unknown_locks=unknown,
        instances=n,
        sides=tuple(_side_result(side, shares[side.name], unnamed) for side in sides),
        pairs=pairs,
        solved=_solved(shares, unnamed),
        flipped=_flipped(sides, shares),
        warnings=tuple(warnings),
    )


def _require_one_benchmark(sides: Sequence[Side]) -> None:
    known = [side for side in sides if side.benchmark_names]
    for one, other in combinations(known, 2):
        if not one.benchmark_names & other.benchmark_names:
            raise ConfigError(
                f"{one.name} is of {one.benchmark}, and {other.name} of {other.benchmark}: results "
                "of different benchmarks can't be compared"
            )


def _instances(sides: Sequence[Side], on: On) -> tuple[list[str], int]:
    """The named instances that are compared, and how many more that nobody names."""
    listed = [side for side in sides if not side.unnamed]
    partly = [side for side in sides if side.unnamed]
    if not listed:
        return _all_partly_named(partly)
    common = [i for i in listed[0].shares if all(i in side.shares for side in listed)]
    kept = set(common)
    for side in sides:
        more = len(side.shares.keys() - kept) if side.unnamed else side.instances - len(common)
        fits = more == 0 and side.instances == len(common)
        if on == "same" and not fits:
            raise ConfigError(_other_instances(sides, len(common)))
    if not common:
        raise ConfigError("they have no instance in common: there is nothing to compare")
    for side in partly:
        if len(kept | side.shares.keys()) > side.instances:
            raise ConfigError(
                f"{side.name} has met {side.instances} instances, of which its file names those "
                f"that it resolved: it can't have met all {len(common)} of {listed[0].name}, and "
                "nobody knows which it did"
            )
    return common, 0


def _unsure_benchmarks(sides: Sequence[Side], compared: int) -> Iterator[str]:
    """Whether one side met what the other did, where only numbers that fit would say so."""
    nameless = [side.name for side in sides if not side.benchmark_names]
    partly = [side.name for side in sides if side.unnamed and side.instances != compared]
    if nameless and partly:
        yield (
            f"nobody says which benchmark {' and '.join(nameless)} is of: what "
            f"{' and '.join(partly)} does not name counts as unresolved there, also where it was "
            "never met"
        )


def _all_partly_named(sides: Sequence[Side]) -> tuple[list[str], int]:
    counts = {side.instances for side in sides}
    named = sorted({i for side in sides for i in side.shares})
    if len(counts) > 1 or len(named) > max(counts):
        told = ", ".join(f"{side.name} {side.instances}" for side in sides)
        raise ConfigError(
            f"they are of different numbers of instances ({told}), and which is not known of all: "
            "they can't be compared"
        )
    return named, counts.pop() - len(named)


def _other_instances(sides: Sequence[Side], common: int) -> str:
    told = ", ".join(f"{side.name} has {side.instances}" for side in sides)
    return (
        f"they met different instances: {told}, of which {common} are on all lists. "
        "`--on common` compares them on those alone"
    )


def _share(side: Side, instance_id: str) -> float | None:
    """What is not named of published results was not resolved."""
    return side.shares.get(instance_id, 0.0 if side.unnamed else None)


def _side_result(side: Side, shares: Mapping[str, float], unnamed: int) -> SideResult:
    n, resolved = len(shares) + unnamed, sum(shares.values())
    costs, all_resolved = side.costs, side.resolved * side.attempts
    return SideResult(
        name=side.name,
        kind=side.kind,
        instances=n,
        resolved=resolved,
        rate=resolved / n,
        ci95=clustered_wilson([*shares.values(), *[0.0] * unnamed], side.attempts),
        tokens_per_resolved=_each(costs.tokens, all_resolved) if costs else None,
        seconds_per_resolved=_each(costs.seconds, all_resolved) if costs else None,
        left_out=side.instances - n,
    )


def _each(spent: float, resolved: float) -> float | None:
    """None where nothing was resolved, or nobody counted."""
    return spent / resolved if spent and resolved else None


def _pairs(shares: Mapping[str, Mapping[str, float]], unnamed: int) -> tuple[PairResult, ...]:
    found = [
        (one, other, compare_paired(shares[one], shares[other], unnamed))
        for one, other in combinations(shares, 2)
    ]
    corrected = holm([paired.p for _, _, paired in found if paired.p is not None])
    return tuple(
        PairResult(one, other, paired, p)
        for (one, other, paired), p in zip(found, corrected, strict=True)
    )


def _solved(shares: Mapping[str, Mapping[str, float]], unnamed: int) -> tuple[Solved, ...]:
    """Of several attempts, an instance counts that one of them resolved."""
    ids = next(iter(shares.values()))
    counts = Counter(tuple(name for name in shares if shares[name][i] > 0) for i in ids)
    counts[()] += unnamed
    ordered = sorted(counts.items(), key=lambda item: (not item[0], -item[1], item[0]))
    return tuple(Solved(by, count) for by, count in ordered if count)


def _flipped(
    sides: Sequence[Side], shares: Mapping[str, Mapping[str, float]]
) -> tuple[Flipped, ...]:
    ids = next(iter(shares.values()))
    return tuple(
        Flipped(
            i,
            {side.name: shares[side.name][i] for side in sides},
            {side.name: side.trajectories.get(i, ()) for side in sides},
            {side.name: side.pages.get(i, ()) for side in sides},
        )
        for i in sorted(ids)
        if len({shares[side.name][i] for side in sides}) > 1
    )


def _differences(sides: Sequence[Side]) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """Keys that are not the same on all sides that have a lock, those of the model first.

    Of a model that a side has not, and of agents of several kinds, only what says so: the rest
    follows from it.
    """
    known = [side for side in sides if side.facts]
    unknown = tuple(side.name for side in sides if not side.facts)
    keys = dict.fromkeys(key for side in known for key in side.facts)
    of_one_kind = len({side.facts.get("agent.kind") for side in known}) < 2
    all_have_models = all("model.name" in side.facts for side in known)
    found = {}
    for key in keys:
        if any(key not in side.facts for side in known):
            of_model = key == "model" or (key.startswith("model.") and key != "model.name")
            if (of_model and not all_have_models) or (key.startswith("agent.") and not of_one_kind):
                continue
        values = {side.name: side.facts.get(key, "not there") for side in known}
        if len(set(values.values())) > 1:
            found[key] = values
    return dict(sorted(found.items(), key=lambda item: (_rank(item[0]), item[0]))), unknown


def _rank(key: str) -> int:
    first = ("model.", "server ", "agent.", "rollout.", "predictions.", "benchmark.", "selection.")
    return next((n for n, start in enumerate(first) if key.startswith(start)), len(first))
