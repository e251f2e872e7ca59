"""`images mirror`: from one registry to another, both real, with a rationing proxy between them."""

from __future__ import annotations

import io
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import fake_engine
from support.benchmark import as_jsonl, row
from support.docker_registry import Registry, open_registry, random_layer
from support.registry_proxy import RegistryProxy

from orchestrator.ahead import fetch
from orchestrator.ahead.mirror import mirror, profile_lines
from orchestrator.config import RunRequest
from orchestrator.config.cluster import Images
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.images import holds, node

pytestmark = pytest.mark.slow

REPOSITORIES = tuple(f"org/image.a__b-{number}" for number in range(1, 5))
BASE, OWN = 400_000, 200_000
"""Bytes of the layer that all images share, and of each image's own."""


@dataclass
class Scene:
    """Four images behind a proxy, and a registry that is to have them."""

    proxy: RegistryProxy
    target: Registry
    folder: Path

    def mirror(
        self, to: str = "", repositories: Sequence[str] = REPOSITORIES, **settings: Any
    ) -> tuple[int, list[str]]:
        """The exit code, and the lines that were said."""
        rows = [
            row(f"a__b-{number}", image=f"{self.proxy.address}/{repository}:latest")
            for number, repository in enumerate(repositories, start=1)
        ]
        as_jsonl(self.folder / "four.jsonl", rows)
        dotted = {key.replace("__", "."): value for key, value in settings.items()}
        given = {
            "cluster.sandbox.kind": fake_engine.KIND,
            "cluster.images.mirror": to or self.target.address,
            **dotted,
        }
        said = io.StringIO()
        request = RunRequest(str(self.folder / "four.jsonl"), settings=given)
        code = mirror(request, Console(file=said, width=400))
        return code, said.getvalue().splitlines()

    @property
    def pulls(self) -> int:
        return sum(a.startswith("GET") and "/manifests/" in a for a in self.proxy.asked)

    def has_all(self) -> bool:
        return all(self.target.has(repository) for repository in REPOSITORIES)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with open_registry(tmp_path_factory.mktemp("origin")) as registry:
        base = random_layer("base", BASE)
        for repository in REPOSITORIES:
            registry.push(repository, [base, random_layer(repository, OWN)])
        yield registry


@pytest.fixture
def scene(origin: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "TICK_S", 0.01)
    monkeypatch.setattr(holds, "ASK_QUOTA_EVERY_S", 0.1)
    monkeypatch.setattr(node, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(node, "LONGEST_WAIT_S", 0.2)
    fake_engine.new_engine()
    with open_registry(tmp_path / "target") as target, RegistryProxy(origin.address) as proxy:
        yield Scene(proxy, target, tmp_path)


def test_all_images_are_copied_and_what_they_share_is_sent_once(scene: Scene) -> None:
    code, said = scene.mirror()

    assert (code, scene.has_all()) == (0, True)
    assert scene.proxy.sent < BASE + 4 * OWN + 50_000
    assert f"    mirror: {scene.target.address}" in said


def test_again_it_sends_nothing_and_costs_no_pull(scene: Scene) -> None:
    scene.mirror()
    scene.proxy.asked.clear()
    scene.proxy.sent = 0

    assert scene.mirror()[0] == 0
    assert (scene.proxy.sent, scene.pulls) == (0, 0)


def test_a_tag_that_has_moved_is_copied_again(scene: Scene, origin: Registry) -> None:
    scene.mirror()
    layers = [random_layer("base", BASE), random_layer("moved", OWN)]
    origin.push(REPOSITORIES[0], layers)
    scene.proxy.sent = 0

    assert scene.mirror()[0] == 0
    assert OWN <= scene.proxy.sent < 2 * OWN


def test_a_quota_is_kept_to_and_the_next_window_waited_for(scene: Scene) -> None:
    scene.proxy.quota, scene.proxy.window_s = 3, 1.0

    code, said = scene.mirror()

    assert (code, scene.has_all()) == (0, True)
    assert any("gives no more" in line for line in said)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_registry_that_fails_for_a_while_is_waited_for(scene: Scene, status: int) -> None:
    scene.proxy.answers = status
    threading.Timer(0.5, setattr, (scene.proxy, "answers", None)).start()

    code, said = scene.mirror()

    assert (code, scene.has_all()) == (0, True)
    assert any("held" in line or "again" in line for line in said)


def test_a_layer_that_breaks_off_is_asked_for_again(scene: Scene) -> None:
    scene.proxy.breaks_off_after = 100_000
    threading.Timer(0.5, setattr, (scene.proxy, "breaks_off_after", None)).start()

    assert scene.mirror()[0] == 0
    assert scene.has_all()


@pytest.mark.usefixtures("in_the_foreground")
def test_ctrl_c_ends_it_and_the_next_one_goes_on(scene: Scene) -> None:
    scene.proxy.bytes_per_s = 600_000

    def interrupt() -> None:
        while not scene.target.has(REPOSITORIES[0]):
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, said = scene.mirror()
    thread.join()
    assert code == 130
    assert said[-1].startswith("interrupted: ")
    scene.proxy.bytes_per_s, scene.proxy.sent = None, 0

    assert scene.mirror()[0] == 0
    assert scene.has_all()
    assert scene.proxy.sent <= 3 * (OWN + 20_000)


def test_an_image_that_is_not_there_is_named_and_the_others_are_copied(scene: Scene) -> None:
    code, said = scene.mirror(repositories=("org/none", *REPOSITORIES))

    assert (code, scene.has_all()) == (4, True)
    assert any("can't be had" in line and "org/none" in line for line in said)
    assert any("4 of 5 images" in line for line in said)


def test_a_mirror_that_is_away_is_said_at_once(scene: Scene) -> None:
    with pytest.raises(PrerequisiteError, match=r"the mirror 127\.0\.0\.1:9 does not answer"):
        scene.mirror("127.0.0.1:9")


def test_no_registry_is_its_own_mirror(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="is in that registry itself"):
        scene.mirror(scene.proxy.address)


@pytest.mark.parametrize("to", ["http://spark:5000", "spark", "spark:5000/team", "spark:99999", ""])
def test_what_is_no_host_of_a_registry_is_a_wrong_setting(scene: Scene, to: str) -> None:
    with pytest.raises(ConfigError, match="mirror"):
        scene.mirror(cluster__images__mirror=to)


def test_images_lie_in_the_mirror_where_namespace_and_tag_say(scene: Scene) -> None:
    code, said = scene.mirror(
        cluster__images__namespace="night/lite", cluster__images__tag="{instance}"
    )

    assert code == 0
    assert scene.target.has("night/lite", "image.a__b-1")
    assert any("namespace: night/lite" in line for line in said)


def test_a_profile_is_told_what_is_not_its_default_and_no_more() -> None:
    lines = profile_lines(Images(mirror="spark:5000"))

    assert lines[:3] == ["in a cluster profile:", "  images:", "    mirror: spark:5000"]
    assert lines[3] == "or: launch ... --set cluster.images.mirror=spark:5000"
