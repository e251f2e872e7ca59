"""Installing SWE-agent and finding it; nothing here asks a network or the user's own cache."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.wheels import write_wheel

from orchestrator.agents.installing.environment import constraints_version
from orchestrator.agents.sweagent import installation
from orchestrator.agents.sweagent.bytecode import TAG
from orchestrator.agents.sweagent.installation import (
    CONSTRAINTS,
    SweAgentInstallation,
    find_installation,
    hold_installation,
    install,
    require_installation,
)
from orchestrator.agents.sweagent.kind import SweAgentKind
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.errors import (
    EXIT_PREREQUISITE,
    ConfigError,
    OrchestratorError,
    PrerequisiteError,
)
from orchestrator.network import connections
from orchestrator.network.proxies import SYSTEM, Proxy

AMD64, ARM64 = "linux/amd64", "linux/arm64"
FOUND = SweAgentInstallation(
    folder="c0ffee-1",
    source="https://somewhere",
    ref="v1.1.0",
    commit="c0ffee",
    versions={"sweagent": "1.1.0", "swe-rex": "1.4.0"},
    platforms=(AMD64,),
)
TRIED = {"constraints": constraints_version(CONSTRAINTS)}
"""Of an installation with the versions that are tried."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweAgentFolder:
    """Where SWE-agent would be installed: in an empty cache folder."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LC_ALL", "C")  # git's words
    return SweAgentFolder.of_user()


def write_manifest(folder: SweAgentFolder, text: str) -> None:
    python = folder.installation(FOUND.folder).python
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
    folder.manifest.write_text(text, encoding="utf-8")


def test_where_nothing_is_installed_nothing_is_found() -> None:
    assert find_installation() is None


def test_what_is_installed_is_found(folder: SweAgentFolder) -> None:
    write_manifest(folder, json.dumps(asdict(FOUND)))

    assert find_installation() == FOUND
    assert FOUND.paths == folder.installation("c0ffee-1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        json.dumps(asdict(FOUND))[:-20],
        "[]",
        "null",
        "7",
        '"installed"',
        "{}",
        "\0\0\0",
        json.dumps(asdict(FOUND) | {"platforms": None}),
        json.dumps(asdict(FOUND) | {"of_a_later_version": 1}),
        json.dumps({key: value for key, value in asdict(FOUND).items() if key != "commit"}),
    ],
)
def test_a_manifest_that_is_cut_off_or_no_manifest_is_no_installation(
    folder: SweAgentFolder, text: str
) -> None:
    write_manifest(folder, text)

    assert find_installation() is None


def test_a_manifest_that_is_no_text_is_no_installation(folder: SweAgentFolder) -> None:
    folder.root.mkdir(parents=True)
    folder.manifest.write_bytes(b"\xff\xfe{")

    assert find_installation() is None


def test_an_installation_that_was_cut_off_before_its_manifest_is_none(
    folder: SweAgentFolder,
) -> None:
    paths = folder.installation("c0ffee-1")
    for part in (paths.checkout / "sweagent", paths.venv / "bin", paths.runtime(AMD64)):
        part.mkdir(parents=True)

    assert find_installation() is None


def test_an_absent_installation_is_reported_with_the_command_that_mends_it() -> None:
    with pytest.raises(PrerequisiteError) as caught:
        require_installation(AMD64)

    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert str(caught.value) == (
        "SWE-agent is not installed. `python -m orchestrator agents install sweagent` does that, "
        "or take the agent mini."
    )


def test_a_platform_that_is_missing_is_reported_with_the_command_that_adds_it(
    folder: SweAgentFolder,
) -> None:
    write_manifest(folder, json.dumps(asdict(FOUND)))

    with pytest.raises(PrerequisiteError) as caught:
        require_installation(ARM64)

    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert str(caught.value) == (
        "SWE-agent is installed for sandboxes of linux/amd64, not of linux/arm64. `python -m "
        "orchestrator agents install sweagent --platform linux/arm64` adds it."
    )
    assert require_installation(AMD64) == FOUND


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a branch `main`, which is no SWE-agent."""
    commit(tmp_path / "repository", {"README.md": "something else\n"})
    return tmp_path / "repository"


