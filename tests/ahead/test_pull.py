"""`images pull`: what comes, how it ends, and what is said."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.fake_engine import IDS, IMAGES, FakeEngine, image_here

from orchestrator.ahead.pull import pull
from orchestrator.ahead.wanted import find_wanted
from orchestrator.errors import ConfigError

Ask = Callable[..., Any]


def test_all_that_is_missing_comes(engine: FakeEngine, ask: Ask) -> None:
    engine.here[IMAGES[1]] = image_here()
    asked = ask()

    assert pull(asked.request, asked.console) == 0
    assert set(engine.here) == set(IMAGES)
    assert IMAGES[1] not in engine.asked
    assert "all 4 images of" in asked.said.getvalue()


def test_where_all_are_here_nothing_is_asked_for(engine: FakeEngine, ask: Ask) -> None:
    engine.here = {image: image_here() for image in IMAGES}
    asked = ask()

    assert pull(asked.request, asked.console) == 0
    assert engine.asked == []


def test_an_image_for_another_platform_is_not_taken_for_it(engine: FakeEngine, ask: Ask) -> None:
    engine.here = {image: image_here(platform="linux/arm64") for image in IMAGES}
    asked = ask()

    assert pull(asked.request, asked.console) == 0
    assert set(engine.asked) == set(IMAGES)


def test_only_what_is_selected_comes(engine: FakeEngine, ask: Ask) -> None:
    asked = ask(selection__instances=IDS[2:3])

    assert pull(asked.request, asked.console) == 0
    assert engine.asked == [IMAGES[2]]


def test_images_that_cannot_be_had_are_named_with_why_and_the_rest_comes(
    engine: FakeEngine, ask: Ask
) -> None:
    del engine.registry[IMAGES[0]], engine.registry[IMAGES[3]]
    asked = ask()

    assert pull(asked.request, asked.console) == 4
    said = asked.said.getvalue()
    assert f"can't be had: {IMAGES[0]}: the test says refused" in said
    assert "2 of 4 images" in said


def test_a_disk_that_is_nearly_full_stops_it_in_one_line(engine: FakeEngine, ask: Ask) -> None:
    engine.free = 11e9  # five in reserve
    engine.registry = dict.fromkeys(IMAGES, 2_500_000_000)
    asked = ask()

    assert pull(asked.request, asked.console) == 4
    assert engine.free > 5e9
    (line,) = [line for line in asked.said.getvalue().splitlines() if "stopped before" in line]
    assert "2 of 4 images" in line
    assert "GB are free" in line


def test_images_that_dockerfiles_make_are_left_to_the_rollouts(
    engine: FakeEngine, ask: Ask
) -> None:
    asked = ask()

    assert pull(replace(asked.request, benchmark="demo"), asked.console) == 0
    assert engine.asked == []
    assert asked.said.getvalue().startswith("12 images are built from Dockerfiles")


@pytest.mark.parametrize("selected", [12, 1])
def test_images_that_dockerfiles_made_are_told_as_here(
    engine: FakeEngine, ask: Ask, selected: int
) -> None:
    asked = ask()
    chosen = {**asked.request.settings, "selection.slice": f":{selected}"}
    request = replace(asked.request, benchmark="demo", settings=chosen)
    for image in find_wanted(request, asked.console).images:
        engine.here[image] = image_here()

    assert pull(request, asked.console) == 0
    assert asked.said.getvalue().endswith(f"all {selected} images of demo are here\n")


def test_one_that_somebody_removes_meanwhile_is_told(engine: FakeEngine, ask: Ask) -> None:
    engine.here[IMAGES[0]] = image_here()
    real_pull = engine.pull

    def pull_and_remove(image: str) -> Any:
        engine.here.pop(IMAGES[0], None)
        return real_pull(image)

    engine.pull = pull_and_remove  # type: ignore[method-assign]
    asked = ask(cluster__images__pulls=1)

    assert pull(asked.request, asked.console) == 4
    assert "1 were removed meanwhile" in asked.said.getvalue()


@pytest.mark.usefixtures("in_the_foreground")
def test_ctrl_c_in_mid_pull_ends_it_with_one_line_and_130_and_the_next_goes_on(
    engine: FakeEngine, ask: Ask
) -> None:
    engine.go_on.clear()
    asked = ask()

    def interrupt() -> None:
        engine.half.wait(30)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert pull(asked.request, asked.console) == 130
    thread.join()
    assert asked.said.getvalue().splitlines()[-1].startswith("interrupted: ")

    engine.go_on.set()
    again = ask()
    assert pull(again.request, again.console) == 0


def test_sandboxes_without_images_have_none_to_pull(engine: FakeEngine, ask: Ask) -> None:
    asked = ask(cluster__sandbox__kind="process")

    with pytest.raises(ConfigError, match="need no images"):
        pull(asked.request, asked.console)
