"""Sizes of images that registries told once, kept in the user's cache: a file an image.

What can't be read there is not there. A tag may be moved, so what is old is asked for again; until
there is an answer it still serves.
"""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.manifests import MAX_BYTES
from orchestrator.paths import write_atomic
from orchestrator.user_paths import image_size_file

FRESH_S = 7 * 24 * 3600.0
"""For how long a size is taken as it is. Official images are pushed anew every few months."""

Bytes = Annotated[int, Field(ge=0, lt=MAX_BYTES, strict=True)]


class KeptSize(BaseModel):
    """As the file holds it."""

    model_config = ConfigDict(extra="forbid")

    image: str
    platform: str
    asked_at: float
    """Seconds since 1970."""
    digest: str
    layers: tuple[tuple[str, Bytes], ...]


def find_kept(image: str, platform: str) -> tuple[ImageSize, bool] | None:
    """What is kept of an image, and whether it is fresh; None where that is nothing."""
    try:
        raw = image_size_file(image, platform).read_bytes()
        kept = KeptSize.model_validate_json(raw)
    except (OSError, ValidationError):
        return None
    if (kept.image, kept.platform) != (image, platform) or not kept.layers:
        return None
    age = time.time() - kept.asked_at
    size = ImageSize(tuple(Layer(*layer) for layer in kept.layers), kept.digest)
    return size, 0 <= age < FRESH_S


def keep(image: str, platform: str, size: ImageSize) -> None:
    """For the next time; where the cache can't be written, it is asked for again then."""
    kept = KeptSize(
        image=image,
        platform=platform,
        asked_at=time.time(),
        digest=size.digest,
        layers=tuple((layer.digest, layer.size) for layer in size.layers),
    )
    with contextlib.suppress(OSError):
        write_atomic(image_size_file(image, platform), kept.model_dump_json())
