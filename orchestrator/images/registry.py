"""A client of registries: the OCI Distribution API, version 2.

Its specification: github.com/opencontainers/distribution-spec, spec.md. A manifest tells the layers
and their sizes. At Docker Hub a GET of one counts as a pull and a HEAD does not
(docs.docker.com/docker-hub/usage/pulls): its sizes are asked for in `docker_hub`.

Registries on this host, and in private networks those without TLS, are asked over plain HTTP, as
Docker does it for 127.0.0.0/8 and for `insecure-registries`; no login is shown there but to this
host.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.images.layers import ImageSize
from orchestrator.images.manifests import ACCEPTED, Index, Manifest, is_digest, parse_manifest
from orchestrator.images.names import HUB, ImageName
from orchestrator.images.pulls import PullFailed, Quota
from orchestrator.images.registry_answers import (
    READ_S,
    Connections,
    Content,
    NoTls,
    RegistryAnswer,
    absolute_url,
    fail,
    failure_of,
    read_answer,
)
from orchestrator.images.registry_login import RegistryLogin
from orchestrator.network.problems import wants_https
from orchestrator.network.proxies import is_this_host

if TYPE_CHECKING:
    import httpx

API_HOSTS = {HUB: "registry-1.docker.io"}
"""Where the API of a registry is, if not at its name."""
QUOTA_IMAGE = ImageName(HUB, "ratelimitpreview/test")
"""Docker Hub's own image for asking what is left; a HEAD of its manifest costs nothing."""
MAX_INDEXES = 3
"""Within each other."""
_QUOTA = re.compile(r"\s*(\d{1,12})\s*(?:;\s*w\s*=\s*(\d{1,9}))?")
_PRIVATE_NAME = re.compile(r"[^.]+|.*\.(?:local|lan|internal|home\.arpa|ts\.net)", re.IGNORECASE)
_TAILNET = ipaddress.ip_network("100.64.0.0/10")


