"""One rollout's life from end to end, in a process sandbox, on every way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest
from support.rows import failure_of
from support.specs import rollout_request

from orchestrator.agents.nop import NopAgent, NopKind
from orchestrator.config import RunConfig
from orchestrator.types import FailureKind, Instance, Outcome, RolloutResult
from orchestrator.worker.messages import Progress
from orchestrator.worker.rollout import roll_out

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., RunConfig]
Roll = Callable[..., RolloutResult]


def test_a_rollout_reports_its_phases_and_then_its_result(
    make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    request = rollout_request(make_config("nop"), instance, "process", tmp_path, attempt=4)

    *progress, result = roll_out(request)

    assert all(isinstance(event, Progress) for event in progress)
    phases = list(dict.fromkeys(event.phase for event in progress))
    assert [phase for phase in phases if phase != "agent"] == ["image", "sandbox", "harvest"]
    assert isinstance(result, RolloutResult)
    assert (result.key.instance_id, result.key.attempt) == (instance.instance_id, 4)
    assert list(result.record.phases_s) == ["image", "sandbox", "agent", "harvest", "remove"]
    assert result.record.started_at <= result.record.ended_at


def test_an_image_of_another_commit_is_a_failure(
    roll: Roll, make_config: MakeConfig, instance: Instance, tmp_path: Path
) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "repo").mkdir()
    (task / "build.sh").write_text(
        "cd $2 2>/dev/null || mkdir -p $2 && cd $2 && git init -q && "
        "git -c user.name=a -c user.email=a@a commit -q --allow-empty -m other\n"
    )

    result = roll(make_config("nop"), of=replace(instance, task_dir=str(task)))

    kind, detail = failure_of(result)
    assert kind is FailureKind.IMAGE_UNAVAILABLE
    assert "not at the base commit" in detail


def test_a_sandbox_that_does_not_start_is_a_failure(
    roll: Roll, make_config: MakeConfig, instance: Instance
) -> None:
    result = roll(make_config("nop"), of=replace(instance, base_commit="0123456"))

    assert failure_of(result)[0] is FailureKind.SANDBOX_UNAVAILABLE


def test_no_docker_engine_is_a_failure_and_not_an_exception(
    make_config: MakeConfig, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    request = rollout_request(make_config("nop"), instance, "docker", tmp_path)

    *_, result = roll_out(request)

    assert isinstance(result, RolloutResult)
    assert failure_of(result)[0] in (
        FailureKind.IMAGE_UNAVAILABLE,
        FailureKind.SANDBOX_UNAVAILABLE,
    )


class BuggyBackend:
    """Raises what no backend should: a bug in our own code."""

    def bring_image(self, *_: object) -> bool:
        raise KeyError("no such image, says nobody")


def test_a_bug_in_our_code_is_an_internal_error_with_its_traceback(
    roll: Roll, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.worker.rollout.backend_of", lambda _: BuggyBackend())

    result = roll(make_config("nop"))

    kind, detail = failure_of(result)
    assert (kind, detail) == (FailureKind.INTERNAL_ERROR, "KeyError: 'no such image, says nobody'")
    assert b"bring_image" in result.files["traceback.txt"]
    assert 0 < result.record.started_at <= result.record.ended_at


def test_an_agent_that_can_not_be_created_has_crashed(roll: Roll, make_config: MakeConfig) -> None:
    @dataclass(frozen=True)
    class Broken(NopKind):
        def create(self) -> NoReturn:
            raise ImportError("no module named brains")

    config = make_config("nop")
    result = roll(config, agent=Broken(config.agent, {}))

    assert failure_of(result) == (
        FailureKind.AGENT_CRASHED,
        "ImportError: no module named brains",
    )


class BreaksOnClose(NopAgent):
    def close(self) -> NoReturn:
        raise RuntimeError("it should never raise")


def test_what_breaks_on_the_way_out_takes_no_result_back(
    roll: Roll, make_config: MakeConfig
) -> None:
    @dataclass(frozen=True)
    class Breaking(NopKind):
        def create(self) -> BreaksOnClose:
            return BreaksOnClose()

    config = make_config("nop")
    result = roll(config, agent=Breaking(config.agent, {}))

    assert (result.outcome, result.failure) == (Outcome.GAVE_UP, None)
    assert result.record.notes == ("on the way out: RuntimeError: it should never raise",)
    assert b"in close" in result.files["traceback.txt"]
