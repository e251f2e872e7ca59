"""Docker as a backend: containers from images, found by their labels. See `base.Backend`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import docker

from orchestrator.backends.base import Cleaned, GradeRequest, SandboxSpec
from orchestrator.backends.docker.address import find_engine
from orchestrator.backends.docker.addresses import free_addresses
from orchestrator.backends.docker.bring import ensure_image
from orchestrator.backends.docker.checks import (
    check_session,
    missing_bases,
    require_client,
    try_sandbox,
)
from orchestrator.backends.docker.credentials import files_with_logins, find_login
from orchestrator.backends.docker.disk import free_gb
from orchestrator.backends.docker.engine import (
    ENGINE_ERRORS,
    connect,
    error_words,
    is_of,
    our_containers,
    remove_container,
)
from orchestrator.backends.docker.facts import host_of, require_api, unkept_limits
from orchestrator.backends.docker.images import (
    evict_image,
    find_image,
    find_images,
    identity,
    names_of,
)
from orchestrator.backends.docker.inventory import find_images_here
from orchestrator.backends.docker.programs import path_advice
from orchestrator.backends.docker.pulls import pull_image
from orchestrator.backends.docker.sandbox import DockerSandbox
from orchestrator.backends.host import Host, NamedEngineAway
from orchestrator.backends.images import ImageHere, PullStep, is_built_here
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem, Quota
from orchestrator.types import GradeResult, Instance, RolloutKey

HOST_TIMEOUT_S = 15
UNKEPT = (
    "the Docker engine keeps no limit on a container's {}: one rollout may take all. Where it runs "
    "without root, that takes cgroups of version 2, delegated to its user."
)
NAMED_BY = ("DOCKER_HOST", "DOCKER_CONTEXT")
"""Variables by which a person names an engine; config.json is mostly written by installers."""


class DockerBackend:
    """Containers of the engine that `docker` speaks to as well (`address.find_engine`)."""

    isolates: ClassVar[bool] = True
    leftovers: ClassVar[tuple[str, ...]] = ("containers",)

    def host(self, settings: SandboxSettings) -> Host:
        try:
            with contextlib.closing(connect(HOST_TIMEOUT_S)) as client:
                info, api_version = client.info(), str(client.api.api_version)
            require_api(info, api_version)
            # the harness stops its containers with the command line client
            if shutil.which("docker") is None:
                raise PrerequisiteError("docker is not on PATH.", path_advice("docker"))
        except PrerequisiteError as error:
            named_by = [name for name in NAMED_BY if os.environ.get(name, "").strip()]
            if not named_by:
                raise
            other = f"Without {named_by[0]}, Docker's own choice is taken."
            raise NamedEngineAway(error.what, f"{error.cure} {other}") from None
        engine = find_engine()
        found = host_of(info, engine.url, settings)
        return replace(found, api_version=api_version, address=str(engine))

    def require_runnable(self, instances: Sequence[Instance]) -> None:
        """Every instance has an image, or the Dockerfile of one."""

    def check(self, instances: Sequence[Instance], cluster: Cluster, host: Host) -> tuple[str, ...]:
        with _client() as client:
            require_client(client)
            unkept = unkept_limits(client.info())
            of_session = tuple(check_session(client, instances, cluster, host))
        return (*map(UNKEPT.format, unkept), *of_session)

    def try_sandbox(self, cluster: Cluster, host: Host) -> str:
        with _client() as client:
            return try_sandbox(client, cluster, host)

    def free_addresses(self, cluster: Cluster) -> int | None:
        if not (cluster.sandbox.network or cluster.grading.network):
            return None
        with _client() as client:
            return free_addresses(client)

    def missing_images(self, instances: Sequence[Instance], platform: str) -> tuple[str, ...]:
        names = names_of(instances)
        with _client() as client:
            here = find_images(client, names, platform)
        return tuple(name for name in names if name not in here)

    def missing_bases(self, instances: Sequence[Instance], cluster: Cluster) -> tuple[str, ...]:
        platform = cluster.sandbox.platform
        with _client() as client:
            here = find_images(client, names_of(instances), platform)
            missing = [i for i in instances if is_built_here(i) and i.image not in here]
            return missing_bases(client, missing, cluster)

    def image_ids(self, instances: Sequence[Instance], platform: str) -> Mapping[str, str]:
        with _client() as client:
            found = find_images(client, sorted(names_of(instances)), platform)
            return {name: identity(client, image_id, name) for name, image_id in found.items()}

    def images_here(self, names: Iterable[str]) -> Mapping[str, ImageHere]:
        with _client() as client:
            return find_images_here(client, list(names))

    def needs_pull(self, instance: Instance, cluster: Cluster) -> bool:
        if is_built_here(instance):
            return False
        with _workers_client() as client:
            return find_image(client, instance.image, cluster.sandbox.platform) is None

    def bring_image(self, instance: Instance, cluster: Cluster) -> None:
        with _workers_client() as client:
            ensure_image(client, instance, cluster.images, cluster.sandbox.platform)

    def pull_image(self, name: str, cluster: Cluster) -> Iterator[PullStep]:
        try:
            with contextlib.closing(connect()) as client:
                yield from pull_image(client, name, cluster.images, cluster.sandbox.platform)
        except PrerequisiteError as error:
            raise PullFailed(PullFailure(PullProblem.ENGINE, error.what)) from error

    def free_for_images_gb(self, cluster: Cluster) -> float | None:
        try:
            with contextlib.closing(connect(HOST_TIMEOUT_S)) as client:
                return free_gb(client, cluster.sandbox)
        except (PrerequisiteError, *ENGINE_ERRORS):
            return None

    def registry_login(self, registry: str) -> Mapping[str, Any]:
        try:
            return find_login(registry).auth
        except PrerequisiteError:  # of Docker's settings; `check` says so before the night
            return {}

    def pull_quota(self, registry: str) -> Quota | None:
        from orchestrator.images.registry import Registry

        try:
            with Registry(registry, self.registry_login(registry)) as asked:
                quota: Quota | None = asked.quota()
        except (PullFailed, PrerequisiteError):
            return None
        return quota

    def evict_image(self, name: str) -> bool:
        try:
            with contextlib.closing(connect()) as client:
                return evict_image(client, name)
        except PrerequisiteError:
            return False

    def secret_files(self) -> tuple[Path, ...]:
        return files_with_logins()

    def start(self, spec: SandboxSpec) -> DockerSandbox:
        return DockerSandbox.start(spec)

    def grade(self, request: GradeRequest) -> GradeResult:
        from orchestrator.backends.docker.grade import grade_in_docker

        return grade_in_docker(request)

    def find_run_dirs(self, runs_dir: Path) -> frozenset[Path]:
        with contextlib.closing(connect(HOST_TIMEOUT_S)) as client:
            return frozenset(run_dir for run_dir, _ in our_containers(client))

    def clean(self, run_dir: Path, key: RolloutKey | None = None) -> Cleaned:
        removed = 0
        with contextlib.closing(connect()) as client:
            for owner, container in our_containers(client):
                if owner == run_dir and (key is None or is_of(container, key)):
                    removed += remove_container(container)
        return Cleaned({"containers": removed})


@contextlib.contextmanager
def _client() -> Iterator[docker.DockerClient]:
    """Before a run. Raises PrerequisiteError where the engine does not answer, or no more."""
    with contextlib.closing(connect()) as client:
        try:
            yield client
        except ENGINE_ERRORS as error:
            raise PrerequisiteError(
                f"the Docker engine fails at its images ({error_words(error)}).",
                "Check `docker images`.",
            ) from error


@contextlib.contextmanager
def _workers_client() -> Iterator[docker.DockerClient]:
    """On a worker. Raises SandboxUnavailable where the engine does not answer, or no more."""
    try:
        with contextlib.closing(connect()) as client:
            yield client
    except PrerequisiteError as error:
        raise SandboxUnavailable(error.what) from error
    except ENGINE_ERRORS as error:
        raise SandboxUnavailable(error_words(error)) from error
