"""Clients for HTTP, all made here: by the way to a server, and by whom it is trusted.

`httpx` asks before the night and `aiohttp` through it. Left to themselves they read the environment
differently (NO_PROXY, certificates), and what had been checked would not be what is used.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.private_hosts import is_private
from orchestrator.network.problems import WANTS_LOGIN, Problem, explain
from orchestrator.network.proxies import Proxy, exempting, find_proxy, is_this_host

if TYPE_CHECKING:
    import aiohttp
    import httpx


def open_client(url: str, *, takes_long_answers: bool = False, **settings: Any) -> httpx.Client:
    """A client for the server at a URL, for use as a context manager.

    An answer must be whole within the client's timeout, unless it `takes_long_answers`.

    Raises:
        PrerequisiteError: the environment names a proxy or certificates that can't be used.
    """
    import httpx

    from orchestrator.network.whole_answers import WholeAnswers

    proxy = find_proxy(url)
    transport = httpx.HTTPTransport(
        verify=trusted() if needs_trust(url) else False,
        proxy=httpx.Proxy(proxy.url, ssl_context=_proxy_context(proxy.url)) if proxy else None,
        trust_env=False,
    )
    return httpx.Client(
        event_hooks={"response": [_require_no_login]} if proxy else None,
        transport=transport if takes_long_answers else WholeAnswers(transport),
        trust_env=False,
        **settings,
    )


def open_session(
    url: str, connector_settings: dict[str, Any] | None = None, **settings: Any
) -> aiohttp.ClientSession:
    """The same for aiohttp; inside an event loop. Raises as `open_client`."""
    import aiohttp

    proxy = find_proxy(url)
    given = dict(connector_settings or {})
    if needs_trust(url) or (proxy and needs_trust(proxy.url)):
        given["ssl"] = trusted()
    if proxy is not None and proxy.is_socks:
        from aiohttp_socks import ProxyConnector

        given.pop("socket_factory", None)  # it makes its own
        socks: aiohttp.TCPConnector = ProxyConnector.from_url(proxy.url, rdns=True, **given)
        return aiohttp.ClientSession(connector=socks, **settings)
    connector = aiohttp.TCPConnector(**given)
    if proxy is None:
        return aiohttp.ClientSession(connector=connector, **settings)
    return aiohttp.ClientSession(
        connector=connector, proxy=proxy.url, raise_for_status=_require_no_login_async, **settings
    )


def network_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What a session's requests raise where the network fails; `others` beside it."""
    import aiohttp
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

    of_socks = (ProxyError, ProxyConnectionError, ProxyTimeoutError)
    return (aiohttp.ClientError, OSError, *of_socks, *others)  # TimeoutError is an OSError


def no_connection() -> tuple[type[Exception], ...]:
    """Those of them that say that there was nobody to ask."""
    import aiohttp
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

    of_socks = (ProxyError, ProxyConnectionError, ProxyTimeoutError)
    refused = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ConnectionRefusedError)
    return (*refused, *of_socks)


@dataclass(frozen=True)
class Way:
    """How a URL is asked. As text: ` through the proxy … of HTTP_PROXY`, to stand behind a problem;
    empty without a proxy."""

    url: str
    proxy: Proxy | None

    def __str__(self) -> str:
        return f" through {self.proxy}" if self.proxy else ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def bypass(self) -> str:
        """The command after which the host is asked directly; empty where nothing is in the way.

        A proxy on this host is none: Tailscale without root, and `ssh -D`, lead into private
        networks by one.
        """
        if self.proxy is None or not is_private(self.host):
            return ""
        if is_this_host(urlsplit(self.proxy.url).hostname or ""):
            return ""
        return exempting(self.host)

    def problem(self, error: BaseException) -> Problem:
        """What kept an answer away."""
        asked = self.proxy.url if self.proxy else self.url
        return explain(error, asked, is_proxy=self.proxy is not None)


def way_to(url: str) -> Way:
    """Raises PrerequisiteError where the environment's proxy can't be used."""
    return Way(url, find_proxy(url))


@contextmanager
def environment_for(url: str) -> Iterator[None]:
    """For a library that reads the environment by itself, and not all forms of NO_PROXY: meanwhile
    it names the one proxy that the URL is asked through, or none, and no exceptions.

    Raises:
        PrerequisiteError: the environment's proxy or certificates can't be used.
    """
    require_way(url)
    proxy = find_proxy(url)
    before = dict(os.environ)
    for name in before:
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            del os.environ[name]
    # one of them is set in any case, or libraries would read the system's settings (macOS)
    name, value = ("ALL_PROXY", proxy.url) if proxy else ("NO_PROXY", "*")
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        os.environ.update(before)


def require_way(url: str) -> None:
    """Raises PrerequisiteError where the environment's proxy or certificates can't be used."""
    proxy = find_proxy(url)
    if needs_trust(url) or (proxy and needs_trust(proxy.url)):
        trusted()


def needs_trust(url: str) -> bool:
    return url.lower().startswith("https:")


def trusted() -> ssl.SSLContext:
    """Who is trusted: the files that SSL_CERT_FILE and SSL_CERT_DIR name; where they name none, the
    system's certificates and those that come with httpx (macOS shows Python none of its own).

    Raises:
        PrerequisiteError: the file can't be read, or holds no certificate.
    """
    import httpx

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise PrerequisiteError(
            f"SSL_CERT_FILE is {file!r}, which holds no certificates that can be read "
            f"({one_line(error.strerror or error, 80)}).",
            "Correct the path, or unset it.",
        ) from None


def _require_no_login(response: httpx.Response) -> None:
    import httpx

    if response.status_code == 407:
        raise httpx.ProxyError(WANTS_LOGIN)


async def _require_no_login_async(response: aiohttp.ClientResponse) -> None:
    if response.status == 407:
        raise ConnectionRefusedError(WANTS_LOGIN)


def _proxy_context(proxy: str) -> ssl.SSLContext | None:
    return trusted() if needs_trust(proxy) else None
