"""Installing OpenHands' agent SDK beside the orchestrator, and finding it there.

It wants Python 3.12 or newer, and its hundred packages would not fit into our environment: it gets
one of its own, of a Python of this host or of one that uv brings.

<cache>/agents/openhands/      see `installing/folder.py`
    <folder>/venv/            its environment
    <folder>/python/          a Python for that, where this host has none

The version that this was made for comes with the packages that it was tried with, and without those
that nothing here runs (`constraints.txt`): 380 MB in place of 660. Of any other version pip gets
what it finds that day.
"""

from __future__ import annotations

import re
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from packaging.version import InvalidVersion, Version

from orchestrator.agents.base import Say
from orchestrator.agents.installing.environment import (
    PipFailed,
    VirtualEnvironment,
    constraints_version,
)
from orchestrator.agents.installing.folder import AgentFolder
from orchestrator.agents.installing.programs import run_program
from orchestrator.agents.installing.pythons import bring_python, find_python
from orchestrator.errors import ConfigError, PrerequisiteError

VERSION = "1.58.2"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""All packages that it was tried with, at their versions."""
PYTHONS = ("3.12", "3.13", "3.14")
"""That all of them have wheels for; the first is brought where there is none."""
MAKES_ENVIRONMENTS = ("venv", "ensurepip")
"""Debian's Python lacks the second until it gets a package of its own."""
PACKAGES = ("openhands-sdk", "openhands-tools")
"""Released together, under one version."""
MATTER = (*PACKAGES, "litellm", "pydantic")
"""Whose versions are kept with a run."""
TRIAL = (
    "import openhands.sdk, openhands.tools.terminal, openhands.tools.file_editor, "
    "openhands.tools.task_tracker"
)
"""What runners import. Done once, it also compiles that, and nothing else."""
QUIET = {
    "OPENHANDS_SUPPRESS_BANNER": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list from the network
    "PYTHONDONTWRITEBYTECODE": "",
}
CANDIDATES = re.compile(r"requirement openhands-\w+==\S+ \(from versions: (.*?)\)")
MAX_NAMED = 5
INSTALL = "python -m orchestrator agents install openhands"


@dataclass(frozen=True)
class OpenHandsFolder(AgentFolder):
    """Where installations of OpenHands lie, of which one is in use."""

    kind: ClassVar[str] = "openhands"
    agent: ClassVar[str] = "OpenHands"

    def environment(self, folder: str) -> VirtualEnvironment:
        return VirtualEnvironment(self.root / folder / "venv")


@dataclass(frozen=True)
class OpenHandsInstallation:
    """What is installed; kept as installed.json."""

    folder: str
    """Its name beside the manifest."""
    version: str
    source: str
    """A folder of wheels; empty for pip's own index."""
    versions: dict[str, str]
    """Of what matters to its numbers."""

    @property
    def root(self) -> Path:
        return OpenHandsFolder.of_user().root / self.folder

    @property
    def python(self) -> Path:
        return OpenHandsFolder.of_user().environment(self.folder).python

    def fits(self, version: str, source: str) -> bool:
        """Whether another installation of these would be the same."""
        return (self.version, self.source) == (version, source) and (
            self.versions.get("constraints") == _constraints_of(version)
        )


def find_installation() -> OpenHandsInstallation | None:
    """What is installed; None where nothing is, or an installation was cut off."""
    try:
        found = OpenHandsInstallation(**OpenHandsFolder.of_user().read_manifest())
        return found if found.python.exists() else None
    except (OSError, ValueError, TypeError):
        return None


def require_installation(version: str = "") -> OpenHandsInstallation:
    """What is installed on this host.

    Raises:
        PrerequisiteError: nothing is, or another version.
    """
    found = find_installation()
    if found is None:
        raise PrerequisiteError(
            "OpenHands is not installed.", f"`{INSTALL}` does that, or take the agent mini."
        )
    if version not in ("", found.version):
        raise PrerequisiteError(
            f"This run began with OpenHands {version}; {found.version} is installed here.",
            f"`{INSTALL} --version {version}` brings that back; or start a new run.",
        )
    return found


def hold_installation() -> AbstractContextManager[None]:
    """Nobody replaces what is installed meanwhile.

    Raises:
        PrerequisiteError: somebody is about to.
    """
    return OpenHandsFolder.of_user().hold()


