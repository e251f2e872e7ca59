"""Images on this host: which are there, and for which platform."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils

from orchestrator.backends.docker.builds import Build
from orchestrator.backends.docker.engine import ENGINE_ERRORS
from orchestrator.config.cluster import Images
from orchestrator.images.platforms import same_platform
from orchestrator.types import Instance


def build_of(instance: Instance, settings: Images, platform: str) -> Build:
    args = {"BASE": settings.base} if settings.base else {}
    return Build(Path(str(instance.task_dir)), instance.image, platform, args)


def find_image(client: docker.DockerClient, name: str, platform: str) -> str | None:
    """The id of an image that containers of a platform can be started from; None: there is none.

    The name may stand for an image of another platform. Raises one of ENGINE_ERRORS.
    """
    try:
        facts = image_facts(client, name)
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
    digests = [str(digest) for digest in image_facts(client, image_id).get("RepoDigests") or ()]
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
        return _platform_of(image_facts(client, name))
    return ""


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


def image_facts(client: docker.DockerClient, name: str) -> dict[str, Any]:
    """What the engine says of an image. Raises docker.errors.NotFound, or another of
    ENGINE_ERRORS."""
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


def keep_under_another_name(client: docker.DockerClient, image: str) -> str:
    """What comes takes the name of what is there: a person's own image for another platform.

    Returns the name that it has as well from now on; empty where there is none. Raises one of
    ENGINE_ERRORS.
    """
    found = platform_of(client, image)
    if not found or "@" in image:
        return ""
    repository, tag = docker.utils.parse_repository_tag(image)
    other = f"{tag or 'latest'}-{found.replace('/', '-')}"[-128:]
    client.api.tag(image, repository, other, force=True)
    return f"{repository}:{other}"


def digest_of(facts: Mapping[str, Any], name: str) -> str:
    """The digest of an image's manifest, as the registry of this name gave it, from what the engine
    says of the image; empty where it came from none."""
    known = [str(one).partition("@")[::2] for one in facts.get("RepoDigests") or ()]
    repository = _plain(name).rpartition(":")[0]
    of_name = [digest for of, digest in known if _plain(of).rpartition(":")[0] == repository]
    return next(iter(of_name or [digest for _, digest in known]), "")


def names_of(instances: Iterable[Instance]) -> tuple[str, ...]:
    """The images of instances, each once."""
    return tuple(dict.fromkeys(instance.image for instance in instances))
