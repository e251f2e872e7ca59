"""`mini` before the night: which settings it can work with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.specs import PROCESSES

from orchestrator.agents import base
from orchestrator.errors import EXIT_USAGE, ConfigError, PrerequisiteError

Check = Callable[..., None]


@pytest.mark.parametrize("bundles", [["search"], ["edit", "search"], ["edit_calls"]])
def test_mini_has_no_bundle_but_edit(bundles: list[str], check_agent: Check) -> None:
    with pytest.raises(ConfigError) as caught:
        check_agent("mini", PROCESSES, {"agent.bundles": bundles})

    assert caught.value.exit_code == EXIT_USAGE
    assert str(caught.value) == "agent.bundles: mini knows only `edit`"


def test_a_colon_in_the_path_of_the_installation_is_told_before_the_night(
    check_agent: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "TOOLS", tmp_path / "a:b" / "tools")

    check_agent("mini", PROCESSES, {"agent.bundles": []})
    with pytest.raises(PrerequisiteError, match=r"a:b/tools can't be mounted"):
        check_agent("mini", PROCESSES, {"agent.bundles": ["edit"]})
