"""What tells this host from others. Its name does not: a Mac takes another with each network."""

from __future__ import annotations

import fcntl
import hashlib
import re
import secrets
import socket
from functools import cache
from pathlib import Path

from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.paths import flush_to_drive
from orchestrator.user_paths import host_id_file

MACHINE_ID = Path("/etc/machine-id")
"""Linux's own, made when the system is installed. Clones of a system share it."""
_KEPT = re.compile(r"[0-9a-f]{32}")


@cache
def host_id() -> str:
    """32 hexadecimal digits, the same in every session on this host.

    Made of what is kept in the user's data folder, and of the system's own id where it has one:
    hosts may share a home, and clones a system. A user who can keep nothing, such as a service's,
    does with the system's alone.

    Raises:
        PrerequisiteError: there is neither.
    """
    path, of_system, kept = host_id_file(), _machine_id(), ""
    try:
        kept = _kept_id(path)
    except OSError as error:
        if not of_system:
            raise PrerequisiteError(
                f"{path}, which tells this host from others, can't be kept ({one_line(error)}).",
                "Make its folder writable, or name another in SWE_ORCHESTRATOR_DATA.",
            ) from None
    return hashlib.sha256(f"{kept} {of_system}".encode()).hexdigest()[:32]


def is_this_hosts(label: str | None) -> bool:
    """Whether what is labelled so is of this host. Earlier versions wrote the host's name."""
    return label is not None and label in (host_id(), socket.gethostname())


def _kept_id(path: Path) -> str:
    """What is kept; made where nothing is, or what a power cut left of it. Raises OSError."""
    if path.is_file():
        kept = path.read_text(encoding="utf-8", errors="replace").strip()
        if _KEPT.fullmatch(kept):
            return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # of those that start at once, one makes it
        file.seek(0)
        kept = file.read().strip()
        if not _KEPT.fullmatch(kept):
            kept = secrets.token_hex(16)
            file.truncate(0)
            file.write(f"{kept}\n")
            file.flush()
            flush_to_drive(file.fileno())
    return kept


def _machine_id() -> str:
    try:
        return MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
