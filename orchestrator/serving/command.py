"""The command that starts a server of vLLM: made from a recipe, or read from people's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerCommand:
    """How a server is started, whoever wrote it down."""

    weights: str
    """A repository of the Hugging Face hub, or a folder; empty where the command names none."""
    flags: tuple[tuple[str, str | None], ...] = ()
    """Name, with its dashes, and value; None for a flag that takes none. In order, and a name may
    come twice: the last one holds."""
    image: str = ""
    """With its tag; empty where it is started without a container."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Of the server's process."""
    mounts: tuple[str, ...] = ()
    """host_path:container_path[:ro]"""

    def value(self, name: str) -> str | None:
        """Of the flag's last use; None where it is not there, or takes none."""
        return next((value for found, value in reversed(self.flags) if found == name), None)

    def has(self, name: str) -> bool:
        return any(found == name for found, _ in self.flags)
