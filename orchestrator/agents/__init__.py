"""Agents behind two protocols, found by kind and imported when they are used."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.agents.base import Agent, AgentKind
from orchestrator.config.schema import AgentSettings, find_agent_kind

__all__ = ["Agent", "AgentKind", "load_agent_kind"]


def load_agent_kind(settings: AgentSettings, locked_versions: Mapping[str, str]) -> AgentKind:
    """The agent of a run's configuration.

    `locked_versions` are the versions that the run began with; empty for a new run.

    Raises:
        ConfigError: there is no such kind.
    """
    kind: AgentKind = find_agent_kind(settings.kind)(settings, dict(locked_versions))
    return kind
