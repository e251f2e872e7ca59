"""How a host is found and reached: what its name resolves to, and how long a connection takes."""

from __future__ import annotations

import socket
import time

CONNECT_TIMEOUT_S = 5.0


def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a host, each once, as the system has them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect_seconds(host: str, port: int, tries: int = 5) -> tuple[float, ...]:
    """How long each of so many connections took, which is one round trip. Raises OSError."""
    taken = []
    for _ in range(tries):
        started = time.monotonic()
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
        taken.append(time.monotonic() - started)
    return tuple(taken)
