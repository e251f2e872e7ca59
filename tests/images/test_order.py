"""The order in which rollouts start: by what their images share, and the long ones not last."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.order import plan_order
from orchestrator.types import Instance

MB = 10**6
GROUPS = ("django-3", "django-4", "sympy-1", "flask-2")


def instances(count: int = 24) -> list[Instance]:
    """Of four groups in turn, as a shuffled data set has them."""
    return [
        Instance(f"{GROUPS[n % 4]}-{n}", GROUPS[n % 4].split("-")[0], "", "", f"image{n}")
        for n in range(count)
    ]


def sizes(of: list[Instance]) -> dict[str, ImageSize]:
    """A base of all, one of the repository's, one of the group's, and each its own."""
    return {
        i.image: ImageSize(
            (
                Layer("base", 100 * MB),
                Layer(f"repo {i.repo}", 50 * MB),
                Layer(f"env {i.instance_id.rpartition('-')[0]}", 400 * MB),
                Layer(i.image, 100 * MB),
            )
        )
        for i in of
    }


def groups_of(order: list[str]) -> list[str]:
    """The group of each stretch in which it does not change."""
    found: list[str] = []
    for name in order:
        group = name.rpartition("-")[0]
        if found[-1:] != [group]:
            found.append(group)
    return found


def test_instances_that_share_layers_run_near_each_other() -> None:
    given = instances()

    stretches = groups_of(plan_order(given, sizes(given), {}, 4, 0))

    assert sorted(stretches) == sorted(GROUPS), "each group is one stretch"
    assert abs(stretches.index("django-3") - stretches.index("django-4")) == 1


@pytest.mark.parametrize("known", [True, False], ids=["sizes", "no sizes"])
def test_the_order_depends_on_the_seed_and_not_on_the_input(known: bool) -> None:
    given = instances()
    known_sizes = sizes(given) if known else {}
    seconds = {i.instance_id: 60.0 * (n % 5) for n, i in enumerate(given)}
    shuffled = random.Random(3).sample(given, len(given))

    order = plan_order(given, known_sizes, seconds, 4, 7)

    assert plan_order(shuffled, known_sizes, seconds, 4, 7) == order
    alike = dict.fromkeys(seconds, 60.0)
    orders = {tuple(plan_order(given, known_sizes, alike, 4, seed)) for seed in range(5)}
    assert len(orders) > 1


def ends_s(order: list[str], seconds: Mapping[str, float], slots: int) -> float:
    free = [0.0] * slots
    for name in order:
        free[free.index(min(free))] += seconds[name]
    return max(free)


@pytest.mark.parametrize("long", ["flask-2-23", "sympy-1-2", "django-3-20"])
def test_a_long_rollout_does_not_come_last(long: str) -> None:
    given = instances()
    seconds = {i.instance_id: 600.0 for i in given} | {long: 3000.0}

    order = plan_order(given, sizes(given), seconds, 4, 0)

    assert ends_s(order, seconds, 4) <= (24 * 600 + 2400) / 4 + 600
    assert len(groups_of(order)) <= len(GROUPS) + 2, "and the rest stays together"


def test_a_group_that_takes_long_comes_first() -> None:
    given = instances()
    seconds = {i.instance_id: 3000.0 if i.repo == "flask" else 300.0 for i in given}

    assert plan_order(given, sizes(given), seconds, 4, 0)[0].startswith("flask")


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e5)), max_size=30),
    st.integers(1, 40),
    st.integers(0, 3),
)
def test_whatever_is_known_each_instance_comes_once(
    given: list[tuple[int, float]], slots: int, seed: int
) -> None:
    of = [Instance(f"i{n}", "r", "", "", f"image{group}") for n, (group, _) in enumerate(given)]
    known = {f"image{n}": ImageSize((Layer("base", 9), Layer(f"{n // 2}", 5))) for n in range(4)}
    seconds = {f"i{n}": s for n, (group, s) in enumerate(given) if group % 2}

    assert sorted(plan_order(of, known, seconds, slots, seed)) == sorted(i.instance_id for i in of)


def spread(given: list[Instance], seed: int) -> dict[str, float]:
    """Seconds that vary from repository to repository, and as much within one."""
    draw = random.Random(seed)
    of_repos = {repo: draw.lognormvariate(0, 0.7) for repo in sorted({i.repo for i in given})}
    return {i.instance_id: 600 * of_repos[i.repo] * draw.lognormvariate(0, 0.7) for i in given}


def known_roughly(seconds: Mapping[str, float], seed: int, factor: float = 1.5) -> dict[str, float]:
    """What earlier runs say of them: off by such a factor, in the mean."""
    draw = random.Random(f"past/{seed}")
    return {name: s * draw.lognormvariate(0, math.log(factor)) for name, s in seconds.items()}


@pytest.mark.parametrize("images_bind", [False, True])
@pytest.mark.parametrize("factor", [1.0, 1.5], ids=["known", "known by a factor of 1.5"])
def test_the_last_hour_of_a_night_has_no_lone_rollouts(images_bind: bool, factor: float) -> None:
    """300 rollouts in 8 slots end together: beside the bound that no order beats."""
    over = []
    for seed in range(12):
        given = instances(300)
        seconds = spread(given, seed)
        past = known_roughly(seconds, seed, factor)
        order = plan_order(given, sizes(given), past, 8, 0, images_bind=images_bind)
        bound = max(sum(seconds.values()) / 8, *seconds.values())
        over.append(ends_s(order, seconds, 8) / bound)

    assert max(over) <= 1.05


def test_where_no_image_is_waited_for_the_longest_come_first() -> None:
    given = instances()
    seconds = {i.instance_id: float(n) for n, i in enumerate(given)}

    order = plan_order(given, sizes(given), seconds, 4, 0, images_bind=False)

    assert order == sorted(seconds, key=lambda name: -seconds[name])
    del seconds[order[0]]
    first = plan_order(given, sizes(given), seconds, 4, 0, images_bind=False).index(order[0])
    assert 8 <= first <= 16, "of what nothing is known takes as long as the others do on average"
