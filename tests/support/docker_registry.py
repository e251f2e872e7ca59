"""A registry of a test's own: Debian's docker-registry on loopback.

Images are put there over HTTP, without an engine: layers of random bytes, shared or not.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Blob:
    """A layer, as registries keep it."""

    data: bytes
    """Compressed."""
    digest: str
    diff_id: str
    """The digest of what is in it."""

    @classmethod
    def of(cls, files: dict[str, bytes]) -> Blob:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o755
                tar.addfile(entry, io.BytesIO(data))
        return cls.of_archive(archive.getvalue())

    @classmethod
    def of_archive(cls, archive: bytes, level: int = 0) -> Blob:
        """Of a tar archive; random bytes would not get smaller, so nothing is compressed."""
        data = gzip.compress(archive, level, mtime=0)
        return cls(data, _digest(data), _digest(archive))


def random_layer(seed: int | str, size: int) -> Blob:
    """One file of so many bytes; the same layer for the same seed and size."""
    source, million = random.Random(f"{seed}"), 1_000_000  # it gives 256 MB at once, at most
    sizes = [million] * (size // million) + [size % million]
    return Blob.of({f"random-{seed}": b"".join(map(source.randbytes, sizes))})


def programs_layer(*programs: str) -> Blob:
    """Programs of this host in /bin, with the libraries that they load, and a user root."""
    files = {"etc/passwd": b"root:x:0:0::/root:/bin/bash\n"}
    for name in programs:
        path = shutil.which(name)
        assert path is not None, name
        files[f"bin/{name}"] = Path(path).read_bytes()
        loaded = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", loaded):
            files[library.lstrip("/")] = Path(library).read_bytes()
    return Blob.of(files)


@dataclass(frozen=True)
class Pushed:
    """An image in a registry."""

    digest: str
    """Of its manifest."""
    size: int
    """Of its layers, in bytes, as a pull transfers them."""


class Registry:
    """A docker-registry that runs."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        """host:port."""
        self.folder = folder
        self._client = httpx.Client(base_url=f"http://{address}/v2/", timeout=60, trust_env=False)
        self._has: dict[str, str] = {}
        """The repository where each blob is."""

    def push(
        self,
        name: str,
        layers: Sequence[Blob],
        *,
        tag: str = "latest",
        platform: str = "linux/amd64",
        settings: dict[str, Any] | None = None,
    ) -> Pushed:
        """Put an image there; `settings` are its containers', such as {"Cmd": [...]}."""
        system, architecture = platform.split("/")[:2]
        history = [{"created_by": f"test {name} {number}"} for number in range(len(layers))]
        config = json.dumps(
            {
                "os": system,
                "architecture": architecture,
                "config": {"Cmd": ["/none"], **(settings or {})},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
                "history": history,
                "created": "2000-01-01T00:00:00Z",
            }
        ).encode()
        self._push_blob(name, _digest(config), config)
        for layer in layers:
            self._push_blob(name, layer.digest, layer.data)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [
                {"mediaType": LAYER, "size": len(layer.data), "digest": layer.digest}
                for layer in layers
            ],
        }
        body = json.dumps(manifest).encode()
        answer = self._client.put(
            f"{name}/manifests/{tag}", content=body, headers={"Content-Type": MANIFEST}
        )
        assert answer.status_code == 201, answer.text
        return Pushed(_digest(body), sum(len(layer.data) for layer in set(layers)))

    def push_index(self, name: str, pushed: Mapping[str, Pushed], *, tag: str = "latest") -> str:
        """Put several images of the repository under one name, by platform. Returns its digest."""
        manifests = []
        for platform, image in pushed.items():
            system, architecture = platform.split("/")
            of = {"os": system, "architecture": architecture}
            known = self._client.get(
                f"{name}/manifests/{image.digest}", headers={"Accept": MANIFEST}
            )
            size = len(known.content)
            entry = {"mediaType": MANIFEST, "digest": image.digest, "size": size, "platform": of}
            manifests.append(entry)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        body = json.dumps(index).encode()
        answer = self._client.put(
            f"{name}/manifests/{tag}", content=body, headers={"Content-Type": INDEX}
        )
        assert answer.status_code == 201, answer.text
        return _digest(body)

    def has(self, name: str, tag: str = "latest") -> bool:
        headers = {"Accept": MANIFEST}
        return self._client.head(f"{name}/manifests/{tag}", headers=headers).status_code == 200

    def close(self) -> None:
        self._client.close()

    def _push_blob(self, name: str, digest: str, data: bytes) -> None:
        known = self._has.setdefault(digest, name)
        wanted = {"mount": digest, "from": known} if known != name else {}
        answer = self._client.post(f"{name}/blobs/uploads/", params=wanted)
        if answer.status_code == 201:  # it was there, under another repository's name
            return
        assert answer.status_code == 202, answer.text
        url = httpx.URL(answer.headers["Location"]).copy_merge_params({"digest": digest})
        answer = self._client.put(url, content=data)
        assert answer.status_code == 201, answer.text


@contextlib.contextmanager
def open_registry(folder: Path) -> Iterator[Registry]:
    """Run one for as long as it is wanted; it keeps its images in the folder."""
    binary = shutil.which("docker-registry")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs docker-registry (scripts/docker-for-tests installs it)")
        pytest.skip("docker-registry is not installed")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(address)
        with contextlib.closing(Registry(address, folder)) as registry:
            yield registry
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str) -> None:
    host, port = address.split(":")
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"docker-registry does not listen at {address}")


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
