"""What a plan knows of its images: the order that follows, and what is said of the night."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.expansion import images_expand  # noqa: F401 - a fixture
from support.rows import key_of
from support.specs import CONTAINERS

from orchestrator.config import RunConfig
from orchestrator.driver import image_night
from orchestrator.driver.image_night import (
    ImageFacts,
    ImageNight,
    find_image_facts,
    find_missing_images,
    foresee_images,
    guess_image_facts,
    order_plan,
)
from orchestrator.driver.plan import Plan
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.names import HUB
from orchestrator.images.pulls import Quota
from orchestrator.run.image_words import image_lines, images_as_dict
from orchestrator.types import Instance

MakeConfig = Callable[..., RunConfig]
GB = 10**9
WINDOW_S = 6 * 3600.0
MIDNIGHT = 1_700_000_000.0


def instances(count: int) -> list[Instance]:
    return [
        Instance(f"i{n:03}", f"r/{n % 2}", "", "", f"org/image{n}:latest") for n in range(count)
    ]


def facts(of: list[Instance], **more: Any) -> ImageFacts:
    """Images of two groups in turn; none is here."""
    sizes = {
        i.image: ImageSize((Layer(i.repo, GB), Layer(i.image, GB // 4)), estimated=True) for i in of
    }
    return replace(ImageFacts(tuple(sizes), sizes, free_gb=500.0), **more)


def plan_of(of: list[Instance]) -> Plan:
    return Plan(tuple(key_of(i.instance_id) for i in of), (), 0)


def foreseen(
    config: RunConfig, known: ImageFacts, of: list[Instance], slots: int = 6
) -> ImageNight:
    plan = order_plan(config, of, plan_of(of), known, slots)
    return foresee_images([config], of, plan, known, slots, 1, CONTAINERS)


def said(config: RunConfig, known: ImageFacts, count: int = 12, slots: int = 6) -> str:
    of = instances(count)
    night = foreseen(config, known, of, slots)
    return "\n".join(image_lines(config, night, slots, MIDNIGHT))


@pytest.mark.parametrize(
    ("settings", "is_own"),
    [
        ({}, False),
        ({"cluster.images.order": "dataset"}, True),
        ({"selection.shuffle": True}, True),
    ],
)
def test_rollouts_and_grades_of_one_group_follow_each_other_unless_the_run_is_told_otherwise(
    settings: Mapping[str, Any], is_own: bool, make_config: MakeConfig
) -> None:
    of = instances(12)
    keys = plan_of(of).rollouts

    for plan in (Plan(keys, (), 0), Plan((), keys, 0)):
        found = order_plan(make_config("mini", settings), of, plan, facts(of), 4)
        order = [key.instance_id for key in (*found.rollouts, *found.grades)]
        repos = [int(name[1:]) % 2 for name in order]
        assert (order == [i.instance_id for i in of]) is is_own
        assert is_own or repos in ([0] * 6 + [1] * 6, [1] * 6 + [0] * 6)


def test_the_plan_says_what_is_pulled_and_what_the_disk_holds(make_config: MakeConfig) -> None:
    of = instances(12)

    words = said(make_config("mini"), facts(of))

    assert "12 images to get: an estimated 5.0 GB to pull;" in words
    assert "of 500 free; all stay, as there is room" in words
    assert "ration" not in words


@pytest.mark.parametrize(
    ("keep", "free_gb", "words"),
    [
        (True, 500.0, "all stay, as cluster.images.keep says"),
        (False, 500.0, "each goes once it is graded, as cluster.images.keep says"),
        ("auto", 19.0, "what is graded goes where room is short, and about"),
        ("auto", None, "nobody can say what is free"),
    ],
)
def test_it_says_what_becomes_of_images(
    keep: bool | str, free_gb: float | None, words: str, make_config: MakeConfig
) -> None:
    config = make_config("mini", {"cluster.images.keep": keep})

    assert words in said(config, facts(instances(12), free_gb=free_gb))


def test_windows_of_a_quota_have_clock_times_and_a_login_says_what_it_saves(
    make_config: MakeConfig,
) -> None:
    quotas = {HUB: Quota(5, 5, WINDOW_S)}
    known = facts(instances(12), quotas=quotas, without_login=frozenset([HUB]))

    words = said(make_config("mini"), known)

    at = [time.strftime("%H:%M", time.localtime(MIDNIGHT + h * 3600)) for h in (6, 12)]
    assert f"{HUB} rations pulls: 5 now, 5 from about {at[0]}, 2 from about {at[1]}" in words
    assert "`docker login`) would save about 11 h" in words
    logged_in = said(make_config("mini"), replace(known, without_login=frozenset()))
    assert "rations" in logged_in
    assert "login" not in logged_in


def test_a_disk_that_does_not_hold_the_slots_or_not_even_an_image_is_told_of(
    make_config: MakeConfig,
) -> None:
    of = instances(12)
    large = {i.image: ImageSize((Layer(i.image, 2 * GB),)) for i in of}

    seconds = {i.instance_id: 3000.0 for i in of}
    few = said(make_config("mini"), facts(of, sizes=large, free_gb=30.0, seconds=seconds))
    none = said(make_config("mini"), facts(of, sizes=large, free_gb=6.0))

    assert "of 6 slots need when it is fullest: then fewer run at once" in few
    assert "the images' disk has no room for org/image" in none


def test_programs_get_the_same_in_bytes(make_config: MakeConfig) -> None:
    of = instances(4)

    found = images_as_dict(foreseen(make_config("mini"), facts(of), of))

    assert (found["to_get"], found["pulls"], found["bytes_to_pull"]) == (4, 4, 3 * GB)
    assert found["estimated"] is True
    assert (found["windows"], found["no_room_for"], found["saved_by_login_s"]) == ([], "", 0)


class Engine:
    """A host that lacks all images, and whose registry rations them."""

    asked = 0

    def missing_images(self, of: list[Instance], platform: str) -> tuple[str, ...]:
        Engine.asked += 1
        return tuple(i.image for i in of)

    def registry_login(self, registry: str) -> Mapping[str, Any]:
        return {}

    def pull_quota(self, registry: str) -> Quota | None:
        return Quota(100, 76, WINDOW_S)

    def free_for_images_gb(self, cluster: object) -> float | None:
        return 60.0


def test_registries_and_the_engine_are_asked_once(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = instances(3)
    monkeypatch.setattr(Engine, "asked", 0)
    monkeypatch.setattr(image_night, "find_backend", lambda kind: Engine())
    monkeypatch.setattr(image_night, "find_sizes", lambda *_, **__: facts(of).sizes)

    found = find_image_facts(make_config("mini"), of, CONTAINERS)

    assert found.quotas == {HUB: Quota(100, 76, WINDOW_S)}
    assert (found.without_login, found.free_gb) == (frozenset([HUB]), 60.0)
    assert (len(found.missing), Engine.asked) == (3, 1)


def test_no_registry_is_asked_where_images_are_built(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_night, "find_backend", lambda kind: Engine())
    (tmp_path / "Dockerfile").touch()
    of = [replace(i, task_dir=str(tmp_path)) for i in instances(3)]

    found = find_image_facts(make_config("mini"), of, CONTAINERS)

    assert (found.sizes, found.quotas) == ({}, {})
    assert list(image_lines(make_config("mini"), foreseen(make_config("mini"), found, of), 6, 0))


def test_a_task_without_a_dockerfile_has_an_image_that_is_pulled(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = [replace(i, task_dir=str(tmp_path)) for i in instances(3)]
    monkeypatch.setattr(image_night, "find_backend", lambda kind: Engine())
    monkeypatch.setattr(image_night, "find_sizes", lambda *_, **__: facts(of).sizes)

    found = find_image_facts(make_config("mini"), of, CONTAINERS)

    assert set(found.sizes) == set(guess_image_facts(of).sizes) == {i.image for i in of}


def test_who_has_a_mirror_waits_for_no_window_of_docker_hubs(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, asked = instances(12), []

    class Rationed(Engine):
        def pull_quota(self, registry: str) -> Quota | None:
            asked.append(registry)
            return Quota(2, 2, WINDOW_S) if registry == HUB else None

    monkeypatch.setattr(image_night, "find_backend", lambda kind: Rationed())
    monkeypatch.setattr(image_night, "find_sizes", lambda *_, **__: facts(of).sizes)
    config = make_config("mini", {"cluster.images.mirror": "mine:5000"})

    found = find_image_facts(config, of, CONTAINERS)

    assert asked == ["mine:5000"]
    assert not foreseen(config, found, of).forecast.windows


def test_each_image_that_is_not_here_is_missed_once(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"a": "one", "b": "two", "c": "two", "d": "here"}
    of_run = [replace(instance, instance_id=i, image=image) for i, image in images.items()]

    class Engine:
        def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
            assert platform == CONTAINERS.platform
            return tuple(dict.fromkeys(i.image for i in instances if i.image != "here"))

    monkeypatch.setattr("orchestrator.driver.image_night.find_backend", lambda kind: Engine())

    assert find_missing_images(of_run, CONTAINERS) == {"one", "two"}


@pytest.mark.parametrize(
    ("settings", "known", "binds"),
    [
        ({}, {"missing": ()}, False),
        ({}, {"free_gb": 500.0}, False),
        ({}, {"free_gb": 10.0}, True),
        ({}, {"free_gb": None}, True),
        ({"cluster.images.budget_gb": 3}, {"free_gb": 500.0}, True),
        ({"cluster.images.keep": False}, {"free_gb": 500.0}, True),
        ({}, {"quotas": {HUB: Quota(100, 11, WINDOW_S)}}, True),
        ({}, {"quotas": {HUB: Quota(100, 12, WINDOW_S)}}, False),
        ({}, {"quotas": {"ghcr.io": Quota(100, 1, WINDOW_S)}}, False),
    ],
    ids=[
        "all are here",
        "all have room",
        "a small disk",
        "a disk that nobody sees",
        "a small budget",
        "none is kept",
        "a quota for less",
        "a quota for all",
        "another registry's quota",
    ],
)
def test_the_longest_start_first_unless_images_have_to_come_that_are_too_many(
    settings: Mapping[str, Any], known: Mapping[str, Any], binds: bool, make_config: MakeConfig
) -> None:
    of, config = instances(12), make_config("mini", settings)
    seconds = {i.instance_id: float(n + 1) for n, i in enumerate(of)}
    longest_first = sorted(seconds, key=lambda name: -seconds[name])

    plan = order_plan(config, of, plan_of(of), facts(of, seconds=seconds, **known), 2)

    order = [key.instance_id for key in plan.rollouts]
    assert (order != longest_first) is binds
