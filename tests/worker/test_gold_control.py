"""Tests that ran too long where processors are emulated: a verdict only where gold was in time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.specs import graded_by_worker, make_assignment

from orchestrator.backends import GradeRequest, Host
from orchestrator.backends.grading import grade_result
from orchestrator.config import RunConfig
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.dataset import Dataset
from orchestrator.errors import HarnessUnavailable, ImageUnavailable, InfraError, PrerequisiteError
from orchestrator.gold_answers import seal, unseal
from orchestrator.types import FailureKind, GradeReason, GradeResult, Instance, SealedAnswer
from orchestrator.verdict import END_OF_TESTS, REPORT, START_OF_TESTS, TEST_OUTPUT
from orchestrator.worker.gold_control import OUTPUT, RECORD, End, GoldControl

PATCH = "a patch"
TIMED_OUT = {TEST_OUTPUT: b"\n\nTimeout error: 7200 seconds exceeded."}
EMULATED = Host("toy", 8.0, 2, platform="linux/amd64", architecture="linux/arm64")
NATIVE = replace(EMULATED, architecture="linux/amd64")


def ended(instance_id: str, resolved: bool) -> Mapping[str, bytes]:
    """The harness's files of tests that came to their end."""
    report = {instance_id: {"resolved": resolved, "patch_successfully_applied": True}}
    output = f"{START_OF_TESTS}\n{END_OF_TESTS}\n"
    return {REPORT: json.dumps(report).encode(), TEST_OUTPUT: output.encode()}


@dataclass
class Engine:
    """A backend whose grades are told: of the gold patch, and of all others."""

    gold_patch: str
    gold: Mapping[str, bytes] | InfraError
    others: Mapping[str, bytes] = field(default_factory=lambda: TIMED_OUT)
    sees: Host | None = EMULATED
    done: list[str] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def host(self, settings: SandboxSettings) -> Host:
        if self.sees is None:
            raise PrerequisiteError("no engine answers.", "Start it.")
        return self.sees

    def grade(self, request: GradeRequest) -> GradeResult:
        is_gold = request.patch == self.gold_patch
        self.done.append("gold" if is_gold else "patch")
        self.limits.append(request.assignment.tests_limit_s)
        files = self.gold if is_gold else self.others
        error, files = (files, {}) if isinstance(files, InfraError) else (None, files)
        return grade_result(request, 1.0, files, {"harness": 900.0}, error)

    def needs_pull(self, instance: Instance, cluster: Cluster) -> bool:
        return False


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def answer(demo: Dataset, instance: Instance) -> SealedAnswer:
    return demo.answers[instance.instance_id]


@dataclass
class Scene:
    """Grades of one instance on this host: `scene.grade(TIMED_OUT)` says how the gold patch's
    ends."""

    instance: Instance
    answer: SealedAnswer
    make_config: Callable[..., RunConfig]
    monkeypatch: pytest.MonkeyPatch
    folder: Path
    engine: Engine | None = None

    @property
    def gold_patch(self) -> str:
        return unseal(self.answer).gold_patch

    def grade(
        self,
        gold: Mapping[str, bytes] | InfraError,
        patch: str = PATCH,
        limit_s: int = 7200,
        driver_sees_emulation: bool = True,
        **of_engine: Any,
    ) -> GradeResult:
        self.engine = Engine(self.gold_patch, gold, **of_engine)
        self.monkeypatch.setattr("orchestrator.worker.grade.backend_of", lambda _: self.engine)
        limits = {"timeout_s": 1800, "emulated_timeout_s": limit_s}
        settings = {f"cluster.grading.{name}": value for name, value in limits.items()}
        config = self.make_config("gold", settings)
        assignment = replace(
            make_assignment(config, self.instance, "toy", self.folder, sealed_answer=self.answer),
            emulated=driver_sees_emulation,
        )
        return graded_by_worker(GradeRequest(assignment, patch))

    @property
    def done(self) -> list[str]:
        """Of the last grade."""
        assert self.engine is not None
        return self.engine.done

    @property
    def resolved(self) -> Mapping[str, bytes]:
        return ended(self.instance.instance_id, True)

    @property
    def unresolved(self) -> Mapping[str, bytes]:
        return ended(self.instance.instance_id, False)


