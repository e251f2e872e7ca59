"""matrix.yaml: what a matrix was started with. From then on its file is not read any more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError, field_validator

from orchestrator.config.changes import change
from orchestrator.config.load import read_run_config
from orchestrator.config.matrix import Matrix
from orchestrator.config.problems import first_problem
from orchestrator.config.sections import Section
from orchestrator.config.yaml_files import dump_yaml, read_yaml
from orchestrator.errors import ConfigError
from orchestrator.matrix.cells import CellRun
from orchestrator.paths import MatrixPaths, write_atomic


class MatrixRecord(Section):
    """The file's content."""

    matrix_id: str
    matrix: Matrix
    options: Mapping[str, Any]
    """Those of the command line, for people; the runs' configurations hold them."""
    datasets: Mapping[str, str]
    """By benchmark: the digest of the selected rows."""
    runs: tuple[CellRun, ...]

    @field_validator("runs")
    @classmethod
    def _no_run_stands_there_twice(cls, runs: tuple[CellRun, ...]) -> tuple[CellRun, ...]:
        ids = [run.run_id for run in runs]
        if twice := next((run_id for run_id in ids if ids.count(run_id) > 1), None):
            raise ValueError(f"{twice} stands there twice")
        return runs

    @classmethod
    def read(cls, paths: MatrixPaths) -> MatrixRecord:
        """Raises ConfigError: there is none, or somebody has damaged it."""
        data = read_yaml(paths.record, str(paths.record))
        if not isinstance(data, dict) or not isinstance(data.get("runs"), list):
            raise ConfigError(f"{paths.record} holds no matrix")
        for run in data["runs"]:
            if isinstance(run, dict):
                where = f"{paths.record} ({run.get('run_id')})"
                run["config"] = read_run_config(run.get("config"), where)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"{first_problem(error)}, in {paths.record}") from None

    def write(self, paths: MatrixPaths) -> None:
        write_atomic(paths.record, dump_yaml(self.model_dump(mode="json")))

    def with_settings(self, settings: Mapping[str, Any]) -> MatrixRecord:
        """With settings of `resume --set` in all runs. Raises ConfigError: as `change`."""
        runs = [
            run.model_copy(update={"config": change(run.config, run.cell.settings(settings))[0]})
            for run in self.runs
        ]
        return self.model_copy(update={"runs": tuple(runs)})


def is_matrix(paths: MatrixPaths) -> bool:
    return os.path.isfile(paths.record)
