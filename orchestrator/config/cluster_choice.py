"""Which cluster profile a run has where nobody names one: one's own, or what suits the system."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OWN = "home"
"""The profile that `init` writes for this machine; whoever has one of this name gets it."""


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


def choose_cluster(profiles: Mapping[str, Path]) -> ClusterChoice:
    """Of the profiles that there are, by name: the user's own where it is one of them."""
    if OWN in profiles:
        return ClusterChoice(OWN, f"{profiles[OWN]} is there")
    return choose_by_system()


def choose_by_system() -> ClusterChoice:
    """The shipped profile that suits this system: `local` where there is none for it alone."""
    system = platform.system()
    return SYSTEMS.get(system, ClusterChoice("local", f"this is {system}"))
