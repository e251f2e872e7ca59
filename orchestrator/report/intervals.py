"""How sure a rate is, of what it is an estimate, and what was left out of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestrator.config.schema import Selection
from orchestrator.report.stats import finite_interval, interval_by_cluster, wilson
from orchestrator.report.words import counted, interval_words

BY_REPOSITORY = "by_repository"
OF_WHOLE_BENCHMARK = "of_whole_benchmark"


@dataclass(frozen=True)
class Subset:
    """What of the benchmark has a verdict, and what was left out by what."""

    benchmark: int | None
    """Instances of the whole benchmark; None where nobody knows."""
    selected: int
    with_verdict: int
    left_out: Mapping[str, int | None]
    """`selection`: not asked for; `not_started`: the run ended before; `no_verdict`: failed, or not
    graded. None of them is a zero; None: nobody knows how many."""
    is_random: bool
    """Whether those with a verdict are a random sample of the benchmark: all of it, or the first
    ones of a seeded order."""
    why_not_random: str

    @property
    def is_whole(self) -> bool:
        return not self.left_out

    @property
    def words(self) -> str:
        """In one sentence, for people."""
        if self.is_whole:
            return f"all {counted(self.with_verdict, 'instance')} of the benchmark have a verdict"
        of = "" if self.benchmark is None else f" of {self.benchmark:,}"
        left = ", ".join(
            f"{'some' if n is None else f'{n:,}'} by {WHY_LEFT_OUT[why]}"
            for why, n in self.left_out.items()
        )
        kind = (
            "what is left is a random sample, in a seeded order"
            if self.is_random
            else f"what is left is no random sample: {self.why_not_random}"
        )
        return f"{self.with_verdict:,}{of} instances have a verdict; left out {left}; {kind}"


WHY_LEFT_OUT = {
    "selection": "the selection",
    "not_started": "the end of the session, which came before",
    "no_verdict": "a failure, or for want of a grade",
}


@dataclass(frozen=True)
class Intervals:
    """The 95 % intervals of a rate. Each is None where it means nothing, and `why_not` says why."""

    wilson: tuple[float, float]
    """Of the rate at tasks like these, which are a sample of them."""
    by_repository: tuple[float, float] | None
    """The same, where those of one repository are alike and new tasks come from others too."""
    repositories: int
    of_whole_benchmark: tuple[float, float] | None
    """Of the rate at the whole benchmark, of which a random sample was tried."""
    why_not: Mapping[str, str]


def build_subset(
    selection: Selection,
    instances: Mapping[str, str],
    with_verdict: Collection[str],
    started: Collection[str],
    benchmark: int | None,
) -> Subset:
    """`instances` are those that were selected, in the run's order; `benchmark` is how many there
    are in all, None where nobody knows."""
    takes_all = not selection.instances and selection.slice is None
    whole = len(instances) if takes_all else benchmark
    missing = [i for i in instances if i not in with_verdict]
    not_started = sum(i not in started for i in missing)
    left_out = {
        "selection": whole - len(instances) if whole is not None else None,
        "not_started": not_started,
        "no_verdict": len(missing) - not_started,
    }
    why_not = _why_not_random(selection, instances, with_verdict, takes_all)
    return Subset(
        benchmark=whole,
        selected=len(instances),
        with_verdict=len(instances) - len(missing),
        left_out={why: count for why, count in left_out.items() if count != 0},
        is_random=not why_not,
        why_not_random=why_not,
    )


def _why_not_random(
    selection: Selection,
    instances: Mapping[str, str],
    with_verdict: Collection[str],
    takes_all: bool,
) -> str:
    """Empty where the instances with a verdict are a random sample of the benchmark."""
    measured = sum(i in with_verdict for i in instances)
    if measured == len(instances) and takes_all:
        return ""
    if selection.instances:
        return "they were chosen by name"
    if any(i not in with_verdict for i in list(instances)[:measured]):
        return "some of those that came first in the order have no verdict"
    if not selection.shuffle:
        return "they are the first ones in the benchmark's order (--shuffle takes random ones)"
    return ""


def build_intervals(
    instances: Mapping[str, str],
    resolved: Collection[str],
    subset: Subset,
) -> Intervals:
    """`instances` to repositories. What has no verdict counts as unresolved, but in the interval of
    the whole benchmark, which leaves it out."""
    clusters: dict[str, list[bool]] = {}
    for instance_id, repo in instances.items():
        clusters.setdefault(repo, []).append(instance_id in resolved)
    by_repository = interval_by_cluster(clusters)
    why_not = {}
    if by_repository is None:
        why_not[BY_REPOSITORY] = f"{len(clusters)} repository says nothing of others"
    whole, why = _of_whole_benchmark(len(resolved), subset)
    if whole is None:
        why_not[OF_WHOLE_BENCHMARK] = why
    return Intervals(
        wilson=wilson(len(resolved), len(instances)),
        by_repository=by_repository,
        repositories=len(clusters),
        of_whole_benchmark=whole,
        why_not=why_not,
    )


def _of_whole_benchmark(resolved: int, subset: Subset) -> tuple[tuple[float, float] | None, str]:
    """The interval, or why there is none."""
    if subset.is_whole:
        return None, "the run covers all of it: the rate is the benchmark's own"
    if not subset.is_random:
        return None, f"no random sample: {subset.why_not_random}"
    if subset.benchmark is None:
        return None, "how many instances the benchmark has is not in this run's lock"
    if not subset.with_verdict:
        return None, "nothing has a verdict yet"
    return finite_interval(resolved, subset.with_verdict, subset.benchmark), ""


def interval_lines(intervals: Intervals, subset: Subset) -> tuple[str, ...]:
    """Each interval in a sentence, then what was left out."""
    lines = [f"{interval_words(intervals.wilson)} at tasks like these (Wilson)"]
    if intervals.by_repository is not None:
        clusters = f"({intervals.repositories} repositories as clusters)"
        words = interval_words(intervals.by_repository)
        lines.append(f"{words} where tasks of one repository are alike {clusters}")
    if intervals.of_whole_benchmark is not None:
        whole = f"all {subset.benchmark:,} instances of the benchmark (exact, hypergeometric)"
        lines.append(f"{interval_words(intervals.of_whole_benchmark)} of {whole}")
    if not subset.is_whole:
        lines.append(subset.words)
    return tuple(lines)
