"""Bringing an instance's image onto this host: it is there, or is built, or is pulled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils

from orchestrator.backends.docker.builds import BUILDX, Build, build_image
from orchestrator.backends.docker.credentials import find_login, registry_of
from orchestrator.backends.docker.engine import ENGINE_ERRORS, error_words
from orchestrator.backends.host import same_platform
from orchestrator.config.cluster import Images
from orchestrator.errors import ImageUnavailable, PrerequisiteError
from orchestrator.types import Instance


class Source(StrEnum):
    """Where the image came from this time."""

    PRESENT = "present"
    BUILT = "built"
    PULLED = "pulled"


def is_built_here(instance: Instance) -> bool:
    """An instance of a task repo has a Dockerfile; the image of any other is pulled."""
    return instance.task_dir is not None and (Path(instance.task_dir) / "Dockerfile").is_file()


def build_of(instance: Instance, settings: Images, platform: str) -> Build:
    args = {"BASE": settings.base} if settings.base else {}
    return Build(Path(str(instance.task_dir)), instance.image, platform, args)


def find_image(client: docker.DockerClient, name: str, platform: str) -> str | None:
    """The id of an image that containers of a platform can be started from; None: there is none.

    The name may stand for an image of another platform. Raises one of ENGINE_ERRORS.
    """
    try:
        facts = _facts(client, name)
    except docker.errors.NotFound:
        facts = {}
    if same_platform(_platform_of(facts), platform) or _may_start(client, name, platform):
        return str(facts.get("Id", name))
    return None


def find_images(client: docker.DockerClient, names: Iterable[str], platform: str) -> dict[str, str]:
    """`find_image` of many, by name, without those that are not there. Raises one of
    ENGINE_ERRORS."""
    found = {name: find_image(client, name, platform) for name in listed(client, names)}
    return {name: image_id for name, image_id in found.items() if image_id is not None}


def identity(client: docker.DockerClient, image_id: str, name: str) -> str:
    """What an image is, whatever its name stands for later: repository and digest as its registry
    has them, under this name if it was pulled by several; its id where it came from none.

    Raises one of ENGINE_ERRORS.
    """
    digests = [str(digest) for digest in _facts(client, image_id).get("RepoDigests") or ()]
    repository = _plain(name.partition("@")[0]).rpartition(":")[0]
    digests.sort(
        key=lambda digest: _plain(digest.partition("@")[0]).rpartition(":")[0] != repository
    )
    return digests[0] if digests else image_id


def listed(client: docker.DockerClient, names: Iterable[str]) -> list[str]:
    """Those of many names that the engine may have an image of, by one question for all. Raises one
    of ENGINE_ERRORS."""
    images: Any = client.api.images()
    tags = {_plain(tag) for image in images for tag in image.get("RepoTags") or ()}
    # an image may be named by its id, or its digest
    return [n for n in names if _plain(n) in tags or "@" in n or "/" not in n]


def _plain(name: str) -> str:
    """With its tag, and without what engines leave out, or add, where a name says no registry."""
    repository, tag = docker.utils.parse_repository_tag(name)
    for prefix in ("docker.io/", "index.docker.io/", "localhost/", "library/"):
        repository = repository.removeprefix(prefix)
    return f"{repository}:{tag or 'latest'}"


def platform_of(client: docker.DockerClient, name: str) -> str:
    """The platform that the engine shows for an image, such as linux/arm64; empty without one."""
    with contextlib.suppress(docker.errors.NotFound):
        return _platform_of(_facts(client, name))
    return ""


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
        _keep_under_another_name(client, image)
        if is_built_here(instance):
            build_image(build_of(instance, settings, platform), settings.pull_timeout_s)
            source, cure = Source.BUILT, BUILDX
        else:
            _pull(client, image, platform, settings.pull_timeout_s)
            source, cure = Source.PULLED, f"Its registry has none for {platform}."
        if find_image(client, image, platform) is None:
            found = platform_of(client, image)
            raise ImageUnavailable(f"{image} was {source} for {found}, not {platform}. {cure}")
        return source
    except PrerequisiteError as error:  # of Docker's settings
        raise ImageUnavailable(f"{image}: {error.what}") from error
    except ENGINE_ERRORS as error:
        raise ImageUnavailable(f"{image}: {error_words(error)}") from error


def evict_image(client: docker.DockerClient, image: str) -> bool:
    """Remove an image; one that someone else still uses is left alone. Returns whether it is
    gone."""
    try:
        client.images.remove(image)
    except docker.errors.NotFound:
        return True
    except ENGINE_ERRORS:
        return False
    return True


def _facts(client: docker.DockerClient, name: str) -> dict[str, Any]:
    api: Any = client.api
    facts: dict[str, Any] = api.inspect_image(name)
    return facts


def _platform_of(facts: dict[str, Any]) -> str:
    return f"{facts.get('Os') or ''}/{facts.get('Architecture') or ''}".strip("/")


def _may_start(client: docker.DockerClient, name: str, platform: str) -> bool:
    """Whether the engine creates a container of the platform from an image.

    It knows better than what it shows: an image may say nothing of its architecture, and the
    containerd store holds several platforms under one name, of which it shows the host's.
    """
    try:
        container = client.api.create_container(name, ["true"], platform=platform)
    except docker.errors.NotFound:
        return False
    client.api.remove_container(container["Id"], force=True, v=True)
    return True


def _keep_under_another_name(client: docker.DockerClient, image: str) -> None:
    """What comes takes the name of what is there: a person's own image for another platform."""
    found = platform_of(client, image)
    if found and "@" not in image:
        repository, tag = docker.utils.parse_repository_tag(image)
        other = f"{tag or 'latest'}-{found.replace('/', '-')}"
        client.api.tag(image, repository, other[-128:], force=True)


def _pull(client: docker.DockerClient, image: str, platform: str, timeout_s: float) -> None:
    """As `docker pull`: without a login where a credential helper fails."""
    repository, tag = docker.utils.parse_repository_tag(image)
    login = find_login(registry_of(repository))
    client.api.timeout = int(timeout_s)
    settings: dict[str, Any] = {"tag": tag or "latest", "platform": platform}
    settings["auth_config"] = dict(login.auth)
    try:
        for line in client.api.pull(repository, stream=True, decode=True, **settings):
            if "error" in line:
                raise ImageUnavailable(f"{image}: {line['error']}")
    except (ImageUnavailable, docker.errors.APIError) as error:
        if not login.problem:
            raise
        raise ImageUnavailable(f"{error_words(error)} (without login: {login.problem})") from error


def names_of(instances: Iterable[Instance]) -> tuple[str, ...]:
    """The images of instances, each once."""
    return tuple(dict.fromkeys(instance.image for instance in instances))
