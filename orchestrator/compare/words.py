"""What a comparison says in words, the same on a terminal and in every file. Pure."""

from __future__ import annotations

from orchestrator.compare.build import Comparison, Flipped, PairResult, SideResult
from orchestrator.report.words import amount, compact, counted, duration, interval_words

FEWEST = 6
"""Instances that the exact test takes at the least to find anything at 5 %."""


def pair_title(pair: PairResult) -> str:
    return f"{pair.one} against {pair.other}"


def verdict(pair: PairResult) -> str:
    """What the numbers of a pair come to, in a sentence."""
    paired = pair.paired
    if not paired.better + paired.worse:
        return f"no difference: both resolved the same {paired.both} of {paired.instances}"
    if pair.p_holm is not None and pair.p_holm <= 0.05:
        is_ahead = paired.better > paired.worse
        agrees = ((paired.difference or 0.0) > 0) == is_ahead
        more = "" if agrees else " at more instances, though not by its rate"
        return f"{pair.one if is_ahead else pair.other} is better{more} ({_p_of(pair)})"
    words = f"no difference that chance does not explain ({_p_of(pair)})"
    return f"{words}, which is no proof that there is none"


def _p_of(pair: PairResult) -> str:
    """`p 0.11`; where it was corrected, also what it is of the pair alone."""
    alone, corrected = (1.0 if p is None else p for p in (pair.paired.p, pair.p_holm))
    words, of_it = f"p {p_words(corrected)}", p_words(alone)
    return words if words == f"p {of_it}" else f"{words} corrected, {of_it} alone"


def correction(comparison: Comparison) -> str:
    """What is corrected for being many; empty of one pair."""
    pairs = len(comparison.pairs)
    if pairs < 2:
        return ""
    return (
        f"p is corrected for all {pairs} pairs (Holm), as some of so many would differ by luck. "
        "Intervals and smallest differences are of each pair alone."
    )


def smallest(pair: PairResult) -> str:
    """What so many instances could have shown."""
    paired = pair.paired
    found, n = paired.smallest_difference, counted(paired.instances, "instance")
    if found is None and paired.instances < FEWEST:
        return f"{n} could show no difference at all: it takes {FEWEST} that all differ"
    if found is None:
        differing = paired.better + paired.worse or "none"
        return f"{n} could hardly show any difference where {differing} of them differ"
    return f"{n} could show a difference of {100 * found:.1f} points or more (power 80 %, 5 %)"


def difference(pair: PairResult) -> str:
    low, high = pair.paired.ci95
    value = 100 * (pair.paired.difference or 0.0)
    words = f"{value:+.1f} points (95% interval {100 * low:+.1f} to {100 * high:+.1f})"
    is_shown = pair.paired.p is not None and pair.paired.p <= 0.05
    if (low > 0 or high < 0) and not is_shown:
        words += "; the interval is the less exact of the two, so go by p"
    return words


def who_resolved(pair: PairResult) -> tuple[tuple[str, int], ...]:
    """The four cells of a pair's table, in words."""
    paired = pair.paired
    return (
        (f"{pair.one} alone, or more often", paired.better),
        (f"{pair.other} alone, or more often", paired.worse),
        ("both alike", paired.both),
        ("neither", paired.neither),
    )


def resolved_of(side: SideResult) -> str:
    resolved = f"{side.resolved:.4g}" if side.resolved % 1 else f"{side.resolved:.0f}"
    return f"{resolved} of {side.instances} ({side.rate:.1%})"


def interval(side: SideResult) -> str:
    return interval_words(side.ci95)


def rate(side: SideResult) -> str:
    return f"{resolved_of(side)}, 95% interval {interval(side)}"


def knows_costs(comparison: Comparison) -> bool:
    """Whether anybody counted what a resolved instance took."""
    sides = comparison.sides
    return any(side.tokens_per_resolved or side.seconds_per_resolved for side in sides)


def tokens(side: SideResult) -> str:
    return "unknown" if side.tokens_per_resolved is None else compact(side.tokens_per_resolved)


def seconds(side: SideResult) -> str:
    return "unknown" if side.seconds_per_resolved is None else duration(side.seconds_per_resolved)


def solved_by(by: tuple[str, ...]) -> str:
    return " and ".join(by) if by else "nobody"


def share_word(share: float) -> str:
    """Of one attempt in words, of several as a share."""
    words = {0.0: "unresolved", 1.0: "resolved"}
    return words.get(share, f"resolved in {amount(100 * share)} % of its attempts")


def on_instances(comparison: Comparison) -> str:
    return counted(comparison.instances, "instance")


def unknown_words(comparison: Comparison) -> str:
    """Of sides that have no lock; empty where all have one."""
    names = ", ".join(comparison.unknown_locks)
    return f"Nobody knows what the numbers of {names} depend on: no lock." if names else ""


def same_words(comparison: Comparison) -> str:
    known = len(comparison.sides) - len(comparison.unknown_locks)
    if comparison.differences or known < 2:
        return ""
    return "The locks do not differ in anything that the number depends on."


def p_words(p: float) -> str:
    return "under 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2g}"


def links(flipped: Flipped, name: str) -> tuple[str, ...]:
    """To the pages where they are there, else to the trajectories' files."""
    return flipped.pages.get(name, ()) or flipped.trajectories.get(name, ())
