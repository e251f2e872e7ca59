"""Installing OpenHands and finding it; nothing here asks a network or the user's own cache."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.wheels import write_wheel

from orchestrator.agents.installing import pythons
from orchestrator.agents.installing.environment import VirtualEnvironment, constraints_version
from orchestrator.agents.openhands import installation
from orchestrator.agents.openhands.installation import (
    CONSTRAINTS,
    VERSION,
    OpenHandsFolder,
    OpenHandsInstallation,
    find_installation,
    hold_installation,
    install,
    require_installation,
)
from orchestrator.agents.openhands.kind import OpenHandsKind
from orchestrator.config import RunConfig
from orchestrator.errors import (
    EXIT_PREREQUISITE,
    ConfigError,
    OrchestratorError,
    PrerequisiteError,
)

FOUND = OpenHandsInstallation(
    "1.58.2-abc", VERSION, "", {"litellm": "1", "constraints": constraints_version(CONSTRAINTS)}
)
LINES = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
MODULES = {
    "openhands-sdk": ("openhands.sdk",),
    "openhands-tools": tuple(
        f"openhands.tools.{name}" for name in ("terminal", "file_editor", "task_tracker")
    ),
    "litellm": ("litellm",),
    "pydantic": ("pydantic",),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenHandsFolder:
    """Where OpenHands would be installed: in an empty cache folder."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return OpenHandsFolder.of_user()


@pytest.fixture
def installed(folder: OpenHandsFolder) -> OpenHandsInstallation:
    """What is left of an installation when only its manifest is read."""
    write_manifest(folder, json.dumps(asdict(FOUND)))
    return FOUND


def write_manifest(folder: OpenHandsFolder, text: str) -> None:
    FOUND.python.parent.mkdir(parents=True, exist_ok=True)
    FOUND.python.touch()
    folder.manifest.write_text(text, encoding="utf-8")


def ask(version: str = "", source: str = "") -> tuple[OpenHandsInstallation, list[str]]:
    """An installation, and the steps that were told."""
    steps: list[str] = []
    return install(version, source, steps.append, lambda _: None), steps


def refused(
    version: str = "", source: str = "", as_what: type[OrchestratorError] = ConfigError
) -> str:
    """The one line with which an installation is refused; what was there stays, and no more."""
    before = find_installation()
    with pytest.raises(as_what) as caught:
        ask(version, source)
    assert "\n" not in str(caught.value)
    assert find_installation() == before
    there = [path.name for path in OpenHandsFolder.of_user().root.glob("*/")]
    assert there == ([before.folder] if before else [])
    return str(caught.value)


def test_where_nothing_is_installed_the_command_that_mends_it_is_named() -> None:
    with pytest.raises(PrerequisiteError) as caught:
        require_installation()

    assert find_installation() is None
    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert str(caught.value) == (
        "OpenHands is not installed. `python -m orchestrator agents install openhands` does that, "
        "or take the agent mini."
    )
    assert OpenHandsKind.installed() is None
    assert "`python -m orchestrator agents install openhands`" in OpenHandsKind.installed_line()


def test_what_is_installed_is_found_and_listed(
    installed: OpenHandsInstallation, folder: OpenHandsFolder
) -> None:
    assert find_installation() == require_installation() == require_installation(VERSION)
    assert installed.python == folder.root / "1.58.2-abc" / "venv" / "bin" / "python"
    assert OpenHandsKind.installed_line() == (
        f"OpenHands {VERSION}, for sandboxes of any platform, in {installed.root}"
    )
    assert json.loads(json.dumps(OpenHandsKind.installed()))["version"] == VERSION


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(asdict(FOUND))[:-20],
        "[]",
        "null",
        "{}",
        json.dumps(asdict(FOUND) | {"of_a_later_version": 1}),
    ],
)
def test_a_manifest_that_is_cut_off_or_no_manifest_is_no_installation(
    folder: OpenHandsFolder, text: str
) -> None:
    write_manifest(folder, text)

    assert find_installation() is None


def test_an_installation_whose_python_was_removed_is_none(installed: OpenHandsInstallation) -> None:
    """Its environment leads to a Python of the host's, which a person may uninstall."""
    installed.python.unlink()
    installed.python.symlink_to("/nowhere/python3.12")

    assert find_installation() is None


