"""The agent: whether it can work in these sandboxes."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed
from orchestrator.errors import ConfigError
from orchestrator.scripted.personas import parse_persona


class AgentReady(Check):
    """The agent has what it needs."""

    name = "agent"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_rollouts and case.agent is not None

    def look(self, case: Case) -> Iterator[CheckFinding]:
        agent = case.agent
        assert agent is not None, "it applies where there is one"
        agent.check(case.host)
        versions = ", ".join(f"{name} {version}" for name, version in agent.versions().items())
        yield passed(f"{case.config.agent_name} {versions}".strip())


class Personas(Check):
    """The scripted endpoint knows no such persona."""

    name = "personas"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.asks_model and bool(case.model.personas)

    def look(self, case: Case) -> Iterator[CheckFinding]:
        personas = case.model.personas
        for instance_id, name in personas.items():
            try:
                parse_persona(name)
            except ValueError as error:
                raise ConfigError(f"model.personas.{instance_id}: {error}") from None
        yield passed(f"{len(personas)} are known")
