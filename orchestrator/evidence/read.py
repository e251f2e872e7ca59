"""What a run's folder holds of each instance, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.agents.steps import Step, shorten
from orchestrator.config.schema import RunConfig
from orchestrator.dataset.load import Dataset
from orchestrator.evidence.facts import Evidence, TestResult
from orchestrator.evidence.gold import gold_of
from orchestrator.evidence.tests import instance_report, read_results
from orchestrator.evidence.trajectories import read_steps
from orchestrator.journal.views import RunState
from orchestrator.paths import RunPaths
from orchestrator.types import GradeReason, GradeRecord, RolloutRecord
from orchestrator.verdict import REPORT, TEST_OUTPUT

MAX_TEST_OUTPUT_CHARS = 400_000


@dataclass(frozen=True)
class EvidenceReader:
    """Reads the files of a run for those who look at it afterwards. It changes none.

    What is missing or can't be read is a line in `Evidence.problems`, never an error.
    """

    paths: RunPaths
    config: RunConfig
    dataset: Dataset
    state: RunState

    def read_all(self) -> Iterator[Evidence]:
        """Of every instance, in the run's order; each is read when it is asked for."""
        return map(self.read, self.state.instances)

    def read(self, instance_id: str) -> Evidence:
        """What is known of one instance of the run. Raises KeyError where it has none such."""
        repo = self.state.instances[instance_id]
        rollout = self.state.outcomes.get(instance_id)
        grade = self.state.verdicts.get(instance_id)
        gold = gold_of(self.dataset, instance_id)
        files = _Files(self.paths.root)
        output = self._test_output(files, grade)
        return Evidence(
            instance_id=instance_id,
            repo=repo,
            rollout=rollout,
            grade=grade,
            patch=self._patch(files, rollout),
            gold_patch=gold.patch,
            gold_test_patch=gold.test_patch,
            tests=self._tests(files, grade, output),
            test_output=shorten(output, MAX_TEST_OUTPUT_CHARS),
            steps=self._steps(files, rollout),
            problems=tuple(files.problems),
        )

    def _patch(self, files: _Files, rollout: RolloutRecord | None) -> str:
        if rollout is None or not rollout.has_patch:
            return ""
        return _text(files.read(self.paths.patch(rollout.key)))

    def _steps(self, files: _Files, rollout: RolloutRecord | None) -> tuple[Step, ...]:
        if rollout is None:
            return ()
        path = self.paths.trajectory(rollout.key)
        if not rollout.usage.completion_tokens and not path.exists():
            return ()  # no model has answered: a prediction made elsewhere, or the gold patch
        data = files.read(path)
        if data is None:
            return ()
        steps, problem = read_steps(data)
        files.note(path, problem)
        return tuple(steps)

    def _test_output(self, files: _Files, grade: GradeRecord | None) -> str:
        if grade is None or grade.reason is GradeReason.PATCH_DOES_NOT_APPLY:
            return ""
        return _text(files.read(self.harness_log(grade) / TEST_OUTPUT))

    def _tests(
        self, files: _Files, grade: GradeRecord | None, output: str
    ) -> tuple[TestResult, ...]:
        if grade is None or grade.reason is not GradeReason.TESTS:
            return ()
        path = self.harness_log(grade) / REPORT
        data = files.read(path)
        if data is None:
            return ()
        try:
            return read_results(instance_report(data, grade.instance_id), output)
        except (ValueError, RecursionError) as error:
            files.note(path, f"it can't be read ({error})")
            return ()

    def harness_log(self, grade: GradeRecord) -> Path:
        """The folder of what the harness left of a grade."""
        return self.paths.harness_log(self.config.model_name_or_path, grade.key)


@dataclass
class _Files:
    """Files of one instance, and what is wrong with them."""

    root: Path
    """The run's folder: what is said of a file is the same wherever that lies."""
    problems: list[str] = field(default_factory=list)

    def read(self, path: Path) -> bytes | None:
        """Its bytes, or None and a line where it can't be read."""
        try:
            return path.read_bytes()
        except OSError as error:
            self.note(path, error.strerror or str(error))
            return None

    def note(self, path: Path, problem: str) -> None:
        if problem:
            self.problems.append(f"{path.relative_to(self.root)}: {problem}")


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
