"""Files that spare a later session work, and are read as they were written or not at all.

Each begins with the digest of what follows. So one that is cut off or damaged is as good as none,
and nothing has to be flushed to the drive, which takes longer than what is spared.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path


def read_kept(path: Path) -> bytes | None:
    """None: it is not there, or not as it was written. What is read counts as used now."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
        if _digest(content) != digest:
            return None
        os.utime(path)
    except OSError:
        return None
    return content


def keep(path: Path, content: bytes, most_bytes: int) -> None:
    """Write it, where that can be done, and remove of its folder what was used longest ago and is
    over `most_bytes` in all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(_digest(content) + b"\n" + content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _make_room(path.parent, most_bytes)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _make_room(folder: Path, most_bytes: int) -> None:
    """Raises OSError."""
    files = [
        (entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(folder)
    ]
    for _, size, path in sorted(files, reverse=True):
        most_bytes -= size
        if most_bytes < 0:
            Path(path).unlink(missing_ok=True)
