"""What images take on the engine's disk, layer by layer, and which containers use them.

The engine tells a layer's size in an image's history alone, where a step that made no layer has
none, and a layer's digest in its root file system alone. Both lists have the same order.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import docker
import docker.errors

from orchestrator.backends.docker.images import digest_of, listed
from orchestrator.backends.images import ImageHere

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""Digest of an archive with nothing in it: what builders make of a step that changed no file."""


def find_images_here(client: docker.DockerClient, names: Sequence[str]) -> dict[str, ImageHere]:
    """`KeepsImages.images_here`. Raises one of ENGINE_ERRORS."""
    api: Any = client.api
    facts = {}
    for name in listed(client, names):
        try:
            facts[name] = api.inspect_image(name)
        except docker.errors.NotFound:
            continue
    asked = {found["Id"] for found in facts.values()}
    layers = {image_id: _layers(api, image_id) for image_id in asked}
    others = {layer for image_id in _ids(api) - asked for layer in _layers(api, image_id)}
    containers = _containers(api)
    return {
        name: ImageHere(
            platform=f"{found.get('Os') or ''}/{found.get('Architecture') or ''}".strip("/"),
            digest=digest_of(found, name),
            layers=layers[found["Id"]],
            others=frozenset(others & layers[found["Id"]].keys()),
            containers=tuple(sorted(containers[found["Id"]])),
        )
        for name, found in facts.items()
    }


def _ids(api: Any) -> set[str]:
    return {str(image["Id"]) for image in api.images()}


def _layers(api: Any, image_id: str) -> dict[str, int]:
    """Bytes by layer, which is named by all that lies under it; nothing of an image that has just
    gone."""
    try:
        facts, history = api.inspect_image(image_id), api.history(image_id)
    except docker.errors.NotFound:
        return {}
    digests = [d for d in (facts.get("RootFS") or {}).get("Layers") or () if d != EMPTY_LAYER]
    sizes = [int(step["Size"]) for step in reversed(history) if step.get("Size")]
    whole = int(facts.get("Size") or 0)
    if not digests or not sum(sizes):
        return {image_id: whole}
    # a store that keeps what came by the network as well tells more of an image than of its layers
    factor = max(1.0, whole / sum(sizes))
    sizes += [0] * (len(digests) - len(sizes))
    found, under = {}, hashlib.sha256()
    for digest, size in zip(digests, sizes, strict=False):
        under.update(digest.encode())
        found[under.hexdigest()] = round(size * factor)
    return found


def _containers(api: Any) -> dict[str, list[str]]:
    """Names of containers, by the id of their image."""
    found: dict[str, list[str]] = defaultdict(list)
    for container in api.containers(all=True):
        names = container.get("Names") or [str(container["Id"])[:12]]
        found[str(container["ImageID"])].append(str(names[0]).lstrip("/"))
    return found
