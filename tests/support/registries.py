"""Registries to test with: Debian's docker-registry, images of random layers, and small servers
that say what they are told."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@contextmanager
def registry_server(folder: Path, settings: str = "", address: str = "") -> Iterator[str]:
    """Debian's docker-registry on loopback, which engines trust without TLS: host:port.

    What it is given lies in the folder, and is there again at the next start with the same one.
    `settings` are further lines of its config.yml, beginning within its section `http`.
    """
    binary = shutil.which("docker-registry")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs docker-registry (scripts/docker-for-tests installs it)")
        pytest.skip("docker-registry is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    address = address or f"127.0.0.1:{_free_port()}"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: warn}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http:\n  addr: '{address}'\n{settings}"
    )
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, port = address.split(":")
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex((host, int(port))) == 0:
                return
        assert process.poll() is None, "docker-registry ended at once"
        time.sleep(0.05)
    raise AssertionError("docker-registry does not listen")


def random_layer(size: int, seed: int) -> bytes:
    """Bytes that no compression makes smaller. They are no archive: no engine can unpack them."""
    return random.Random(seed).randbytes(size)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest_of(layers: list[bytes], platform: str = "linux/amd64") -> tuple[bytes, bytes]:
    """The manifest and the config of an image of such layers."""
    system, architecture = platform.split("/")[:2]
    config = json.dumps({"os": system, "architecture": architecture, "n": len(layers)}).encode()
    described = [
        {"mediaType": "application/octet-stream", "digest": digest_of(x), "size": len(x)}
        for x in layers
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": described,
    }
    return json.dumps(manifest).encode(), config


def _client() -> httpx.Client:
    """With a connection for each request: a registry may close one that was kept just as the next
    request is sent on it."""
    one_each = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(trust_env=False, verify=False, limits=one_each)


def push_image(
    address: str,
    repository: str,
    tag: str,
    layers: list[bytes],
    platform: str = "linux/amd64",
) -> str:
    """Put an image into a registry without login; gives its manifest's digest."""
    manifest, config = manifest_of(layers, platform)
    with _client() as client:
        for blob in (config, *layers):
            begun = client.post(f"http://{address}/v2/{repository}/blobs/uploads/")
            place = httpx.URL(begun.headers["location"]).copy_add_param("digest", digest_of(blob))
            client.put(place, content=blob).raise_for_status()
    return push_manifest(address, repository, tag, manifest, DOCKER_MANIFEST)


def push_manifest(address: str, repository: str, tag: str, manifest: bytes, form: str) -> str:
    """Put a manifest, or a list of some, whose parts are there; gives its digest."""
    url = f"http://{address}/v2/{repository}/manifests/{tag}"
    with _client() as client:
        client.put(url, content=manifest, headers={"Content-Type": form}).raise_for_status()
    return digest_of(manifest)


@dataclass
class Asked:
    """A request that a `FakeServer` got."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes | Any = b""
    """What is no bytes is sent as JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    cut_to: int | None = None
    """Sends so many bytes of the body, and hangs up."""


class FakeServer:
    """A server that answers by a function; `asked` is what it got. For use as a context manager."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = Asked(self.command, self.path, self.headers, body)  # type: ignore[arg-type]
                outer.asked.append(asked)
                reply = answer(asked)
                raw = reply.body
                data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data[: reply.cut_to])
                self.close_connection = reply.cut_to is not None

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}"

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]
