"""What a run needs beside itself while it goes on: the engine, and a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.driver.base import Engine
from orchestrator.paths import RunPaths, write_atomic


@dataclass(frozen=True)
class Live:
    """The services of a run while it goes on."""

    engine: Engine
    base_url: str


@contextmanager
def services(config: RunConfig, dataset: Dataset, paths: RunPaths, slots: int) -> Iterator[Live]:
    """The scripted endpoint where the model is scripted, and the engine."""
    from orchestrator.driver.ray import RayEngine

    with ExitStack() as stack:
        base_url = config.model.endpoint.base_url if config.model else ""
        if config.scripted:
            base_url = stack.enter_context(_scripted_endpoint(config, dataset))
        cluster = config.cluster
        engine = RayEngine(slots, cluster.grading.slots, cluster.ray_address, config.run_id)
        stack.callback(engine.close)
        if cluster.ray_address is None:
            write_atomic(paths.ray_session, engine.session_dir)
            stack.callback(paths.ray_session.unlink, missing_ok=True)
        yield Live(engine, base_url)


@contextmanager
def _scripted_endpoint(config: RunConfig, dataset: Dataset) -> Iterator[str]:
    from orchestrator.testing.endpoint import ScriptedEndpoint

    assert config.model is not None
    personas = config.model.personas
    with ScriptedEndpoint(dataset.instances, dataset.answers, personas) as endpoint:
        yield endpoint.base_url
