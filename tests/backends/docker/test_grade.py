"""The official harness's containers are ours: they can be found again, and keep to limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from support.specs import DRIVER_HOST, make_assignment

from orchestrator.backends import GradeRequest
from orchestrator.backends.docker.engine import LABEL, connect
from orchestrator.backends.docker.grade import _container_settings, grade_in_docker
from orchestrator.backends.docker.sandbox import stay
from orchestrator.config import RunConfig
from orchestrator.config.schema import Predictions
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.types import FailureKind, Instance

pytestmark = pytest.mark.docker
RUN_ID = f"grade-{os.getpid()}"


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    with closing(connect()) as connected:
        yield connected


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(("network", "mode"), [(True, "bridge"), (False, "none")])
def test_the_harness_works_in_a_container_with_our_labels_and_limits_which_goes_afterwards(
    client: docker.DockerClient,
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
    ensure_image: Callable[[Instance], None],
    network: bool,
    mode: str,
) -> None:
    ensure_image(instance)
    settings: dict[str, Any] = {
        "cluster.grading.memory_gb": 1.5,
        "cluster.grading.network": network,
        "cluster.sandbox.env": {"A_PROXY": "http://10.0.0.1"},
        "cluster.sandbox.mounts": [f"{tmp_path}:/certificates:ro"],
    }
    config = make_config("gold", settings, run_id=RUN_ID)
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(
        config, instance, "docker", tmp_path, attempt=3, sealed_answer=answer
    )
    seen: list[dict[str, Any]] = []

    def ours() -> list[Any]:
        label = f"{LABEL}.run={RUN_ID}"
        return client.containers.list(all=True, filters={"label": label}, ignore_removed=True)

    with ThreadPoolExecutor(1) as pool:
        request = GradeRequest(assignment, unseal(answer).gold_patch)
        grading = pool.submit(grade_in_docker, request)
        while not seen and not grading.done():
            seen = [container.attrs for container in ours()]
        result = grading.result()

    assert result.resolved is True, result.failure
    assert ours() == []
    (container,) = seen
    wanted = {
        "swe-orchestrator": "grade",
        "swe-orchestrator.driver-host": DRIVER_HOST,
        "swe-orchestrator.instance": instance.instance_id,
        "swe-orchestrator.attempt": "3",
        "swe-orchestrator.run-dir": str(tmp_path),
    }
    assert wanted.items() <= container["Config"]["Labels"].items()
    assert "A_PROXY=http://10.0.0.1" in container["Config"]["Env"]
    limits = container["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"]) == (1_500_000_000, 1_500_000_000)
    assert (limits["NanoCpus"], limits["PidsLimit"]) == (0, 4096)
    assert container["Config"]["Cmd"] == stay(3660)
    assert limits["NetworkMode"] == mode
    (mount,) = limits["Mounts"]
    assert (mount["Source"], mount["Target"]) == (str(tmp_path), "/certificates")
    assert mount["ReadOnly"] is True


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_a_model_whose_name_no_folder_can_have_is_graded(
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
    ensure_image: Callable[[Instance], None],
) -> None:
    ensure_image(instance)
    name = "org/" + "m" * 300
    config = make_config("gold", run_id=RUN_ID).model_copy(
        update={"agent": None, "predictions": Predictions(name=name)}
    )
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(config, instance, "docker", tmp_path, sealed_answer=answer)

    result = grade_in_docker(GradeRequest(assignment, unseal(answer).gold_patch))

    assert result.resolved is True, result.failure


EATS = """
diff --git a/src/ledger/__init__.py b/src/ledger/__init__.py
--- a/src/ledger/__init__.py
+++ b/src/ledger/__init__.py
@@ -1,1 +1,2 @@
{first}
+eaten = bytearray(10**9)
"""


def test_tests_that_run_out_of_memory_are_no_verdict_and_say_what_to_raise(
    make_config: Callable[..., RunConfig],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
    ensure_image: Callable[[Instance], None],
) -> None:
    ensure_image(instance)
    config = make_config("gold", {"cluster.grading.memory_gb": 0.2}, run_id=f"{RUN_ID}-m")
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(config, instance, "docker", tmp_path, sealed_answer=answer)
    task = Path(str(instance.task_dir))
    first = (task / "repo/src/ledger/__init__.py").read_text(encoding="utf-8").splitlines()[0]
    patch = EATS.format(first=f" {first}").lstrip()

    result = grade_in_docker(GradeRequest(assignment, patch))

    assert result.resolved is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.HARNESS_UNAVAILABLE
    assert "out of memory at 0.2 GB (cluster.grading.memory_gb)" in result.failure.detail


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_a_grades_container_is_asked_for_with_the_platform(
    make_config: Callable[..., RunConfig], instance: Instance, tmp_path: Path, platform: str
) -> None:
    config = make_config("gold", {"cluster.sandbox.platform": platform}, run_id=RUN_ID)
    assignment = make_assignment(config, instance, "docker", tmp_path)

    assert _container_settings(GradeRequest(assignment, ""))["platform"] == platform
