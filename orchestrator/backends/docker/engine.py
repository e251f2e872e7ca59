"""Clients of the Docker engine, and our containers, which are found by their labels."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.models.containers import Container

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.docker.address import (
    EngineClient,
    config_dir,
    find_engine,
    unreadable,
)
from orchestrator.backends.docker.facts import too_old
from orchestrator.backends.docker.no_engine import no_engine
from orchestrator.backends.docker.streams import WholeOutputs
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.host_id import is_this_hosts
from orchestrator.types import RolloutKey

log = logging.getLogger(__name__)

LABEL = "swe-orchestrator"
ENGINE_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)
USER_IDS = (
    r"lchown .*(invalid argument|operation not permitted)|insufficient uids"
    r"|not be enough ids available|can ?not be mapped to a host id"
)
"""Files of an image belong to users above those that an engine without root has, which are 65536
unless somebody gave it more."""
CURES = {
    USER_IDS: "Files of the image belong to user ids that this engine lacks: give its user more in "
    "/etc/subuid and /etc/subgid (`USER:100000:10000000`) and restart it (Podman: `podman system "
    "migrate`), or use an engine that runs as root.",
    r"predefined address pools|non-overlapping ipv4 address pool|find an available subnet": "Each "
    "network takes one of about thirty: `docker network prune` removes those that nobody uses, and "
    "default-address-pools in the engine's daemon.json makes more.",
    r"no space left on device|disk quota exceeded": "The engine's disk is full: `docker system df` "
    "shows what takes it, and `docker image prune -a` removes images that no container uses.",
}
"""By what the engine says (a regular expression)."""


def connect(timeout_s: int = 120) -> docker.DockerClient:
    """A client of the engine that `docker` speaks to as well.

    Raises:
        PrerequisiteError: no engine answers, or it is not clear which one is meant.
    """
    return _connect(EngineClient, timeout_s)


def connect_for_harness(timeout_s: int) -> docker.DockerClient:
    """A client for code that is not ours, with which no command's output is lost.

    Raises: as `connect`.
    """
    return _connect(WholeOutputs, timeout_s)


def _connect(kind: type[EngineClient], timeout_s: int) -> docker.DockerClient:
    engine = find_engine()
    given: dict[str, Any] = {
        "base_url": engine.url,
        "timeout": timeout_s,
        "tls": engine.tls or False,
    }
    try:
        client = docker.DockerClient(**given, version=MINIMUM_DOCKER_API_VERSION)  # asks nothing
        client.api.close()
        client.api = kind(**given)
        client.ping()
    except (docker.errors.InvalidConfigFile, AttributeError, TypeError) as error:
        # the SDK reads logins and proxies there, and takes them to be of the right form
        raise unreadable(config_dir(os.environ) / "config.json", error) from None
    except docker.errors.InvalidVersion:
        raise too_old(f"the engine at {engine}", f"under {MINIMUM_DOCKER_API_VERSION}") from None
    except (*ENGINE_ERRORS, ValueError) as error:
        path = engine.url.removeprefix("unix://")
        target = os.path.realpath(path) if os.path.islink(path) else ""
        raise no_engine(error, engine, target=target) from None
    return client


def labels(spec: SandboxSpec, purpose: str) -> dict[str, str]:
    """Labels of all that we start, so that it can be found when its driver is gone."""
    return {
        LABEL: purpose,
        f"{LABEL}.run": spec.key.run_id,
        f"{LABEL}.run-dir": spec.run_dir,
        f"{LABEL}.driver-host": spec.driver_host,
        f"{LABEL}.instance": spec.key.instance_id,
        f"{LABEL}.attempt": str(spec.key.attempt),
    }


def our_containers(client: docker.DockerClient) -> Iterator[tuple[Path, Container]]:
    """Containers that a driver on this host has started, each with its run's folder.

    Raises:
        PrerequisiteError: the engine can't list them.
    """
    try:
        # sparse: what is listed already, as a container that is being copied can't be inspected
        found = client.containers.list(all=True, filters={"label": LABEL}, sparse=True)
    except ENGINE_ERRORS as error:
        raise PrerequisiteError(
            f"the Docker engine can't list its containers ({error_words(error)}).",
            "Check `docker ps`.",
        ) from error
    for container in found:
        known = _labels_of(container)
        if is_this_hosts(known.get(f"{LABEL}.driver-host")):
            yield Path(known.get(f"{LABEL}.run-dir", "")), container


def is_of(container: Container, key: RolloutKey) -> bool:
    """Whether a container of the key's run belongs to the key's rollout, or to its grade."""
    wanted = {"instance": key.instance_id, "attempt": str(key.attempt)}
    known = _labels_of(container)
    return all(known.get(f"{LABEL}.{name}") == value for name, value in wanted.items())


def _labels_of(container: Container) -> Mapping[str, str]:
    """Of a container that was only listed, or inspected: there they lie deeper."""
    listed: Mapping[str, str] | None = container.attrs.get("Labels")
    return container.labels if listed is None else listed


def remove_container(container: Container) -> bool:
    """Kill and remove a container. Returns whether it is gone, or going."""
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if "already in progress" not in str(error):
            log.warning("container %s could not be removed: %s", container.name, error_words(error))
            return False
    except ENGINE_ERRORS as error:
        log.warning("container %s could not be removed: %s", container.name, error_words(error))
        return False
    return True


def ran_out_of_memory(client: docker.DockerClient, container_id: str, since: float) -> bool:
    """Whether the kernel killed something in a container, which may be gone, for its memory limit.

    `since` is in seconds since the epoch. An engine that can't say leaves it open: False.
    """
    span: dict[str, Any] = {"since": f"{since:.3f}", "until": f"{time.time():.3f}"}
    wanted = {"container": container_id, "event": "oom"}
    with contextlib.suppress(*ENGINE_ERRORS):
        return any(client.events(**span, filters=wanted, decode=True))
    return False


def error_words(error: BaseException) -> str:
    """What an error of the engine says, or else its class, and how it is mended where we know."""
    return with_cure(one_line(error) or type(error).__name__)


def with_cure(words: str) -> str:
    """An engine's words, and how what they say is mended, where we know."""
    for sign, cure in CURES.items():
        if re.search(sign, words, re.IGNORECASE):
            return f"{words.rstrip('.')}. {cure}"
    return words
