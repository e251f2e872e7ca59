"""The engine: what it may use against what slots want, and whether it runs anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_engine import FakeBackend, FakeEngine
from support.rows import key_of
from support.specs import EMULATED

from orchestrator.backends import Host, Place
from orchestrator.config import RunConfig
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import CheckFinding, Severity
from orchestrator.doctor.checks import CHECKS
from orchestrator.doctor.engine_checks import (
    Addresses,
    Engine,
    EngineTrial,
    Limits,
    SlotCount,
    TinySandbox,
)
from orchestrator.doctor.examine import examine, require_ready
from orchestrator.driver.plan import Plan
from orchestrator.errors import PrerequisiteError

MakeCase = Callable[..., Case]
Look = Callable[..., list[CheckFinding]]
IN_A_MACHINE = Host(
    "docker",
    2.1,
    2,
    engine_name="Colima",
    engine_version="28.5",
    architecture="linux/arm64",
    place=Place.VIRTUAL_MACHINE,
    enlarge="`colima start --memory 12`",
    api_version="1.51",
    address="unix:///colima.sock (context 'colima')",
)


def test_the_engine_is_told_with_its_api_where_it_is_and_how_it_gets_more(
    make_case: MakeCase, look: Look
) -> None:
    case = make_case()
    case.known["host"] = IN_A_MACHINE

    (found,) = look(case, Engine())

    for fact in ("Colima 28.5", "API 1.51", "unix:///colima.sock (context 'colima')",
                 "linux/arm64", "2 cores, 2.1 GB", "more: `colima start --memory 12`"):  # fmt: skip
        assert fact in found.what


def test_memory_that_the_engine_lacks_is_told_of_the_engine_and_not_of_this_host(
    make_case: MakeCase, look: Look
) -> None:
    case = make_case()
    case.known["host"] = IN_A_MACHINE

    (found,) = look(case, Limits())

    assert found.level is Severity.WARN
    assert "Colima has 2.1 in all" in found.what
    assert "colima start --memory 12" in found.what


def test_bundled_tasks_are_too_small_for_warnings_of_memory(
    make_config: Callable[..., RunConfig], look: Look
) -> None:
    plan = Plan((key_of("orchard__ledger-12"),), (), 0)

    (found,) = look(Case(make_config("nop"), Path("runs"), host=IN_A_MACHINE, plan=plan), Limits())

    assert found.level is Severity.PASS


def test_slots_are_told_with_what_binds_them(make_case: MakeCase, look: Look) -> None:
    (found,) = look(make_case(), SlotCount())

    assert found.what.startswith(
        "2 rollouts at once, and up to 2 grades: as cluster.workers (--workers)"
    )
    assert "GB available" in found.what


@pytest.mark.parametrize(
    ("free", "network", "level", "says"),
    [
        (1000, True, Severity.PASS, "1000 are left in the engine's one network, 4 wanted"),
        (2, True, Severity.WARN, "2 addresses left, and 4 are wanted"),
        (2, False, Severity.PASS, "2 are left in the engine's one network, 2 wanted"),
        (0, False, Severity.WARN, "0 addresses left"),
        (None, True, Severity.PASS, "no sandbox and no grade"),
    ],
)
def test_addresses_are_told_against_the_slots(
    make_case: MakeCase, look: Look, engine: FakeEngine, free: int | None, network: bool,
    level: Severity, says: str,
) -> None:  # fmt: skip
    engine.addresses = free

    (found,) = look(make_case({"cluster.sandbox.network": network}), Addresses())

    assert found.level is level
    assert says in found.what


def test_what_is_emulated_is_tried_and_says_so(make_case: MakeCase, look: Look) -> None:
    case = make_case()
    case.known["host"] = replace(EMULATED, kind=case.config.cluster.sandbox.kind)

    (found,) = look(case, TinySandbox())

    emulation = "linux/amd64 images on a linux/arm64 engine, OrbStack"
    assert found == CheckFinding(Severity.PASS, f"a tiny one ran ({emulation})")
    assert look(case, EngineTrial()) == [CheckFinding(Severity.PASS, emulation)]


def test_an_engine_that_runs_nothing_is_told(
    make_case: MakeCase, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case()
    assert look(case, TinySandbox()) == [CheckFinding(Severity.PASS, "a tiny one ran")]

    def fail(*_: object) -> str:
        raise PrerequisiteError("cgroups are not mounted.", "Mount them.")

    monkeypatch.setattr(FakeBackend, "try_sandbox", fail)
    assert look(case, TinySandbox()) == [
        CheckFinding(Severity.FAIL, "cgroups are not mounted.", "Mount them.")
    ]


def test_of_an_engine_whose_disk_is_full_that_is_said_and_nothing_that_follows_from_it(
    make_case: MakeCase, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise PrerequisiteError("no space left on device.")

    monkeypatch.setattr(FakeBackend, "try_sandbox", fail)
    monkeypatch.setattr(FakeBackend, "check", fail)
    engine.free = 0
    of_engine = [check for check in CHECKS if "engine" in type(check).__module__
                 or check.name == "engine's disk"]  # fmt: skip

    found = {one.check.name: one for one in examine(make_case(), of_engine)}

    assert [name for name, one in found.items() if one.level is Severity.FAIL] == ["engine's disk"]
    assert found["tiny sandbox"].findings[0].what == "can't be looked at: see engine's disk"
    assert found["sandbox trial"].level is Severity.SKIPPED


def test_a_launch_does_not_start_on_a_full_disk_of_the_engines(
    make_case: MakeCase, engine: FakeEngine
) -> None:
    assert require_ready(make_case()).warnings == ()
    engine.free = 0

    with pytest.raises(PrerequisiteError, match=r"images is full: 0\.00 GB.*images prune"):
        require_ready(make_case())


@pytest.mark.slow
def test_where_there_is_no_engine_only_that_fails(
    make_config: Callable[..., RunConfig], tmp_path: Path, no_engine: None
) -> None:
    config = make_config("gold", {"cluster.sandbox.kind": "docker"})

    found = list(examine(Case(config, tmp_path), CHECKS))

    failed = [one for one in found if one.level is Severity.FAIL]
    assert [one.check.name for one in failed] == ["sandboxes"]
    assert "no Docker engine answers" in failed[0].findings[0].what
    skipped = {one.check.name for one in found if one.level is Severity.SKIPPED}
    assert {"engine's disk", "tiny sandbox", "sandbox trial", "registries"} <= skipped
