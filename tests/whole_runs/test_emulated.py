"""Sandboxes whose processors are emulated: linux/arm64 by qemu here, where a Mac does linux/amd64.

The smoke task is built for that platform under a name of its own, as other tests have the one of
its usual name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.commands import CommandLine
from support.specs import graded_by_worker, make_assignment, sandbox_spec

from orchestrator.backends import GradeRequest, find_backend
from orchestrator.backends.docker.engine import connect
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import BUNDLED, Dataset, load_dataset
from orchestrator.gold_answers import seal, unseal
from orchestrator.types import FailureKind, Instance, Outcome, RolloutResult, SealedAnswer
from orchestrator.verdict import TEST_OUTPUT
from orchestrator.worker.gold_control import OUTPUT, RECORD

pytestmark = [
    pytest.mark.docker,
    pytest.mark.emulated,
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]
SETTINGS = {
    "cluster.sandbox.kind": "docker",
    "cluster.sandbox.platform": "linux/arm64",
    "cluster.images.base": os.environ.get("SWE_ORCHESTRATOR_EMULATED_BASE"),
}
EMULATION = "linux/arm64 images on a linux/amd64 engine, Docker"


@pytest.fixture(scope="module")
def task_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke benchmark; its image's name says of which platform it is."""
    folder = tmp_path_factory.mktemp("task-repo") / "smoke"
    shutil.copytree(BUNDLED["smoke"], folder)
    (task,) = folder.glob("tasks/*/task.yaml")
    text = task.read_text(encoding="utf-8")
    assert "sweb.eval.x86_64" in text
    task.write_text(text.replace("sweb.eval.x86_64", "sweb.eval.arm64"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def smoke(task_repo: Path) -> Dataset:
    return load_dataset(Benchmark(name="smoke", source=str(task_repo)))


@pytest.fixture(scope="module")
def instance(smoke: Dataset) -> Instance:
    """Its image is built, and of the platform that is asked for."""
    (found,) = smoke.instances
    find_backend("docker").bring_image(found, config_of("nop").cluster)
    with closing(connect()) as client:
        assert client.images.get(found.image).attrs["Architecture"] == "arm64"
    return found


@pytest.fixture
def answer(smoke: Dataset, instance: Instance) -> SealedAnswer:
    return smoke.answers[instance.instance_id]


def config_of(agent: str, **grading: Any) -> RunConfig:
    settings = SETTINGS | {f"cluster.grading.{name}": value for name, value in grading.items()}
    request = RunRequest("smoke", agent=agent, run_id=f"emul-{os.getpid()}", settings=settings)
    return load_config(request)


def test_gold_is_resolved_and_nop_has_nothing_to_grade(
    play: Callable[..., RolloutResult],
    instance: Instance,
    answer: SealedAnswer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    config = config_of("gold")
    rolled = play(config, instance, "docker", tmp_path, sealed_answer=answer)
    assignment = make_assignment(config, instance, "docker", tmp_path, sealed_answer=answer)
    graded = graded_by_worker(GradeRequest(assignment, rolled.patch))
    nothing = play(config_of("nop"), instance, "docker", tmp_path)

    assert rolled.outcome is Outcome.SUBMITTED, rolled.failure
    assert graded.resolved is True, graded.failure
    assert (nothing.outcome, nothing.patch) == (Outcome.GAVE_UP, ""), nothing.failure
    (shown,) = (tmp_path / "cache").rglob("*.json")
    assert json.loads(shown.read_text(encoding="utf-8"))["end"] == "resolved"


def test_tests_that_are_too_slow_for_gold_too_are_a_failure(
    instance: Instance, answer: SealedAnswer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    opened = unseal(answer)
    row = dict(opened.row)
    row["eval_script"] = row["eval_script"].replace("\n", "\nsleep 600\n", 1)
    slow = seal(replace(opened, row=row))
    config = config_of("gold", timeout_s=1, emulated_timeout_s=2)
    assignment = make_assignment(config, instance, "docker", tmp_path, sealed_answer=slow)
    patch = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n"

    result = graded_by_worker(GradeRequest(assignment, patch))

    assert result.failure is not None
    assert result.failure.kind is FailureKind.TESTS_TOO_SLOW, result.failure
    assert f"past 2 s under emulation ({EMULATION}), and so did its gold patch's" in (
        result.failure.detail
    )
    assert json.loads(result.files[RECORD])["end"] == "timed_out"
    for output in (TEST_OUTPUT, OUTPUT):
        assert result.files[output].decode().endswith("Timeout error: 2 seconds exceeded.")


def test_a_command_that_takes_too_long_is_killed_with_its_children(
    instance: Instance, tmp_path: Path
) -> None:
    spec = sandbox_spec(instance, tmp_path, platform="linux/arm64", emulated=True)
    with find_backend("docker").start(spec) as sandbox:
        result = sandbox.exec("echo begun; sleep 4322 | cat & sleep 4323 | cat", 3)
        left = sandbox.exec("ps -eo args | grep '[s]leep 432' || true", 60)

        assert (result.timed_out, result.text) == (True, "begun\n")
        assert left.text == ""


@pytest.mark.ray
def test_a_run_by_mini_resolves_it_and_says_that_it_was_emulated(
    task_repo: Path, instance: Instance, orchestrate: CommandLine
) -> None:
    ended = run(orchestrate, task_repo, "--agent", "mini")

    assert "emulated, several times slower" in ended.stderr
    report = ended.report
    assert (ended.exit_code, report["resolved"], report["emulation"]) == (0, 1, EMULATION)


@pytest.mark.ray
@pytest.mark.sweagent
def test_a_run_by_sweagent_resolves_it(
    task_repo: Path, instance: Instance, orchestrate: CommandLine
) -> None:
    ended = run(orchestrate, task_repo, "--agent", "sweagent")

    assert (ended.exit_code, ended.report["resolved"]) == (0, 1), ended.stderr


def run(orchestrate: CommandLine, task_repo: Path, *words: str) -> Any:
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    launch = ["launch", str(task_repo), "--run-id", "emulated", "-m", "scripted", *settings]
    return orchestrate(*launch, *words, "--set", "cluster.min_free_disk_gb=0.2", "--json")
