"""Names of agents and sandbox backends, and the class behind each, which is imported on demand.

Other people's are named by their import path, `package.module:Class`, and need no line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ConfigError

AGENTS = {
    "sweagent": "orchestrator.agents.sweagent.kind:SweAgentKind",
    "openhands": "orchestrator.agents.openhands.kind:OpenHandsKind",
    "mini": "orchestrator.agents.mini.kind:MiniKind",
    "gold": "orchestrator.agents.gold:GoldKind",
    "nop": "orchestrator.agents.nop:NopKind",
}
"""Name in a profile to the class that implements `agents.base.AgentKind`."""

BACKENDS = {
    "docker": "orchestrator.backends.docker.backend:DockerBackend",
    "process": "orchestrator.backends.process.backend:ProcessBackend",
}
"""Name in `cluster.sandbox.kind` to the class that implements `backends.base.Backend`.

In the order in which `auto` tries them.
"""


def find_class(known: Mapping[str, str], kind: str) -> type[Any]:
    """The class that a name of `known`, or an import path, stands for.

    Raises:
        ConfigError: no such name, module or class.
    """
    path = known.get(kind, kind)
    module_name, colon, class_name = path.partition(":")
    if not colon:
        raise ConfigError(
            f"unknown kind {kind!r}; known: {', '.join(known)}, or package.module:Class"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:
        # somebody else's module may raise anything
        raise ConfigError(f"kind {kind!r} can't be imported: {error}") from error
    if not isinstance(found, type):
        raise ConfigError(f"kind {kind!r} is no class")
    return found
