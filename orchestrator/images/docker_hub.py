"""Layers and sizes of Docker Hub's images, by its web API: that counts as no pull.

GET https://hub.docker.com/v2/repositories/NAMESPACE/NAME/tags/TAG/images gives a list with one
object a platform: os, architecture, variant, the manifest's digest, and layers in their order, each
an instruction with a size and, where it made a layer, a digest. Public images are shown to
everybody. It is what the site's own pages ask; the part that Docker documents
(docs.docker.com/reference/api/hub/latest, "read repository tag") has the same without layers.

It has limits of its own, apart from those on pulls (same page, "Rate limiting"): a number of calls
a minute, told in `X-RateLimit-Limit` and `X-RateLimit-Remaining`; over it comes HTTP 429 with
`Retry-After` in seconds (until 2025 `X-Retry-After`, a clock time).
"""

from __future__ import annotations

import json
from typing import Any

from orchestrator.images.layers import ImageSize
from orchestrator.images.manifests import is_digest, platform_name, read_layer
from orchestrator.images.names import ImageName
from orchestrator.images.platforms import choose_platform
from orchestrator.images.pulls import PullFailed, PullProblem
from orchestrator.images.registry_answers import Connections, fail, failure_of

WEB = "https://hub.docker.com"


def hub_size(connections: Connections, name: ImageName, platform: str) -> ImageSize:
    """An image of Docker Hub for a platform.

    Raises:
        PullFailed: there is no answer, or none for that platform, or its name is pinned to a
            digest, by which nothing can be asked for here.
    """
    if name.digest:
        fail(f"{name}: Docker Hub shows no sizes by digest", PullProblem.REFUSED)
    url = f"{WEB}/v2/repositories/{name.repository}/tags/{name.tag}/images"
    answer = connections.ask("GET", url, {"Accept": "application/json"})
    if answer.status != 200:
        raise PullFailed(failure_of(answer, "hub.docker.com"))
    return _read(answer.body, name, platform)


def _read(body: bytes, name: ImageName, platform: str) -> ImageSize:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(image, dict) for image in found):
        fail(f"{name}: Docker Hub answers with no list of images")
    image = choose_platform(found, platform, platform_name)
    if image is None:
        fail(f"{name} is not at Docker Hub for {platform}", PullProblem.REFUSED)
    steps = image.get("layers")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        fail(f"{name}: Docker Hub shows no layers of it", PullProblem.REFUSED)
    layers = tuple(read_layer(step, str(name)) for step in steps if step.get("digest"))
    if not layers:
        fail(f"{name}: Docker Hub shows no layers of it", PullProblem.REFUSED)
    digest = image.get("digest")
    return ImageSize(layers, str(digest) if is_digest(digest) else "")
