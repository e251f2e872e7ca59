"""What images are built from comes before the night, or the session says why it does not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import fake_engine
from support.fake_engine import KIND, FakeBackend, FakeEngine, failure, image_here

from orchestrator.config import RunConfig
from orchestrator.config.cluster import Cluster
from orchestrator.dataset import Dataset
from orchestrator.doctor.case import Case
from orchestrator.errors import PrerequisiteError
from orchestrator.images.pulls import PullProblem
from orchestrator.run.bases import bring_bases
from orchestrator.types import Instance

BASE, OTHER = "base:1", "base:2"
AWAY = failure(PullProblem.AWAY)
Bring = Callable[..., tuple[str, ...]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """All images of the demo are built, from two bases that a registry has."""

    def missing(backend: FakeBackend, given: Sequence[Instance], cluster: Cluster) -> Any:
        return tuple(base for base in (BASE, OTHER) if base not in fake_engine.ENGINE.here)

    monkeypatch.setattr(FakeBackend, "missing_bases", missing)
    engine = fake_engine.new_engine()
    engine.registry = {BASE: 50_000_000, OTHER: 50_000_000}
    return engine


@pytest.fixture
def bring(
    engine: FakeEngine, make_config: Callable[..., RunConfig], demo: Dataset, tmp_path: Path
) -> Bring:
    """The warnings for the demo: `bring({"cluster.ray_address": "head:6379"})`."""

    def run(settings: dict[str, Any] | None = None, console: Console | None = None) -> Any:
        config = make_config("gold", {"cluster.sandbox.kind": KIND} | (settings or {}))
        return bring_bases(Case(config, tmp_path), console or Console(file=io.StringIO()))

    return run


def test_a_base_that_is_not_here_comes_before_the_night(bring: Bring, engine: FakeEngine) -> None:
    engine.here[OTHER] = image_here()

    assert bring() == ()
    assert engine.asked == [BASE]
    assert BASE in engine.here
    assert bring() == ()
    assert engine.asked == [BASE], "it is here"


@pytest.mark.parametrize("problem", [PullProblem.AWAY, PullProblem.REFUSED, PullProblem.QUOTA])
def test_a_base_that_does_not_come_ends_a_session_with_nothing_to_begin_with(
    bring: Bring, engine: FakeEngine, problem: PullProblem
) -> None:
    engine.failures = {BASE: [failure(problem)], OTHER: [failure(problem)]}

    with pytest.raises(PrerequisiteError) as caught:
        bring()

    assert caught.value.what == (
        f"images are to be built, and their base can't be pulled: the test says {problem}."
    )
    assert f"docker pull --platform linux/amd64 {BASE}`" in caught.value.cure
    assert "--set cluster.images.base=IMAGE" in caught.value.cure
    assert "\n" not in str(caught.value)


def test_with_one_of_two_bases_the_session_begins(bring: Bring, engine: FakeEngine) -> None:
    engine.failures = {BASE: [failure(PullProblem.AWAY)]}

    (warning,) = bring()

    assert f"docker pull --platform linux/amd64 {BASE}`" in warning


def test_where_other_images_are_pulled_the_session_begins(
    bring: Bring, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, demo: Dataset
) -> None:
    engine.failures = {BASE: [AWAY], OTHER: [AWAY]}
    pulled = demo.instances[0]
    monkeypatch.setattr("orchestrator.run.bases.is_built_here", lambda instance: instance != pulled)

    assert len(bring()) == 2


def test_without_a_terminal_a_line_says_what_is_waited_for(bring: Bring) -> None:
    screen = io.StringIO()

    bring(console=Console(file=screen, width=200))

    assert "pulling base:1, from which images are built\n" in screen.getvalue()


def test_where_an_image_is_here_the_session_begins_with_it_and_is_warned(
    bring: Bring, engine: FakeEngine, demo: Dataset
) -> None:
    engine.here[demo.instances[3].image] = image_here()
    engine.failures = {BASE: [failure(PullProblem.AWAY)]}

    (warning,) = bring()

    assert warning.startswith("images are to be built, and their base can't be pulled: ")
    assert OTHER in engine.here


@pytest.mark.parametrize(
    "settings", [{"cluster.ray_address": "head:6379"}, {"cluster.sandbox.kind": "process"}]
)
def test_nothing_is_pulled_where_nothing_is_built_here(
    bring: Bring, engine: FakeEngine, settings: dict[str, Any]
) -> None:
    assert bring(settings) == ()
    assert engine.asked == []


def test_how_far_it_is_shows_in_a_terminal(bring: Bring) -> None:
    screen = io.StringIO()

    bring(console=Console(file=screen, force_terminal=True, width=200))

    assert "pulling base:1, from which images are built" in screen.getvalue()
