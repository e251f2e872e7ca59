"""In which order a run's rollouts start: the longest first, or near each other where their images
share layers and have to come. Pure.

Where no image is waited for, and none has to go, the longest start first: nobody then is left over
at the end (list scheduling: Graham, "Bounds on Multiprocessing Timing Anomalies", 1969; within 4/3
of the best, and near it where there are many). Where images bind, the aims are, in their order:

1. A layer that several images share is pulled once: who shares it comes soon after each other, so
   that it need not go before the last of them is over, and little has to lie on the disk at once.
2. Long rollouts do not come last, when most slots would wait for one of them.
3. The same seed, sizes and seconds give the same order, in whatever order the instances are given.

The method: instances whose images have the same shared layers form a group. A chain goes from group
to group, always to the one that shares most bytes with the last, and where several share as much to
the one whose rollouts are the longest; within a group the longest comes first. Then each rollout
that would still run when the others should all be over is moved up to where it would end with them,
and of the last, as many as all slots do during the longest, the longest come first: what takes
longer than was expected then runs beside others still.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from orchestrator.images.layers import ImageSize, Layer
from orchestrator.types import Instance


@dataclass(frozen=True)
class _Group:
    shared: frozenset[Layer]
    """Layers that its images have in common with each other or with those of other groups."""
    members: tuple[str, ...]
    """Instance ids, in the order in which they start."""
    mean_s: float

    def shares(self, other: _Group) -> int:
        """Bytes that images of both have."""
        return sum(layer.size for layer in self.shared & other.shared)


def plan_order(
    instances: Sequence[Instance],
    sizes: Mapping[str, ImageSize],
    seconds: Mapping[str, float],
    slots: int,
    seed: int,
    *,
    images_bind: bool = True,
) -> list[str]:
    """Instance ids in the order in which their rollouts start; see above.

    `sizes` is by image, `seconds` by instance: what its rollout takes, as far as that is known; of
    any other it is what they take on average. `images_bind`: images have to come, and disk or quota
    have not enough for all of them.
    """
    usual_s = fmean(seconds.values()) if seconds else 1.0
    takes_s = {i.instance_id: seconds.get(i.instance_id, usual_s) for i in instances}
    chain = _chain(_groups(instances, sizes, takes_s, seed))
    order = [name for group in chain for name in group.members]
    if not images_bind:
        return sorted(order, key=lambda name: -takes_s[name])
    return _with_sorted_tail(_moved_up(order, takes_s, slots), takes_s, slots)


def _groups(
    instances: Sequence[Instance],
    sizes: Mapping[str, ImageSize],
    takes_s: Mapping[str, float],
    seed: int,
) -> list[_Group]:
    """In an order that depends on the seed, and not on the order of the instances."""
    images = {instance.image for instance in instances if instance.image in sizes}
    users = Counter(layer for image in images for layer in sizes[image].layer_set)

    def by_turn(name: str) -> tuple[float, str]:
        return -takes_s[name], hashlib.sha256(f"{seed} {name}".encode()).hexdigest()

    members: dict[tuple[frozenset[Layer], str], list[str]] = {}
    for instance in instances:
        layers = sizes[instance.image].layer_set if instance.image in sizes else frozenset()
        shared = frozenset(layer for layer in layers if users[layer] > 1)
        # what nothing is known of is near what is made of the same repository
        likeness = "" if instance.image in sizes else f"{instance.repo} {instance.version}"
        members.setdefault((shared, likeness), []).append(instance.instance_id)
    groups = [
        _Group(shared, tuple(sorted(names, key=by_turn)), fmean(takes_s[n] for n in names))
        for (shared, _), names in members.items()
    ]
    return sorted(groups, key=lambda g: (-g.mean_s, by_turn(g.members[0])))


def _chain(groups: list[_Group]) -> list[_Group]:
    """From the first on, always the nearest of what is left; the first of those as near."""
    left = list(groups)
    chain: list[_Group] = []
    while left:
        last = chain[-1] if chain else left[0]
        chain.append(left.pop(max(range(len(left)), key=lambda n: (left[n].shares(last), -n))))
    return chain


def _moved_up(order: list[str], takes_s: Mapping[str, float], slots: int) -> list[str]:
    """The same, where what would end late starts early enough to end with the others."""
    ends_s = max(sum(takes_s.values()) / slots, max(takes_s.values(), default=0.0))
    result: list[str] = []
    late = []  # with the time at which it has to start
    before_s = 0.0
    for name in order:
        starts_s = before_s / slots
        if starts_s + takes_s[name] > ends_s + takes_s[name] / slots:
            late.append((ends_s - takes_s[name], name))
        before_s += takes_s[name]
    names = {name for _, name in late}
    late.sort()
    before_s = 0.0
    for name in order:
        while late and late[0][0] <= before_s / slots:
            result.append(late[0][1])
            before_s += takes_s[late.pop(0)[1]]
        if name not in names:
            result.append(name)
            before_s += takes_s[name]
    return [*result, *(name for _, name in late)]


def _with_sorted_tail(order: list[str], takes_s: Mapping[str, float], slots: int) -> list[str]:
    """The same, where of the last the longest come first: of as many as all slots do while the
    longest rollout of all runs."""
    left_s = slots * max(takes_s.values(), default=0.0)
    begin = len(order)
    while begin and left_s > 0:
        begin -= 1
        left_s -= takes_s[order[begin]]
    return order[:begin] + sorted(order[begin:], key=lambda name: -takes_s[name])
