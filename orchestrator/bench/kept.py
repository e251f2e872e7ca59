"""What `bench` has measured of servers, kept in the user's cache: a file a server and model.

Admission starts from it. A server may be started anew with other settings, so what is old counts no
more; and a start that is too high is lowered as any other is.
"""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.config.schema import Model
from orchestrator.paths import write_atomic
from orchestrator.user_paths import bench_file

FRESH_S = 30 * 24 * 3600.0
"""For how long it counts."""


class MeasuredServer(BaseModel):
    """As the file holds it."""

    model_config = ConfigDict(extra="forbid")

    base_url: str
    served_name: str
    at_once: Annotated[int, Field(gt=0, strict=True)]
    """Rollouts that it is worth."""
    measured_at: float
    """Seconds since 1970."""


def keep(base_url: str, served_name: str, at_once: int) -> None:
    """For launches to come; where the cache can't be written, they start from a low number."""
    kept = MeasuredServer(
        base_url=base_url, served_name=served_name, at_once=at_once, measured_at=time.time()
    )
    with contextlib.suppress(OSError):
        write_atomic(bench_file(base_url, served_name), kept.model_dump_json(indent=1) + "\n")


def measured_at_once(model: Model) -> int | None:
    """Rollouts that all of a model's servers are worth together, as far as that was measured of
    each of them, and lately; else None."""
    found = [_find(url.rstrip("/"), model.served_name) for url in model.endpoint.base_urls]
    known = [at_once for at_once in found if at_once is not None]
    return sum(known) if known and len(known) == len(found) else None


def _find(base_url: str, served_name: str) -> int | None:
    try:
        raw = bench_file(base_url, served_name).read_bytes()
        kept = MeasuredServer.model_validate_json(raw)
    except (OSError, ValidationError):
        return None
    is_this = (kept.base_url, kept.served_name) == (base_url, served_name)
    return kept.at_once if is_this and 0 <= time.time() - kept.measured_at < FRESH_S else None
