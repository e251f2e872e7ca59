"""The folder of an agent's installations: one is in use, and it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator.agents.installing.folder import AgentFolder
from orchestrator.errors import PrerequisiteError


class Folder(AgentFolder):
    kind: ClassVar[str] = "an-agent"
    agent: ClassVar[str] = "An agent"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path))
    return Folder.of_user()


def test_each_agent_has_a_folder_of_its_own_in_the_users_cache(
    folder: Folder, tmp_path: Path
) -> None:
    assert folder.root == tmp_path.resolve() / "agents" / "an-agent"
    for path in (folder.manifest, folder.lock, folder.in_use):
        assert path.parent == folder.root


def test_what_was_cut_off_goes_with_the_next_that_is_whole(folder: Folder) -> None:
    (folder.root / "killed-on-the-way" / "venv").mkdir(parents=True)
    with folder.new_folder("1.0") as name:
        pass

    folder.keep(name, {"folder": name})

    assert [path.name for path in folder.root.glob("*/")] == [name]
    assert folder.read_manifest() == {"folder": name}


@pytest.mark.parametrize("end", [OSError("the disk is full"), KeyboardInterrupt()])
def test_an_installation_that_fails_leaves_nothing_behind(
    folder: Folder, end: BaseException
) -> None:
    def install() -> None:
        with folder.new_folder("1.0") as name:
            (folder.root / name / "venv").mkdir()
            raise end

    with pytest.raises(type(end)):
        install()

    assert not list(folder.root.glob("*/"))


@pytest.mark.parametrize("version", ["1", "2.0.0.dev20261126+g0123456789abcdef", "c0ffee" * 7])
def test_a_folders_name_is_short_enough_for_a_sockets_path(folder: Folder, version: str) -> None:
    with folder.new_folder(version) as name, folder.new_folder(version) as other:
        assert len(name) <= 19
        assert name != other


def test_runs_hold_it_together_and_keep_out_who_would_replace_it(folder: Folder) -> None:
    with folder.hold(), folder.hold(), pytest.raises(PrerequisiteError) as caught:
        folder.hold_unused().__enter__()
    assert str(caught.value) == (
        "A run works with the An agent that is installed. Wait for its end, or stop it."
    )
    with folder.hold_unused(), pytest.raises(PrerequisiteError, match="is being installed"):
        folder.hold().__enter__()


def test_two_do_not_install_at_once(folder: Folder) -> None:
    with folder.hold_install_lock(), pytest.raises(PrerequisiteError) as caught:
        folder.hold_install_lock().__enter__()

    assert str(caught.value) == "Another `agents install an-agent` is at work. Wait for it."