class Registry:
    """One registry; for use as a context manager, by many threads.

    All that asks raises PullFailed where there is no answer, or one that refuses; and
    PrerequisiteError where the environment's proxy or certificates can't be used.
    """

    def __init__(
        self,
        host: str,
        login: Mapping[str, Any] | None = None,
        read_s: float = READ_S,
    ) -> None:
        """`login` is as Docker's engine takes it; `read_s` how long to wait for the next bytes."""
        self.host = host
        self._connections = Connections(read_s=read_s)
        self._login = RegistryLogin(self._connections, login or {})
        self._lock = threading.Lock()
        self._base = ""

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.__exit__()

    def manifest(self, name: ImageName, platform: str) -> Manifest:
        """The manifest of an image's platform. An image that is of one platform alone does not say
        in its manifest of which."""
        reference = name.reference
        for _ in range(MAX_INDEXES + 1):
            found = self._manifest(name, reference)
            if isinstance(found, Manifest):
                return found
            reference = found.choose(platform, str(name))
        return fail(f"{name}: its lists of platforms have no end")

    def size(self, name: ImageName, platform: str) -> ImageSize:
        return self.manifest(name, platform).size

    def digest(self, name: ImageName) -> str:
        """What the name stands for now: the digest of an image's manifest, or where it is there for
        several platforms, of their list. By HEAD, which counts as no pull anywhere."""
        answer = self.ask("HEAD", _manifest_path(name), _pull(name), {"Accept": ACCEPTED})
        digest = answer.headers.get("docker-content-digest", "")
        if not is_digest(digest):
            fail(f"{name}: its registry does not say its digest")
        return digest

    def quota(self, name: ImageName | None = None) -> Quota | None:
        """The pulls that are left to who asks from here, asked at no cost; None where the registry
        has no limit, or does not say. `name`: an image by which registries other than Docker Hub
        are asked."""
        asked = QUOTA_IMAGE if self.host == HUB else name
        path = _manifest_path(asked) if asked else "/v2/"
        scope = _pull(asked) if asked else ""
        with self.open("HEAD", path, scope, {"Accept": ACCEPTED}) as response:
            quota = parse_quota(response.headers)
            answer = read_answer(response)
        if answer.status >= 400 and quota is None:
            raise PullFailed(failure_of(answer, self.host))
        return quota

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        scope: str,
        headers: Mapping[str, str],
        content: Content = None,
    ) -> Iterator[httpx.Response]:
        """An answer, whatever its status, with its body to come. A path may be a whole URL, as
        registries name places for uploads; one of another host is shown no login."""
        base = self._find_base()
        url = absolute_url(path, base)
        is_own = url.startswith(f"{base}/")
        for is_last in (False, True):
            shown = self._login.headers(url, scope) if is_own else {}
            sent = {**headers, **shown}
            with self._connections.stream(method, url, sent, content) as response:
                may_repeat = is_own and not is_last and isinstance(content, bytes | None)
                is_refused = response.status_code == 401 and may_repeat
                if is_refused and self._login.learn(response.headers, scope):
                    continue
                yield response
                return

    def ask(
        self,
        method: str,
        path: str,
        scope: str,
        headers: Mapping[str, str],
        content: Content = None,
        none: Collection[int] = (),
    ) -> RegistryAnswer:
        """A whole answer. Raises PullFailed for one that refuses, but for the statuses `none`."""
        with self.open(method, path, scope, headers, content) as response:
            answer = read_answer(response)
        if answer.status >= 400 and answer.status not in none:
            raise PullFailed(failure_of(answer, self.host))
        return answer

    def _manifest(self, name: ImageName, reference: str) -> Manifest | Index:
        path = f"/v2/{name.repository}/manifests/{reference}"
        answer = self.ask("GET", path, _pull(name), {"Accept": ACCEPTED})
        found = parse_manifest(answer.body, answer.headers.get("content-type", ""), str(name))
        expected = reference if ":" in reference else ""
        if (
            isinstance(found, Manifest)
            and expected.startswith("sha256:")
            and (found.digest != expected)
        ):
            fail(f"{name}: its registry answers with another manifest than {expected}")
        return found

    def _find_base(self) -> str:
        """Where the API is, by the scheme that answers."""
        with self._lock:
            if not self._base:
                self._base = self._try_schemes(API_HOSTS.get(self.host, self.host))
            return self._base

    def _try_schemes(self, host: str) -> str:
        name = re.sub(r":\d+\Z", "", host).strip("[]")
        if is_this_host(name):
            answer: RegistryAnswer | None = None
            with contextlib.suppress(PullFailed):
                answer = self._connections.ask("GET", f"http://{host}/v2/", {})
            said = answer.body.decode("utf-8", "replace") if answer else ""
            plain = answer is not None and not wants_https(answer.status, said)
            return f"http://{host}" if plain else f"https://{host}"
        if is_private(name):
            try:
                self._connections.ask("GET", f"https://{host}/v2/", {})
            except NoTls:
                return f"http://{host}"
        return f"https://{host}"


def is_private(host: str) -> bool:
    """Whether a host, by what is written, is in a network of one's own: an address that is not
    routed, a tailnet's, or a name that no public registry has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _PRIVATE_NAME.fullmatch(host) is not None
    return address.is_private or (address.version == 4 and address in _TAILNET)


def parse_quota(headers: Mapping[str, str]) -> Quota | None:
    """`ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`, as Docker Hub has them.

    A window that is not named is Docker Hub's own, six hours.
    """
    limit = _QUOTA.match(headers.get("ratelimit-limit", ""))
    remaining = _QUOTA.match(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    window_s = float(limit[2] or remaining[2] or 6 * 3600)
    return Quota(int(limit[1]), int(remaining[1]), window_s)


def _manifest_path(name: ImageName) -> str:
    return f"/v2/{name.repository}/manifests/{name.reference}"


def _pull(name: ImageName) -> str:
    return f"repository:{name.repository}:pull"
