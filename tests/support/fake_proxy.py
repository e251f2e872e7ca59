"""A proxy that leads every host to one server here: HTTP and SOCKS5 at one port, as Tailscale's."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self
from urllib.parse import urlsplit


class FakeProxy:
    """Use it as a context manager. `asked` is what it was asked for: `http gpu:80`."""

    def __init__(self, target_port: int = 0, answer: bytes = b"") -> None:
        """Leads to a port of this host; or says `answer` itself to every HTTP request."""
        self.asked: list[str] = []
        self.logins: list[str] = []
        self._target_port = target_port
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            first = client.recv(65536)
            begin = (
                self._socks(client, first) if first[:1] == b"\x05" else self._http(client, first)
            )
            if begin is None:
                return
            with socket.create_connection(("127.0.0.1", self._target_port)) as server:
                server.sendall(begin)
                back = threading.Thread(target=_carry, args=(server, client), daemon=True)
                back.start()
                _carry(client, server)
                back.join(5)

    def _http(self, client: socket.socket, head: bytes) -> bytes | None:
        """What the server is to be sent first; None where it is over."""
        line, _, rest = head.partition(b"\r\n")
        method, url, version = line.decode().split(" ")
        for header in rest.decode("latin-1").split("\r\n"):
            if header.lower().startswith("proxy-authorization:"):
                self.logins.append(header.partition(": ")[2])
        parts = urlsplit(url if "://" in url else f"//{url}")
        self.asked.append(f"http {parts.hostname}:{parts.port or 80}")
        if self._answer:
            client.sendall(self._answer)
            return None
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            return b""
        return f"{method} {parts.path} {version}\r\n".encode() + rest

    def _socks(self, client: socket.socket, methods: bytes) -> bytes | None:
        """RFC 1928 and 1929, as far as one client at a time wants them."""
        wants_login = 2 in methods[2:]
        client.sendall(b"\x05\x02" if wants_login else b"\x05\x00")
        if wants_login:
            given = client.recv(1024)
            user = given[2 : 2 + given[1]]
            self.logins.append(f"{user.decode()}:{given[3 + given[1] :].decode()}")
            client.sendall(b"\x01\x00")
        asked = client.recv(1024)
        name = asked[5 : 5 + asked[4]].decode() if asked[3] == 3 else "an address"
        self.asked.append(f"socks {name}:{struct.unpack('!H', asked[-2:])[0]}")
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return b""


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
