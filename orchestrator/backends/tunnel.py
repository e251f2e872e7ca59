"""A port on this host that leads to a server inside a sandbox, which needs no network for it.

The engine's own channel carries the bytes: `relay` runs in the sandbox, by `Sandbox.attach`. So it
works with every engine that can run a command, also where containers' addresses can't be reached
from the host (those in a virtual machine, or far away), and a sandbox without a network stays one.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from orchestrator.backends import relay
from orchestrator.backends.base import ClosesOnExit, Sandbox, Stream
from orchestrator.errors import SandboxUnavailable

HEADER: struct.Struct = relay.HEADER
HOST = "127.0.0.1"
ENGINE_GRACE_S = 60.0
"""How long past the server's own time to start the engine may take to say so."""


class Tunnel(ClosesOnExit):
    """Use it as a context manager: leaving ends the server."""

    port: int

    def __init__(
        self, sandbox: Sandbox, python: str, command: Sequence[str], patience_s: float = 60.0
    ) -> None:
        """Start `command` in the sandbox, with {port} where it wants its port, and wait for it, for
        `patience_s` where the sandbox is not emulated.

        `python` is an interpreter there, 3.7 or newer, that carries the bytes.

        Raises:
            SandboxUnavailable: the sandbox is gone, or the server did not start.
        """
        patience_s, grace_s = sandbox.patience(patience_s), sandbox.patience(ENGINE_GRACE_S)
        source = Path(str(relay.__file__)).read_text(encoding="utf-8")
        self._stream: Stream = sandbox.attach(
            [python, "-I", "-c", source, str(patience_s), *command]
        )
        self._buffer = b""
        self._connections: dict[int, socket.socket] = {}
        self._opened = 0
        self._lock = threading.Lock()  # several connections write into the one stream
        # an engine may take a command and never run it
        patience = threading.Timer(patience_s + grace_s, self._stream.close)
        patience.start()
        try:
            _, kind, data = self._next_frame()
        except OSError as error:
            self._stream.close()
            raise SandboxUnavailable(f"the server in the sandbox did not start: {error}") from error
        finally:
            patience.cancel()
        if kind != relay.READY:
            self._stream.close()
            last = data.decode("utf-8", errors="replace").strip()[-300:]
            raise SandboxUnavailable(f"the server in the sandbox did not start: {last}")
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        for work in (self._accept, self._carry_back):
            threading.Thread(target=work, daemon=True, name="tunnel").start()

    def close(self) -> None:
        """End the server and every connection. Safe to call twice; never raises."""
        self._refuse()
        self._stream.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._opened += 1
                self._connections[self._opened] = connection
                try:
                    self._send(self._opened, relay.OPEN)
                except OSError:
                    connection.close()
                    raise
                threading.Thread(
                    target=self._carry, args=(self._opened, connection), daemon=True, name="tunnel"
                ).start()

    def _carry(self, number: int, connection: socket.socket) -> None:
        """What a client says, until it hangs up."""
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self._send(number, relay.DATA, data)
        with contextlib.suppress(OSError):
            self._send(number, relay.CLOSE)
        self._connections.pop(number, None)
        connection.close()

    def _carry_back(self) -> None:
        """What the server answers; at the stream's end nobody waits for an answer any more."""
        with contextlib.suppress(OSError):
            while True:
                number, kind, data = self._next_frame()
                connection = self._connections.get(number)
                if connection is None:
                    continue
                with contextlib.suppress(OSError):  # that client has gone
                    if kind == relay.DATA:
                        connection.sendall(data)
                    elif kind == relay.CLOSE:
                        connection.shutdown(socket.SHUT_RDWR)
        self._refuse()
        for connection in list(self._connections.values()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self) -> None:
        with contextlib.suppress(OSError):
            # wakes the thread that accepts; closing alone does not
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _send(self, number: int, kind: int, data: bytes = b"") -> None:
        with self._lock:
            self._stream.write(HEADER.pack(number, kind, len(data)) + data)

    def _next_frame(self) -> tuple[int, int, bytes]:
        """Raises OSError when the stream ends."""
        number, kind, size = HEADER.unpack(self._take(HEADER.size))
        return number, kind, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._stream.read()
            if not data:
                raise ConnectionResetError("the sandbox's end of the tunnel is gone")
            self._buffer += data
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found
