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
from orchestrator.evidence.taxonomy import RULES
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report, build_report
from orchestrator.types import FailureKind, Outcome

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


def summarized(report: Report, *, is_terminal: bool = False, paths: RunPaths = PATHS) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, color_system=None)
    summarize(report, paths, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_new_run_says_what_it_does_and_where(make_config: MakeConfig) -> None:
    plan = Plan((key_of("a"), key_of("b")), (), 0)
    config = make_config("mini", {"cluster.workers": 1}, cluster="local")

    assert announced(config, plan) == (
        "r1: 2 rollouts (benchmark demo, agent mini, model scripted)\n"
        "everything goes to /runs/r1\n"
        "cluster local; docker sandboxes\n"
        "1 at once: as cluster.workers (--workers) says\n"
        "up to 2 grades at once, fewer while rollouts need the cores: the host's 2 cores bind; "
        "cluster.grading.slots takes more\n"
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

    assert said.startswith("r1: 1 rollout, 1 patch to grade, 9 done before (benchmark demo, agent")


def test_sandboxes_that_isolate_nothing_are_warned_of(make_config: MakeConfig) -> None:
    plan = Plan((key_of("a"),), (), 0)

    assert "process sandboxes isolate nothing" in announced(make_config(), plan, PROCESSES)
    assert "isolate" not in announced(make_config(), plan, CONTAINERS)


DONE = state(rolled("a"), grades=[graded("a", True)], ids=("a",))
HALF_DONE = state(rolled("a"), failed("b"), grades=[graded("a", True)], ids=("a", "b"))


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_run_that_is_done_says_what_comes_next(
    make_config: MakeConfig, is_terminal: bool
) -> None:
    said = summarized(build_report(make_config("mini"), DONE, {}), is_terminal=is_terminal)

    assert said.splitlines()[-4:] == [
        "  next",
        "  read     /runs/r1/report.html",
        "  compare  python -m orchestrator compare /runs/r1 OTHER_RUN",
        "  export   python -m orchestrator export /runs/r1 submission",
    ]


def test_a_run_with_something_left_says_what_to_mend_and_how_to_go_on(
    make_config: MakeConfig,
) -> None:
    said = summarized(build_report(make_config("mini"), HALF_DONE, {}))

    assert "  mend     the worker was lost (1 x): free memory" in said
    assert "\n  go on    python -m orchestrator resume /runs/r1\n" in said
    assert "compare" not in said


def test_commands_are_not_broken_and_paths_are_as_a_person_types_them(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    report = build_report(make_config("mini"), HALF_DONE, {})
    name = "a-long-name-of-a-run" * 5

    said = summarized(report, is_terminal=True, paths=RunPaths(tmp_path / "runs" / name))

    assert f"\n  go on    python -m orchestrator resume runs/{name}\n" in said
    assert summarized(report, paths=RunPaths(tmp_path)).count(str(tmp_path)) == 2, "not `resume .`"


def long_night(config: RunConfig) -> Report:
    """300 instances of which everything is to be said."""
    ids = [f"repo-{n % 12}-{n}" for n in range(300)]
    seen = state(
        *(rolled(i, outcome=[*Outcome][n % 7]) for n, i in enumerate(ids[10:])),
        *(failed(i, kind=[*FailureKind][n % 6]) for n, i in enumerate(ids[:10])),
        grades=[graded(i, n % 3 == 0) for n, i in enumerate(ids[10:])],
        ids=ids,
    )
    tokens = {"prompt": 10**8, "completion": 10**7, "total": 11 * 10**7}
    by_repo = {f"owner/repo-{n}": {"instances": 25, "resolved": 8} for n in range(12)}
    warnings = tuple(f"{n}: {'something that a person has to know ' * 6}" for n in range(9))
    report = build_report(config, seen, {})
    return replace(
        report,
        by_repo=by_repo,
        tokens=tokens,
        unusable_answers=9,
        warnings=warnings,
        causes={rule.cause: 10 for rule in RULES},
    )


def test_the_end_of_a_night_of_300_fits_a_screen(make_config: MakeConfig) -> None:
    report = long_night(make_config("mini"))

    said = summarized(report, is_terminal=True)

    assert len(said.splitlines()) <= 40
    assert max(map(len, said.splitlines())) <= 80
    assert "warnings: see the report" in said


def test_a_file_gets_every_warning_whole(make_config: MakeConfig) -> None:
    report = long_night(make_config("mini"))

    lines = summarized(report).splitlines()

    assert [line for line in lines if "something that" in line] == [
        f"  ⚠ {warning}" for warning in report.warnings
    ]


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

    assert "\n1 grade at once: no more are left to do\n" in said
    assert said.count("at once") == 1
