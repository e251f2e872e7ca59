"""The smoke benchmark: well formed, resolved by its gold patch and by nothing less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.specs import make_assignment

from orchestrator.backends import GradeRequest, choose_host, find_backend
from orchestrator.backends.docker import backend as docker_backend
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import BUNDLED, Dataset, load_dataset
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.types import GradeReason, GradeResult, Outcome, RolloutResult

pytestmark = pytest.mark.slow

BESIDE_THE_POINT = "diff --git a/NOTES.txt b/NOTES.txt\nnew file mode 100644\n"
BESIDE_THE_POINT += "--- /dev/null\n+++ b/NOTES.txt\n@@ -0,0 +1 @@\n+a note\n"


@pytest.fixture(scope="module")
def smoke() -> Dataset:
    return load_dataset(Benchmark(name="smoke", source="bundled:smoke"))


def config_of(agent: str) -> RunConfig:
    return load_config(RunRequest("smoke", agent=agent, run_id="smoke"))


def grade(smoke: Dataset, patch: str, run_dir: Path) -> GradeResult:
    (instance,) = smoke.instances
    answer = smoke.answers[instance.instance_id]
    assignment = make_assignment(
        config_of("gold"), instance, "process", run_dir, sealed_answer=answer
    )
    return find_backend("process").grade(GradeRequest(assignment, patch))


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_task_repo_is_well_formed(name: str) -> None:
    from swebench.task.checks import check_task_repo

    assert check_task_repo(BUNDLED[name]) == []


def test_every_bundled_task_is_laid_out_by_the_same_script() -> None:
    scripts = {p.read_bytes() for repo in BUNDLED.values() for p in repo.glob("tasks/*/build.sh")}

    assert len(scripts) == 1


def test_gold_is_resolved(
    smoke: Dataset, play: Callable[..., RolloutResult], tmp_path: Path
) -> None:
    (instance,) = smoke.instances
    answer = smoke.answers[instance.instance_id]

    rolled = play(config_of("gold"), instance, "process", tmp_path, sealed_answer=answer)
    graded = grade(smoke, rolled.patch, tmp_path)

    assert rolled.outcome is Outcome.SUBMITTED, rolled.failure
    assert (graded.resolved, graded.record.reason) == (True, GradeReason.TESTS), graded.failure


def test_nop_has_nothing_to_grade(
    smoke: Dataset, play: Callable[..., RolloutResult], tmp_path: Path
) -> None:
    (instance,) = smoke.instances

    rolled = play(config_of("nop"), instance, "process", tmp_path)

    assert (rolled.outcome, rolled.patch) == (Outcome.GAVE_UP, ""), rolled.failure


def test_a_patch_without_the_colon_is_not_resolved(smoke: Dataset, tmp_path: Path) -> None:
    graded = grade(smoke, BESIDE_THE_POINT, tmp_path)

    assert (graded.resolved, graded.failure) == (False, None)


def test_it_asks_for_a_model_by_name() -> None:
    with pytest.raises(ConfigError, match="needs --model NAME"):
        load_config(RunRequest("smoke", agent="mini"))


def test_it_does_without_docker(smoke: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(timeout_s: int) -> Any:
        raise PrerequisiteError("no engine answers")

    monkeypatch.setattr(docker_backend, "connect", no_engine)

    assert choose_host(config_of("nop"), smoke.instances).kind == "process"