@pytest.fixture
def scene(
    instance: Instance, answer: SealedAnswer, make_config: Callable[..., RunConfig],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path,
) -> Scene:  # fmt: skip
    return Scene(instance, answer, make_config, monkeypatch, tmp_path)


def too_slow(result: GradeResult) -> str:
    assert result.failure is not None
    assert result.failure.kind is FailureKind.TESTS_TOO_SLOW
    return result.failure.detail


def timed_out(result: GradeResult) -> bool:
    return (result.resolved, result.record.reason) == (False, GradeReason.TESTS_TIMED_OUT)


def test_tests_that_emulation_slows_past_their_limit_as_gold_shows_are_no_verdict(
    scene: Scene,
) -> None:
    result = scene.grade(gold=TIMED_OUT)

    detail = too_slow(result)
    assert detail.startswith("its tests ran past 7200 s under emulation (linux/amd64 images")
    assert len(detail) <= 300, "the report has no more of it, and its end is the cure"
    assert "linux/amd64 images on a linux/arm64 engine" in detail
    assert "and so did its gold patch's" in detail
    assert "cluster.grading.emulated_timeout_s" in detail
    assert scene.done == ["patch", "gold"]
    assert scene.engine is not None
    assert scene.engine.limits == [7200, 7200]
    assert result.files[TEST_OUTPUT] == TIMED_OUT[TEST_OUTPUT]
    assert result.files[OUTPUT] == TIMED_OUT[TEST_OUTPUT]
    assert json.loads(result.files[RECORD])["end"] == "timed_out"


CRASHES = (
    "qemu: uncaught target signal 11 (Segmentation fault) - core dumped",
    "qemu: uncaught target signal 4 (Illegal instruction) - core dumped",
    "qemu: unhandled CPU exception 0x10001 - aborting",
    "rosetta error: failed to allocate vm space",
)


def crashed(instance_id: str, words: str) -> Mapping[str, bytes]:
    """Tests that an emulator ended."""
    files = ended(instance_id, False)
    return {**files, TEST_OUTPUT: f"{words}\n".encode() + files[TEST_OUTPUT]}


@pytest.mark.parametrize("words", CRASHES)
def test_a_program_that_the_emulator_ends_as_it_does_golds_is_no_verdict(
    scene: Scene, words: str
) -> None:
    files = crashed(scene.instance.instance_id, words)

    result = scene.grade(gold=files, others=files)

    assert scene.done == ["patch", "gold"]
    assert result.failure is not None
    assert result.failure.kind is FailureKind.HARNESS_UNAVAILABLE
    assert f"the emulator ended a program in its tests ({words})" in result.failure.detail
    assert "and its gold patch does not resolve it here" in result.failure.detail


def test_a_program_that_ends_with_this_patch_alone_is_the_patchs_doing(scene: Scene) -> None:
    files = crashed(scene.instance.instance_id, CRASHES[0])

    result = scene.grade(gold=scene.resolved, others=files)

    assert (result.resolved, result.record.reason) == (False, GradeReason.TESTS)
    assert scene.done == ["patch", "gold"]
    assert scene.grade(gold=files, others=files, sees=NATIVE).resolved is False


def test_an_emulator_that_complains_in_tests_which_pass_is_let_be(scene: Scene) -> None:
    files = {**scene.resolved, TEST_OUTPUT: CRASHES[0].encode() + scene.resolved[TEST_OUTPUT]}

    assert scene.grade(gold=TIMED_OUT, others=files).resolved
    assert scene.done == ["patch"]


def test_where_gold_was_in_time_a_timeout_is_the_patchs_and_a_verdict(scene: Scene) -> None:
    result = scene.grade(gold=scene.resolved)

    assert timed_out(result), result.failure
    assert scene.done == ["patch", "gold"]
    control = json.loads(result.files[RECORD])
    assert (control["end"], control["seconds"], control["limit_s"]) == ("resolved", 900.0, 7200)
    assert result.record.phases_s == {"harness": 900.0, "gold_control": 900.0}


