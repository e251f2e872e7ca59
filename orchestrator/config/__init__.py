"""Profiles and flags, merged into one frozen `RunConfig`."""

from orchestrator.config.load import (
    RunRequest,
    asks_model,
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
    "asks_model",
    "dump_run_config",
    "list_profiles",
    "load_config",
    "load_run_config",
    "provenance",
]
