"""`mini` before the night: which settings it can work with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.specs import PROCESSES

from orchestrator.errors import EXIT_USAGE, ConfigError

Check = Callable[..., None]


@pytest.mark.parametrize("bundles", [["search"], ["edit", "search"], ["edit_calls"]])
def test_mini_has_no_bundle_but_edit(bundles: list[str], check_agent: Check) -> None:
    with pytest.raises(ConfigError) as caught:
        check_agent("mini", PROCESSES, {"agent.bundles": bundles})

    assert caught.value.exit_code == EXIT_USAGE
    assert str(caught.value) == "agent.bundles: mini knows only `edit`"
