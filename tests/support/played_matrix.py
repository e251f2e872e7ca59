"""A matrix in a folder of its own whose runs are real but for their rollouts: no Ray."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.config import RunRequest
from orchestrator.config.matrix import load_matrix
from orchestrator.driver.files import save_rollout
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_INTERRUPTED
from orchestrator.matrix.night import MatrixFinished, launch_matrix, resume_matrix
from orchestrator.paths import MatrixPaths, RunPaths
from orchestrator.run.folder import report_of
from orchestrator.run.ready import Finished, Session
from orchestrator.types import GradeReason, GradeRecord, Outcome, RolloutRecord, RolloutResult

PATCH = "diff --git a/x b/x\n"


@dataclass
class PlayedRuns:
    """In the place of `run_sessions`: every rollout is resolved at once, or what else is said."""

    groups: list[list[str]] = field(default_factory=list)
    """The run ids of each call."""
    workers: list[Any] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    """Runs of which nothing comes."""
    interrupted_at: str = ""
    """The run whose group a person stops."""
    error: Exception | None = None
    """Raised at the next call."""

    def __call__(
        self, sessions: Sequence[Session], console: Console, name: str = ""
    ) -> tuple[Finished, ...]:
        self.groups.append([session.config.run_id for session in sessions])
        self.workers += [session.config.cluster.workers for session in sessions]
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        is_stopped = self.interrupted_at in self.groups[-1]
        return tuple(self._finish(session, is_stopped) for session in sessions)

    def _finish(self, session: Session, is_stopped: bool) -> Finished:
        run_id = session.config.run_id
        session.journal.begin_session()
        if run_id not in self.failing and not is_stopped:
            for key in session.plan.rollouts:
                result = RolloutResult(RolloutRecord(key, Outcome.SUBMITTED), PATCH)
                save_rollout(session.paths, result)
                session.journal.append_rollout(result.record)
                sha256 = result.record.patch_sha256
                session.journal.append_grade(GradeRecord(key, sha256, True, GradeReason.TESTS))
        session.journal.end_session()
        report = report_of(session.config, session.journal.state(), session.lock)
        code = EXIT_DONE if report.valid else EXIT_FAILURES_LEFT
        return Finished(report, session.paths, EXIT_INTERRUPTED if is_stopped else code)


@dataclass
class Bench:
    """Starts and resumes the matrix `m`."""

    folder: Path
    console: Console = field(
        default_factory=lambda: Console(file=io.StringIO(), width=1000, force_terminal=False)
    )

    @property
    def paths(self) -> MatrixPaths:
        return MatrixPaths.of(str(self.folder / "runs"), "m")

    def run(self, run_id: str) -> RunPaths:
        return RunPaths(self.folder / "runs" / run_id)

    @property
    def said(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()

    def write(self, text: str) -> Path:
        path = self.folder / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def launch(self, text: str, settings: dict[str, Any] | None = None) -> MatrixFinished:
        given = {"cluster.sandbox.kind": "process", **(settings or {})}
        options = RunRequest("", runs_dir=str(self.folder / "runs"), settings=given)
        return launch_matrix(load_matrix(str(self.write(text))), "m", options, self.console)

    def resume(self, **more: Any) -> MatrixFinished:
        return resume_matrix(self.paths.root, self.console, **more)