def test_where_gold_does_not_resolve_the_instance_either_nothing_is_shown(scene: Scene) -> None:
    result = scene.grade(gold=scene.unresolved)

    assert "its gold patch does not resolve it here" in too_slow(result)
    scene.grade(gold=scene.resolved)
    assert scene.done == ["patch", "gold"], "it may pass the next time"


@pytest.mark.parametrize("error", [HarnessUnavailable("killed"), ImageUnavailable("no such image")])
def test_where_golds_own_grade_fails_the_grade_fails_as_that_did(
    scene: Scene, error: InfraError
) -> None:
    result = scene.grade(gold=error)

    assert result.failure is not None
    assert result.failure.kind is error.kind
    assert result.failure.detail.endswith(f"own was in doubt: {error}")
    assert result.files[TEST_OUTPUT] == TIMED_OUT[TEST_OUTPUT]


@pytest.mark.parametrize("resolved", [True, False])
def test_tests_that_end_in_time_are_a_verdict_without_gold(scene: Scene, resolved: bool) -> None:
    result = scene.grade(gold=TIMED_OUT, others=ended(scene.instance.instance_id, resolved))

    assert (result.resolved, result.record.reason) == (resolved, GradeReason.TESTS)
    assert scene.done == ["patch"]
    assert RECORD not in result.files


@pytest.mark.parametrize("driver_sees_emulation", [False, True])
def test_where_nothing_is_emulated_a_timeout_is_a_verdict_within_the_official_limit(
    scene: Scene, driver_sees_emulation: bool
) -> None:
    """The grading node counts, which may be another than the driver's."""
    result = scene.grade(gold=TIMED_OUT, sees=NATIVE, driver_sees_emulation=driver_sees_emulation)

    assert timed_out(result)
    assert scene.done == ["patch"]
    assert scene.engine is not None
    assert scene.engine.limits == [1800]
    assert RECORD not in result.files


def test_a_node_that_emulates_where_the_drivers_does_not_has_the_longer_limit(
    scene: Scene,
) -> None:
    too_slow(scene.grade(gold=TIMED_OUT, driver_sees_emulation=False))

    assert scene.engine is not None
    assert scene.engine.limits == [7200, 7200]


@pytest.mark.parametrize("gold", ["resolved", "timed_out"])
def test_what_gold_has_shown_on_this_host_is_not_asked_again(scene: Scene, gold: str) -> None:
    files = scene.resolved if gold == "resolved" else TIMED_OUT
    first = scene.grade(gold=files)

    again = scene.grade(gold=HarnessUnavailable("not again"))

    assert scene.done == ["patch"]
    assert (again.resolved, again.failure) == (first.resolved, first.failure)
    assert again.files[RECORD] == first.files[RECORD]


def test_a_higher_limit_gives_gold_another_chance(scene: Scene) -> None:
    too_slow(scene.grade(gold=TIMED_OUT))

    assert timed_out(scene.grade(gold=scene.resolved, limit_s=10_000))
    assert scene.done == ["patch", "gold"]


@pytest.mark.parametrize("is_gold", [True, False])
def test_a_grade_that_resolves_shows_that_there_is_time(scene: Scene, is_gold: bool) -> None:
    """A night of `--agent gold`, say, or any patch that does what the gold patch does."""
    patch = scene.gold_patch if is_gold else "as good"
    assert scene.grade(gold=scene.resolved, others=scene.resolved, patch=patch).resolved

    assert timed_out(scene.grade(gold=HarnessUnavailable("not needed")))
    assert scene.done == ["patch"]


def harvested(patch: str) -> str:
    """As git prints it where it is asked for whole names of blobs."""
    whole = re.sub(
        r"^(index \w+)\.\.(\w+)", rf"\g<1>{'0' * 33}..\g<2>{'0' * 33}", patch, flags=re.M
    )
    assert whole != patch
    return whole


@pytest.mark.parametrize("form", [str, harvested], ids=["of its row", "by `--agent gold`"])
def test_golds_own_timeout_is_run_once(scene: Scene, form: Callable[[str], str]) -> None:
    too_slow(scene.grade(gold=TIMED_OUT, others=TIMED_OUT, patch=form(scene.gold_patch)))

    assert len(scene.done) == 1


