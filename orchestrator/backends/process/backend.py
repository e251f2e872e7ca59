"""Copies and child processes as a backend: no engine, no images, no walls. See `base.Backend`."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from orchestrator.backends.base import Cleaned, GradeRequest, SandboxSpec, require_tools
from orchestrator.backends.host import Host
from orchestrator.backends.imageless import NeedsNoImages
from orchestrator.backends.process.processes import kill_processes_of
from orchestrator.backends.process.sandbox import ProcessSandbox, remove_tree
from orchestrator.config.cluster import SandboxSettings
from orchestrator.errors import ConfigError
from orchestrator.paths import RunPaths, folder_name
from orchestrator.types import GradeResult, Instance, RolloutKey


class ProcessBackend(NeedsNoImages):
    """Works wherever bash, git and patch are, for instances that come with a build.sh."""

    isolates: ClassVar[bool] = False
    leftovers: ClassVar[tuple[str, ...]] = ("processes", "copies")

    def host(self, settings: SandboxSettings) -> Host:
        require_tools("bash", "git", "patch")
        return Host(
            settings.kind,
            memory_gb=psutil.virtual_memory().total / 1e9,
            cpus=os.cpu_count() or 1,
            isolates=self.isolates,
            platform=settings.platform,
        )

    def require_runnable(self, instances: Sequence[Instance]) -> None:
        for instance in instances:
            if not instance.task_dir or not (Path(instance.task_dir) / "build.sh").is_file():
                raise ConfigError(
                    f"{instance.instance_id} can't run in a process sandbox: it comes from an "
                    "image; use --sandbox auto"
                )

    def start(self, spec: SandboxSpec) -> ProcessSandbox:
        return ProcessSandbox.start(spec)

    def grade(self, request: GradeRequest) -> GradeResult:
        from orchestrator.backends.grading import grade_in_sandbox

        return grade_in_sandbox(request, ProcessSandbox.start, lambda sandbox: sandbox.places)

    def find_run_dirs(self, runs_dir: Path) -> Iterator[Path]:
        for run_dir in sorted(runs_dir.glob("*/")):
            if RunPaths(run_dir).scratch.is_dir():
                yield run_dir.resolve()

    def clean(self, run_dir: Path, key: RolloutKey | None = None) -> Cleaned:
        scratch = RunPaths(run_dir).scratch
        copies = [path for path in scratch.glob(_copies_of(key)) if path.is_dir()]
        if key is not None:
            killed = sum(kill_processes_of(copy) for copy in copies)
        else:
            killed = kill_processes_of(scratch)
        for copy in copies:
            remove_tree(copy)
        if key is None:
            with contextlib.suppress(OSError):
                scratch.rmdir()
        return Cleaned({"processes": killed, "copies": len(copies)})


def _copies_of(key: RolloutKey | None) -> str:
    """As a pattern; without a rollout, those of all."""
    if key is None:
        return "*"
    return f"{glob.escape(folder_name(key.instance_id))}.{key.attempt}.{'[0-9a-f]' * 6}"
