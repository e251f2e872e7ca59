"""This driver's connection to Ray: one of its own on this host, or a cluster that is up.

A local one has a token of its own that nobody else is told. To a cluster that asks for one, the
token is sent that this user has: `ray start` asks for it wherever there is one.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
import ray.exceptions
from ray._private import ray_constants, worker
from ray._private.authentication.authentication_token_setup import (
    enable_token_auth_by_default,
    maybe_enable_token_auth_if_token_available,
)
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import orchestrator.driver.ray_preload  # noqa: F401 - for what it does to Ray in this process
from orchestrator import __version__
from orchestrator.config.sections import AUTO
from orchestrator.driver.local_ray import AUTH_TOKEN, LocalRay
from orchestrator.errors import PrerequisiteError, one_line

ROLLOUT_SLOT = "rollout_slot"
GRADE_SLOT = "grade_slot"
NODE_TIMEOUT_S = 120.0
"""A worker of a node starts, and imports our code."""


@dataclass(frozen=True)
class RayConnection:
    """A connection that stands. `local` is None for a cluster that is somebody else's."""

    local: LocalRay | None

    @property
    def session_dir(self) -> str:
        return self.local.session_dir if self.local else ""

    def require_alive(self) -> None:
        """Raises PrerequisiteError where a local Ray has ended. It would be waited for in vain."""
        if self.local is not None:
            self.local.require_alive()

    def close(self) -> None:
        ray.shutdown()
        if self.local is not None:
            self.local.close()


def start_local(local: LocalRay) -> RayConnection:
    """Connect to the Ray of this driver's own, when it is up.

    Raises:
        PrerequisiteError: it can't start. It is closed then.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    local.wait()
    if local.token is not None:
        os.environ[AUTH_TOKEN] = local.token
    enable_token_auth_by_default()
    connection = RayConnection(local)
    try:
        with _as_a_local_ray_wants_it():
            _connect(local.address)
    except BaseException as error:
        connection.close()
        if isinstance(error, _CONNECTION_ERRORS):
            raise PrerequisiteError(f"Ray can't start ({one_line(error)}).") from error
        raise
    return connection


def join(address: str) -> RayConnection:
    """Join a cluster whose nodes offer our resources and have our code.

    Raises:
        PrerequisiteError: they do not, or there is none.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address != AUTO and "RAY_AUTH_MODE" not in os.environ and _asks_for_token(address):
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        _connect(address)
    except _CONNECTION_ERRORS as error:
        raise PrerequisiteError(
            f"Ray can't join the cluster at {address} ({one_line(error)}).", _cure_of_join(error)
        ) from error
    try:
        _require_resources(address)
        _require_same_code(address)
    except BaseException:
        ray.shutdown()
        raise
    return RayConnection(None)


_CONNECTION_ERRORS = (ConnectionError, RuntimeError, OSError, ValueError, ray.exceptions.RayError)


def _asks_for_token(address: str) -> bool:
    """Whether a cluster does, asked without one. To send one where none is asked for is no way:
    this driver would ask the cluster's workers for it, and they have none."""
    try:
        GcsClient(address=address)
    except ray.exceptions.AuthenticationError:
        return True
    except (ray.exceptions.RayError, ValueError):
        return False  # there is none: who joins it says so
    return False


def _say_nothing(_data: object, ignore_prefix: bool) -> None:
    """In the place of Ray's printing to standard output that a worker died: that is a failure on
    record, and standard output may be somebody's JSON."""


def _connect(address: str) -> None:
    worker.print_to_stdstream = _say_nothing
    on_sigterm = signal.getsignal(signal.SIGTERM)
    ray.init(address, logging_level="ERROR", log_to_driver=False)
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray lets it end the driver, with an exit code of 15


