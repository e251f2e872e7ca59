"""The packages that this program is installed with, by what their metadata says: none is imported.

What is wanted is written in the program's own metadata, which pip made of pyproject.toml.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

OURS = "swe-orchestrator"
HEAVY = ("swebench", "ray", "docker", "datasets", "pandas")
"""Packages that are imported by the name that they are installed by, in the midst of a run."""
REINSTALL = (
    "Install anew: in a checkout `rm -r .venv`, then `scripts/demo`; elsewhere `pip install "
    "--force-reinstall swe-orchestrator` into an environment of its own."
)


@dataclass(frozen=True)
class Installed:
    """A package of this Python's."""

    version: str
    folder: str
    """In which it lies."""


@dataclass(frozen=True)
class PackageProblem:
    """Why a package can't do what it is wanted for, or may not."""

    what: str
    cure: str
    is_fatal: bool


def find_installed() -> dict[str, Installed]:
    """By normalised name; where a name is installed twice, the one that is imported."""
    found: dict[str, Installed] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            folder = str(Path(str(distribution.locate_file(""))).resolve())
            found.setdefault(normalised(name), Installed(distribution.version, folder))
    return found


def wanted_packages() -> tuple[Requirement, ...]:
    """What this program says it needs; nothing where it is run without being installed."""
    try:
        lines = importlib.metadata.requires(OURS) or ()
    except importlib.metadata.PackageNotFoundError:
        return ()
    wanted = (Requirement(line) for line in lines)
    return tuple(one for one in wanted if one.marker is None or one.marker.evaluate())


def wanted_python() -> SpecifierSet:
    """The Pythons that this program says it runs on; all where it is not installed."""
    try:
        return SpecifierSet(importlib.metadata.metadata(OURS)["Requires-Python"] or "")
    except importlib.metadata.PackageNotFoundError:
        return SpecifierSet()


def package_problems(
    wanted: Iterable[Requirement], installed: Mapping[str, Installed]
) -> Iterator[PackageProblem]:
    """Packages that are missing, too old, or too new."""
    for requirement in wanted:
        found = installed.get(normalised(requirement.name))
        if found is None:
            yield PackageProblem(f"{requirement.name} is not installed", REINSTALL, is_fatal=True)
        elif not _suits(requirement.specifier, found.version):
            yield PackageProblem(
                f"{requirement.name} {found.version} is installed, and {requirement.specifier} is "
                f"wanted (in {found.folder})",
                REINSTALL,
                is_fatal=True,
            )


def mixed_problems(
    names: Iterable[str], installed: Mapping[str, Installed], environment: Mapping[str, str]
) -> Iterator[PackageProblem]:
    """Packages of two installations: what was installed together is not what runs together."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in map(normalised, names):
        if name in installed:
            folders[installed[name].folder].append(name)
    if len(folders) < 2:
        return
    (main, _), *others = sorted(folders.items(), key=lambda item: -len(item[1]))
    for folder, found in others:
        if Path(folder).is_relative_to(main):
            continue  # a package brings its own, as Ray does once it is imported
        given = environment.get("PYTHONPATH", "").split(os.pathsep)
        is_given = any(path and os.path.realpath(path) == folder for path in given)
        packages = ", ".join(f"{name} {installed[name].version}" for name in found[:3])
        yield PackageProblem(
            f"two installations are mixed: {packages}{', …' if len(found) > 3 else ''} of {folder} "
            f"stand before those of {main}",
            "`unset PYTHONPATH`." if is_given else f"`export PYTHONNOUSERSITE=1`, or: {REINSTALL}",
            is_fatal=False,
        )


def shadowed_problems(
    names: Sequence[str], installed: Mapping[str, Installed]
) -> Iterator[PackageProblem]:
    """Packages in whose place something else is imported, such as a file of that name in the folder
    that this was started in."""
    for name in names:
        found = installed.get(name)
        if found is None:
            continue
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        origin = os.path.realpath(spec.origin) if spec and spec.origin else ""
        if not origin:
            yield PackageProblem(
                f"{name} {found.version} can't be imported", REINSTALL, is_fatal=True
            )
        elif not Path(origin).is_relative_to(found.folder):
            yield PackageProblem(
                f"`import {name}` takes {origin}, and not the package in {found.folder}",
                "Start this from another folder, or rename that file.",
                is_fatal=True,
            )


def normalised(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _suits(specifier: SpecifierSet, version: str) -> bool:
    """A version that is none, as some who build by themselves give, suits."""
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True
