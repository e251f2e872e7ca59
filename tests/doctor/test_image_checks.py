"""Where the images come from, what a registry still gives, and whether there is room."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fake_engine import IMAGES, KIND, FakeBackend, FakeEngine, image_here
from support.registries import Asked, FakeServer, Reply

from orchestrator.config import RunConfig
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import CheckFinding, Severity
from orchestrator.doctor.checks import CHECKS
from orchestrator.doctor.examine import examine
from orchestrator.doctor.image_checks import EngineDiskRoom, ImagesRoom, Registries
from orchestrator.images import registry
from orchestrator.images.names import HUB

MakeCase = Callable[..., Case]
Look = Callable[..., list[CheckFinding]]
Hub = Callable[[Reply], FakeServer]
WINDOW = "w=21600"
NOTHING_LEFT = {"ratelimit-limit": f"100;{WINDOW}", "ratelimit-remaining": f"0;{WINDOW}"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Docker Hub's registry answers like this, whatever it is asked."""
    servers: list[FakeServer] = []

    def answer(reply: Reply) -> FakeServer:
        def give(asked: Asked) -> Reply:
            return Reply() if asked.path == "/v2/" else reply

        servers.append(FakeServer(give).__enter__())
        monkeypatch.setattr(registry, "API_HOSTS", {HUB: servers[-1].place})
        return servers[-1]

    yield answer
    for server in servers:
        server.__exit__()


@pytest.mark.usefixtures("engine")
def test_what_builds_start_from_comes_from_a_registry_too(
    make_config: Callable[..., RunConfig],
    look: Look,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(FakeBackend, "missing_bases", lambda *_: ("python:3.11-slim-bookworm",))
    hub(Reply(429))
    settings = {"cluster.sandbox.kind": KIND, "cluster.images.mirror": "127.0.0.1:9"}

    (found,) = look(Case(make_config("gold", settings), tmp_path), Registries())

    assert found.level is Severity.FAIL
    assert found.what == "docker.io gives no more images for now, and 1 image is to come"
    assert look(Case(make_config("gold", settings), tmp_path), ImagesRoom()) == []


@contextmanager
def mirror(reply: Reply) -> Iterator[str]:
    with FakeServer(lambda asked: reply) as server:
        yield server.place


def test_a_registry_that_answers_passes_with_what_is_to_come(
    make_case: MakeCase, look: Look, hub: Hub
) -> None:
    hub(Reply())

    (found,) = look(make_case(), Registries())

    assert found == CheckFinding(
        Severity.PASS, "docker.io answers, and rations no pulls; 4 images are to come"
    )


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, headers={"retry-after": "3600"}),
        Reply(429, {"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}),
        Reply(headers=NOTHING_LEFT),
        Reply(429, headers=NOTHING_LEFT),
    ],
)
def test_an_expired_quota_says_when_it_renews_and_the_login_that_doubles_it(
    make_case: MakeCase, look: Look, hub: Hub, reply: Reply
) -> None:
    hub(reply)

    (found,) = look(make_case(), Registries())

    assert found.level is Severity.FAIL
    assert found.what.startswith("docker.io gives no more images for now")
    assert "4 images are to come" in found.what
    if reply.headers:
        assert re.search(r"until \d\d:\d\d at the latest", found.what)
    assert "`docker login`" in found.cure
    assert "200 pulls in 6 h, twice as many" in found.cure


@pytest.mark.slow
def test_where_a_quota_has_expired_that_is_the_one_thing_that_fails(
    make_case: MakeCase, hub: Hub, no_engine: None
) -> None:
    hub(Reply(headers=NOTHING_LEFT))

    found = list(examine(make_case(), CHECKS))

    assert [one.check.name for one in found if one.level is Severity.FAIL] == ["registries"]


def test_with_a_login_the_cure_of_an_expired_quota_is_another(
    make_case: MakeCase, look: Look, hub: Hub, engine: FakeEngine
) -> None:
    engine.login = {"Username": "ann", "Password": "x"}
    hub(Reply(headers=NOTHING_LEFT))

    (found,) = look(make_case(), Registries())

    assert "docker login" not in found.cure
    assert "cluster.images.mirror" in found.cure


def test_where_some_images_are_here_an_expired_quota_is_a_warning(
    make_case: MakeCase, look: Look, hub: Hub, engine: FakeEngine
) -> None:
    engine.here = {IMAGES[0]: image_here()}
    hub(Reply(headers=NOTHING_LEFT))

    (found,) = look(make_case(), Registries())

    assert found.level is Severity.WARN
    assert "3 images are to come" in found.what


@pytest.mark.parametrize(
    ("left", "level"), [(2, Severity.WARN), (4, Severity.PASS), (76, Severity.PASS)]
)
def test_a_quota_that_is_too_small_is_told_with_its_figures(
    make_case: MakeCase, look: Look, hub: Hub, left: int, level: Severity
) -> None:
    hub(Reply(headers=NOTHING_LEFT | {"ratelimit-remaining": f"{left};{WINDOW}"}))

    (found,) = look(make_case(), Registries())

    assert found.level is level
    assert f"{left} of 100 pulls in 6 h" in found.what
    assert ("`docker login`" in found.cure) == (level is Severity.WARN)


