"""Profiles and flags, merged into one frozen `RunConfig`."""

from orchestrator.config.load import (
    Request,
    list_profiles,
    load_config,
    load_run_config,
    provenance,
)
from orchestrator.config.schema import RunConfig

__all__ = [
    "Request",
    "RunConfig",
    "list_profiles",
    "load_config",
    "load_run_config",
    "provenance",
]
