"""Names of images: what they are made of, and by which names an image can be pulled. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.config.cluster import Images
from orchestrator.config.image_names import IMAGE, NAME_CHARS
from orchestrator.errors import ConfigError, one_line

HUB = "docker.io"
"""Where images with a short name lie."""
HUB_TOO = "index.docker.io"
"""An old name of it."""
LATEST = "latest"
TAG_CHARS = 128
_OFFICIAL = re.compile(r"sweb\.eval\.[^.]+\.(?P<instance>.+)")
"""The last part of an official SWE-bench image's name. `__` is `_1776_` in it at Docker Hub."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageName:
    """An image's name, whole: nothing is left out as short names do."""

    registry: str
    """host[:port]."""
    repository: str
    """Within the registry, such as swebench/sweb.eval.x86_64.a_1776_b-1."""
    tag: str = LATEST
    digest: str = ""
    """Where the name is pinned to one; the tag then says nothing."""

    def __str__(self) -> str:
        end = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.registry}/{self.repository}{end}"

    @property
    def reference(self) -> str:
        """What a registry is asked for within the repository: a digest or a tag."""
        return self.digest or self.tag

    @property
    def last_part(self) -> str:
        return self.repository.rpartition("/")[2]

    @property
    def instance(self) -> str:
        """The id of the instance that an official image is of; the last part of any other name."""
        match = _OFFICIAL.fullmatch(self.last_part)
        return match["instance"].replace("_1776_", "__") if match else self.last_part


def parse_name(image: str) -> ImageName:
    """An image's name as Docker reads it.

    Raises:
        ConfigError: it is none.
    """
    match = IMAGE.fullmatch(image)
    if match is None or len(match["name"]) > NAME_CHARS:
        raise ConfigError(f"{one_line(repr(image), 120)} is no name of an image")
    registry, repository = _split(match["name"])
    if registry == HUB and "/" not in repository:
        repository = f"library/{repository}"
    return ImageName(registry, repository, match["tag"] or LATEST, match["digest"] or "")


def source_of(settings: Images) -> Callable[[str], str]:
    """The registry that an image is first asked of, whose quota its pull takes from."""
    return lambda image: settings.mirror or registry_of(image)


def has_digest(image: str) -> bool:
    """Whether it says what is in an image, by a digest or as an id; what a tag stands for may
    change."""
    return _DIGEST.search(image) is not None


def registry_of(image: str) -> str:
    """host[:port] of the registry that an image comes from, docker.io for short names."""
    return _split(image)[0]


def sources(image: str, settings: Images) -> tuple[str, ...]:
    """The names to pull an image by, in the order in which they are tried: where the cluster has a
    mirror, the image's there; at last its own.

    Raises:
        ConfigError: it is no name of an image.
    """
    own = parse_name(image)
    if settings.mirror is None:
        return (image,)
    mirrored = _in_mirror(own, settings, settings.mirror)
    return (image,) if mirrored == own else (str(mirrored), image)


def _in_mirror(own: ImageName, settings: Images, mirror: str) -> ImageName:
    # a digest may be an index's, of which a mirror has one platform: it can be asked for by a tag
    tag = own.digest.replace(":", "-") or own.tag
    tag = settings.tag.format(tag=tag, name=own.last_part, instance=own.instance)
    if len(tag) > TAG_CHARS:
        tag = f"{tag[: TAG_CHARS - 17]}-{hashlib.sha256(tag.encode()).hexdigest()[:16]}"
    tells_images_apart = "{name}" in settings.tag or "{instance}" in settings.tag
    match settings.namespace, tells_images_apart:
        case None, _:
            repository = own.repository
        case str(namespace), True:
            repository = namespace
        case namespace, _:
            repository = f"{namespace}/{own.last_part}"
    return ImageName(mirror, repository, tag)


def _split(name: str) -> tuple[str, str]:
    """Registry and the rest. What stands before the first slash is a host only if it looks like
    one."""
    first, slash, rest = name.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first.lower() != first
    if not slash or not is_host:
        return HUB, name
    return (HUB if first == HUB_TOO else first), rest
