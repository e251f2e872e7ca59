"""Results that others have published on a benchmark, to stand beside a run's own.

Shipped ones, and a person's own, lie in `published/` beside the profiles, by the benchmark's name.
A file may also hold which instances each system resolved: then `compare` pairs them with a run's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from orchestrator.config.load import list_profiles
from orchestrator.config.problems import first_problem
from orchestrator.config.schema import Benchmark
from orchestrator.config.sections import Name, Section
from orchestrator.config.yaml_files import read_yaml
from orchestrator.errors import ConfigError, one_line
from orchestrator.text_files import kind_of, read_json


@dataclass(frozen=True)
class Published:
    """One system's result."""

    name: str
    resolved: int
    instances: int
    """Of the whole benchmark, as it was when they were counted."""
    source: str = ""
    """Who says so, and of which set-up, in words."""
    date: str = ""
    """As exact as it is known, such as 2026-04."""
    ids: frozenset[str] | None = None
    """The instances that it resolved; None where only their number was published."""


@dataclass(frozen=True)
class PublishedFile:
    """What a file holds, in its order."""

    path: Path
    benchmark: str
    """As the file calls it, such as SWE-bench_Lite."""
    split: str
    results: tuple[Published, ...]

    def named(self, name: str) -> Published:
        """One of its systems. Raises ConfigError where there is none of this name."""
        from orchestrator.config.keys import nearest

        found = next((result for result in self.results if result.name == name), None)
        if found is None:
            known = [result.name for result in self.results]
            raise ConfigError(f"{self.path} has no result of {name!r}{nearest(name, known)}")
        return found


class _Result(Section):
    name: Name
    resolved: int = Field(ge=0)
    instances: int = Field(gt=0)
    source: str = ""
    date: str = ""

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> Self:
        if self.resolved > self.instances:
            raise ValueError(f"{self.resolved} resolved of {self.instances}")
        return self


class _Results(Section):
    """A file in YAML: numbers alone."""

    benchmark: Name
    split: str = "test"
    results: tuple[_Result, ...] = Field(min_length=1)

    def published(self) -> tuple[Published, ...]:
        return tuple(Published(**dict(result)) for result in self.results)


class _Systems(Section):
    """A file in JSON: which instances each system resolved."""

    benchmark: Name
    split: str = "test"
    instances: int = Field(gt=0)
    source: str = ""
    systems: Mapping[Name, tuple[str, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_id_once(self) -> Self:
        for name, ids in self.systems.items():
            if twice := next((i for i in ids if ids.count(i) > 1), None):
                raise ValueError(f"systems.{name}: {one_line(twice, 80)} stands there twice")
            if len(ids) > self.instances:
                raise ValueError(f"systems.{name}: {len(ids)} resolved of {self.instances}")
        return self

    def published(self) -> tuple[Published, ...]:
        return tuple(
            Published(name, len(ids), self.instances, self.source, ids=frozenset(ids))
            for name, ids in self.systems.items()
        )


def read_published(path: Path) -> PublishedFile:
    """A file of results: in YAML (benchmark, results), or in JSON (benchmark, instances, systems).

    Raises:
        ConfigError: it can't be read, or holds something else; with the key.
    """
    kind: type[_Results] | type[_Systems]
    if path.suffix.lower() in (".yaml", ".yml"):
        data, kind = read_yaml(path, f"published results {path}"), _Results
    else:
        data, kind = read_json(path, f"published results {path}"), _Systems
    if not isinstance(data, dict):
        raise ConfigError(
            f"published results {path}: it is {kind_of(data)}, and must be an object with "
            f"{', '.join(kind.model_fields)}"
        )
    found = _read(kind, data, path)
    return PublishedFile(path, found.benchmark, found.split, found.published())


def _read(
    kind: type[_Results] | type[_Systems], data: dict[str, Any], path: Path
) -> _Results | _Systems:
    try:
        found = kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"published results {path}: {first_problem(error)}") from None
    names = [result.name for result in found.published()]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"published results {path}: {twice!r} stands there twice")
    return found


def published_for(
    benchmark: Benchmark, file: Path | None = None, config_dirs: tuple[Path, ...] = ()
) -> tuple[Published, ...]:
    """What is known to stand beside a run of this benchmark: what a given file holds, then what
    lies in `published/` beside the profiles. Of two of one name the first one counts.

    Raises:
        ConfigError: a file can't be read, or the given one is of another benchmark.
    """
    found: dict[str, Published] = {}
    for path in list_profiles("published", config_dirs).values():
        known = read_published(path)
        if is_of(known, benchmark):
            found |= {result.name: result for result in known.results}
    if file is None:
        return tuple(found.values())
    given = read_published(file)
    if not is_of(given, benchmark):
        raise ConfigError(
            f"published results {file} are of {given.benchmark}, and this benchmark is "
            f"{benchmark.name} ({benchmark.source})"
        )
    first = {result.name: result for result in given.results}
    return tuple((first | {n: r for n, r in found.items() if n not in first}).values())


def is_of(file: PublishedFile, benchmark: Benchmark) -> bool:
    """Whether a file is of this benchmark: it has the same split, and one of its names."""
    same_name = file.benchmark.casefold() in {each.casefold() for each in names_of(benchmark)}
    return same_name and file.split == benchmark.split


def names_of(benchmark: Benchmark) -> frozenset[str]:
    """How people call a benchmark: by its profile, its source, that one's last part, its file."""
    files = (Path(benchmark.source).name, benchmark.data_file or "")
    stems = (Path(each).stem.removesuffix(f"-{benchmark.split}") for each in files)
    return frozenset({benchmark.name, benchmark.source, *files, *stems} - {""})
