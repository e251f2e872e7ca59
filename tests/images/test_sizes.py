"""The sizes of a run's images: kept, told by registries that are played or real, or estimated."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.registries import Asked, FakeServer, Reply, push_image, registry_server
from support.registry_proxy import RegistryProxy

from orchestrator.config.cluster import Images
from orchestrator.images import docker_hub, kept_sizes, sizes
from orchestrator.images.layers import ImageSize, unique_bytes
from orchestrator.images.sizes import find_sizes
from orchestrator.types import Instance

pytestmark = pytest.mark.slow

AMD = "linux/amd64"
BASE = {"digest": f"sha256:{'b' * 64}", "size": 1000}
AWAY = Reply(503)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))


def row(number: int, image: str = "") -> Instance:
    name = image or f"swebench/sweb.eval.x86_64.django_1776_django-{number}:latest"
    return Instance(f"django__django-{number}", "django/django", "c" * 40, "", name, "3.0")


def told(asked: Asked) -> Reply:
    """As Docker Hub's web API does: all share a layer, and each has one of its own."""
    number = int(asked.path.split("/tags/")[0].rpartition("-")[2])
    layers = [BASE, {"digest": f"sha256:{number:064x}", "size": number}]
    return Reply(body=[{"os": "linux", "architecture": "amd64", "layers": layers}])


class Hub:
    """Docker Hub's web API, played; `answer` may be changed on the way."""

    def __init__(self) -> None:
        self.answer = told
        self.server = FakeServer(lambda asked: self.answer(asked))

    @property
    def asked(self) -> int:
        return len(self.server.asked)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    played = Hub()
    with played.server:
        monkeypatch.setattr(docker_hub, "WEB", played.server.url)
        yield played


def no_login(registry: str) -> Mapping[str, Any]:
    return {}


def find(rows: list[Instance], settings: Images | None = None, **more: Any) -> dict[str, ImageSize]:
    return find_sizes(rows, settings or Images(), AMD, no_login, **more)


def test_sizes_of_official_images_are_asked_for_once_and_then_known(hub: Hub) -> None:
    rows = [row(n) for n in (3, 1, 2, 1)]
    steps: list[tuple[int, int]] = []

    found = find(rows, on_progress=lambda known, of: steps.append((known, of)))

    assert list(found) == [row(n).image for n in (3, 1, 2)]
    assert unique_bytes(found.values()) == 1000 + 1 + 2 + 3
    assert not any(size.estimated for size in found.values())
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert hub.asked == 3
    steps.clear()
    assert find(rows, on_progress=lambda known, of: steps.append((known, of))) == found
    assert (hub.asked, steps) == (3, [])


def test_no_instances_have_no_sizes(hub: Hub) -> None:
    assert find([]) == {}
    assert hub.asked == 0


@pytest.mark.parametrize(
    "reply",
    [
        AWAY,
        Reply(429, headers={"Retry-After": "60"}),
        Reply(body=b"<html>captive portal</html>"),
        Reply(body=b"[]", cut_to=1),
    ],
)
def test_a_registry_that_gives_nothing_is_asked_no_more_and_all_is_estimated(
    reply: Reply, hub: Hub
) -> None:
    hub.answer = lambda asked: reply

    found = find([row(n) for n in range(300)])

    assert len(found) == 300
    assert all(size.estimated for size in found.values())
    assert hub.asked <= sizes.AT_ONCE + sizes.MAX_FAILURES


@pytest.mark.parametrize("reply", [AWAY, Reply(body=b"rubbish"), Reply(body=[{}], cut_to=1)])
def test_one_odd_answer_keeps_no_other_image_from_being_known(reply: Reply, hub: Hub) -> None:
    hub.answer = lambda asked: reply if "-7/" in asked.path else told(asked)

    found = find([row(n) for n in range(30)])

    assert [image for image, size in found.items() if size.estimated] == [row(7).image]


def test_an_image_that_is_not_there_keeps_no_other_from_being_known(hub: Hub) -> None:
    hub.answer = lambda asked: Reply(404) if "-7/" in asked.path else told(asked)

    found = find([row(n) for n in range(20)])

    assert [image for image, size in found.items() if size.estimated] == [row(7).image]


def test_what_a_limit_on_questions_left_unknown_is_asked_for_the_next_time(hub: Hub) -> None:
    answered = itertools.count()
    hub.answer = lambda asked: told(asked) if next(answered) < 10 else Reply(429)
    rows = [row(n) for n in range(30)]
    first = find(rows)
    hub.answer = told

    second = find(rows)

    known = sum(not size.estimated for size in first.values())
    assert known == 10
    assert not any(size.estimated for size in second.values())