def commit(repository: Path, files: dict[str, str], tag: str = "") -> str:
    """Make a commit of these files, in a new repository where `repository` is none yet."""
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(textwrap.dedent(text), encoding="utf-8")
    if not (repository / ".git").exists():
        git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "-A")
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    git(repository, *author, "commit", "--quiet", "--allow-empty", "--message=more")
    if tag:
        git(repository, "tag", tag)
    return git(repository, "rev-parse", "HEAD")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(
    source: str | Path, ref: str, as_what: type[OrchestratorError] = ConfigError, on: str = AMD64
) -> str:
    """The one line with which an installation is refused; what was there stays."""
    before = find_installation()
    with pytest.raises(as_what) as caught:
        install(str(source), ref, on, lambda _: None, lambda _: None)
    assert "\n" not in str(caught.value)
    assert find_installation() == before
    return str(caught.value)


def test_an_unknown_platform_is_refused_before_anything_is_fetched(
    repository: Path, folder: SweAgentFolder
) -> None:
    said = refused(repository, "main", on="windows/amd64")

    assert said == "no sandboxes of platform 'windows/amd64'; known: linux/amd64, linux/arm64"
    assert not folder.root.exists()


@pytest.mark.parametrize("form", ["{}/none", "file://{}/none"])
def test_a_repository_that_does_not_exist_is_refused(form: str, tmp_path: Path) -> None:
    """Git can't know whether what is not there should have been a repository."""
    source = form.format(tmp_path)

    said = refused(source, "v1.1.0", PrerequisiteError)

    assert said.startswith(f"can't get v1.1.0 of {source}: ")
    assert "fatal: " in said
    assert "--source takes a URL or the path of a git repository" in said


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    assert "does not exist" in refused(tmp_path / "folder", "main")


@pytest.mark.slow
def test_a_ref_that_does_not_exist_is_refused(repository: Path) -> None:
    there = refused(repository, "v9")
    far = refused(f"file://{repository}", "v9", PrerequisiteError)

    assert there == f"{repository} has no tag, branch or commit 'v9' (--ref)"
    assert far.startswith(f"can't get v9 of file://{repository}: ")
    assert "--ref a tag, branch or commit of it" in far


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_repository_of_something_else_is_refused(form: str, repository: Path) -> None:
    source = form.format(repository)

    said = refused(source, "main")

    assert said == f"{source} at main is not SWE-agent: it holds no folder sweagent"


def test_git_goes_through_the_proxy_that_all_others_go_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a Mac that has one in its settings, which git does not read."""
    seen: list[str] = []

    def note(command: list[str], *_: object) -> str:
        seen.append(os.environ.get("ALL_PROXY", "none"))
        raise PrerequisiteError("no network")

    proxy = Proxy("http://proxy:3128", SYSTEM)
    monkeypatch.setattr(connections, "find_proxy", lambda url: proxy)
    monkeypatch.setattr(installation, "run_program", note)

    assert "no network" in refused("https://forge.example/SWE-agent", "v1", PrerequisiteError)
    assert seen == ["http://proxy:3128"]


def test_a_missing_git_is_reported(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(PrerequisiteError, match="git is not on PATH"):
        install(str(repository), "main", AMD64, lambda _: None, lambda _: None)


def test_two_do_not_install_at_once(repository: Path, folder: SweAgentFolder) -> None:
    write_manifest(folder, json.dumps(asdict(FOUND)))
    with at_work(folder), pytest.raises(PrerequisiteError) as caught:
        install(str(repository), "main", AMD64, lambda _: None, lambda _: None)

    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert str(caught.value) == "Another `agents install sweagent` is at work. Wait for it."
    assert find_installation() == FOUND


def test_what_a_run_works_with_is_not_replaced(repository: Path, folder: SweAgentFolder) -> None:
    write_manifest(folder, json.dumps(asdict(FOUND)))
    with hold_installation(), hold_installation(), pytest.raises(PrerequisiteError) as caught:
        install(str(repository), "main", AMD64, lambda _: None, lambda _: None)

    assert str(caught.value) == (
        "A run works with the SWE-agent that is installed. Wait for its end, or stop it."
    )
    assert find_installation() == FOUND


def test_what_fits_is_found_while_a_run_works_with_it(folder: SweAgentFolder) -> None:
    fits = replace(
        FOUND, versions=FOUND.versions | {"constraints": constraints_version(CONSTRAINTS)}
    )
    write_manifest(folder, json.dumps(asdict(fits)))
    (fits.paths.runtime(AMD64) / "swerex").mkdir(parents=True)
    pretend_to_compile(fits.paths.runtime(AMD64))
    with hold_installation():
        assert install(FOUND.source, FOUND.ref, AMD64, lambda _: None, lambda _: None) == fits


def test_no_run_starts_with_what_is_being_replaced(
    repository: Path, folder: SweAgentFolder
) -> None:
    write_manifest(folder, json.dumps(asdict(FOUND)))
    with open(folder.in_use, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(PrerequisiteError, match="is being installed"), hold_installation():
            pass
    assert refused(repository, "main")
    with hold_installation():
        pass


@contextmanager
def at_work(folder: SweAgentFolder) -> Iterator[None]:
    """Someone else installs."""
    folder.root.mkdir(parents=True, exist_ok=True)
    with open(folder.lock, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.slow
def test_what_is_installed_survives_an_installation_that_fails(
    repository: Path, folder: SweAgentFolder
) -> None:
    write_manifest(folder, json.dumps(asdict(FOUND)))
    python = FOUND.paths.python

    assert refused(repository, "v9")
    assert refused(repository, "main")

    assert require_installation(AMD64) == FOUND
    assert python.exists()


@pytest.mark.slow
def test_an_installation_that_was_refused_does_not_block_the_next(repository: Path) -> None:
    first = refused(repository, "v9")

    assert refused(repository, "v9") == first


PROJECT = """
    [build-system]
    requires = []
    build-backend = "build_by_hand"
    backend-path = ["sweagent"]

    [project]
    name = "sweagent"
    version = "1.1.0"
