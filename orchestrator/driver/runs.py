"""What belongs to one run of a session: what its workers are asked, and where it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.agents import AgentKind
from orchestrator.backends import Assignment, GradeRequest, Host
from orchestrator.config.schema import RunConfig
from orchestrator.driver.files import read_patch
from orchestrator.driver.gateway_listener import GatewayHandle
from orchestrator.driver.scheduler import Start
from orchestrator.host_id import host_id
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, RolloutKey, SealedAnswer
from orchestrator.worker.messages import RolloutRequest


@dataclass(frozen=True)
class RequestBuilder:
    """Makes the requests for rollouts and grades from what all of a run's have in common."""

    config: RunConfig
    paths: RunPaths
    instances: Mapping[str, Instance]
    answers: Mapping[str, SealedAnswer]
    host: Host
    """Of the sandboxes."""
    gateway: GatewayHandle | None = None
    """None for agents that ask no model."""
    token: str = ""
    agent: AgentKind | None = None
    """None where nothing but grades is planned."""

    def rollout_request(self, start: Start, image_is_here: bool = False) -> RolloutRequest:
        assert self.agent is not None, "who plans rollouts gives an agent"
        return RolloutRequest(
            self._assignment(start, image_is_here, with_answer=self.agent.needs_gold_patch),
            base_url=self.gateway.base_url(start.key) if self.gateway else "",
            api_key=self.token,
            agent=self.agent,
            alone=start.alone,
        )

    def grade_request(self, start: Start, image_is_here: bool = False) -> GradeRequest:
        return GradeRequest(
            self._assignment(start, image_is_here, with_answer=True),
            patch=read_patch(self.paths, start.key),
        )

    def _assignment(self, start: Start, image_is_here: bool, *, with_answer: bool) -> Assignment:
        key = start.key
        return Assignment(
            config=self.config,
            instance=self.instances[key.instance_id],
            key=key,
            backend=self.host.kind,
            emulated=self.host.emulated,
            run_dir=str(self.paths.root),
            driver_host=host_id(),
            sealed_answer=self.answers[key.instance_id] if with_answer else None,
            node=start.node,
            image_is_here=image_is_here,
        )


@dataclass(frozen=True)
class DrivenRun:
    """A run as the driver has it, beside the others of its session."""

    requests: RequestBuilder
    journal: Journal
    clean: Callable[[RolloutKey], None] = lambda key: None
    """Removes what a rollout or grade left whose worker died."""

    @property
    def config(self) -> RunConfig:
        return self.requests.config

    @property
    def paths(self) -> RunPaths:
        return self.requests.paths
