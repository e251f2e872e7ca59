"""Manifests, as registries give them: what an image is made of, or which images a tag has. Pure.

Docker's two forms (schema 2 and its list) and OCI's two; they differ in nothing that matters here.
Whatever else comes is told in one line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config.image_names import DIGEST
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.platforms import choose_platform
from orchestrator.images.pulls import PullProblem
from orchestrator.images.registry_answers import fail

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPTED = ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX))
MAX_BYTES = 1 << 50
"""Of one layer: what is more is no size."""


@dataclass(frozen=True)
class Manifest:
    """Of one image, for one platform."""

    raw: bytes
    """As it came: its digest is of these bytes."""
    media_type: str
    digest: str
    config: Layer
    layers: tuple[Layer, ...]

    @property
    def size(self) -> ImageSize:
        return ImageSize(self.layers, self.digest)


@dataclass(frozen=True)
class Index:
    """The images of one tag: platforms, each with its manifest's digest."""

    entries: tuple[tuple[str, str], ...]

    def choose(self, platform: str, name: str) -> str:
        """The digest of a platform's manifest. Raises PullFailed: there is none."""
        chosen = choose_platform(self.entries, platform, lambda entry: entry[0])
        if chosen is None:
            there = ", ".join(sorted({own for own, _ in self.entries})[:6])
            fail(f"{name} is not there for {platform}, but for: {there}", PullProblem.REFUSED)
        return chosen[1]


def parse_manifest(raw: bytes, content_type: str, name: str) -> Manifest | Index:
    """What a registry answered when asked for the manifest of `name`.

    Raises:
        PullFailed: it is no manifest, or of a form that engines no longer take.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        fail(f"{name}: its registry answers with no manifest")
    if found.get("schemaVersion") == 1:
        fail(f"{name} is of the old form 1, which engines take no more", PullProblem.REFUSED)
    media_type = found.get("mediaType") or content_type.partition(";")[0].strip()
    if isinstance(found.get("manifests"), list):
        return Index(tuple(_entry(entry, name) for entry in found["manifests"]))
    layers = found.get("layers")
    if not isinstance(layers, list):
        fail(f"{name}: its registry answers with a manifest without layers")
    return Manifest(
        raw,
        str(media_type or DOCKER_MANIFEST),
        f"sha256:{hashlib.sha256(raw).hexdigest()}",
        read_layer(found.get("config"), name),
        tuple(read_layer(layer, name) for layer in layers),
    )


def read_layer(found: Any, name: str) -> Layer:
    """`{"digest": …, "size": …}`. Raises PullFailed."""
    digest, size = (found.get("digest"), found.get("size")) if isinstance(found, dict) else (0, 0)
    if not is_digest(digest) or type(size) is not int or not 0 <= size < MAX_BYTES:
        fail(f"{name}: a layer in its manifest has no digest or no size")
    return Layer(str(digest), size)


def is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(DIGEST, value, re.ASCII) is not None


def platform_name(found: Mapping[str, Any]) -> str:
    """linux/arm64/v8 of an object with os, architecture and perhaps variant."""
    parts = (found.get("os"), found.get("architecture"), found.get("variant"))
    return "/".join(str(part) for part in parts if part)


def _entry(found: Any, name: str) -> tuple[str, str]:
    platform = found.get("platform") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not is_digest(found.get("digest")):
        fail(f"{name}: an entry in its list of platforms has no digest")
    return platform_name(platform) if isinstance(platform, dict) else "", str(found["digest"])