"""
BACKEND = """
    import pathlib
    import zipfile

    FILES = {
        "METADATA": "Metadata-Version: 2.1\\nName: sweagent\\nVersion: 1.1.0\\n"
        "Requires-Dist: swe-rex\\nRequires-Dist: litellm\\n",
        "WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "RECORD": "",
    }


    def build_editable(folder, config_settings=None, metadata_directory=None):
        name = "sweagent-1.1.0-py3-none-any.whl"
        with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
            wheel.writestr("sweagent.pth", str(pathlib.Path.cwd()))
            for file, text in FILES.items():
                wheel.writestr(f"sweagent-1.1.0.dist-info/{file}", text)
        return name
"""
"""All that `pip install --editable` asks of a build backend."""


def pinned(package: str) -> str:
    """The version that our constraints allow."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for all that there is: SWE-ReX and litellm in miniature."""
    folder = tmp_path / "index"
    folder.mkdir()
    write_wheel(folder, "litellm", pinned("litellm"), "litellm")
    write_wheel(folder, "swe-rex", pinned("swe-rex"), "swerex")
    write_wheel(folder, "swe-rex", "0.9", "too_old")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(installation, "compile_packages", pretend_to_compile)
    return folder


def pretend_to_compile(packages: Path, *_: object) -> None:
    """As a Python of the sandboxes' version does, which this host may not have."""
    made = packages / "swerex" / "__pycache__" / f"__init__.{TAG}.pyc"
    made.parent.mkdir(exist_ok=True)
    made.touch()


@pytest.fixture
def sweagent(tmp_path: Path) -> Path:
    """A git repository that is laid out like SWE-agent's, with a tag v1.1.0."""
    files = {
        "pyproject.toml": PROJECT,
        "sweagent/__init__.py": "",
        "sweagent/build_by_hand.py": BACKEND,
        "tools/search/config.yaml": "tools: {}\n",
        "config/default.yaml": "",
        "tests/large.bin": "x" * 1000,
    }
    commit(tmp_path / "sweagent", files, tag="v1.1.0")
    return tmp_path / "sweagent"


