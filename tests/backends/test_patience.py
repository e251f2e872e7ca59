"""Every limit on what runs in a sandbox is stretched where the sandbox is emulated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from support.specs import make_assignment, sandbox_spec

from orchestrator.backends import ExecResult, Sandbox, SandboxSpec, grading
from orchestrator.backends.base import BEFORE_AND_AFTER_S, Assignment
from orchestrator.backends.docker import sandbox as docker_sandbox
from orchestrator.backends.docker.sandbox import DockerSandbox
from orchestrator.backends.host import PATIENCE_EMULATED, limits_on_host, patience
from orchestrator.backends.tunnel import ENGINE_GRACE_S, Tunnel
from orchestrator.config import RunConfig
from orchestrator.config.schema import RolloutLimits
from orchestrator.errors import InfraError, SandboxUnavailable
from orchestrator.types import Instance
from orchestrator.worker import harvest

Emulated = pytest.mark.parametrize("emulated", [False, True], ids=["native", "emulated"])


class Box:
    """A sandbox in which every command fails; it keeps how long each may take."""

    workdir = "/testbed"

    def __init__(self, emulated: bool) -> None:
        self.emulated = emulated
        self.limits: list[float] = []
        self.started: list[str] = []

    def patience(self, seconds: float) -> float:
        return patience(seconds, self.emulated)

    def exec(self, command: str, timeout_s: float, *, max_bytes: int = 0) -> ExecResult:
        self.limits.append(timeout_s)
        return ExecResult(b"", 1)

    def resolve(self, path: str) -> str:
        return path

    def write_file(self, path: str, data: bytes) -> None: ...

    def attach(self, command: list[str]) -> Any:
        self.started = command
        raise SandboxUnavailable("no")


def limits_of(do: Callable[[Sandbox], object], emulated: bool) -> list[float]:
    box = Box(emulated)
    with contextlib.suppress(InfraError):
        do(cast(Sandbox, box))
    return box.limits


@pytest.mark.parametrize(
    ("do", "native"),
    [
        (lambda box: harvest.inspect_repository(box, INSTANCE), harvest.GIT_TIMEOUT_S),
        (lambda box: harvest.harvest(box, harvest.Baseline("t", "/f")), harvest.GIT_TIMEOUT_S),
        (lambda box: grading._apply(box, b""), grading.APPLY_TIMEOUT_S),
    ],
    ids=["the repository is checked", "the patch is harvested", "a patch is applied"],
)
def test_a_command_of_ours_has_longer_in_an_emulated_sandbox(
    do: Callable[[Sandbox], object], native: float
) -> None:
    assert set(limits_of(do, False)) == {native}
    assert set(limits_of(do, True)) == {PATIENCE_EMULATED * native}


INSTANCE = Instance("a__b-1", "a/b", "c0ffee", "an issue", "image")


@Emulated
def test_a_server_in_an_emulated_sandbox_has_longer_to_start(emulated: bool) -> None:
    box = Box(emulated)
    with pytest.raises(SandboxUnavailable):
        Tunnel(cast(Sandbox, box), "python", ["server"], 60)

    assert float(box.started[4]) == (240 if emulated else 60)
    assert box.patience(ENGINE_GRACE_S) == (240 if emulated else 60)


@Emulated
def test_a_container_has_longer_for_all_that_is_not_the_agents(
    emulated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its activation, what the engine takes, and the end of all its processes."""
    waited: list[tuple[bool, float]] = []

    def never_ends(self: object, command: list[str], output: object, patience_s: float) -> None:
        waited.append((command == docker_sandbox.KILL_ALL, patience_s))

    class Container:
        name = "box"

    monkeypatch.setattr(DockerSandbox, "_run", never_ends)
    spec = sandbox_spec(INSTANCE, tmp_path, emulated=emulated)
    box = DockerSandbox(cast(Any, Container()), spec)
    with pytest.raises(SandboxUnavailable, match="hangs"):
        box._activate({"Image": "no digest"})

    factor = PATIENCE_EMULATED if emulated else 1
    own = (docker_sandbox.ACTIVATION_S + docker_sandbox.ENGINE_GRACE_S) * factor
    assert waited == [(False, own), (True, docker_sandbox.KILL_ALL_S * factor)]


@pytest.fixture
def assignment(demo_config: RunConfig, tmp_path: Path) -> Assignment:
    return make_assignment(demo_config, INSTANCE, "docker", tmp_path)


def test_an_emulated_sandbox_lives_until_its_patch_is_harvested(assignment: Assignment) -> None:
    config = assignment.config
    outage_s = config.model.endpoint.max_outage_s if config.model else 0
    work_s = config.rollout.time_limit_s + outage_s
    emulated = replace(assignment, emulated=True)

    assert SandboxSpec.of(assignment).lifetime_s == work_s + BEFORE_AND_AFTER_S
    assert SandboxSpec.of(emulated).lifetime_s == work_s + BEFORE_AND_AFTER_S * PATIENCE_EMULATED
    assert SandboxSpec.of(emulated).emulated
    for given in (assignment, emulated):
        beside_tests_s = given.tests_limit_s + 3600 * (PATIENCE_EMULATED if given.emulated else 1)
        assert SandboxSpec.of_grade(given).lifetime_s == beside_tests_s


def test_an_agents_command_has_longer_where_it_is_emulated_and_its_rollout_has_not(
    assignment: Assignment,
) -> None:
    limits = assignment.config.rollout
    assert assignment.limits == limits
    stretched = replace(assignment, emulated=True).limits

    assert stretched.command_timeout_s == PATIENCE_EMULATED * limits.command_timeout_s
    changed = {"command_timeout_s": limits.command_timeout_s}
    assert stretched.model_copy(update=changed) == limits
    assert limits_on_host(RolloutLimits(), False) == RolloutLimits()
