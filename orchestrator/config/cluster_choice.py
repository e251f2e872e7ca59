"""Which cluster profile a run has where nobody names one: what this system is decides."""

from __future__ import annotations

import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterChoice:
    """A profile's name, and why it is this one."""

    name: str
    because: str


SYSTEMS = {
    "Darwin": ClusterChoice(
        "mac-mini",
        "this is macOS: sandboxes are in a virtual machine, and share its memory and disk",
    ),
}
"""By `platform.system()`."""


def choose_cluster() -> ClusterChoice:
    """The profile that suits this system: `local` where there is none for it alone."""
    system = platform.system()
    return SYSTEMS.get(system, ClusterChoice("local", f"this is {system}"))
