"""What runs beside a run while it goes on: the gateway, the executor, and a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console

from orchestrator.agents import AgentKind
from orchestrator.config import RunConfig
from orchestrator.config.schema import Model
from orchestrator.dataset import Dataset
from orchestrator.display.terminal import waiting
from orchestrator.driver.executor import Executor
from orchestrator.driver.process_limits import allow_open_files
from orchestrator.gateway.launcher import GatewayProcess
from orchestrator.paths import RunPaths, write_atomic


@dataclass(frozen=True)
class Services:
    """Up for as long as `start_services` lasts."""

    executor: Executor
    gateway: GatewayProcess | None
    """None for agents that ask no model."""


@contextmanager
def start_services(
    config: RunConfig,
    dataset: Dataset,
    paths: RunPaths,
    slots: int,
    api_key: str,
    agent: AgentKind | None,
    console: Console,
) -> Iterator[Services]:
    """Start the executor, the gateway where a model is asked, and the model where it is scripted.

    `agent` is None where only grades are planned.
    """
    from orchestrator.driver.ray_executor import RayExecutor

    allow_open_files()
    with ExitStack() as stack:
        cluster, gateway = config.cluster, None
        starting = stack.enter_context(ExitStack())
        starting.enter_context(waiting(console, "starting Ray"))
        model = config.model if agent else None
        if model is not None and config.scripted:
            model = stack.enter_context(_scripted_model(config, dataset))
        if model is not None:
            process = GatewayProcess(model, cluster.gateway, api_key, paths.gateway_log)
            gateway = stack.enter_context(process)
        if agent is not None:
            stack.enter_context(agent.hold(cluster.sandbox.platform))
        executor = RayExecutor(slots, cluster.grading.slots, cluster.ray_address, config.run_id)
        stack.callback(executor.close)
        if cluster.ray_address is None:
            write_atomic(paths.ray_session, executor.session_dir)
            stack.callback(paths.ray_session.unlink, missing_ok=True)
        starting.close()
        yield Services(executor, gateway)


@contextmanager
def _scripted_model(config: RunConfig, dataset: Dataset) -> Iterator[Model]:
    """Start the scripted endpoint; gives the model with its address."""
    from orchestrator.scripted.endpoint import ScriptedEndpoint

    assert config.model is not None
    model = config.model
    with ScriptedEndpoint(dataset.instances, dataset.answers, model.personas) as endpoint:
        endpoint_here = model.endpoint.model_copy(update={"base_url": endpoint.base_url})
        yield model.model_copy(update={"endpoint": endpoint_here})
