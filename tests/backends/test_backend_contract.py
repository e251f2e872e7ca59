"""What every backend does beside its sandboxes: hosts, images, grades, and cleaning up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.processes import SETSID
from support.specs import KINDS, make_assignment, sandbox_spec

from orchestrator.backends import Backend, GradeRequest, SandboxSpec, find_backend
from orchestrator.config import RunConfig
from orchestrator.config.cluster import Cluster, Images, SandboxSettings
from orchestrator.dataset import Dataset
from orchestrator.errors import SandboxUnavailable
from orchestrator.file_locks import hold_lock
from orchestrator.gold_answers import unseal
from orchestrator.host_id import host_id
from orchestrator.paths import RunPaths
from orchestrator.types import GradeReason, GradeResult, Instance, RolloutKey, patch_sha256

CLUSTER = Cluster(name="tests", images=Images(base=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE")))
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("kind", KINDS)]
HARNESS_LEAVES_SOCKETS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
PLATFORM = "linux/amd64"
Grade = Callable[[str], GradeResult]
NO_SUCH_FILE = "diff --git a/no b/no\n--- a/no\n+++ b/no\n@@ -1 +1 @@\n-old\n+new\n"
NEW_FILE = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n"


@pytest.fixture
def backend(kind: str) -> Backend:
    return find_backend(kind)


def test_a_host_says_what_it_offers_and_of_what_kind_it_is(kind: str, backend: Backend) -> None:
    host = backend.host(SandboxSettings(kind=kind, platform="linux/amd64"))

    assert (host.kind, host.platform, host.isolates) == (kind, "linux/amd64", backend.isolates)
    assert host.memory_gb > 0.5
    assert host.cpus >= 1


def test_instances_of_a_task_repo_can_be_run(backend: Backend, demo: Dataset) -> None:
    backend.require_runnable(demo.instances)


def test_an_image_that_was_brought_is_not_missing(backend: Backend, instance: Instance) -> None:
    assert not backend.needs_pull(instance, CLUSTER), "built, or not needed"
    backend.bring_image(instance, CLUSTER)

    assert not backend.needs_pull(instance, CLUSTER)
    assert backend.missing_images([instance, instance], PLATFORM) == ()
    assert backend.missing_bases([instance], CLUSTER) == ()
    assert set(backend.image_ids([instance], PLATFORM)) <= {instance.image}


def test_a_host_that_has_what_it_needs_is_no_reason_to_warn(
    kind: str, backend: Backend, instance: Instance
) -> None:
    backend.bring_image(instance, CLUSTER)
    host = backend.host(SandboxSettings(kind=kind))

    assert backend.check([], CLUSTER, host) == ()
    assert backend.check([instance], CLUSTER, host) == ()


def test_a_tiny_sandbox_runs_and_addresses_and_secrets_are_told(
    kind: str, backend: Backend
) -> None:
    network = CLUSTER.sandbox.model_copy(update={"network": True})
    cluster = CLUSTER.model_copy(update={"sandbox": network})
    host = backend.host(SandboxSettings(kind=kind))

    assert "ran in" in backend.try_sandbox(cluster, host) or not host.engine_name
    free = backend.free_addresses(cluster)
    assert free is None or free > 0
    assert all(path.is_file() for path in backend.secret_files())


def test_evicting_an_image_that_is_not_there_does_nothing(
    backend: Backend, instance: Instance
) -> None:
    backend.evict_image("swe-orchestrator-test/not-there:v1")
    backend.evict_image("swe-orchestrator-test/not-there:v1")


@pytest.fixture
def grade(
    kind: str, backend: Backend, make_config: Callable[..., RunConfig], demo: Dataset,
    instance: Instance, tmp_path: Path,
) -> Grade:  # fmt: skip
    backend.bring_image(instance, CLUSTER)
    config = make_config("gold")
    answer = demo.answers[instance.instance_id]
    assignment = make_assignment(config, instance, kind, tmp_path, attempt=3, sealed_answer=answer)
    return lambda patch: backend.grade(GradeRequest(assignment, patch))


@pytest.fixture
def gold_patch(demo: Dataset, instance: Instance) -> str:
    return unseal(demo.answers[instance.instance_id]).gold_patch


@HARNESS_LEAVES_SOCKETS
def test_the_gold_patch_is_resolved(grade: Grade, gold_patch: str, instance: Instance) -> None:
    result = grade(gold_patch)

    assert (result.resolved, result.record.reason) == (True, GradeReason.TESTS), result.failure
    assert (result.key.instance_id, result.key.attempt) == (instance.instance_id, 3)
    assert result.record.patch_sha256 == patch_sha256(gold_patch)
    assert {"report.json", "test_output.txt", "patch.diff", "eval.sh", "run_instance.log"} <= set(
        result.files
    )


@HARNESS_LEAVES_SOCKETS
@pytest.mark.parametrize(
    ("patch", "reason"),
    [(NEW_FILE, GradeReason.TESTS), (NO_SUCH_FILE, GradeReason.PATCH_DOES_NOT_APPLY)],
)
def test_other_patches_are_not(grade: Grade, patch: str, reason: GradeReason) -> None:
    result = grade(patch)

    assert (result.resolved, result.record.reason) == (False, reason), result.failure


class Leftovers:
    """Sandboxes of runs, as a worker that was killed leaves them."""

    def __init__(self, backend: Backend, instance: Instance, runs_dir: Path) -> None:
        self.backend, self._instance = backend, instance
        self.runs_dir = runs_dir
        self._open = contextlib.ExitStack()

    def run_dir(self, run_id: str) -> Path:
        """Its lock is held, as other runs on this host remove what dead ones leave."""
        found = self.runs_dir / run_id
        if not found.is_dir():
            found.mkdir(parents=True)
            self._open.enter_context(hold_lock(RunPaths(found).driver_lock))
        return found

    def start(self, run_id: str, attempt: int = 1) -> Callable[[], bool]:
        """Whether the sandbox still works."""
        spec: SandboxSpec = sandbox_spec(
            self._instance,
            self.run_dir(run_id),
            driver_host=host_id(),
            key=self.key(run_id, attempt),
        )
        sandbox = self.backend.start(spec)
        self._open.callback(sandbox.close)
        sandbox.exec(f"{SETSID} sleep 4999 >/dev/null 2>&1 &", 30)

        def is_there() -> bool:
            try:
                return sandbox.exec("true", 30).exit_code == 0
            except SandboxUnavailable:
                return False

        return is_there

    def key(self, run_id: str, attempt: int) -> RolloutKey:
        return RolloutKey(run_id, self._instance.instance_id, attempt)

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def left(backend: Backend, instance: Instance, tmp_path: Path) -> Iterator[Leftovers]:
    backend.bring_image(instance, CLUSTER)
    leftovers = Leftovers(backend, instance, tmp_path.resolve() / "runs")
    yield leftovers
    leftovers.close()


def test_what_a_run_left_is_found_and_removed_and_counted(left: Leftovers) -> None:
    one, other = left.start("a-run"), left.start("a-run", attempt=2)
    others = left.start("another-run")
    assert {left.run_dir("a-run"), left.run_dir("another-run")} <= set(
        left.backend.find_run_dirs(left.runs_dir)
    )

    cleaned = left.backend.clean(left.run_dir("a-run"))

    assert not one()
    assert not other()
    assert others()
    assert set(cleaned.counts) == set(left.backend.leftovers)
    assert 2 in cleaned.counts.values()


def test_what_one_attempt_left_is_removed_alone(left: Leftovers) -> None:
    first, second = left.start("a-run", 1), left.start("a-run", 2)

    left.backend.clean(left.run_dir("a-run"), left.key("a-run", 1))

    assert not first()
    assert second()


def test_of_a_run_that_left_nothing_nothing_is_removed(left: Leftovers) -> None:
    assert not left.backend.clean(left.run_dir("a-run"))
    assert not left.backend.clean(left.run_dir("a-run"), left.key("a-run", 1))
