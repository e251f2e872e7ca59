"""Images copied from one registry to another, for a mirror of one's own.

What a target has already is not sent again: an image, a layer, and a layer that another of its
repositories has (which is mounted). A copy that was broken off goes on with the layer that it was
at. Layers pass through in pieces: memory stays small, however large they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from orchestrator.images.layers import Layer
from orchestrator.images.manifests import ACCEPTED, Manifest, platform_name
from orchestrator.images.names import ImageName, parse_name
from orchestrator.images.platforms import same_platform
from orchestrator.images.pulls import PullFailed, PullProblem
from orchestrator.images.registry import Registry
from orchestrator.images.registry_answers import fail, failure_of, read_answer, read_chunks

MAX_CONFIG = 4 << 20
"""Bytes of an image's settings."""
NOT_THERE = 404


@dataclass(frozen=True)
class Copied:
    sent: int
    """Bytes of layers; 0 where all was there."""
    digest: str
    """Of the manifest, the same at both."""


class Copier:
    """Copies images; for use as a context manager. It remembers where the target has what."""

    def __init__(self, login: Callable[[str], Mapping[str, Any]]) -> None:
        """`login` gives a registry's, as Docker's engine takes it; empty without one."""
        self._login = login
        self._open = ExitStack()
        self._registries: dict[str, Registry] = {}
        self._lies_in: dict[tuple[str, str], str] = {}
        """By registry and digest: a repository there that has the blob."""

    def __enter__(self) -> Copier:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def copy_image(
        self,
        source: str,
        target: str,
        platform: str,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> Copied:
        """Copy one platform of an image, under the target's name. `on_bytes` is told of each piece
        that is sent.

        One that the target has costs no pull where its source is of this platform alone.

        Raises:
            PullFailed: not all was copied, and at which registry that was; again goes on there.
            ConfigError: a name is none.
        """
        of, to = parse_name(source), parse_name(target)
        from_there, to_here = self._registry(of.registry), self._registry(to.registry)
        present = _find(to_here, to)
        if present is not None and from_there.digest(of) == present:
            self._remember(to_here, to, to_here.manifest(to, platform))
            return Copied(0, present)
        manifest = from_there.manifest(of, platform)
        if present == manifest.digest:
            self._remember(to_here, to, manifest)
            return Copied(0, present)
        _require_platform(from_there, of, manifest, platform)
        sent = 0
        for blob in dict.fromkeys((*manifest.layers, manifest.config)):
            if not self._has(to_here, to, blob):
                sent += blob.size
                _send(from_there, of, to_here, to, blob, on_bytes)
                self._lies_in[to_here.host, blob.digest] = to.repository
        headers = {"Content-Type": manifest.media_type}
        path = f"/v2/{to.repository}/manifests/{to.reference}"
        to_here.ask("PUT", path, _push(to), headers, manifest.raw)
        return Copied(sent, manifest.digest)

    def _registry(self, host: str) -> Registry:
        if host not in self._registries:
            self._registries[host] = self._open.enter_context(Registry(host, self._login(host)))
        return self._registries[host]

    def _remember(self, registry: Registry, name: ImageName, manifest: Manifest) -> None:
        for blob in (*manifest.layers, manifest.config):
            self._lies_in[registry.host, blob.digest] = name.repository

    def _has(self, registry: Registry, name: ImageName, blob: Layer) -> bool:
        """Whether the target has a blob in the image's repository, or has it there now, from
        another of its repositories."""
        path = f"/v2/{name.repository}/blobs/{blob.digest}"
        if registry.ask("HEAD", path, _push(name), {}, none=(NOT_THERE,)).status != NOT_THERE:
            self._lies_in[registry.host, blob.digest] = name.repository
            return True
        other = self._lies_in.get((registry.host, blob.digest))
        if other is None or other == name.repository:
            return False
        query = urlencode({"mount": blob.digest, "from": other})
        scope = f"{_push(name)} repository:{other}:pull"
        # one that mounts nothing begins an upload (202), which is left to the registry
        path = f"/v2/{name.repository}/blobs/uploads/?{query}"
        begun = registry.ask("POST", path, scope, {}, none=range(400, 500))
        return begun.status == 201


def _find(registry: Registry, name: ImageName) -> str | None:
    """The digest of what the target has under a name; None: nothing."""
    path = f"/v2/{name.repository}/manifests/{name.reference}"
    answer = registry.ask("HEAD", path, _push(name), {"Accept": ACCEPTED}, none=(NOT_THERE,))
    return None if answer.status == NOT_THERE else answer.headers.get("docker-content-digest")


def _require_platform(
    registry: Registry, name: ImageName, manifest: Manifest, platform: str
) -> None:
    """Raises PullFailed where the image's settings say another platform; where none, it passes."""
    pieces = _read_blob(registry, name, manifest.config, MAX_CONFIG)
    try:
        found = json.loads(b"".join(pieces))
        its_own = platform_name(found) if isinstance(found, dict) else ""
    except (ValueError, RecursionError):
        fail(f"{name}: its settings can't be read")
    if its_own and not same_platform(its_own, platform):
        fail(f"{name} is not there for {platform}, but for: {its_own}", PullProblem.REFUSED)


def _send(
    source: Registry,
    of: ImageName,
    target: Registry,
    to: ImageName,
    blob: Layer,
    on_bytes: Callable[[int], None],
) -> None:
    def pieces() -> Iterator[bytes]:
        for piece in _read_blob(source, of, blob, blob.size):
            on_bytes(len(piece))
            yield piece

    begun = target.ask("POST", f"/v2/{to.repository}/blobs/uploads/", _push(to), {})
    place = begun.headers.get("location")
    if not place:
        fail(f"{target.host} names no place for an upload")
    url = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': blob.digest})}"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    with target.open("PUT", url, _push(to), headers, pieces()) as response:
        answer = read_answer(response)
    if answer.status >= 400:
        raise PullFailed(failure_of(answer, target.host))


def _read_blob(registry: Registry, name: ImageName, blob: Layer, limit: int) -> Iterator[bytes]:
    """A blob's bytes, as they come. Raises PullFailed, at the end too: they must be the digest's,
    and as many as the manifest says."""
    digest, size = hashlib.sha256(), 0
    path = f"/v2/{name.repository}/blobs/{blob.digest}"
    with registry.open("GET", path, f"repository:{name.repository}:pull", {}) as response:
        if response.status_code != 200:
            raise PullFailed(failure_of(read_answer(response), registry.host))
        for piece in read_chunks(response, response.iter_raw(), limit):
            digest.update(piece)
            size += len(piece)
            if size < blob.size:
                yield piece
            else:
                _require_whole(name, blob, digest.hexdigest(), size)
                yield piece
    if size < blob.size:
        fail(f"{name}: a layer broke off after {size} of {blob.size} bytes")


def _require_whole(name: ImageName, blob: Layer, found: str, size: int) -> None:
    algorithm, _, expected = blob.digest.partition(":")
    if size != blob.size or (algorithm == "sha256" and found != expected):
        fail(f"{name}: a layer came other than its manifest says ({blob.digest})")


def _push(name: ImageName) -> str:
    return f"repository:{name.repository}:pull,push"
