"""A matrix: models x agents, on one benchmark or several, as runs over the same instances.

A file of a few lines, or a profile `matrices/NAME.yaml`, found as other profiles are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from orchestrator.config.keys import nearest
from orchestrator.config.load import (
    RunRequest,
    agent_and_model,
    asks_model,
    list_profiles,
    read_profile,
    require_benchmark,
)
from orchestrator.config.problems import problem_words
from orchestrator.config.schema import SLICE, Selection
from orchestrator.config.sections import AUTO, Name, Section
from orchestrator.config.yaml_files import find_line
from orchestrator.errors import ConfigError, one_line
from orchestrator.text import is_writable
from orchestrator.text_files import read_text

MODEL, OTHERS = "{model}", "{others}"
"""What stands in `switch` for the model whose turn it is, and for the rest of them."""
SAME_FOR_ALL = ("benchmark", "selection", "cluster")
"""Sections that the cells of a matrix share."""
OF_EACH_CELL = ("run_id", "runs_dir")
"""Keys that a matrix gives its cells itself."""
MOST_RUNS = 400


class Matrix(Section):
    name: Name
    description: str = ""
    benchmarks: tuple[Name, ...] = Field(min_length=1)
    """As `launch` takes them; a single one may be written as `benchmark`."""
    models: tuple[Name, ...] = ()
    """May be left out where no agent asks a model."""
    agents: tuple[Name, ...] = Field(min_length=1)
    attempts: int = Field(default=1, gt=0)
    """Runs of each cell over all instances."""
    selection: Selection = Selection()
    set: Mapping[str, Any] = {}
    """Settings of all cells, by dotted key, as `--set` has them."""
    set_for: Mapping[str, Mapping[str, Any]] = {}
    """The same for the cells of one model or one agent, by its name; they go over `set`."""
    served: Literal["auto", "together", "in_turn"] = AUTO
    """Whether the models' servers are up at once; auto asks them."""
    switch: str | None = None
    """A command of the shell that puts a model into the place of another: `{model}` is its name,
    and `{others}` are those of the rest."""
    switch_limit_s: float = Field(default=3 * 3600, gt=0)
    """For that command. Weights that are to be downloaded take their time."""
    served_within_s: float = Field(default=900, gt=0)
    """After that command, until the model answers."""

    @model_validator(mode="before")
    @classmethod
    def _one_benchmark_is_several(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "benchmark" not in data:
            return data
        if "benchmarks" in data:
            raise ValueError("benchmark and benchmarks: write one of them")
        rest = {key: value for key, value in data.items() if key != "benchmark"}
        return rest | {"benchmarks": [data["benchmark"]]}

    @model_validator(mode="after")
    def _nothing_stands_there_twice(self) -> Self:
        for key in ("benchmarks", "models", "agents"):
            names = getattr(self, key)
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{key}: {name!r} stands there twice")
        cells = len(self.benchmarks) * max(1, len(self.models)) * len(self.agents)
        runs = self.attempts * cells
        if runs > MOST_RUNS:
            raise ValueError(f"these are {runs} runs; a matrix has {MOST_RUNS} at most")
        return self

    @model_validator(mode="after")
    def _slice_is_one(self) -> Self:
        text = self.selection.slice
        if text is not None and not re.fullmatch(SLICE, text.strip()):
            problem = f"write it as START:STOP in quotes, such as '0:50' (got {text!r})"
            raise ValueError(f"selection.slice: {problem}")
        return self

    @model_validator(mode="after")
    def _switch_names_the_model(self) -> Self:
        if self.switch is not None and MODEL not in self.switch:
            raise ValueError(f"switch: {MODEL} must stand in it, for the model whose turn it is")
        if self.switch is not None and not is_writable(self.switch):
            raise ValueError(
                "switch: holds a character that no command can have (NUL, or half of a pair)"
            )
        if self.switch is not None and self.served == "together":
            raise ValueError("switch means nothing where the models are served together")
        return self

    @model_validator(mode="after")
    def _settings_leave_the_instances_alone(self) -> Self:
        for name, settings in self.set_for.items():
            if name not in (*self.models, *self.agents):
                hint = nearest(name, [*self.models, *self.agents])
                raise ValueError(f"set_for: no model or agent {name!r} is in this matrix{hint}")
            for key in settings:
                if (section := key.partition(".")[0]) in SAME_FOR_ALL:
                    raise ValueError(f"set_for.{name}: {section} is the same for all cells")
        for key in (*self.set, *(key for settings in self.set_for.values() for key in settings)):
            if key in OF_EACH_CELL:
                raise ValueError(f"set: each cell has a {key} of its own")
        return self

    @property
    def has_one_cell(self) -> bool:
        return len(self.benchmarks) == len(self.agents) == 1 and len(self.models) < 2

    def settings(self, model: str | None, agent: str) -> dict[str, Any]:
        """Of a cell, by dotted key. The more that is meant by one, the later it comes."""
        chosen = {
            "selection.instances": self.selection.instances or None,
            "selection.slice": self.selection.slice,
            "selection.shuffle": self.selection.shuffle or None,
            "selection.seed": self.selection.seed or None,
        }
        given = {key: value for key, value in chosen.items() if value is not None}
        of_model = self.set_for.get(model, {}) if model is not None else {}
        return {**given, **self.set, **of_model, **self.set_for.get(agent, {})}


@dataclass(frozen=True)
class MatrixFile:
    """A matrix, and the file that it was read from."""

    path: Path | None
    """None where it was made of a command's options."""
    text: str
    matrix: Matrix

    def place(self, *keys: str) -> str:
        """`FILE:LINE` of a path of keys."""
        return f"{self.path}:{find_line(self.text, keys)}"

    def placed(self, problem: str) -> str:
        """The problem, with the file's name if it does not stand there yet."""
        known = self.path is None or str(self.path) in problem
        return problem if known else f"{problem}, in {self.path}"


def load_matrix(name: str, config_dirs: tuple[Path, ...] = ()) -> MatrixFile:
    """A matrix by its name, or from a YAML file.

    Raises:
        ConfigError: there is none, or it has an unknown key, value, model or agent.
    """
    path, data = read_profile("matrices", name, config_dirs, "matrix", "matrix")
    text = read_text(path, f"matrix {path}")
    try:
        matrix = Matrix.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        raise ConfigError(_problem(error, path, text)) from None
    file = MatrixFile(path, text, matrix)
    _require_benchmarks(file, config_dirs)
    _require_profiles(file, "models", matrix.models, config_dirs)
    _require_profiles(file, "agents", matrix.agents, config_dirs)
    asking = next((agent for agent in matrix.agents if asks_model(agent, config_dirs)), None)
    if asking is not None and not matrix.models:
        raise ConfigError(f"models: agent {asking!r} needs one, in {file.place('models')}")
    return file


def repeated(request: RunRequest, attempts: int) -> MatrixFile:
    """What `launch` was asked for, several times over: a matrix of one cell.

    Raises:
        ConfigError: a benchmark, an agent or a model is not there, or these are too many runs.
    """
    agent, model = agent_and_model(request)
    try:
        matrix = Matrix(
            name=f"{Path(request.benchmark).resolve().name}-{Path(model).stem if model else agent}",
            benchmarks=(request.benchmark,),
            models=(model,) if model else (),
            agents=(agent,),
            attempts=attempts,
        )
    except ValidationError as error:
        raise ConfigError(f"--attempts {attempts}: {problem_words(error.errors()[0])}") from None
    return MatrixFile(None, "", matrix)


def _problem(error: ValidationError, path: Path, text: str) -> str:
    """What pydantic found first, in one line: the key, the problem, the place."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    problem = problem_words(first)
    if parts == ["benchmarks"] and first["type"] == "missing":
        problem = "is missing: benchmark: NAME, or benchmarks: [NAME, ...]"
    # a model's own validators tell of no key but in their words
    place = f"{path}:{find_line(text, parts or _keys_in(problem))}"
    if first["type"] == "extra_forbidden":
        known = [*Matrix.model_fields, "benchmark"] if len(parts) == 1 else []
        known = known or list(Selection.model_fields)
        return f"unknown key {'.'.join(parts)!r} in {place}{nearest(parts[-1], known)}"
    if not parts:
        return _placed(problem, place)
    got = "" if first["type"] == "missing" else f" (got {one_line(repr(first['input']), 100)})"
    return f"{'.'.join(parts)}: {problem}{got}, in {place}"


def _placed(problem: str, place: str) -> str:
    return f"{problem} ({place})" if problem.endswith("?") else f"{problem}, in {place}"


def _keys_in(problem: str) -> list[str]:
    """`set_for.NAME` of `set_for.NAME: ...`; none where a problem begins with no key."""
    key, colon, _ = problem.partition(":")
    return key.split(".", 1) if colon and " " not in key else [key.partition(" ")[0]]


def _require_benchmarks(file: MatrixFile, config_dirs: tuple[Path, ...]) -> None:
    for number, name in enumerate(file.matrix.benchmarks):
        try:
            require_benchmark(name, config_dirs)
        except ConfigError as error:
            # a key that is not there is found in line 1
            lines = (["benchmark"], ["benchmarks", str(number)])
            line = max(find_line(file.text, keys) for keys in lines)
            raise ConfigError(_placed(str(error), f"{file.path}:{line}")) from None


def _require_profiles(
    file: MatrixFile, kind: str, names: Sequence[str], config_dirs: tuple[Path, ...]
) -> None:
    known = list(list_profiles(kind, config_dirs))
    noun = kind.removesuffix("s")
    for number, name in enumerate(names):
        place = file.place(kind, str(number))
        if name.endswith((".yaml", ".yml")):
            try:
                read_profile(kind, name, config_dirs, noun, f"{noun} profile")
            except ConfigError as error:
                raise ConfigError(f"{error}, in {place}") from None
        elif name not in known:
            raise ConfigError(f"unknown {noun} {name!r} in {place}{nearest(name, known)}")
