"""The benchmark: its rows, and the folders that images are built from."""

from __future__ import annotations

import os
from collections.abc import Iterator

from orchestrator.dataset import is_local
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed
from orchestrator.errors import PrerequisiteError
from orchestrator.report.words import counted


class Rows(Check):
    """The benchmark can't be read, or a row lacks what a run needs of it."""

    name = "dataset"
    depth = Depth.PLAN

    def look(self, case: Case) -> Iterator[CheckFinding]:
        benchmark, instances = case.config.benchmark, case.dataset.instances
        where = "here" if is_local(benchmark) else "of the Hugging Face hub"
        count = counted(len(instances), "instance")
        yield passed(f"{count} of {benchmark.name}, {where}, with all that a run needs")


class TaskFolders(Check):
    """A run has kept a task's row, and the task's folder is gone."""

    name = "task folders"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return any(instance.task_dir is not None for instance in case.planned)

    def look(self, case: Case) -> Iterator[CheckFinding]:
        folders = [(i, i.task_dir) for i in case.planned if i.task_dir is not None]
        for instance, folder in folders:
            if not os.path.isdir(folder):
                raise PrerequisiteError(
                    f"{folder} is gone, from which {instance.instance_id}'s image is made.",
                    "Bring it back.",
                )
        yield passed(f"{len(folders)} found")
