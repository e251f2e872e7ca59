"""Which proxy a URL is asked through: one place for all that we ask ourselves.

The environment says, by curl's conventions: `http_proxy`, `https_proxy`, else `all_proxy`, and the
exceptions in `no_proxy`; the lower-case name goes first. Where it names no proxy, the system's own
settings count (macOS), with the exceptions of both. What is on this host never goes through a
proxy.

An entry of NO_PROXY is a host (which covers names below it), `.suffix`, a pattern with `*`, an
address or a range of them (`10.0.0.0/8`, `fd00::/8`), each with `:PORT` where only that is meant.
No name is looked up: a range covers addresses that are written as such.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib import request
from urllib.parse import quote, unquote, urlsplit

from orchestrator.errors import PrerequisiteError, one_line

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
SCHEMES = {"http": "http", "https": "https", "socks5": "socks5", "socks5h": "socks5"}
"""A proxy's scheme as written, to what we call it. SOCKS proxies look names up in either case, as
names of a private network are often known to them alone."""
DEFAULT_PORTS = {"http": 80, "https": 443}
SOCKS_PORT = 1080
THIS_HOST = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
SYSTEM = "the system's settings"
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]\\%]+)(?::(\d{1,5}))?")
_NO_PROXY_ENTRY = re.compile(r"\[([^\]]*)\](/\d+)?(?::(\d+))?|([^:]*):(\d+)")
"""`[ADDRESS]`, `[ADDRESS]/BITS`, either with a port, or `HOST:PORT`; else it is all host."""


@dataclass(frozen=True)
class Proxy:
    """A proxy, and who named it. As text it is fit for logs: without its login."""

    url: str
    """SCHEME://[LOGIN@]HOST:PORT, the login percent-encoded. Holds a secret: never printed."""
    origin: str
    """The environment's variable as it is spelled there, or `the system's settings`."""

    def __str__(self) -> str:
        return f"the proxy {without_login(self.url)} of {self.origin}"

    @property
    def is_socks(self) -> bool:
        return self.url.startswith("socks")


