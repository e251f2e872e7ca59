"""Bringing an instance's image onto this host: it is there, or is built, or is pulled."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from pathlib import Path

import docker
import docker.errors
import docker.utils

from orchestrator.backends.docker.engine import ENGINE_ERRORS, error_words
from orchestrator.config.schema import Images
from orchestrator.errors import ImageUnavailable
from orchestrator.types import Instance


class Source(StrEnum):
    """Where the image came from this time."""

    PRESENT = "present"
    BUILT = "built"
    PULLED = "pulled"


def ensure_image(
    client: docker.DockerClient, instance: Instance, settings: Images, platform: str
) -> Source:
    """Make sure that `instance.image` is on this host.

    An instance of a task repo is built from its Dockerfile, any other is pulled.

    Raises:
        ImageUnavailable: the engine or the registry refused, or there is no such image.
    """
    try:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.get(instance.image)
            return Source.PRESENT
        if instance.task_dir is not None and (Path(instance.task_dir) / "Dockerfile").is_file():
            _build(client, instance, settings, platform)
            return Source.BUILT
        repository, tag = docker.utils.parse_repository_tag(instance.image)
        client.api.timeout = int(settings.pull_timeout_s)
        client.images.pull(repository, tag=tag or "latest", platform=platform)
        return Source.PULLED
    except docker.errors.BuildError as error:
        log_tail = "".join(str(line.get("stream", "")) for line in error.build_log)[-300:]
        raise ImageUnavailable(f"{instance.image}: {error.msg} {log_tail}".strip()) from error
    except ENGINE_ERRORS as error:
        raise ImageUnavailable(f"{instance.image}: {error_words(error)}") from error


def evict_image(client: docker.DockerClient, image: str) -> None:
    """Remove an image; one that is gone, or that someone else still uses, is left alone."""
    with contextlib.suppress(*ENGINE_ERRORS):
        client.images.remove(image)


def _build(
    client: docker.DockerClient, instance: Instance, settings: Images, platform: str
) -> None:
    client.images.build(
        path=instance.task_dir,
        tag=instance.image,
        platform=platform,
        buildargs={"BASE": settings.base} if settings.base else {},
        rm=True,
        forcerm=True,
    )
