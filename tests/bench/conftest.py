"""A scripted endpoint to measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrator.scripted.endpoint import ScriptedEndpoint


@pytest.fixture
def serve() -> Iterator[Callable[[str], ScriptedEndpoint]]:
    """Starts scripted endpoints that play a persona: `serve("solves")`."""
    started: list[ScriptedEndpoint] = []

    def start(persona: str) -> ScriptedEndpoint:
        started.append(ScriptedEndpoint((), {}, {"default": persona}, delay_s=0.005))
        return started[-1].__enter__()

    yield start
    for endpoint in started:
        endpoint.__exit__(None, None, None)
