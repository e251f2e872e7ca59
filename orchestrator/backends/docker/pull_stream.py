"""One pull by the engine, as it reports it: bytes of layers, and signs of life.

The engine pulls for as long as the connection stays on which it reports, so that hanging up cancels
the pull. It waits without limit for a registry that sends nothing more, and with containerd's image
store it goes on reporting meanwhile, the same ten times a second; so only what changes is a sign of
life.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import docker
import docker.auth
import docker.errors
import docker.utils
import requests

from orchestrator.backends.docker.engine import ENGINE_ERRORS

SHOWN_EVERY_S = 0.25
_END = object()


class Stalled(Exception):
    """Nothing has changed for too long."""


class Transferred:
    """What a pull has done, by the lines that the engine writes of it. Pure."""

    def __init__(self) -> None:
        self.digest = ""
        """Of the manifest, once it is known."""
        self._known: dict[str, tuple[str, object]] = {}
        self._sizes: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    @property
    def bytes(self) -> int:
        """Of layers, that have come; never less than before."""
        return sum(self._bytes.values())

    def take(self, line: Mapping[str, Any]) -> bool:
        """Take in a line. Returns whether it says anything new."""
        status, layer = str(line.get("status", "")), str(line.get("id", ""))
        if status.startswith("Digest: "):
            self.digest = status.removeprefix("Digest: ").strip()
        detail = line.get("progressDetail")
        detail = detail if isinstance(detail, dict) else {}
        now = (status, detail.get("current"))
        is_new = self._known.get(layer) != now
        self._known[layer] = now
        if layer:
            self._count(layer, status, detail)
        return is_new

    def _count(self, layer: str, status: str, detail: Mapping[str, Any]) -> None:
        current, total = _number(detail.get("current")), _number(detail.get("total"))
        size = self._sizes[layer] = max(total, self._sizes.get(layer, 0))
        # one that broke off goes on where it was, and its total is then of what is left
        done = {"Downloading": size - total + current if total else current}
        done |= dict.fromkeys(("Download complete", "Verifying Checksum", "Pull complete"), size)
        done["Extracting"] = size  # of a layer that came between two lines, the first that tells
        self._bytes[layer] = max(self._bytes.get(layer, 0), done.get(status, 0))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


class EnginePull:
    """A pull that has been asked for; use it as a context manager, which ends it."""

    def __init__(
        self, client: docker.DockerClient, name: str, platform: str, auth: Mapping[str, Any]
    ) -> None:
        self._api: Any = client.api
        repository, tag = docker.utils.parse_repository_tag(name)
        self._wanted = {"fromImage": repository, "tag": tag or "latest", "platform": platform}
        self._headers = {"X-Registry-Auth": docker.auth.encode_header(dict(auth))} if auth else {}
        self._lines: queue.Queue[Any] = queue.Queue()
        """Lines as they come, and last an error or _END."""
        self._connection: socket.socket | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name=f"pull {name}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def follow(self, timeout_s: float) -> Iterator[Transferred]:
        """How it goes, several times a second.

        Raises:
            Stalled: nothing was new for so long.
            ENGINE_ERRORS: the engine refuses, is gone, or says why the pull failed.
        """
        progress, changed_at, shown_at = Transferred(), time.monotonic(), float("-inf")
        while True:
            line: Any = None
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=min(SHOWN_EVERY_S, timeout_s))
            now = time.monotonic()
            if line is _END:
                yield progress
                return
            if isinstance(line, Exception):
                raise line
            if isinstance(line, dict):
                if "error" in line:
                    raise docker.errors.DockerException(str(line["error"]))
                changed_at = now if progress.take(line) else changed_at
            if now - changed_at > timeout_s:
                raise Stalled
            if now - shown_at >= SHOWN_EVERY_S:
                shown_at = now
                yield progress

    def _read(self) -> None:
        """In a thread of its own: the wait for a line must not hold up who wants to end it."""
        try:
            for line in self._report():
                self._lines.put(line)
        except ENGINE_ERRORS as error:
            self._lines.put(error)
        except ValueError:
            self._lines.put(ConnectionResetError("its report was cut off"))
        else:
            self._lines.put(_END)

    def _report(self) -> Iterator[Any]:
        url = f"{self._api.base_url}/v{self._api.api_version}/images/create"
        given: dict[str, Any] = {"params": self._wanted, "headers": self._headers}
        with self._api.post(url, **given, stream=True, timeout=None) as response:
            try:
                response.raise_for_status()
            except requests.HTTPError as error:
                raise docker.errors.create_api_error_from_http_exception(error) from error
            with socket.socket(fileno=os.dup(response.raw.fileno())) as self._connection:
                rest = b""
                for data in response.iter_content(chunk_size=None):
                    if self._is_over.is_set():
                        return
                    *lines, rest = (rest + data).split(b"\n")
                    yield from (json.loads(line) for line in lines if line.strip())
                if rest.strip():  # what no line feed ends was cut off, or is still whole
                    yield json.loads(rest)