def test_where_all_images_are_here_no_registry_is_asked(
    make_case: MakeCase, look: Look, hub: Hub, engine: FakeEngine
) -> None:
    engine.here = dict.fromkeys(IMAGES, image_here())
    server = hub(Reply(500))

    (found,) = look(make_case(), Registries())

    assert found == CheckFinding(Severity.PASS, "none is asked: 4 images here")
    assert server.asked == []
    assert look(make_case(), ImagesRoom()) == []


@pytest.mark.parametrize("reply", [Reply(500), Reply(503), None])
def test_a_registry_that_is_away_is_told_with_a_mirror_as_cure(
    make_case: MakeCase, look: Look, hub: Hub, monkeypatch: pytest.MonkeyPatch, reply: Reply | None
) -> None:
    if reply is None:
        monkeypatch.setattr(registry, "API_HOSTS", {HUB: "127.0.0.1:9"})
    else:
        hub(reply)

    (found,) = look(make_case(), Registries())

    assert found.level is Severity.FAIL
    assert "4 images are to come from docker.io, which is away" in found.what
    assert "cluster.images.mirror" in found.cure


def test_a_registry_that_refuses_who_asks_names_the_login(
    make_case: MakeCase, look: Look, hub: Hub
) -> None:
    hub(Reply(403, {"errors": [{"code": "DENIED", "message": "not for you"}]}))

    (found,) = look(make_case(), Registries())

    assert found.level is Severity.FAIL
    assert "refuses an image" in found.what
    assert "`docker login docker.io`" in found.cure


def test_a_mirror_is_asked_first_and_alone_where_it_answers(
    make_case: MakeCase, look: Look, hub: Hub
) -> None:
    server = hub(Reply(500))
    with mirror(Reply()) as place:
        (found,) = look(make_case({"cluster.images.mirror": place}), Registries())

    assert found.level is Severity.PASS
    assert found.what.startswith(f"{place} answers")
    assert server.asked == []


def test_a_mirror_that_is_away_is_a_warning_where_the_images_own_registry_answers(
    make_case: MakeCase, look: Look, hub: Hub
) -> None:
    hub(Reply())

    away, own = look(make_case({"cluster.images.mirror": "127.0.0.1:9"}), Registries())

    assert (away.level, own.level) == (Severity.WARN, Severity.PASS)
    assert "the mirror 127.0.0.1:9 is away" in away.what
    assert own.what.startswith("docker.io answers")


def test_a_mirror_that_lacks_an_image_is_as_it_should_be(
    make_case: MakeCase, look: Look, hub: Hub
) -> None:
    hub(Reply())
    with mirror(Reply(404)) as place:
        found = look(make_case({"cluster.images.mirror": place}), Registries())

    assert [finding.level for finding in found] == [Severity.PASS]


@pytest.mark.parametrize(
    ("free", "level", "says"),
    [
        (0.0, Severity.FAIL, "is full: 0.00 GB"),
        (0.04e9, Severity.FAIL, "is full: 0.04 GB"),
        (0.1e9, Severity.WARN, "0.1 GB are free, less than 5"),
        (3e9, Severity.WARN, "3.0 GB are free, less than 5 (cluster.images.reserve_gb)"),
        (100e9, Severity.PASS, "100 GB free for images"),
    ],
)
def test_the_engines_disk_is_told_with_its_figures(
    make_case: MakeCase, look: Look, engine: FakeEngine, free: float, level: Severity, says: str
) -> None:
    engine.free = free

    (found,) = look(make_case(), EngineDiskRoom())

    assert found.level is level
    assert says in found.what
    assert ("images prune" in found.cure) == (level is not Severity.PASS)


def test_a_disk_under_the_reserve_is_no_matter_where_no_image_is_to_come(
    make_case: MakeCase, look: Look, engine: FakeEngine
) -> None:
    engine.free, engine.here = 3e9, dict.fromkeys(IMAGES, image_here())

    assert look(make_case(), EngineDiskRoom())[0].level is Severity.PASS


def test_a_disk_that_nobody_can_measure_passes(
    make_case: MakeCase, look: Look, engine: FakeEngine
) -> None:
    engine.can_measure = False

    assert look(make_case(), EngineDiskRoom())[0].level is Severity.PASS


@pytest.mark.parametrize(
    ("free", "level", "says"),
    [
        (100e9, Severity.PASS, "4 to get, about"),
        (8e9, Severity.WARN, "it holds what 1 of 2 slots need"),
        (6.1e9, Severity.FAIL, "there is no room for org/image.a__b-"),
    ],
)
def test_images_that_do_not_fit_are_told(
    make_case: MakeCase, look: Look, engine: FakeEngine, free: float, level: Severity, says: str
) -> None:
    """One GB is of all four, half a GB of each."""
    engine.free = free

    (found,) = look(make_case(), ImagesRoom())

    assert found.level is level
    assert says in found.what
    assert f"of {free / 1e9:.0f} free" in found.what
