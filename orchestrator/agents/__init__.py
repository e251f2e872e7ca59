"""Agents behind one protocol, found by kind and imported when they are used."""

from __future__ import annotations

from orchestrator.agents.base import Agent, AgentContext

__all__ = ["Agent", "AgentContext", "create_agent"]


def create_agent(kind: str) -> Agent:
    """The agent of a kind (`mini`, `gold`, `nop`)."""
    if kind == "gold":
        from orchestrator.agents.gold import GoldAgent

        return GoldAgent()
    if kind == "nop":
        from orchestrator.agents.nop import NopAgent

        return NopAgent()
    if kind == "mini":
        from orchestrator.agents.mini import MiniAgent

        return MiniAgent()
    raise ValueError(f"no agent {kind!r}")
