"""Docker as a backend: containers from images, found by their labels. See `base.Backend`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from orchestrator.backends.base import (
    Cleaned,
    GradeRequest,
    Host,
    SandboxSpec,
    require_tools,
)
from orchestrator.backends.docker.address import find_engine
from orchestrator.backends.docker.engine import connect, is_of, our_containers, remove_container
from orchestrator.backends.docker.facts import host_of
from orchestrator.backends.docker.images import Source, ensure_image, evict_image
from orchestrator.backends.docker.sandbox import DockerSandbox
from orchestrator.config.schema import Cluster, SandboxSettings
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.types import GradeResult, Instance, RolloutKey

HOST_TIMEOUT_S = 15
HUB_PULLS = 90
"""Docker Hub lets those who are not logged in pull about a hundred images in six hours."""


class DockerBackend:
    """Containers of the engine that `docker` speaks to as well (`address.find_engine`)."""

    isolates: ClassVar[bool] = True
    leftovers: ClassVar[tuple[str, ...]] = ("containers",)

    def host(self, settings: SandboxSettings) -> Host:
        with contextlib.closing(connect(HOST_TIMEOUT_S)) as client:
            info = client.info()
        require_tools("docker")  # the harness stops its containers with the command line client
        return host_of(info, find_engine().url, settings)

    def require_runnable(self, instances: Sequence[Instance]) -> None:
        """Every instance has an image, or the Dockerfile of one."""

    def missing_images(self, instances: Sequence[Instance]) -> tuple[str, ...]:
        here = self.image_ids(instances)
        wanted = dict.fromkeys(instance.image for instance in instances)
        return tuple(image for image in wanted if image not in here)

    def image_ids(self, instances: Sequence[Instance]) -> Mapping[str, str]:
        with contextlib.closing(connect()) as client:
            by_tag = {tag: str(image.id) for image in client.images.list() for tag in image.tags}
        wanted = {instance.image for instance in instances}
        return {name: by_tag[name] for name in sorted(wanted & set(by_tag))}

    def image_warnings(self, missing: int) -> tuple[str, ...]:
        if missing <= HUB_PULLS:
            return ()
        return (
            f"{missing} images are to be pulled, and Docker Hub stops those who are not logged in "
            "after about 100 in 6 hours: `docker login` first",
        )

    def bring_image(self, instance: Instance, cluster: Cluster) -> bool:
        try:
            client = connect()
        except PrerequisiteError as error:
            raise SandboxUnavailable(error.what) from error
        with contextlib.closing(client):
            source = ensure_image(client, instance, cluster.images, cluster.sandbox.platform)
        return source is Source.PULLED

    def evict_image(self, instance: Instance) -> None:
        with contextlib.suppress(PrerequisiteError), contextlib.closing(connect()) as client:
            evict_image(client, instance.image)

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
