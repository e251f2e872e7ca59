"""What this Python has installed, and whether it is what was meant."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from orchestrator.doctor import installation_checks
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Severity
from orchestrator.doctor.examine import examine
from orchestrator.doctor.installation import (
    HEAVY,
    Installed,
    find_installed,
    mixed_problems,
    package_problems,
    shadowed_problems,
    wanted_packages,
    wanted_python,
)
from orchestrator.doctor.installation_checks import Packages, Python

SITE = "/venv/lib/python3.12/site-packages"


@pytest.mark.slow
def test_the_packages_of_this_installation_are_those_that_are_wanted() -> None:
    installed, wanted = find_installed(), wanted_packages()

    assert {"swebench", "ray", "docker"} <= {requirement.name for requirement in wanted}
    assert list(package_problems(wanted, installed)) == []
    assert list(shadowed_problems(HEAVY, installed)) == []
    assert wanted_python().contains("3.12.1")
    assert not wanted_python().contains("3.14.0")


@pytest.mark.parametrize(
    ("wanted", "version", "says"),
    [
        ("ray>=2.60,<3", "2.9.1", "ray 2.9.1 is installed, and"),
        ("swebench>=5.0.2,<6", "6.0", "swebench 6.0 is installed"),
        ("httpx[socks]>=0.28", "0.27.2", "httpx 0.27.2"),
        ("docker>=7.2", None, "docker is not installed"),
    ],
)
def test_a_package_that_is_missing_or_of_another_version_is_named(
    wanted: str, version: str | None, says: str
) -> None:
    requirement = Requirement(wanted)
    installed = {} if version is None else {requirement.name: Installed(version, SITE)}

    (problem,) = package_problems([requirement], installed)

    assert problem.what.startswith(says)
    assert problem.is_fatal
    assert "requirements" in problem.cure or "scripts/demo" in problem.cure


@pytest.mark.parametrize("version", ["2.60.0", "2.61.0rc1", "2.60.0+local", "built-by-hand"])
def test_what_suits_is_no_problem(version: str) -> None:
    installed = {"ray": Installed(version, SITE)}

    assert not list(package_problems([Requirement("ray>=2.60,<3")], installed))


def test_names_are_compared_as_pip_does() -> None:
    installed = {"pyyaml": Installed("6.0.2", SITE), "prometheus-client": Installed("0.26", SITE)}
    wanted = [Requirement("PyYAML>=6"), Requirement("prometheus_client>=0.26")]

    assert not list(package_problems(wanted, installed))


@pytest.mark.parametrize(
    ("environment", "cure"),
    [({"PYTHONPATH": "/old"}, "unset PYTHONPATH"), ({}, "PYTHONNOUSERSITE")],
)
def test_packages_of_two_installations_are_told(environment: dict[str, str], cure: str) -> None:
    installed = {
        "ray": Installed("2.60", SITE),
        "docker": Installed("7.2", SITE),
        "pandas": Installed("1.5", "/old"),
        "unrelated": Installed("1", "/elsewhere"),
    }

    (problem,) = mixed_problems(("ray", "docker", "pandas"), installed, environment)

    assert "pandas 1.5 of /old" in problem.what
    assert cure in problem.cure
    assert not problem.is_fatal
    assert not list(mixed_problems(("ray", "docker"), installed, environment))


def test_what_a_package_brings_along_is_no_other_installation() -> None:
    """Ray puts a folder of its own before all others once it is imported."""
    brought = Installed("7.0", f"{SITE}/ray/thirdparty_files")
    installed = {"ray": Installed("2.60", SITE), "psutil": brought}

    assert not list(mixed_problems(("ray", "psutil"), installed, {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["docker.py", "docker/__init__.py"])
def test_a_file_that_stands_in_a_packages_place_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does in the folder that `python -m` is started in."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    monkeypatch.delitem(sys.modules, "docker", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    (problem,) = shadowed_problems(["docker"], find_installed())

    assert str(path) in problem.what
    assert "another folder" in problem.cure


def test_this_python_passes_and_another_than_the_checkouts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def level() -> Severity:
        (examined,) = examine(Case(None, tmp_path), [Python()])  # type: ignore[arg-type]
        return examined.level

    assert level() is Severity.PASS
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(installation_checks, "CHECKOUT", tmp_path)
    assert level() is Severity.WARN
    os.rmdir(tmp_path / ".venv")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    assert level() is Severity.PASS


@pytest.mark.slow
def test_an_installed_version_that_is_not_the_one_that_runs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation_checks, "__version__", "99.0")

    (examined,) = examine(Case(None, tmp_path), [Packages()])  # type: ignore[arg-type]

    assert examined.level is Severity.WARN
    assert "99.0 runs" in examined.findings[-1].what
