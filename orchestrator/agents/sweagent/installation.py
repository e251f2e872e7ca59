"""Installing SWE-agent beside the orchestrator, and finding it there.

It is not on PyPI, and its hundred packages would not fit into our environment: it gets a checkout
and an environment of its own. What its server needs inside sandboxes is installed here too, once,
for the images' platform and Python, so that no sandbox ever installs anything.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.agents.base import Say
from orchestrator.agents.installing.environment import VirtualEnvironment, constraints_version
from orchestrator.agents.installing.programs import run_program
from orchestrator.agents.sweagent.bytecode import SANDBOX_PYTHON, compile_packages, is_compiled
from orchestrator.agents.sweagent.paths import SweAgentFolder, SweAgentPaths
from orchestrator.errors import ConfigError, PrerequisiteError, one_line
from orchestrator.network.connections import environment_for

SOURCE = "https://github.com/SWE-agent/SWE-agent"
REF = "v1.1.0"
FOLDERS = ("sweagent", "config", "tools", "trajectories")
FILES = ("pyproject.toml", "README.md", "LICENSE")
WHEELS = {"linux/amd64": "manylinux2014_x86_64", "linux/arm64": "manylinux2014_aarch64"}
"""Platform of a sandbox to that of its wheels."""
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""The versions that all of this was tried with."""
NOT_COMPILED = f"its server is not compiled for Python {SANDBOX_PYTHON} and starts slowly"
INSTALL = "python -m orchestrator agents install sweagent"


@dataclass(frozen=True)
class SweAgentInstallation:
    """What is installed; kept as installed.json."""

    folder: str
    source: str
    ref: str
    commit: str
    versions: dict[str, str]
    """Of SWE-agent and of what matters to its numbers."""
    platforms: tuple[str, ...]
    """Of sandboxes that the runtime is there for."""

    @property
    def paths(self) -> SweAgentPaths:
        return SweAgentFolder.of_user().installation(self.folder)

    def is_compiled(self, platform: str) -> bool:
        """Whether the runtime for a platform is, for the Python in its sandboxes."""
        return is_compiled(self.paths.runtime(platform))


def find_installation() -> SweAgentInstallation | None:
    """What is installed; None where nothing is, or an installation was cut off."""
    try:
        found = SweAgentFolder.of_user().read_manifest()
        installed = SweAgentInstallation(**(found | {"platforms": tuple(found["platforms"])}))
        return installed if installed.paths.python.exists() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def require_installation(platform: str, commit: str = "") -> SweAgentInstallation:
    """What is installed on this host.

    Raises:
        PrerequisiteError: nothing is, or not for sandboxes of this platform, or another commit.
    """
    found = find_installation()
    if found is None:
        raise PrerequisiteError(
            "SWE-agent is not installed.", f"`{INSTALL}` does that, or take the agent mini."
        )
    if platform not in found.platforms:
        there = ", ".join(found.platforms)
        raise PrerequisiteError(
            f"SWE-agent is installed for sandboxes of {there}, not of {platform}.",
            f"`{INSTALL} --platform {platform}` adds it.",
        )
    if commit not in ("", found.commit):
        raise PrerequisiteError(
            f"This run began with SWE-agent {commit[:12]}; {found.commit[:12]} is installed here.",
            f"`{INSTALL} --ref {commit}`, with the --source that it came from, brings that back; "
            "or start a new run.",
        )
    return found


def hold_installation() -> AbstractContextManager[None]:
    """Nobody replaces what is installed meanwhile.

    Raises:
        PrerequisiteError: somebody is about to.
    """
    return SweAgentFolder.of_user().hold()


def install(source: str, ref: str, platform: str, say: Say, detail: Say) -> SweAgentInstallation:
    """Make SWE-agent at `ref` of `source` (a URL, or the path of a repository) usable.

    What is there and fits is kept, so that a second call takes a moment; what does not fit goes
    when the other is whole. `say` gets each step, `detail` each line of what pip prints.

    Raises:
        ConfigError: no such platform, or no such repository or ref.
        PrerequisiteError: git, the network, Python's venv or pip could not do their part; or a run
            works with what would go.
    """
    if platform not in WHEELS:
        raise ConfigError(f"no sandboxes of platform {platform!r}; known: {', '.join(WHEELS)}")
    folder = SweAgentFolder.of_user()
    with ExitStack() as stack:
        stack.enter_context(folder.hold_install_lock())
        found = find_installation()
        if found is None or not _fits(found, source, ref):
            stack.enter_context(folder.hold_unused())
            found = _install_agent(folder, source, ref, say, detail)
        if platform not in found.platforms:
            say(f"installing its server for sandboxes of {platform}")
            _install_runtime(found.paths, platform, detail)
            found = replace(found, platforms=(*found.platforms, platform))
        if not found.is_compiled(platform):
            _compile_runtime(found.paths, platform, say, detail)
        folder.keep(found.folder, asdict(found))
    return found


