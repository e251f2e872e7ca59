"""The key of a model's server, from the environment."""

from __future__ import annotations

import os

from orchestrator.config.schema import Endpoint
from orchestrator.errors import PrerequisiteError


def require_key(endpoint: Endpoint) -> str:
    """The key; empty where the profile names no variable for one.

    Raises:
        PrerequisiteError: the variable is not set, or no header of HTTP can hold what is in it.
    """
    name = endpoint.api_key_env
    if not name:
        return ""
    key = os.environ.get(name, "").strip()  # a file's line break comes along easily
    if not key:
        raise PrerequisiteError(f"${name} is not set.", "Put the endpoint's key there.")
    if not (key.isascii() and key.isprintable()):
        raise PrerequisiteError(f"${name} holds what no header of HTTP can.", "Copy the key anew.")
    return key
