"""Bringing an instance's image onto this host: it is there, or is built, or is pulled."""

from __future__ import annotations

from enum import StrEnum

import docker

from orchestrator.backends.docker.builds import BUILDX, build_image
from orchestrator.backends.docker.engine import ENGINE_ERRORS, error_words
from orchestrator.backends.docker.images import (
    build_of,
    find_image,
    keep_under_another_name,
    platform_of,
)
from orchestrator.backends.docker.pulls import pull_image
from orchestrator.backends.images import is_built_here
from orchestrator.config.cluster import Images
from orchestrator.errors import ImageUnavailable, PrerequisiteError
from orchestrator.file_locks import wait_for_lock
from orchestrator.images.pulls import PullFailed
from orchestrator.paths import build_lock
from orchestrator.types import Instance


class Source(StrEnum):
    """Where the image came from this time."""

    PRESENT = "present"
    BUILT = "built"
    PULLED = "pulled"


def ensure_image(
    client: docker.DockerClient, instance: Instance, settings: Images, platform: str
) -> Source:
    """Make sure that `instance.image` is on this host, for a platform.

    An instance of a task repo is built from its Dockerfile, any other is pulled. An image of that
    name for another platform is kept under a longer one.

    Raises:
        ImageUnavailable: the engine or the registry refused, or there is no such image.
    """
    image = instance.image
    try:
        if find_image(client, image, platform) is not None:
            return Source.PRESENT
        if not is_built_here(instance):
            for _ in pull_image(client, image, settings, platform):
                pass
            return Source.PULLED
        with wait_for_lock(build_lock(image)):  # rollouts of several runs may want it at once
            return _build(client, instance, settings, platform)
    except PullFailed as error:
        raise ImageUnavailable(error.failure.detail) from error
    except PrerequisiteError as error:  # of Docker's settings
        raise ImageUnavailable(f"{image}: {error.what}") from error
    except ENGINE_ERRORS as error:
        raise ImageUnavailable(f"{image}: {error_words(error)}") from error


def _build(
    client: docker.DockerClient, instance: Instance, settings: Images, platform: str
) -> Source:
    """Unless somebody has built it meanwhile. Raises what `build_image` does."""
    image = instance.image
    if find_image(client, image, platform) is not None:
        return Source.PRESENT
    keep_under_another_name(client, image)
    build_image(build_of(instance, settings, platform), settings.pull_timeout_s)
    if find_image(client, image, platform) is None:
        found = platform_of(client, image)
        raise ImageUnavailable(f"{image} was built for {found}, not {platform}. {BUILDX}")
    return Source.BUILT
