"""What a report says of images: which ones, of which platform, and what they held."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.rows import graded, rolled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.report.build import Report, build_report
from orchestrator.report.images import image_warnings
from orchestrator.report.markdown import render_markdown
from orchestrator.types import Future, GradeResult, RolloutResult

CONFIG = load_config(RunRequest("demo", run_id="r1"))
A, B = "hub/a@sha256:aa", "hub/a@sha256:bb"


def rollout(instance_id: str, image: str = "", future: Future | None = None) -> RolloutResult:
    result = rolled(instance_id)
    return replace(result, record=replace(result.record, image=image, future=future))


def grade(instance_id: str, image: str) -> GradeResult:
    result = graded(instance_id, True)
    return replace(result, record=replace(result.record, image=image, ended_at=1e12))


def report(seen: RunState, platform: str = "") -> Report:
    return build_report(CONFIG, seen, {}, platform=platform)


@pytest.mark.parametrize(
    ("at_start", "rolled_in", "graded_in", "now", "told"),
    [
        (A, A, A, A, False),
        ("", A, A, "", False),
        (A, B, B, "", True),
        ("", A, B, "", True),
        ("", A, "", B, True),
        (A, "", "", B, True),
        ("", "", "", B, False),
        ("sha256:1", A, A, "sha256:1", False),
        ("sha256:1", "sha256:1", "sha256:2", "", True),
        ("mirror/x/a@sha256:aa", A, A, "", False),
    ],
)
def test_a_tag_that_moved_is_told_in_one_line(
    at_start: str, rolled_in: str, graded_in: str, now: str, told: bool
) -> None:
    seen = state(rollout("a", rolled_in), grades=[grade("a", graded_in)])

    said = list(image_warnings(seen, {"a": at_start}, {"a": now}))

    assert len(said) == told
    assert all("a tag has moved" in line and "first a: " in line for line in said)


def test_images_are_listed_by_instance() -> None:
    seen = state(rollout("a", A), rollout("b"), grades=[grade("a", B)])

    assert json.loads(json.dumps(report(seen).as_dict()))["images"] == {"a": B}


def test_images_that_held_the_future_are_counted() -> None:
    dropped = Future({"commits": 9, "refs": 1}, ("refs/tags/v2",), dropped=True)
    seen = state(
        *(rollout(i, future=dropped) for i in ("a", "b", "c")),
        rollout("d", future=Future({"commits": 1})),
        rollout("e", future=Future({"remotes": 1})),
        rollout("f"),
    )

    found = report(seen)

    assert (found.integrity["dropped"], found.integrity["left"]) == (3, 1)
    assert found.integrity["found"]["a"] == {"commits": 9, "refs": 1}
    text = render_markdown(found, seen)
    assert "integrity: 3 images held what came after the base commit, dropped before" in text
    assert "integrity: 1 image held what came after the base commit, or could not" in text


def test_a_run_whose_images_held_nothing_says_nothing() -> None:
    assert report(state(rollout("a"))).warnings == ()


@pytest.mark.parametrize(
    ("platform", "told"), [("linux/arm64", True), ("linux/amd64", False), ("", False)]
)
def test_images_of_another_platform_than_official_ones_are_told(platform: str, told: bool) -> None:
    seen = state(rollout("a"))

    found = report(seen, platform)

    assert found.platform == platform
    assert ("| platform | linux/arm64 |" in render_markdown(found, seen)) == told
    assert any("platform: linux/arm64" in warning for warning in found.warnings) == told
