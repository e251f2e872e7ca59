"""What a command prints: read until the command is over, and kept up to a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import wait


class CappedOutput:
    """Bytes in order of arrival, of which at most `limit` are kept: the head and the tail."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if len(self._tail) > 2 * self._half:
            self._trim()

    def _trim(self) -> None:
        extra = len(self._tail) - self._half
        if extra > 0:
            self._dropped += extra
            del self._tail[:extra]

    def value(self) -> bytes:
        self._trim()
        if not self._dropped:
            return bytes(self._head + self._tail)
        gap = f"\n[... {self._dropped} bytes left out ...]\n".encode()
        return bytes(self._head) + gap + bytes(self._tail)


def drain(
    fd: int,
    read: Callable[[], bytes],
    sink: Callable[[bytes], None],
    is_running: Callable[[], bool],
    deadline: float,
) -> bool:
    """Read a command's output until it ends, or until the command has exited.

    Waiting for the end of the stream alone would wait for every background process that inherited
    it. Returns whether the command was over before `deadline` (time.monotonic()).
    """
    exited = False
    while time.monotonic() < deadline:
        # not select(), which takes no descriptor over 1023: a node's worker has all slots' files
        if wait([fd], 0.05 if exited else 0.5):
            data = read()
            if not data:
                return True
            sink(data)
        elif exited:
            return True
        else:
            exited = not is_running()
    return exited
