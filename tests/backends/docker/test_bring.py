"""An image that several rollouts want at once. No engine."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.docker import bring
from orchestrator.backends.docker.bring import Source, ensure_image
from orchestrator.config.cluster import Images
from orchestrator.errors import ImageUnavailable
from orchestrator.types import Instance


class Engine:
    """What is there, and how often it was built; all three ask before the first builds."""

    def __init__(self, fails: int = 0) -> None:
        self.there: set[str] = set()
        self.builds = 0
        self._fails = fails
        self._all_ask = threading.Barrier(3)
        self._asked = itertools.count()

    def find(self, _client: Any, image: str, _platform: str) -> object | None:
        if next(self._asked) < 3:
            self._all_ask.wait()
        return image if image in self.there else None

    def build(self, build: Any, _timeout_s: float) -> None:
        self.builds += 1
        if self.builds <= self._fails:
            raise ImageUnavailable("the base is gone")
        self.there.add(build)


@pytest.mark.parametrize(
    ("fails", "come", "builds"),
    [
        (0, [Source.BUILT, Source.PRESENT, Source.PRESENT], 1),
        (1, [Source.BUILT, Source.PRESENT], 2),
    ],
    ids=["it is built once for all", "the next tries where one has failed"],
)
def test_an_image_that_several_runs_want_at_once_is_built_by_one(
    fails: int,
    come: list[Source],
    builds: int,
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(fails)
    monkeypatch.setattr(bring, "find_image", engine.find)
    monkeypatch.setattr(bring, "build_image", engine.build)
    monkeypatch.setattr(bring, "build_of", lambda instance, *_: instance.image)
    monkeypatch.setattr(bring, "keep_under_another_name", lambda *_: None)
    monkeypatch.setattr(bring, "build_lock", lambda image: tmp_path / "builds" / "a-lock")

    def ask(_: int) -> Source | None:
        client: Any = None
        try:
            return ensure_image(client, instance, Images(), "linux/amd64")
        except ImageUnavailable:
            return None

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(ask, range(3)))

    assert sorted(source for source in found if source) == sorted(come)
    assert engine.builds == builds
