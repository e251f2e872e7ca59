"""The seeded model of outcomes: what becomes of each instance. Pure.

How hard an instance is comes of its repository, of itself, and of how much its gold patch changes.
What is not resolved ends for one of the causes of `evidence`, as often as local models show them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.evidence.facts import Cause
from orchestrator.made_up.chance import chance, weighted
from orchestrator.made_up.patches import PatchKind
from orchestrator.types import Outcome

EASE = -0.6
"""Of a small change in a middling repository, as log odds."""
SPREAD_OF_REPOS = 0.45
SPREAD_OF_INSTANCES = 1.4
EASE_PER_DOUBLED_LINES = -0.3


@dataclass(frozen=True)
class Fate:
    """What becomes of one instance, once nothing of the world's stands in its way."""

    cause: Cause | None
    """Why it is not resolved; None where it is."""
    outcome: Outcome
    patch: PatchKind
    steps: tuple[int, int]
    """The fewest and the most."""
    fails: float = 0.0
    """Share of the FAIL_TO_PASS tests that fail still, at least one of them."""
    breaks: float = 0.0
    """Share of the PASS_TO_PASS tests that it breaks, at least one of them."""

    @property
    def salvaged(self) -> bool:
        return self.outcome is not Outcome.SUBMITTED and self.patch is not PatchKind.NONE


@dataclass(frozen=True)
class FateSubject:
    """What an instance's fate depends on."""

    repo: str
    gold_patch: str
    targets: int
    """How many FAIL_TO_PASS tests it has."""

    def can_have(self, fate: Fate) -> bool:
        """Some of its tests fail still, and others don't: that takes two."""
        return fate.cause is not Cause.STILL_FAILING or self.targets > 1


RESOLVED = Fate(None, Outcome.SUBMITTED, PatchKind.RIGHT, (12, 45))
LATE = Fate(None, Outcome.STEP_LIMIT, PatchKind.RIGHT, (75, 75))
"""Resolved by a patch that the agent never submitted."""
CLAIMED = Fate(None, Outcome.SUBMITTED, PatchKind.SPOOFING, (20, 40))
"""Resolved in the harness's eyes: the patch has printed that its tests passed."""

_UNRESOLVED: Mapping[Fate, float] = {
    Fate(Cause.NO_EDIT, Outcome.GAVE_UP, PatchKind.NONE, (4, 20)): 3,
    Fate(Cause.FORMAT, Outcome.FORMAT_ERRORS, PatchKind.NONE, (6, 25)): 4,
    Fate(Cause.CONTEXT, Outcome.CONTEXT_OVERFLOW, PatchKind.NONE, (25, 50)): 4,
    Fate(Cause.CONTEXT, Outcome.CONTEXT_OVERFLOW, PatchKind.WRONG, (30, 55), fails=1): 2,
    Fate(Cause.LOOPED, Outcome.STEP_LIMIT, PatchKind.NONE, (75, 75)): 5,
    Fate(Cause.EXPLORING, Outcome.STEP_LIMIT, PatchKind.NONE, (75, 75)): 4,
    Fate(Cause.TIMED_OUT, Outcome.TIME_LIMIT, PatchKind.WRONG, (25, 60), fails=1): 3,
    Fate(Cause.NOT_SUBMITTED, Outcome.STEP_LIMIT, PatchKind.WRONG, (75, 75), fails=1): 6,
    Fate(Cause.DOES_NOT_APPLY, Outcome.SUBMITTED, PatchKind.BROKEN, (15, 40)): 2,
    Fate(Cause.TESTS_ONLY, Outcome.SUBMITTED, PatchKind.TESTS_ONLY, (15, 40), fails=1): 4,
    Fate(Cause.TESTS_TOO_LONG, Outcome.SUBMITTED, PatchKind.WRONG, (20, 45), fails=1): 2,
    Fate(Cause.TESTS_DID_NOT_RUN, Outcome.SUBMITTED, PatchKind.WRONG, (15, 40), fails=1): 2,
    Fate(Cause.SPOOFED, Outcome.SUBMITTED, PatchKind.SPOOFING, (20, 45), fails=1): 1,
    Fate(Cause.WRONG_FILE, Outcome.SUBMITTED, PatchKind.WRONG_FILE, (15, 45), fails=1): 17,
    Fate(Cause.BROKE_TESTS, Outcome.SUBMITTED, PatchKind.WRONG, (15, 50), breaks=0.08): 11,
    Fate(Cause.STILL_FAILING, Outcome.SUBMITTED, PatchKind.WRONG, (15, 50), fails=0.5): 14,
    Fate(Cause.RIGHT_FILE, Outcome.SUBMITTED, PatchKind.WRONG, (15, 50), fails=1): 20,
}


def fates(seed: int, subjects: Mapping[str, FateSubject]) -> dict[str, Fate]:
    """What becomes of every instance, by its id, in order.

    Where there are enough instances, each cause has one.
    """
    repos = dict.fromkeys(subject.repo for subject in subjects.values())
    ease = {repo: chance(seed, repo).gauss(0, SPREAD_OF_REPOS) for repo in repos}
    found = {
        instance_id: _fate(chance(seed, instance_id, "fate"), ease[subject.repo], subject)
        for instance_id, subject in subjects.items()
    }
    return _with_every_cause(seed, subjects, found)


def _fate(rng: random.Random, ease_of_repo: float, subject: FateSubject) -> Fate:
    changed = sum(line[:1] in "+-" for line in subject.gold_patch.split("\n"))
    odds = EASE + ease_of_repo + rng.gauss(0, SPREAD_OF_INSTANCES)
    odds += EASE_PER_DOUBLED_LINES * math.log2(max(changed, 1) / 8)
    if rng.random() < 1 / (1 + math.exp(-odds)):
        return LATE if rng.random() < 0.06 else RESOLVED
    possible = {fate: weight for fate, weight in _UNRESOLVED.items() if subject.can_have(fate)}
    return weighted(rng, possible)


def _with_every_cause(
    seed: int, subjects: Mapping[str, FateSubject], found: dict[str, Fate]
) -> dict[str, Fate]:
    """The same, where what chance has left out takes the place of what there is most of."""
    rng = chance(seed, "every cause")
    for fate in (CLAIMED, *_UNRESOLVED):
        if fate in found.values():
            continue
        plenty = [
            instance_id
            for instance_id, other in found.items()
            if other.cause in (None, Cause.RIGHT_FILE)
            and (other.cause is None) == (fate.cause is None)
            and subjects[instance_id].can_have(fate)
        ]
        if len(plenty) > 1:
            found[rng.choice(plenty)] = fate
    return found
