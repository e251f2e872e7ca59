"""What a run needs beside itself while it goes on: gateway, engine, and a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from orchestrator.config import RunConfig
from orchestrator.config.schema import Model
from orchestrator.dataset import Dataset
from orchestrator.driver.engine import Engine
from orchestrator.errors import AgentCrashed
from orchestrator.gateway.launcher import GatewayProcess
from orchestrator.paths import RunPaths, write_atomic


@dataclass(frozen=True)
class Live:
    """The services of a run while it goes on."""

    engine: Engine
    gateway: GatewayProcess | None
    """None for agents that ask no model."""


@contextmanager
def services(
    config: RunConfig,
    dataset: Dataset,
    paths: RunPaths,
    slots: int,
    api_key: str,
    *,
    ask_model: bool,
    agent_commit: str = "",
) -> Iterator[Live]:
    """The scripted endpoint where the model is scripted, the gateway before it, the engine."""
    from orchestrator.driver.engine_ray import RayEngine

    with ExitStack() as stack:
        cluster, gateway = config.cluster, None
        model = config.model if ask_model else None
        if model is not None and config.scripted:
            model = stack.enter_context(_scripted_model(config, dataset))
        if model is not None:
            process = GatewayProcess(model, cluster.gateway, api_key, paths.gateway_log)
            gateway = stack.enter_context(process)
        if ask_model and config.agent.kind == "sweagent":
            stack.enter_context(_sweagent(cluster.sandbox.platform, agent_commit))
        engine = RayEngine(slots, cluster.grading.slots, cluster.ray_address, config.run_id)
        stack.callback(engine.close)
        if cluster.ray_address is None:
            write_atomic(paths.ray_session, engine.session_dir)
            stack.callback(paths.ray_session.unlink, missing_ok=True)
        yield Live(engine, gateway)


@contextmanager
def _sweagent(platform: str, commit: str) -> Iterator[None]:
    """Its installation is kept as it is; its imports begin now, as they take as long as Ray does
    to start."""
    from orchestrator.agents.sweagent.installation import hold_installation, require_installation
    from orchestrator.agents.sweagent.runner_process import warm_up

    with hold_installation():
        found = require_installation(platform, commit)  # it may have been replaced until now
        with suppress(AgentCrashed):  # the rollouts will tell
            warm_up(found)
        yield


@contextmanager
def _scripted_model(config: RunConfig, dataset: Dataset) -> Iterator[Model]:
    """The model as it is while its scripted endpoint is up."""
    from orchestrator.scripted.endpoint import ScriptedEndpoint

    assert config.model is not None
    model = config.model
    with ScriptedEndpoint(dataset.instances, dataset.answers, model.personas) as endpoint:
        there = model.endpoint.model_copy(update={"base_url": endpoint.base_url})
        yield model.model_copy(update={"endpoint": there})