def install(version: str, source: str, say: Say, detail: Say) -> OpenHandsInstallation:
    """Make OpenHands at `version` usable, from pip's index or from a folder of wheels.

    What is there and fits is kept, so that a second call takes a moment; what does not fit goes
    when the other is whole. `say` gets each step, `detail` each line of what pip prints.

    Raises:
        ConfigError: no such version or folder.
        PrerequisiteError: the network, Python's venv, pip or uv could not do their part; or a run
            works with what would go.
    """
    version, source = _read_version(version or VERSION), _read_source(source)
    folder = OpenHandsFolder.of_user()
    with ExitStack() as stack:
        stack.enter_context(folder.hold_install_lock())
        found = find_installation()
        if found is None or not found.fits(version, source):
            stack.enter_context(folder.hold_unused())
            found = _install(folder, version, source, say, detail)
        folder.keep(found.folder, asdict(found))
    return found


def _read_version(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion:
        raise ConfigError(f"--version {version}: no version, such as {VERSION}") from None


def _read_source(source: str) -> str:
    if source and not Path(source).expanduser().is_dir():
        raise ConfigError(
            f"--source {source} is no folder: for OpenHands it takes one of wheels. Another index "
            "is pip's own setting (PIP_INDEX_URL)."
        )
    return str(Path(source).expanduser().resolve()) if source else ""


def _constraints_of(version: str) -> str | None:
    return constraints_version(CONSTRAINTS) if version == VERSION else None


def _install(
    folder: OpenHandsFolder, version: str, source: str, say: Say, detail: Say
) -> OpenHandsInstallation:
    with folder.new_folder(version) as name:
        python = _have_python(folder.root / name / "python", say, detail)
        say(f"making its environment with {python}")
        environment = folder.environment(name)
        environment.create(python)
        _install_packages(environment, version, source, say, detail)
        say("trying it")
        try:
            run_program([str(environment.python), "-I", "-c", TRIAL], "", detail, QUIET)
        except PrerequisiteError as error:
            raise PrerequisiteError(f"OpenHands {version} does not start here: {error}") from error
        versions = environment.versions(MATTER)
    if constraints := _constraints_of(version):
        versions["constraints"] = constraints
    return OpenHandsInstallation(name, version, source, versions)


def _have_python(place: Path, say: Say, detail: Say) -> str:
    """One of this host, or one that is brought into `place`."""
    own = Path(sys.executable)
    for version in PYTHONS:
        if found := find_python(version, own, MAKES_ENVIRONMENTS):
            return found
    say(f"bringing Python {PYTHONS[0]}, as this host has none that is newer than 3.11")

    def install_uv(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="uv-") as folder:
            ours = VirtualEnvironment(Path(folder))
            ours.create(own)
            ours.install_uv(target, detail)

    try:
        return bring_python(PYTHONS[0], place, install_uv, detail)
    except PrerequisiteError as error:
        raise PrerequisiteError(
            f"OpenHands needs Python 3.12 or newer: {error}.",
            f"Install Python {PYTHONS[0]}, then run `{INSTALL}` again.",
        ) from error


def _install_packages(
    environment: VirtualEnvironment, version: str, source: str, say: Say, detail: Say
) -> None:
    place = ("--no-index", "--find-links", source) if source else ()
    what: tuple[str, ...]
    if version == VERSION:
        say("installing it and about 120 packages: a minute or more")
        what = ("--no-deps", "-r", str(CONSTRAINTS))
    else:
        say(
            f"installing it and all that it asks for, as pip finds that today: this was tried with "
            f"{VERSION} only"
        )
        what = tuple(f"{package}=={version}" for package in PACKAGES)
    try:
        environment.install("--no-compile", *place, *what, detail=detail)
    except PipFailed as error:
        versions = CANDIDATES.search(error.output)
        if versions is None or "no package index" in error.what:
            raise
        known = [v for v in versions[1].split(", ") if v != "none"][-MAX_NAMED:]
        where = source or "pip's index"
        raise ConfigError(
            f"{where} has no OpenHands {version} for this Python (--version)"
            + (f"; the newest there: {', '.join(known)}" if known else "")
        ) from error
