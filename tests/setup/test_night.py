"""Whether a night holds the benchmark."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.backends import Host
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.driver.capacity import Memory
from orchestrator.setup import night
from orchestrator.setup.night import night_lines

HOST = Host("docker", memory_gb=60, cpus=8, architecture="linux/amd64")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """Six rollouts at once, ten minutes each: 300 of them take 8 h 20 min."""
    monkeypatch.setattr(night, "memory_here", lambda: Memory(64, 60))
    settings = {"model.max_concurrency": 6, "cluster.grading.slots": 2}
    settings["model.endpoint.base_url"] = "http://a/v1"  # type: ignore[assignment]
    return load_config(
        RunRequest("lite", model="gemma-4-26b", agent="mini", cluster="local", settings=settings)
    )


@pytest.mark.parametrize(
    ("hours", "says"),
    [(9, "a night of 9 hours"), (8, "2 nights of 8"), (4.2, "2 nights of"), (2, "5 nights of")],
)
def test_a_guess_says_how_many_nights_it_takes(hours: float, says: str, config: RunConfig) -> None:
    first, second, third = night_lines(config, HOST, hours)

    assert "lite has 300 instances, about 8 h 20 min at 6 at once" in first
    assert says in first
    assert "model.max_concurrency" in second
    assert third == "2 grades at once, as cluster.grading.slots says"


def test_grades_of_emulated_tests_may_be_what_takes_longest(config: RunConfig) -> None:
    emulated = replace(HOST, architecture="linux/arm64")

    assert "about 6 h 40 min" not in next(night_lines(config, HOST, 9))
    slow = config.model_copy(
        update={"model": config.model.model_copy(update={"seconds_per_rollout": 60})}
    )  # type: ignore[union-attr]
    assert "about 6 h 40 min" in next(night_lines(slow, emulated, 9))