@pytest.mark.slow
def test_an_installation_is_whole_and_is_kept_until_something_else_is_asked_for(
    sweagent: Path, index: Path
) -> None:
    steps: list[str] = []
    details: list[str] = []
    source = str(sweagent)

    def ask(ref: str, platform: str) -> SweAgentInstallation:
        steps.clear()
        return install(source, ref, platform, steps.append, details.append)

    first = ask("v1.1.0", AMD64)

    assert find_installation() == require_installation(AMD64) == first
    paths = first.paths
    assert (first.source, first.ref, first.platforms) == (source, "v1.1.0", (AMD64,))
    assert first.commit == git(sweagent, "rev-parse", "v1.1.0")
    assert {name: first.versions[name] for name in ("sweagent", "swe-rex", "litellm")} == {
        "sweagent": "1.1.0",
        "swe-rex": pinned("swe-rex"),
        "litellm": pinned("litellm"),
    }
    assert steps == [
        f"fetching v1.1.0 of {source}",
        "making its environment",
        "installing it and about 110 packages: a minute or more",
        "installing its server for sandboxes of linux/amd64",
        "compiling its server for Python 3.11",
    ]
    assert first.is_compiled(AMD64)
    assert any("Successfully installed" in line for line in details)
    where = "import sweagent, swerex; print(sweagent.__file__)"
    found = subprocess.run([paths.python, "-I", "-c", where], capture_output=True, text=True)
    assert found.stdout.strip() == str(paths.checkout / "sweagent" / "__init__.py"), found.stderr
    assert (paths.checkout / "tools" / "search" / "config.yaml").is_file()
    assert not (paths.checkout / "tests").exists(), "what is large and not needed is left out"
    assert (paths.runtime(AMD64) / "swerex").is_dir()

    assert ask("v1.1.0", AMD64) == first
    assert steps == []

    second = ask("v1.1.0", ARM64)
    assert second == replace(first, platforms=(AMD64, ARM64)) == find_installation()
    assert steps == [
        "installing its server for sandboxes of linux/arm64",
        "compiling its server for Python 3.11",
    ]
    assert (paths.runtime(ARM64) / "swerex").is_dir()

    newest = commit(sweagent, {"sweagent/new.py": ""})
    other = ask("main", ARM64)
    assert (other.ref, other.commit, other.platforms) == ("main", newest, (ARM64,))
    assert other.folder != first.folder
    assert (other.paths.runtime(ARM64) / "swerex").is_dir()
    assert not paths.root.exists(), "nobody needs it any more"


def test_a_host_that_can_not_compile_is_told_and_works(
    folder: SweAgentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PrerequisiteError("no Python 3.11 is on this host, and uv can't bring one: offline")

    monkeypatch.setattr(installation, "compile_packages", fail)
    fits = replace(
        FOUND, versions=FOUND.versions | {"constraints": constraints_version(CONSTRAINTS)}
    )
    write_manifest(folder, json.dumps(asdict(fits)))
    steps: list[str] = []

    assert install(FOUND.source, FOUND.ref, AMD64, steps.append, lambda _: None) == fits

    assert steps[-1].startswith("its server is not compiled for Python 3.11 and starts slowly: no ")
    assert "starts slowly (linux/amd64)" in SweAgentKind.installed_line()
    assert require_installation(AMD64) == fits


def test_what_an_older_version_installed_is_compiled_by_another_call(
    folder: SweAgentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "compile_packages", pretend_to_compile)
    fits = replace(
        FOUND, versions=FOUND.versions | {"constraints": constraints_version(CONSTRAINTS)}
    )
    write_manifest(folder, json.dumps(asdict(fits)))
    (fits.paths.runtime(AMD64) / "swerex").mkdir(parents=True)

    with hold_installation():  # a run works with it, and finds more
        install(FOUND.source, FOUND.ref, AMD64, lambda _: None, lambda _: None)

    assert fits.is_compiled(AMD64)
    assert "slowly" not in SweAgentKind.installed_line()


@pytest.mark.slow
def test_what_pip_can_not_install_is_reported_and_leaves_nothing_that_looks_installed(
    sweagent: Path, index: Path
) -> None:
    next(index.glob("litellm*")).unlink()

    with pytest.raises(PrerequisiteError, match=r"^pip can't install it: ") as caught:
        install(str(sweagent), "v1.1.0", AMD64, lambda _: None, lambda _: None)

    assert "\n" not in str(caught.value)
    assert find_installation() is None


@pytest.mark.slow
def test_an_installation_without_its_server_is_none_and_is_mended_by_another_call(
    sweagent: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "SANDBOX_PYTHON", "none")

    with pytest.raises(PrerequisiteError):
        install(str(sweagent), "v1.1.0", AMD64, lambda _: None, lambda _: None)
    assert find_installation() is None

    monkeypatch.setattr(installation, "SANDBOX_PYTHON", "3.11")
    install(str(sweagent), "v1.1.0", AMD64, lambda _: None, lambda _: None)
    assert find_installation() is not None
