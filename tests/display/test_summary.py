"""What a run says when it begins, and when it has ended."""

from __future__ import annotations

import io
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.rows import failed, graded, key_of, rolled, state
from support.specs import CONTAINERS, EMULATED, PROCESSES

from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.display.summary import announce, announce_host, summarize
from orchestrator.driver.capacity import Memory, make_capacity
from orchestrator.driver.plan import Plan
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_INTERRUPTED
from orchestrator.journal import RunState
from orchestrator.paths import RunPaths
from orchestrator.report.build import build_report

MakeConfig = Callable[..., RunConfig]
PATHS = RunPaths(Path("/runs/r1"))


def announced(config: RunConfig, plan: Plan, host: Host = CONTAINERS, missing: int = 0) -> str:
    console = Console(file=io.StringIO(), width=80)
    capacity = make_capacity(config, plan, host, Memory(16, 16))
    of_images = ["1 image to build"] if missing else []
    announce(config, plan, PATHS, console)
    announce_host([config], plan, capacity, host, console, of_images)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def summarized(config: RunConfig, run: RunState, exit_code: int) -> str:
    console = Console(file=io.StringIO(), width=80)
    summarize(build_report(config, run, {}), PATHS, exit_code, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_new_run_says_what_it_does_and_where(make_config: MakeConfig) -> None:
    plan = Plan((key_of("a"), key_of("b")), (), 0)
    config = make_config("mini", {"cluster.workers": 1}, cluster="local")

    assert announced(config, plan) == (
        "r1: 2 rollouts of demo by mini with scripted; everything goes to /runs/r1\n"
        "cluster local; docker sandboxes\n"
        "1 at once: as cluster.workers (--workers) says\n"
    )


def test_a_run_says_why_it_has_this_cluster_and_what_is_said_of_its_images(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    host = replace(CONTAINERS, engine_name="OrbStack", engine_version="28.5.2")

    said = announced(make_config("mini"), Plan((key_of("a"),), (), 0), host, missing=1)

    assert "cluster mac-mini, as this is macOS" in said
    assert "docker sandboxes of OrbStack 28.5.2\n" in said
    assert said.endswith("1 image to build\n")


def test_a_run_that_goes_on_says_what_is_done_and_what_is_to_be_graded(
    make_config: MakeConfig,
) -> None:
    said = announced(make_config("nop"), Plan((key_of("a"),), (key_of("b"),), 9))

    assert said.startswith("r1: 1 rollout of demo by nop, 1 patch to grade, 9 done before; ")


def test_sandboxes_that_isolate_nothing_are_warned_of(make_config: MakeConfig) -> None:
    plan = Plan((key_of("a"),), (), 0)

    assert "process sandboxes isolate nothing" in announced(make_config(), plan, PROCESSES)
    assert "isolate" not in announced(make_config(), plan, CONTAINERS)


DONE = state(rolled("a"), grades=[graded("a", True)], ids=("a",))
HALF_DONE = state(rolled("a"), failed("b"), grades=[graded("a", True)], ids=("a", "b"))


def test_a_run_that_is_done_names_its_report_and_no_next_step(make_config: MakeConfig) -> None:
    said = summarized(make_config("mini"), DONE, EXIT_DONE)

    assert "report: /runs/r1/report.md" in said
    assert "go on with" not in said


@pytest.mark.parametrize("exit_code", [EXIT_FAILURES_LEFT, EXIT_INTERRUPTED])
def test_a_run_with_something_left_says_how_to_go_on(
    make_config: MakeConfig, exit_code: int
) -> None:
    said = summarized(make_config("mini"), HALF_DONE, exit_code)

    assert said.splitlines()[-1] == "go on with: python -m orchestrator resume /runs/r1"


def test_instances_without_a_prediction_are_nothing_to_go_on_with(make_config: MakeConfig) -> None:
    config = make_config(agent=None, predictions={"name": "somebody"})
    one_missing = state(rolled("a"), grades=[graded("a", True)], ids=("a", "b"))

    assert "go on with" not in summarized(config, one_missing, EXIT_FAILURES_LEFT)


def test_emulation_is_told_with_the_limits_that_hold_there(make_config: MakeConfig) -> None:
    config = make_config("nop", {"cluster.grading.emulated_timeout_s": 7200})
    plan = Plan((key_of("a"),), (), 0)

    said = announced(config, plan, EMULATED)

    assert (
        "linux/amd64 images on a linux/arm64 engine, OrbStack: emulated, several times slower. "
        f"A command of the agent's gets {4 * config.rollout.command_timeout_s:g} s, the tests of a "
        "grade 7200 s"
    ) in said
    assert "emulated" not in announced(config, plan, CONTAINERS)


def test_where_only_grades_are_left_their_number_is_said(make_config: MakeConfig) -> None:
    said = announced(make_config("mini", {}), Plan((), (key_of("a"),), 2))

    assert "\n1 grade at once, as cluster.grading.slots says\n" in said
    assert "no more are left" not in said
