"""The grammar of image names, and what may name a mirror. Pure.

The grammar is Docker's: github.com/distribution/reference, regexp.go and normalize.go.
"""

from __future__ import annotations

import re
from string import Formatter

LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
HOST = rf"(?:{LABEL}(?:\.{LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
REPOSITORY = rf"{PART}(?:/{PART})*"
TAG = r"\w[\w.-]{0,127}"
DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
IMAGE = re.compile(
    rf"(?P<name>(?:{HOST}/)?{REPOSITORY})(?::(?P<tag>{TAG}))?(?:@(?P<digest>{DIGEST}))?", re.ASCII
)
_MOVING = re.compile(
    r"(|latest.*|nightly(-(aarch64|x86_64|cu\d+))*|cu\d+-nightly.*|main|dev|edge|stable)"
)
"""Tags that name another image from day to day; none at all is `latest`."""
NAME_CHARS = 255
"""Of an image's name without tag and digest, at most."""
TAG_FIELDS = ("tag", "name", "instance")
"""What a mirror's pattern of tags may hold."""


def tag_of(image: str) -> str:
    """An image's tag, whatever else its name may be; empty where it has none."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def moves(image: str) -> bool:
    """Whether what is pulled under this name changes from day to day.

    A digest says what is pulled; a variable of a shell ($IMAGE) may name anything.
    """
    return not {"@", "$"} & set(image) and bool(_MOVING.fullmatch(tag_of(image)))


def mirror_host(host: str) -> str:
    """A mirror as a cluster's profile names it. Raises ValueError."""
    if "://" in host:
        raise ValueError(f"{host!r} has a scheme: write host[:port], such as spark:5000")
    if "/" in host:
        raise ValueError(
            f"{host!r} has a path: write host[:port] here, and the rest as cluster.images.namespace"
        )
    if not re.fullmatch(HOST, host, re.ASCII):
        raise ValueError(f"{host!r} is no host[:port] of a registry")
    _, _, port = host.rpartition(":") if not host.endswith("]") else ("", "", "")
    if port.isdigit() and not 0 < int(port) < 65536:
        raise ValueError(f"{host!r}: there is no port {port}")
    name = host.partition(":")[0]
    if name.lower() != name:
        raise ValueError(f"{host!r} has upper-case letters: write {host.lower()!r}")
    if "." not in host and ":" not in host and host != "localhost":
        raise ValueError(
            f"{host!r} would be taken for a name at Docker Hub: write its port too ({host}:5000)"
        )
    return host


def mirror_namespace(namespace: str) -> str:
    """Where in the mirror the images lie. Raises ValueError."""
    if namespace.lower() != namespace:
        raise ValueError(f"{namespace!r} has upper-case letters, which no registry takes")
    if not re.fullmatch(REPOSITORY, namespace, re.ASCII):
        raise ValueError(f"{namespace!r} is no path in a registry: write it as team/swebench")
    if len(namespace) > NAME_CHARS // 2:
        raise ValueError(f"{namespace[:20]!r}… has more than {NAME_CHARS // 2} characters")
    return namespace


def mirror_tag(pattern: str) -> str:
    """A pattern of tags, such as `{instance}-{tag}`. Raises ValueError."""
    known = ", ".join(f"{{{field}}}" for field in TAG_FIELDS)
    try:
        pieces = list(Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern!r} is no pattern of {known}: {error}") from None
    for _, field, form, conversion in pieces:
        if field is not None and (field not in TAG_FIELDS or form or conversion):
            raise ValueError(f"{pattern!r} has {{{field}}}: only {known} are known")
    example = pattern.format(tag="latest", name="name", instance="a__b-1")
    if not re.fullmatch(TAG, example, re.ASCII):
        raise ValueError(
            f"{pattern!r} makes no tag: letters, digits, '_', '.' and '-' alone, beginning with "
            "none of the last two"
        )
    return pattern