def find_proxy(url: str, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy that a URL is asked through; None where it is asked directly.

    `environment` is the process's own by default, and only then is the system asked.

    Raises:
        PrerequisiteError: the setting that counts for the URL is no proxy that we can use.
    """
    given = os.environ if environment is None else environment
    scheme, host, port = _target(url)
    if is_this_host(host) or _is_excepted(host, port, _setting(given, "no_proxy")[1]):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        variable, value = _setting(given, name)
        if value:
            return _parse(value, variable)
    names_one = any(_setting(given, f"{kind}_proxy")[1] for kind in DEFAULT_PORTS)
    if environment is None and not names_one:
        return _system_proxy(scheme, host)
    return None


def is_this_host(host: str) -> bool:
    """Whether a host of a URL is this machine, by what is written: no name is looked up."""
    name = _plain(host)
    if addresses := addresses_of(name):
        return any(address.is_loopback or address.is_unspecified for address in addresses)
    return name in THIS_HOST or name.endswith(".localhost") or name in _own_names()


def _own_names() -> set[str]:
    """The host's name, which may carry a network's domain, without that, and by mDNS."""
    whole = _plain(socket.gethostname())
    label = whole.partition(".")[0]
    return {whole, label, f"{label}.local"}


def exempting(host: str, environment: Mapping[str, str] | None = None) -> str:
    """The shell's command after which a host goes through no proxy."""
    given = os.environ if environment is None else environment
    entry = f"[{host}]" if ":" in host else host
    name, value = _setting(given, "no_proxy")
    if not value:
        return f"export {name if name in given else 'NO_PROXY'}='{entry}'"
    return f'export {name}="${name},{entry}"'


def without_login(proxy: str) -> str:
    """A proxy's address for people: its login is `***`, whatever that is made of."""
    return re.sub(r"\A(\s*[\w+.-]*://)?.*@", r"\1***@", proxy, flags=re.DOTALL)


def _target(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of what is to be asked; empty or None where it is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        return parts.scheme, _plain(unquote(parts.hostname or "")), port
    except ValueError:
        return "", "", None


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _setting(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """A variable's name as it is spelled, and its value; empty where it is not set.

    A lower-case one goes first, also where it is empty. In a CGI script HTTP_PROXY may be what a
    client sent as its header `Proxy`.
    """
    if name in environment:
        return name, environment[name].strip()
    spelled = next((key for key in environment if key.lower() == name), "")
    if not spelled or (name == "http_proxy" and "REQUEST_METHOD" in environment):
        return name, ""
    return spelled, environment[spelled].strip()


def _is_excepted(host: str, port: int | None, no_proxy: str) -> bool:
    entries = re.split(r"[\s,;]+", no_proxy.lower())
    return any(_covers(entry, host, port) for entry in entries if entry)


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY is meant for a host."""
    entry = entry.rpartition("://")[2].rstrip("/")
    if match := _NO_PROXY_ENTRY.fullmatch(entry):
        inside, bits, port_behind, name, port_of_name = match.groups()
        if str(port) != (port_behind or port_of_name or str(port)):
            return False
        entry = f"{inside}{bits or ''}" if name is None else name
    entry = entry.rstrip(".")
    if "*" in entry and fnmatchcase(host, entry):
        return True
    if addresses := addresses_of(host):
        try:
            network = ipaddress.ip_network(next(iter(addresses_of(entry)), entry), strict=False)
        except ValueError:
            return False
        return any(address in network for address in addresses)
    domain = entry.removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def addresses_of(host: str) -> tuple[IpAddress, ...]:
    """The address that a host is, also a short one (`127.1`); none where it is a name.

    IPv4 in the clothes of IPv6 (`::ffff:10.0.0.1`) is both.
    """
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(host)
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return (mapped, found) if mapped else (found,)
    with contextlib.suppress(OSError, ValueError):
        if host[:1].isdigit() and "/" not in host:
            return (ipaddress.IPv4Address(socket.inet_aton(host)),)
    return ()


def _system_proxy(scheme: str, host: str) -> Proxy | None:
    """By the settings of macOS, its exceptions too. No other system has any that Python reads."""
    read: Callable[[], dict[str, str]] | None = getattr(request, "getproxies_macosx_sysconf", None)
    if read is None:
        return None
    settings = read()
    value = settings.get(scheme)
    if not value and "socks" in settings:  # written there as if it were an HTTP proxy
        value = f"socks5://{settings['socks'].rpartition('://')[2]}"
    if not value or request.proxy_bypass_macosx_sysconf(host):  # type: ignore[attr-defined]
        return None
    return _parse(value, SYSTEM)


def _parse(value: str, origin: str) -> Proxy:
    """What a setting means. Raises PrerequisiteError."""
    # what has no scheme is an HTTP proxy to everybody
    scheme, _, rest = (value if "://" in value else f"http://{value}").partition("://")
    login, _, place = rest.rpartition("@")
    match = _PLACE.fullmatch(place.partition("/")[0])
    known = SCHEMES.get(scheme.lower())
    if known is None:
        raise _unusable(value, origin, f"{scheme}:// is no kind of proxy that is known here")
    if match is None:
        raise _unusable(value, origin, "no HOST:PORT can be read in it")
    host, port = match.groups()
    if host.startswith("[") and not addresses_of(host[1:-1]):
        raise _unusable(value, origin, f"{host} is no address")
    if port is not None and not 0 < int(port) < 65536:
        raise _unusable(value, origin, f"there is no port {port}")
    if port is None and known == "socks5":
        port = str(SOCKS_PORT)
    user, colon, password = login.partition(":")
    secret = f"{_encoded(user)}{colon}{_encoded(password)}@" if login else ""
    return Proxy(f"{known}://{secret}{host}{f':{port}' if port else ''}", origin)


def _encoded(text: str) -> str:
    """Percent-encoded once, whether it was before or not."""
    return quote(unquote(text), safe="", errors="replace")


def _unusable(value: str, origin: str, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"{origin} is {one_line(without_login(value), 120)!r}: {why}.",
        "Write http://HOST:PORT or socks5://HOST:PORT, a login before it as USER:PASSWORD@ with "
        "other characters than letters and digits percent-encoded; or unset it, or name the server "
        "in NO_PROXY.",
    )
