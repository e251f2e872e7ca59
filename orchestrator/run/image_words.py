"""What a run's plan says of its images, for people and for programs. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orchestrator.config import RunConfig
from orchestrator.driver.image_night import ImageNight
from orchestrator.images.forecast import Window
from orchestrator.images.names import HUB
from orchestrator.report.words import duration

SOON_S = 600.0
"""What begins sooner is said to begin now."""


def image_lines(config: RunConfig, night: ImageNight, slots: int, now: float) -> Iterator[str]:
    """What comes, what it takes, what becomes of it, and what it waits for; `now` is the clock's,
    in seconds since the epoch."""
    if not night.to_get:
        return
    forecast = night.forecast
    images = "1 image" if night.to_get == 1 else f"{night.to_get} images"
    if not forecast.pulls and not forecast.lacking:
        yield f"{images} to build"
        return
    about = "an estimated" if forecast.is_estimated else "about"
    yield (
        f"{images} to get: {about} {forecast.bytes / 1e9:.1f} GB to pull; "
        f"{forecast.peak / 1e9:.0f} GB of the images' disk at most{_of_free(night)}; "
        f"{_becomes(config, night)}"
    )
    if forecast.waits_for_quota:
        yield from _windows(night, now)
    if forecast.lacking:
        yield (
            f"the images' disk has no room for {forecast.lacking}: the run would end before it; "
            "free some space, or raise cluster.images.budget_gb"
        )
    elif forecast.at_once < slots:
        yield (
            f"the images' disk holds what {forecast.at_once} of {slots} slots need when it is "
            "fullest: then fewer run at once"
        )


def _of_free(night: ImageNight) -> str:
    free_gb = night.facts.free_gb
    return ", and nobody can say what is free" if free_gb is None else f" of {free_gb:.0f} free"


def _becomes(config: RunConfig, night: ImageNight) -> str:
    keep, stays = config.cluster.images.keep, night.forecast.stays
    if keep is False:
        return "each goes once it is graded, as cluster.images.keep says"
    if keep is True:
        return "all stay, as cluster.images.keep says"
    if stays >= night.forecast.pulls:
        return "all stay, as there is room"
    return f"what is graded goes where room is short, and about {stays} stay"


def _windows(night: ImageNight, now: float) -> Iterator[str]:
    of_registry: dict[str, list[Window]] = {}
    for window in night.forecast.windows:
        of_registry.setdefault(window.registry, []).append(window)
    for registry, windows in of_registry.items():
        parts = [f"{window.pulls} {_when(window.begins_s, now)}" for window in windows]
        yield f"{registry} rations pulls: {', '.join(parts)}"
    if night.with_login is not None:
        saved = duration(night.forecast.seconds - night.with_login.seconds)
        yield f"a free login at {HUB} (`docker login`) would save about {saved}"


def _when(begins_s: float, now: float) -> str:
    if begins_s < SOON_S:
        return "now"
    return f"from about {time.strftime('%H:%M', time.localtime(now + begins_s))}"


def images_as_dict(night: ImageNight) -> dict[str, Any]:
    """For programs: bytes, and seconds since the start."""
    forecast = night.forecast
    return {
        "to_get": night.to_get,
        "pulls": forecast.pulls,
        "bytes_to_pull": forecast.bytes,
        "estimated": forecast.is_estimated,
        "peak_bytes": forecast.peak,
        "stay": forecast.stays,
        "windows": [
            {"registry": w.registry, "begins_s": round(w.begins_s), "pulls": w.pulls}
            for w in forecast.windows
        ],
        "stalled": len(forecast.stalls),
        "at_once": forecast.at_once,
        "no_room_for": forecast.lacking,
        "wall_s": round(forecast.seconds),
        "saved_by_login_s": (
            round(forecast.seconds - night.with_login.seconds) if night.with_login else 0
        ),
    }
