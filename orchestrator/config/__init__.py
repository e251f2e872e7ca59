"""Profiles and flags, merged into one frozen `RunConfig`."""

from orchestrator.config.load import (
    RunRequest,
    dump_run_config,
    list_profiles,
    load_config,
    load_run_config,
    provenance,
)
from orchestrator.config.schema import RunConfig

__all__ = [
    "RunConfig",
    "RunRequest",
    "dump_run_config",
    "list_profiles",
    "load_config",
    "load_run_config",
    "provenance",
]
