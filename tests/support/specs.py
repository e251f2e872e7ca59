"""What sandboxes are started from in tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestrator.backends import SandboxSpec
from orchestrator.types import Instance

DRIVER_HOST = "test-suite"
"""Not this host's name: a run that starts beside the tests would remove their containers."""


def sandbox_spec(instance: Instance, run_dir: Path, **settings: Any) -> SandboxSpec:
    given: dict[str, Any] = {
        "run_id": f"test-{os.getpid()}",
        "run_dir": str(run_dir),
        "driver_host": DRIVER_HOST,
        "instance_id": instance.instance_id,
        "attempt": 1,
        "image": instance.image,
        "task_dir": instance.task_dir,
        "base_commit": instance.base_commit,
        "platform": "linux/amd64",
        "memory_gb": 2,
        "cpus": 1,
        "pids": 256,
        "network": False,
        "lifetime_s": 300,
    }
    return SandboxSpec(**(given | settings))