def test_golds_own_timeout_is_no_verdict_though_it_was_in_time_the_night_before(
    scene: Scene,
) -> None:
    gold = harvested(scene.gold_patch)
    assert scene.grade(gold=scene.resolved, others=scene.resolved, patch=gold).resolved

    too_slow(scene.grade(gold=TIMED_OUT, others=TIMED_OUT, patch=gold))
    assert len(scene.done) == 1


def test_an_engine_that_does_not_say_what_it_is_grades_nothing(scene: Scene) -> None:
    result = scene.grade(gold=TIMED_OUT, sees=None)

    assert result.failure is not None
    assert result.failure.kind is FailureKind.SANDBOX_UNAVAILABLE
    assert scene.done == []


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\x00"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"end": "won"}'),
        _folder,
    ],
)
def test_a_memory_that_cannot_be_read_is_none(
    scene: Scene, cache: Path, spoil: Callable[[Path], None]
) -> None:
    scene.grade(gold=scene.resolved)
    (memory,) = cache.rglob("*.json")
    spoil(memory)

    too_slow(scene.grade(gold=TIMED_OUT))

    assert scene.done == ["patch", "gold"]


@pytest.mark.parametrize("changed", ["eval_script", "patch", "FAIL_TO_PASS"])
def test_an_instance_of_that_name_in_another_benchmark_is_another_matter(
    scene: Scene, changed: str
) -> None:
    scene.grade(gold=scene.resolved)
    opened = unseal(scene.answer)
    scene.answer = seal(replace(opened, row={**opened.row, changed: "of another version"}))

    too_slow(scene.grade(gold=TIMED_OUT))

    assert scene.done == ["patch", "gold"]


def test_a_cache_that_cannot_be_written_is_done_without(scene: Scene, cache: Path) -> None:
    cache.write_text("no folder")

    for _ in range(2):
        too_slow(scene.grade(gold=TIMED_OUT))
        assert scene.done == ["patch", "gold"]


@pytest.mark.parametrize(
    ("end", "seconds", "limit_s", "holds"),
    [
        (End.RESOLVED, 900.0, 7200, True),
        (End.RESOLVED, 900.0, 1800, True),
        (End.RESOLVED, 900.0, 800, False),
        (End.RESOLVED, 7203.0, 7200, True),
        (End.TIMED_OUT, 7203.0, 7200, True),
        (End.TIMED_OUT, 7203.0, 3600, True),
        (End.TIMED_OUT, 7203.0, 7300, False),
        (End.UNRESOLVED, 900.0, 7200, False),
    ],
)
def test_what_was_shown_holds_for_other_limits_as_far_as_it_goes(
    end: End, seconds: float, limit_s: int, holds: bool
) -> None:
    shown = GoldControl(
        instance_id="a", row_sha256="", platform="p", architecture="q", at="",
        end=end, seconds=seconds, limit_s=7200,
    )  # fmt: skip

    assert shown.holds_for(limit_s) is holds


@pytest.mark.slow
def test_in_a_real_sandbox_tests_that_sleep_are_too_slow_for_gold_as_well(
    scene: Scene, make_config: Callable[..., RunConfig], answer: SealedAnswer, tmp_path: Path
) -> None:
    opened = unseal(answer)
    row = dict(opened.row)
    row["eval_script"] = row["eval_script"].replace("\n", "\nsleep 600\n", 1)
    limits = {"cluster.grading.timeout_s": 1, "cluster.grading.emulated_timeout_s": 1}
    assignment = make_assignment(
        make_config("gold", limits),
        scene.instance,
        "support.strangers_backend:EmulatedFolderBackend",
        tmp_path,
        sealed_answer=seal(replace(opened, row=row)),
    )
    patch = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n"

    result = graded_by_worker(GradeRequest(assignment, patch))

    assert "(linux/amd64 images on a linux/riscv64 engine), and so did its gold patch's" in (
        too_slow(result)
    )
    for output in (TEST_OUTPUT, OUTPUT):
        assert result.files[output].endswith(b"Timeout error: 1 seconds exceeded.")
