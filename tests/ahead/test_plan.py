"""`images plan`: what would come, and how long the quota makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.expansion import images_expand  # noqa: F401 - a fixture
from support.fake_engine import IMAGES, FakeEngine, image_here

from orchestrator.ahead.plan import (
    FromRegistry,
    count_fitting,
    make_pull_plan,
    windows_needed,
)
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import Quota

Ask = Callable[..., Any]
SIX_HOURS = 6 * 3600.0


@pytest.mark.parametrize(
    ("pulls", "quota", "windows"),
    [
        (300, None, 1),
        (0, Quota(100, 0, SIX_HOURS), 1),
        (100, Quota(100, 100, SIX_HOURS), 1),
        (101, Quota(100, 100, SIX_HOURS), 2),
        (300, Quota(100, 100, SIX_HOURS), 3),
        (300, Quota(100, 37, SIX_HOURS), 4),
        (300, Quota(100, 0, SIX_HOURS), 4),
        (300, Quota(100, -5, SIX_HOURS), 4),
        (300, Quota(200, 200, SIX_HOURS), 2),
        (300, Quota(0, 0, SIX_HOURS), 301),
    ],
)
def test_windows_are_counted_from_the_one_that_has_begun(
    pulls: int, quota: Quota | None, windows: int
) -> None:
    assert windows_needed(pulls, quota) == windows


@pytest.mark.parametrize(
    ("registry", "limit", "login", "waits"),
    [
        ("docker.io", 100, "", 1),
        ("docker.io", 100, "somebody", 2),
        ("docker.io", 500, "", 0),
        ("ghcr.io", 100, "", 2),
    ],
)
def test_a_login_saves_what_docker_hub_gives_for_it_and_nothing_elsewhere(
    registry: str, limit: int, login: str, waits: int
) -> None:
    share = FromRegistry(registry, 300, 10**9, Quota(limit, limit, SIX_HOURS), login)

    assert share.waits_with_login == waits


def test_shared_layers_count_once_and_what_is_here_not_at_all(engine: FakeEngine, ask: Ask) -> None:
    asked = ask()
    assert make_pull_plan(asked.request, asked.console).bytes == 3 * 10**9

    engine.here[IMAGES[0]] = image_here()
    plan = make_pull_plan(asked.request, asked.console)

    assert (plan.here, plan.to_pull, plan.bytes) == (1, 3, 1_500_000_000)


def test_people_are_told_bytes_quota_windows_and_room(engine: FakeEngine, ask: Ask) -> None:
    engine.quotas = [Quota(2, 1, SIX_HOURS)]
    asked = ask()
    said = "\n".join(make_pull_plan(asked.request, asked.console).lines())

    assert "to pull: 4 images, 3.00 GB;" in said
    assert "docker.io: 4 images, 3.00 GB, without a login; 1 of 2 pulls in 6 h 00 min" in said
    assert "that takes 3 windows" in said
    assert "would save 12 h 00 min" in said
    assert "100 GB are free on the engine's disk, 5 GB stay in reserve: all of them fit" in said


@pytest.mark.parametrize(
    ("registry", "login", "words"),
    [
        ("docker.io", "", "usual are 100 in 6 h, and 200 after `docker login`"),
        ("docker.io", "somebody", "no limit of pulls is known"),
        ("ghcr.io", "", "no limit of pulls is known"),
        ("spark:5000", "", "no limit of pulls is known"),
    ],
)
def test_a_registry_that_says_nothing_of_a_quota_is_not_said_to_have_none(
    engine: FakeEngine, ask: Ask, registry: str, login: str, words: str
) -> None:
    asked = ask()
    plan = make_pull_plan(asked.request, asked.console)
    share = FromRegistry(registry, 4, 10**9, None, login)
    said = replace(plan, registries=(share,)).lines()

    assert any(line.endswith(words) for line in said), said


def test_a_login_is_named_and_its_secret_is_not(engine: FakeEngine, ask: Ask) -> None:
    engine.login = {"Username": "me", "Password": "my-secret"}
    asked = ask()
    plan = make_pull_plan(asked.request, asked.console)

    assert "as me" in "\n".join(plan.lines())
    assert "my-secret" not in f"{plan.as_dict()} {plan.lines()}"


@pytest.mark.parametrize("free_gb", [None, 12.0])
def test_room_that_does_not_do_or_that_nobody_knows_is_told(
    engine: FakeEngine, ask: Ask, free_gb: float | None
) -> None:
    engine.can_measure, engine.free = free_gb is not None, (free_gb or 0) * 1e9
    asked = ask()
    plan = make_pull_plan(asked.request, asked.console)

    words = "only about 2 of these 4 images fit" if free_gb else "does not say what is free"
    assert words in plan.lines()[-1]


def test_where_all_are_here_there_is_nothing_to_pull(engine: FakeEngine, ask: Ask) -> None:
    engine.here = {image: image_here() for image in IMAGES}
    asked = ask()

    assert make_pull_plan(asked.request, asked.console).lines()[-1] == "nothing to pull"


def test_a_mirror_is_asked_in_the_registrys_place(engine: FakeEngine, ask: Ask) -> None:
    asked = ask(cluster__images__mirror="spark:5000")
    plan = make_pull_plan(asked.request, asked.console)

    assert [share.registry for share in plan.registries] == ["spark:5000"]
    assert "asked first: the mirror spark:5000" in plan.lines()


def test_json_has_all_of_it(engine: FakeEngine, ask: Ask) -> None:
    engine.quotas = [Quota(2, 2, 60.0)]
    asked = ask()
    plan = make_pull_plan(asked.request, asked.console)
    found = plan.as_dict()

    assert found["to_pull"] == 4
    assert found["registries"][0]["quota"] == {"limit": 2, "remaining": 2, "window_s": 60.0}
    assert found["registries"][0]["windows"] == [plan.now, plan.now + 60.0]


def test_images_fit_by_what_they_add() -> None:
    base = Layer("base", 100)
    sizes = [ImageSize((base, Layer(f"own {n}", 10))) for n in range(10)]

    assert count_fitting(sizes, [], 0) == 0
    assert count_fitting(sizes, [], 420) == 4
    assert count_fitting(sizes, [ImageSize((base,))], 420) == 10