def test_a_run_goes_on_with_the_version_that_it_began_with(
    installed: OpenHandsInstallation,
) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        require_installation("1.57.0")

    assert str(caught.value) == (
        f"This run began with OpenHands 1.57.0; {VERSION} is installed here. `python -m "
        "orchestrator agents install openhands --version 1.57.0` brings that back; or start a new "
        "run."
    )


def test_what_a_run_works_with_is_not_replaced_and_what_fits_is_found(
    installed: OpenHandsInstallation,
) -> None:
    with hold_installation(), hold_installation():
        assert ask() == (installed, [])
        said = refused("1.57.0", as_what=PrerequisiteError)

    assert said == (
        "A run works with the OpenHands that is installed. Wait for its end, or stop it."
    )


@pytest.mark.parametrize(
    ("version", "source", "says"),
    [
        ("latest", "", "--version latest: no version, such as 1.58.2"),
        ("v1..2", "", "--version v1..2: no version, such as 1.58.2"),
        ("", "/nowhere/wheels", "--source /nowhere/wheels is no folder"),
        ("", "https://github.com/OpenHands/software-agent-sdk", "is no folder: for OpenHands it"),
    ],
)
def test_what_names_no_version_or_folder_is_refused_before_anything_is_made(
    version: str, source: str, says: str
) -> None:
    assert says in refused(version, source)


def test_the_pinned_closure_is_whole_and_leads_to_no_host() -> None:
    """Each line is an exact version, those left out are left out, and what is asked for is in."""
    pins = [Requirement(line) for line in LINES if not line.startswith("#")]
    names = {pin.name for pin in pins}

    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins)
    assert not any(pin.url for pin in pins)
    assert len(names) == len(pins)
    assert names.isdisjoint({"browser-use", "tom-swe", "lmnr", "func-timeout", "playwright"})
    assert {str(p) for p in pins} >= {f"{name}=={VERSION}" for name in installation.PACKAGES}


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs of a host, whose own Python is too old."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setattr(pythons.shutil, "which", lambda name: _in(folder, name))
    monkeypatch.setattr(pythons, "PLACES", (f"{tmp_path}/more/{{python}}.*/python",))
    monkeypatch.setattr(installation.sys, "executable", str(write_program(folder / "old", FAILS)))
    return folder


FAILS = "#!/bin/sh\nexit 1\n"
WORKS = "#!/bin/sh\nexit 0\n"
NO_ENSUREPIP = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n'
UV = """#!/bin/sh
[ "$1 $2 $3" = "python install 3.12" ] || exit 2
bin=$UV_PYTHON_INSTALL_DIR/cpython-3.12.14-macos-aarch64-none/bin
/bin/mkdir -p "$bin" && echo '#!/bin/sh' >"$bin/python3.12"
"""
NO_NETWORK = '#!/bin/sh\necho "error: failed to lookup address information"\nexit 2\n'


def _in(folder: Path, name: str) -> str | None:
    return str(folder / name) if (folder / name).exists() else None


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def have_python(tmp_path: Path) -> str:
    found = installation._have_python(tmp_path / "python", lambda _: None, lambda _: None)
    return str(Path(found).relative_to(tmp_path))


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"bin/python3.12": WORKS, "bin/python3.13": WORKS}, "bin/python3.12"),
        ({"bin/python3.13": WORKS}, "bin/python3.13"),
        ({"bin/python3.12": FAILS, "more/3.12.7/python": WORKS}, "more/3.12.7/python"),
        ({"bin/python3.12": NO_ENSUREPIP, "bin/python3.14": WORKS}, "bin/python3.14"),
        (
            {"bin/python3.12": NO_ENSUREPIP, "bin/uv": UV},
            "python/cpython-3.12.14-macos-aarch64-none/bin/python3.12",
        ),
        ({"bin/uv": UV}, "python/cpython-3.12.14-macos-aarch64-none/bin/python3.12"),
    ],
)
def test_a_python_that_is_new_enough_and_makes_environments_is_found_or_brought(
    hosts: Path, tmp_path: Path, there: dict[str, str], taken: str
) -> None:
    for name, text in there.items():
        write_program(tmp_path / name, text)

    assert have_python(tmp_path) == taken


