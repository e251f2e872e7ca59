"""Tool bundles are found by name, in our folder first and then among SWE-agent's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.sweagent.bundles import OUR_BUNDLES, find_bundle
from orchestrator.errors import ConfigError


def write_bundle(tools: Path, name: str, script: str) -> Path:
    bundle = tools / name
    bundle.mkdir(parents=True)
    (bundle / "config.yaml").write_text("tools: {}\n", encoding="utf-8")
    (bundle / "install.sh").write_text(script, encoding="utf-8")
    return bundle


def problem(name: str, tools: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        find_bundle(name, tools)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["edit", "edit_calls", "state", "submit"])
def test_ours_are_found_without_sweagent(name: str, tmp_path: Path) -> None:
    assert find_bundle(name, tmp_path / "none") == OUR_BUNDLES / name


def test_sweagents_own_are_found_in_its_tools(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, "search", "")

    assert find_bundle("search", tmp_path) == bundle


def test_ours_is_taken_where_both_have_the_name(tmp_path: Path) -> None:
    write_bundle(tmp_path, "submit", "")

    assert find_bundle("submit", tmp_path) == OUR_BUNDLES / "submit"


def test_an_unknown_bundle_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    said = problem("serch", tmp_path / "tools")

    assert "agent.bundles: no bundle 'serch'; ours are edit, edit_calls, state, submit" in said
    assert str(tmp_path / "tools") in said


def test_a_folder_that_is_no_bundle_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()

    assert "no bundle 'search'" in problem("search", tmp_path)


def test_a_bundle_that_installs_packages_is_refused_as_sandboxes_have_no_network(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path, "chatty", "pip install 'tree-sitter'\n")

    assert "agent.bundles: chatty installs packages in the sandbox" in problem("chatty", tmp_path)