def _fits(found: SweAgentInstallation, source: str, ref: str) -> bool:
    same = (found.source, found.ref) == (source, ref)
    return same and found.versions.get("constraints") == constraints_version(CONSTRAINTS)


def _install_agent(
    folder: SweAgentFolder, source: str, ref: str, say: Say, detail: Say
) -> SweAgentInstallation:
    say(f"fetching {ref} of {source}")
    shutil.rmtree(folder.fetched, ignore_errors=True)
    commit = _check_out(folder.fetched, source, ref)
    with folder.new_folder(commit) as name:
        paths = folder.installation(name)
        folder.fetched.rename(paths.checkout)
        say("making its environment")
        environment = _environment(paths)
        environment.create(sys.executable)
        say("installing it and about 110 packages: a minute or more")
        tried = ("--constraint", str(CONSTRAINTS))
        environment.install("--editable", str(paths.checkout), *tried, detail=detail)
        versions = environment.versions(("sweagent", "swe-rex", "litellm"))
        versions["constraints"] = constraints_version(CONSTRAINTS)
    return SweAgentInstallation(name, source, ref, commit, versions, ())


def _environment(paths: SweAgentPaths) -> VirtualEnvironment:
    return VirtualEnvironment(paths.venv)


def _check_out(checkout: Path, source: str, ref: str) -> str:
    """Only what SWE-agent runs from; its tests carry large files. Returns the commit.

    Raises:
        ConfigError: the path of `source` is no such repository, or it has no such ref.
        PrerequisiteError: a URL can't be fetched, or there is no git.
    """
    if shutil.which("git") is None:
        raise PrerequisiteError("git is not on PATH.", "Install it.")
    path = Path(source).expanduser()
    git = ["git", "-C", str(checkout)]
    clone = ["git", "clone", "--quiet", "--no-checkout"]
    if path.exists():
        name = ref
        try:
            run_program([*clone, str(path.resolve()), str(checkout)], "")
        except PrerequisiteError as error:
            raise ConfigError(f"--source {source} is no git repository: {error}") from error
    else:
        name = "FETCH_HEAD"  # also a commit comes alone, without history
        shallow = [*clone, "--depth", "1", "--filter", "blob:none"]
        fetch = [*git, "fetch", "--quiet", "--depth", "1", "origin", ref]
        try:
            with environment_for(source):  # git knows no settings of macOS
                run_program([*shallow, source, str(checkout)], "")
                run_program(fetch, "")
        except PrerequisiteError as error:
            raise PrerequisiteError(
                f"can't get {ref} of {source}: {error}.",
                "--source takes a URL or the path of a git repository, --ref a tag, branch or "
                "commit of it.",
            ) from error
    try:
        commit = run_program([*git, "rev-parse", "--verify", f"{name}^{{commit}}"], "").strip()
    except PrerequisiteError as error:
        raise ConfigError(f"{source} has no tag, branch or commit {ref!r} (--ref)") from error
    wanted = [f"/{entry}" for entry in (*FOLDERS, *FILES)]
    run_program([*git, "update-ref", "--no-deref", "HEAD", commit], "")
    run_program([*git, "sparse-checkout", "set", "--no-cone", *wanted], "")
    run_program([*git, "read-tree", "-mu", "HEAD"], f"{source} can't be checked out")
    if not (checkout / "sweagent").is_dir():
        raise ConfigError(f"{source} at {ref} is not SWE-agent: it holds no folder sweagent")
    return commit


def _install_runtime(paths: SweAgentPaths, platform: str, detail: Say) -> None:
    target = paths.runtime(platform)
    shutil.rmtree(target, ignore_errors=True)
    _environment(paths).install(
        "--target",
        str(target),
        "--platform",
        WHEELS[platform],
        "--python-version",
        SANDBOX_PYTHON,
        "--only-binary=:all:",
        "--constraint",
        str(CONSTRAINTS),
        "--no-compile",  # this Python may be another than the sandboxes'
        "swe-rex",
        detail=detail,
    )


def _compile_runtime(paths: SweAgentPaths, platform: str, say: Say, detail: Say) -> None:
    """Where that can't be done, its server starts more slowly, and that is said."""

    def install_uv(target: Path) -> None:
        _environment(paths).install_uv(target, detail)

    say(f"compiling its server for Python {SANDBOX_PYTHON}")
    try:
        compile_packages(paths.runtime(platform), paths.python, install_uv, detail)
    except PrerequisiteError as error:
        say(
            f"{NOT_COMPILED}: {one_line(error)}. With a Python {SANDBOX_PYTHON} on this host, "
            f"`{INSTALL}` mends that"
        )
