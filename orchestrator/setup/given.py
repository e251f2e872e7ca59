"""What the flags of `init` say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Given:
    """None is asked, where there is somebody to ask."""

    base_url: str | None = None
    api_key_env: str | None = None
    served_name: str | None = None
    model: str | None = None
    """Name of the profile."""
    sandboxes: str | None = None
    images_gb: str | None = None
    keep_images: bool | None = None
    night_hours: str | None = None
    notify: str | None = None
    send_test: bool = False
    force: bool = False
    """Write anew what is there already."""
