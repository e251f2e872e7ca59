"""The configuration and the lock of a made-up run. Both say that it is made up."""

from __future__ import annotations

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.schema import Benchmark, Endpoint, Model
from orchestrator.dataset import Dataset
from orchestrator.endpoint.fields import with_profile
from orchestrator.run.lock import RunLock, SandboxLock, dataset_lock, versions

NAME = "made-up"
NOTE = "made up by a seeded model of outcomes: no model was asked and nothing was run"
SERVER = "http://made-up.invalid/v1"
"""No such server can exist (RFC 2606): who resumes the run is told so."""
CONTEXT_LENGTH = 65_536


def made_up_config(run_id: str, benchmark: Benchmark) -> RunConfig:
    """That of a run of the model `made-up` by the agent `mini`."""
    config = load_config(RunRequest("lite", "scripted", "mini", "local", run_id))
    model = Model(
        name=NAME,
        description=NOTE,
        served_name=NAME,
        endpoint=Endpoint(base_url=SERVER),
        context_length=CONTEXT_LENGTH,
        seconds_per_rollout=600,
    )
    return config.model_copy(update={"benchmark": benchmark, "model": model})


def made_up_lock(config: RunConfig, dataset: Dataset, seed: int) -> RunLock:
    """As of a Linux host that does not exist; versions are those of who made it up."""
    sandbox = config.cluster.sandbox
    assert config.model is not None, "a made-up run has its model"
    return RunLock(
        run_id=config.run_id,
        versions=versions() | {NAME: f"seed {seed}: {NOTE}"},
        dataset=dataset_lock(config.benchmark, dataset),
        image_names={i.instance_id: i.image for i in dataset.instances},
        sandbox=SandboxLock(
            kind="docker",
            engine="29.1.0",
            engine_name=NAME,
            platform=sandbox.platform,
            architecture=sandbox.platform,
            network=sandbox.network,
            grading_network=config.cluster.grading.network,
            host_memory_gb=64.0,
            host_cpus=16,
        ),
        serving=({"base_url": SERVER, "server": NAME, "version": "0"},),
        request_fields=with_profile(config.model, {}),
    )
