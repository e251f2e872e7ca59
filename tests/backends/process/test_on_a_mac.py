"""Process sandboxes where the host's tools are a Mac's: build.sh, the harvest, the eval script."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mac_tools import lay_out
from support.rows import changed_lines
from support.specs import make_assignment

from orchestrator.backends import GradeRequest, find_backend
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.personas import apply_command
from orchestrator.types import Instance, Outcome, RolloutResult
from orchestrator.worker import harvest


@pytest.fixture
def mac_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The PATH of this process, of sandboxes that are given it, and of the harvest."""
    path = lay_out(tmp_path / "mac")
    monkeypatch.setenv("PATH", path)
    lines = harvest.SNAPSHOT.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("PATH=")]
    lines[lines.index(line)] = f"PATH='{path}'"
    snapshot = tmp_path / harvest.SNAPSHOT.name
    snapshot.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(harvest, "SNAPSHOT", snapshot)
    return path


@pytest.mark.slow
def test_a_rollout_is_harvested_and_graded_with_the_tools_of_a_mac(
    mac_path: str,
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
) -> None:
    answer = demo.answers[instance.instance_id]
    config = make_config("gold", {"cluster.sandbox.env": {"PATH": mac_path}})

    rollout = play(config, instance, "process", tmp_path / "run", sealed_answer=answer)
    assignment = make_assignment(
        config, instance, "process", tmp_path / "run", sealed_answer=answer
    )
    grade = find_backend("process").grade(GradeRequest(assignment, rollout.patch))

    assert rollout.outcome is Outcome.SUBMITTED, rollout
    assert changed_lines(rollout.patch) == changed_lines(unseal(answer).gold_patch)
    assert grade.record.resolved is True, grade


@pytest.mark.slow
def test_what_scripted_models_say_runs_with_the_tools_of_a_mac(
    mac_path: str, demo: Dataset, instance: Instance, open_sandbox: Callable[..., object]
) -> None:
    sandbox = open_sandbox("process", env={"PATH": mac_path})
    patch = unseal(demo.answers[instance.instance_id]).gold_patch

    done = sandbox.exec(apply_command(patch), 60)  # type: ignore[attr-defined]

    assert done.exit_code == 0, done.text


@pytest.mark.parametrize(
    "command",
    [
        *("timeout 1 true", "sed -i s/a/b/ x", "sed --quiet p x", "stat -c %s x", "rm x -f"),
        *("find . -printf x", "find -name x", "date -d now", "base64 -w0 x", "grep -P . x"),
        *("readlink -e x", "setsid true", "mktemp --dry-run", "cp --update x y"),
    ],
)
def test_what_gnu_alone_knows_fails_there(command: str, mac_path: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a\n", encoding="utf-8")

    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True)

    assert done.returncode != 0