@contextmanager
def _as_a_local_ray_wants_it() -> Iterator[None]:
    """A local Ray listens at the loopback address, for which Ray would ask at this host's own. And
    it makes no environments: its workers have this driver's, where `uv run` or a job of another
    cluster would have Ray make one."""
    with ExitStack() as stack:
        for name in ("ENABLE_RAY_CLUSTER", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
            stack.callback(setattr, ray_constants, name, getattr(ray_constants, name))
            setattr(ray_constants, name, False)
        for name in (ray_constants.RAY_RUNTIME_ENV_HOOK, RAY_JOB_CONFIG_JSON_ENV_VAR):
            if (value := os.environ.pop(name, None)) is not None:
                stack.callback(os.environ.__setitem__, name, value)
        yield


_JOIN_CURES = {
    "version mismatch": "Start all its nodes with this very Python and Ray, or this command with "
    "theirs.",
    "invalidauthtoken": "It asks for another token: bring its head's ~/.ray/auth_token here, or "
    "name it in RAY_AUTH_TOKEN_PATH.",
    "no authentication token": "Bring its head's ~/.ray/auth_token here, or name it in "
    "RAY_AUTH_TOKEN_PATH.",
    "expects this ip address": "Start this command on one of its nodes.",
}
"""What Ray says when it can't join a cluster, in lower case, and what mends it."""


def _cure_of_join(error: BaseException) -> str:
    words = f"{error} {error.__cause__}".lower()
    cures = [cure for said, cure in _JOIN_CURES.items() if said in words]
    return cures[0] if cures else "Check --ray-address, and `ray status` there."


def code_here() -> str:
    """What nodes must have in common with the driver, beside Python and Ray: Ray checks those."""
    return f"swe-orchestrator {__version__}"


def _require_same_code(address: str) -> None:
    """Raises PrerequisiteError where a node has not the code of ours, or another version of it."""
    wanted, problems = code_here(), []
    found = {node["NodeManagerAddress"]: _ask(node["NodeID"]) for node in _nodes_with_slots()}
    for name, answer in found.items():
        try:
            code = ray.get(answer, timeout=NODE_TIMEOUT_S)
        except ray.exceptions.RayError as error:
            code = last_line(error)
        if code != wanted:
            problems.append(f"{name} ({code})")
    if problems:
        raise PrerequisiteError(
            f"of the Ray cluster at {address}, {len(problems)} of {len(found)} nodes can't run "
            f"{wanted}: {', '.join(problems[:3])}.",
            "Install this project there, at this version, for the Python that starts Ray.",
        )


def _offers_slots(node: dict[str, Any]) -> bool:
    return bool({ROLLOUT_SLOT, GRADE_SLOT} & set(node["Resources"]))


def slots_by_host() -> list[tuple[str, int, int]]:
    """Hosts of the cluster with their slots for rollouts and for grades, as of now."""
    found: dict[str, tuple[str, int, int]] = {}
    for node in _nodes_with_slots():
        offer, name = node["Resources"], node["NodeManagerHostname"]
        slots = (name, int(offer.get(ROLLOUT_SLOT, 0)), int(offer.get(GRADE_SLOT, 0)))
        found.setdefault(name, slots)
    return sorted(found.values())


def node_id_of(host: str) -> str | None:
    """Ray's id of a host of the cluster; None where it is not there."""
    named = (n["NodeID"] for n in _nodes_with_slots() if n["NodeManagerHostname"] == host)
    return next(named, None)


def _nodes_with_slots() -> list[dict[str, Any]]:
    """In one order, however often one asks."""
    alive = [node for node in ray.nodes() if node["Alive"] and _offers_slots(node)]
    return sorted(alive, key=lambda node: str(node["NodeID"]))


def _ask(node_id: str) -> Any:
    """Ask a node for its `code_here`."""
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    task = ray.remote(code_here).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
    return task.remote()


def _require_resources(address: str) -> None:
    offered = ray.cluster_resources()
    if not {ROLLOUT_SLOT, GRADE_SLOT} <= set(offered):
        raise PrerequisiteError(
            f"the Ray cluster at {address} offers no {ROLLOUT_SLOT} or no {GRADE_SLOT}.",
            "Start its nodes with `ray start … --resources "
            f'\'{{"{ROLLOUT_SLOT}": 4, "{GRADE_SLOT}": 1}}\'`.',
        )


def last_line(error: ray.exceptions.RayError) -> str:
    """Of a task's error, with what it raised; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return one_line(lines[-1]) if lines else type(error).__name__