def test_time_that_is_over_leaves_the_rest_estimated(hub: Hub) -> None:
    ended = threading.Event()

    def slow(asked: Asked) -> Reply:
        if "-0/" not in asked.path:
            ended.wait(20)
        return told(asked)

    hub.answer = slow
    found = find([row(n) for n in range(40)], limit_s=0.5)
    ended.set()

    assert sum(size.estimated for size in found.values()) >= 39
    for thread in threading.enumerate():
        if thread.name.startswith("image-sizes"):
            thread.join()
    assert find([row(n) for n in range(9)]).keys() <= found.keys()
    kept = [n for n in range(40) if kept_sizes.find_kept(row(n).image, AMD)]
    assert len(kept) > 1, "what came late is kept"


def test_a_size_that_is_old_is_asked_for_again_and_serves_while_nobody_answers(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = find([row(5)])
    monkeypatch.setattr(kept_sizes, "FRESH_S", 0)
    hub.answer = lambda asked: AWAY
    assert find([row(5)]) == before
    hub.answer = lambda asked: Reply(
        body=[{"os": "linux", "architecture": "amd64", "layers": [BASE]}]
    )

    assert find([row(5)])[row(5).image].bytes == 1000


@pytest.mark.parametrize("image", ["", "no name", "A/B:c:d", "a@sha256:1", "http://x/y"])
def test_an_image_that_has_no_name_is_estimated(image: str, hub: Hub) -> None:
    odd = Instance("a__b-1", "a/b", "c" * 40, "", image)

    assert find([odd])[image].estimated


def test_a_proxy_that_can_not_be_used_leaves_all_estimated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://nowhere")

    found = find([row(n) for n in range(20)])

    assert all(size.estimated for size in found.values())


def test_a_mirror_is_asked_first_and_what_it_lacks_at_its_own_registry(
    hub: Hub, tmp_path: Path
) -> None:
    with registry_server(tmp_path / "mirror") as address:
        push_image(address, "team/images", "django__django-1", [b"x" * 77])
        settings = Images(mirror=address, namespace="team/images", tag="{instance}")

        found = find([row(1), row(2)], settings)

    assert found[row(1).image].bytes == 77
    assert found[row(2).image].bytes == 1002
    assert hub.asked == 1


def test_a_mirror_that_is_away_stops_nothing(hub: Hub) -> None:
    with FakeServer(lambda _: AWAY) as mirror:
        found = find([row(n) for n in range(30)], Images(mirror=mirror.place))

    assert not any(size.estimated for size in found.values())
    assert len(mirror.asked) <= 2 * (sizes.AT_ONCE + sizes.MAX_FAILURES)


def test_other_registries_are_asked_for_the_manifest_itself_with_their_login(
    tmp_path: Path,
) -> None:
    asked: list[str] = []

    def login(registry: str) -> Mapping[str, Any]:
        asked.append(registry)
        return {"Username": "user", "Password": "secret"}

    with registry_server(tmp_path / "registry") as address:
        for number in range(12):
            push_image(address, f"x/{number}", "v1", [b"base" * 10, bytes([number])])
        rows = [row(n, f"{address}/x/{n}:v1") for n in range(12)]

        found = find_sizes(rows, Images(), AMD, login)

    assert unique_bytes(found.values()) == 40 + 12
    assert asked == [address]


@pytest.mark.parametrize(
    "quota",
    [5, 1, 0],
    ids=["pulls are left", "one is left", "none is left: 429"],
)
def test_what_an_image_weighs_costs_no_pull_at_a_registry_that_rations_them(
    quota: int, tmp_path: Path
) -> None:
    with registry_server(tmp_path / "registry") as address, RegistryProxy(address) as proxy:
        for number in range(12):
            push_image(address, f"x/{number}", "v1", [bytes([number])])
        proxy.quota = quota
        rows = [row(n, f"{proxy.address}/x/{n}:v1") for n in range(12)]

        found = find(rows)

        assert proxy.remaining == quota
        assert not [a for a in proxy.asked if a.startswith("GET") and "/manifests/" in a]
        assert len(proxy.asked) <= 2 * sizes.AT_ONCE, "who rations is asked once"
    assert len(found) == 12
    assert all(size.estimated for size in found.values())


def test_a_registry_that_refuses_its_first_images_is_asked_for_the_others(tmp_path: Path) -> None:
    with registry_server(tmp_path / "registry") as address:
        push_image(address, "x/11", "v1", [b"x" * 9])

        found = find([row(n, f"{address}/x/{n}:v1") for n in range(12)])

    told = [image for image, size in found.items() if not size.estimated]
    assert told == [f"{address}/x/11:v1"]