@pytest.mark.parametrize("uv", [NO_NETWORK, WORKS, None])
def test_where_no_python_can_be_had_it_is_told_how_to_mend_that(
    hosts: Path, tmp_path: Path, uv: str | None
) -> None:
    if uv is not None:
        write_program(hosts / "uv", uv)

    said = refused(as_what=PrerequisiteError)

    assert said.startswith("OpenHands needs Python 3.12 or newer: ")
    assert said.endswith(
        "Install Python 3.12, then run `python -m orchestrator agents install openhands` again."
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels: OpenHands in miniature, for this Python, and an older one."""
    folder = tmp_path / "index"
    folder.mkdir()
    pins = {"openhands-sdk": VERSION, "openhands-tools": VERSION, "litellm": "3", "pydantic": "2"}
    for package, version in pins.items():
        write_wheel(folder, package, version, *MODULES[package])
    for package in installation.PACKAGES:
        write_wheel(folder, package, "1.57.0", *MODULES[package])
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("".join(f"{name}=={pin}\n" for name, pin in pins.items()))
    monkeypatch.setattr(installation, "CONSTRAINTS", constraints)
    monkeypatch.setattr(installation, "PYTHONS", (".".join(map(str, sys.version_info[:2])),))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder


@pytest.mark.slow
def test_an_installation_is_whole_pinned_and_kept(index: Path, folder: OpenHandsFolder) -> None:
    found, steps = ask()

    assert find_installation() == require_installation(VERSION) == found
    assert found.versions == {
        "openhands-sdk": VERSION,
        "openhands-tools": VERSION,
        "litellm": "3",
        "pydantic": "2",
        "constraints": constraints_version(installation.CONSTRAINTS),
    }
    assert [step.partition(" with ")[0] for step in steps] == [
        "making its environment",
        "installing it and about 120 packages: a minute or more",
        "trying it",
    ]
    code = "import openhands.sdk as m; print(m.__cached__)"
    told = subprocess.run([found.python, "-I", "-c", code], capture_output=True, text=True)
    assert os.path.exists(told.stdout.strip()), "what runners import is compiled, once"
    assert ask() == (found, [])


@pytest.mark.parametrize(
    ("there", "source", "says"),
    [
        (
            "1.0, 1.1, 1.2, 1.3, 1.4, 1.5",
            "",
            "pip's index has no OpenHands 9.9 for this Python (--version); the newest there: 1.1, "
            "1.2, 1.3, 1.4, 1.5",
        ),
        ("none", "/wheels", "/wheels has no OpenHands 9.9 for this Python (--version)"),
    ],
)
def test_a_version_that_there_is_not_is_told_with_those_that_are(
    tmp_path: Path, there: str, source: str, says: str
) -> None:
    said = f"ERROR: requirement openhands-sdk==9.9 (from versions: {there})"
    environment = VirtualEnvironment(tmp_path)
    write_program(environment.python, f'#!/bin/sh\necho "{said}"\nexit 1\n')

    with pytest.raises(ConfigError) as caught:
        installation._install_packages(environment, "9.9", source, lambda _: None, lambda _: None)

    assert str(caught.value) == says


@pytest.mark.slow
def test_a_version_that_does_not_start_is_not_installed(
    index: Path, installed: OpenHandsInstallation
) -> None:
    write_wheel(index, "openhands-tools", "1.57.0", "openhands.tools.terminal")

    said = refused("1.57.0", as_what=PrerequisiteError)

    assert said.startswith("OpenHands 1.57.0 does not start here: ")
    assert "No module named 'openhands.tools.file_editor'" in said


def test_only_what_was_tried_counts_as_pinned(
    installed: OpenHandsInstallation, monkeypatch: pytest.MonkeyPatch, folder: OpenHandsFolder
) -> None:
    assert installed.fits(VERSION, "")
    assert not installed.fits("1.57.0", "")
    assert not installed.fits(VERSION, "/wheels")
    assert replace(FOUND, version="1.57.0", versions={}).fits("1.57.0", "")
    assert not replace(FOUND, versions={"constraints": "older"}).fits(VERSION, "")


def test_versions_go_into_the_lock(
    installed: OpenHandsInstallation, make_config: Callable[..., RunConfig]
) -> None:
    kept = OpenHandsKind(make_config("mini").agent, {}).versions()  # type: ignore[arg-type]

    assert kept == {"openhands": VERSION, **installed.versions}
