"""Agents behind one protocol, found by kind and imported when they are used."""

from __future__ import annotations

from orchestrator.agents.base import Agent, AgentContext
from orchestrator.config.schema import AgentSettings as AgentConfig

__all__ = ["Agent", "AgentContext", "create_agent"]


def create_agent(config: AgentConfig, commit: str = "") -> Agent:
    """The agent of a profile, for one rollout.

    `commit` is that of an agent which is installed beside us, as the run began with it.
    """
    kind = config.kind
    if kind == "sweagent":
        from orchestrator.agents.sweagent.agent import SweAgent

        return SweAgent(config, commit)
    if kind == "mini":
        from orchestrator.agents.mini.agent import MiniAgent

        return MiniAgent(config)
    if kind == "gold":
        from orchestrator.agents.gold import GoldAgent

        return GoldAgent()
    if kind == "nop":
        from orchestrator.agents.nop import NopAgent

        return NopAgent()
    raise ValueError(f"no agent {kind!r}")
