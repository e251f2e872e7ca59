"""What runs beside the runs of a session: the executor, a gateway for each model server, and models
that are scripted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console

from orchestrator.config.schema import Model
from orchestrator.display.terminal import waiting
from orchestrator.driver.executor import Executor
from orchestrator.driver.lanes import Lane
from orchestrator.driver.process_limits import allow_open_files
from orchestrator.gateway.launcher import GatewayProcess
from orchestrator.paths import write_atomic
from orchestrator.run.ready import Session


@dataclass(frozen=True)
class Services:
    """Up for as long as `start_services` lasts."""

    executor: Executor
    gateways: Mapping[Lane, GatewayProcess]
    """None for agents that ask no model."""


@contextmanager
def start_services(
    sessions: Sequence[Session],
    lanes: Mapping[str, Lane],
    slots: int,
    grade_slots: int,
    console: Console,
) -> Iterator[Services]:
    """Start the executor, a gateway for each lane, and models that are scripted.

    `lanes` are by run id. `slots` is how many rollouts at once, `grade_slots` how many grades at
    most. The sessions share one cluster's settings.
    """
    allow_open_files()
    cluster = sessions[0].config.cluster
    with ExitStack() as stack:
        starting = stack.enter_context(ExitStack())
        starting.enter_context(waiting(console, "starting Ray"))
        gateways: dict[Lane, GatewayProcess] = {}
        for lane in dict.fromkeys(lanes.values()):  # each begins, and none is waited for yet
            asking = [s for s in sessions if lanes.get(s.config.run_id) is lane]
            gateways[lane] = stack.enter_context(_gateway(asking, len(gateways)))
        for session in sessions:
            if session.agent is not None and session.plan.rollouts:
                stack.enter_context(session.agent.hold(cluster.sandbox.platform))
        from orchestrator.driver.ray_connection import join, start_local
        from orchestrator.driver.ray_executor import RayExecutor

        address = cluster.ray_address
        connection = join(address) if address else start_local(sessions[0].begun.take_ray())
        stack.callback(connection.close)
        for gateway in gateways.values():
            gateway.wait()
        run_ids = [session.config.run_id for session in sessions]
        executor = RayExecutor(connection, slots, grade_slots, run_ids)
        stack.callback(executor.close)
        if address is None:
            for session in sessions:  # whichever is cleaned up first finds what a kill left
                write_atomic(session.paths.ray_session, executor.session_dir)
                stack.callback(session.paths.ray_session.unlink, missing_ok=True)
        starting.close()
        yield Services(executor, gateways)


@contextmanager
def _gateway(sessions: Sequence[Session], number: int) -> Iterator[GatewayProcess]:
    """One for runs that ask the same server, begun and not waited for, with its log in the first
    one's folder; and the server itself where it is scripted."""
    first = sessions[0]
    profiles = {s.config.run_id: s.config.model for s in sessions if s.config.model is not None}
    model, address = profiles[first.config.run_id], first.config.cluster.gateway
    if address.port:  # each listens at one of its own
        address = address.model_copy(update={"port": address.port + number})
    for other in sessions[1:]:
        with open(other.paths.gateway_log, "a", encoding="utf-8") as log:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            log.write(f"{stamp} shares the gateway of another run: see {first.paths.gateway_log}\n")
    with ExitStack() as stack:
        if first.config.scripted:
            model = stack.enter_context(_scripted_model(first, model))
        process = GatewayProcess(
            model, address, first.checked.key, first.paths.gateway_log, profiles
        )
        process.begin()
        stack.callback(process.end)
        yield process


@contextmanager
def _scripted_model(session: Session, model: Model) -> Iterator[Model]:
    """Start the scripted endpoint; gives the model with its address."""
    from orchestrator.scripted.endpoint import ScriptedEndpoint

    dataset = session.dataset
    with ScriptedEndpoint(dataset.instances, dataset.answers, model.personas) as endpoint:
        endpoint_here = model.endpoint.model_copy(update={"base_url": endpoint.base_url})
        yield model.model_copy(update={"endpoint": endpoint_here})
