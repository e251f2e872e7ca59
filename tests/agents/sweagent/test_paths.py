"""Where SWE-agent lies when it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.sweagent.paths import SweAgentFolder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path))
    return tmp_path


def test_everything_lies_in_the_users_cache(cache: Path) -> None:
    folder = SweAgentFolder.of_user()
    root = cache.resolve() / "agents" / "sweagent"

    for path in (folder.manifest, folder.fetched, folder.lock, folder.in_use):
        assert path.parent == root
    assert folder.installation("one").root == root / "one"


def test_one_installation_has_its_parts_in_one_folder(cache: Path) -> None:
    paths = SweAgentFolder.of_user().installation("one")

    parts = (paths.checkout, paths.venv, paths.python, paths.tools, paths.runtime("linux/amd64"))
    assert len(set(parts)) == len(parts)
    assert all(path.is_relative_to(paths.root) for path in parts)


def test_every_platform_has_a_runtime_of_its_own(cache: Path) -> None:
    paths = SweAgentFolder.of_user().installation("one")

    assert paths.runtime("linux/amd64").name == "linux-amd64"
    assert paths.runtime("linux/arm64").parent == paths.runtime("linux/amd64").parent
