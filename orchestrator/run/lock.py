"""lock.json: what the number depends on, as it was when the run started."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

from orchestrator.agents import AgentKind
from orchestrator.backends import Host, find_backend
from orchestrator.config.schema import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.endpoint.fields import with_profile
from orchestrator.run.preflight import Serving

# the harness works with Docker's SDK, so that it counts in every sandbox
PACKAGES = ("swe-orchestrator", "swebench", "mini-swe-agent", "ray", "docker")


def make_lock(
    config: RunConfig,
    dataset: Dataset,
    host: Host,
    serving: Sequence[Serving],
    agent: AgentKind | None,
) -> dict[str, Any]:
    """Versions, digests and serving facts, ready for JSON."""
    sandbox = config.cluster.sandbox
    return {
        "run_id": config.run_id,
        "versions": versions() | (agent.versions() if agent else {}),
        "dataset": {
            "source": config.benchmark.source,
            "split": config.benchmark.split,
            "instances": len(dataset.instances),
            "sha256": dataset.sha256,
        },
        "images": dict(find_backend(host.kind).image_ids(dataset.instances)),
        "sandbox": {
            "kind": host.kind,
            "engine": host.engine_version,
            "platform": sandbox.platform,
            "network": sandbox.network or not host.isolates,
            "grading_network": config.cluster.grading.network,
            "host_memory_gb": round(host.memory_gb, 1),
            "host_cpus": host.cpus,
        },
        "serving": [{"base_url": server.base_url, **server.facts} for server in serving],
        "request_fields": with_profile(config.model, {}) if config.model else {},
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
