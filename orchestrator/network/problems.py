"""Why a server gave no answer: the system's own words, what they mean, and what mends it. Pure.

One table for all who ask servers: before the night, through it, the bench, and the dataset hub.
Clients wrap the system's error, some in a text that names its class alone: it is looked for in what
their own error was raised from.

macOS keeps programs from the local network until a person allows it, and says "No route to host"
then. Terminal.app, ssh and root are exempt, other terminals and tmux are not (Apple's technote
TN3179, "Understanding local network privacy").
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.errors import one_line
from orchestrator.network.proxies import is_this_host

WANTS_LOGIN = "the proxy wants a login (HTTP 407): http://USER:PASSWORD@HOST:PORT"
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
"""What OpenSSL says where the other side speaks no TLS."""
TLS_ALERT = r"\x15\x03"
"""How an answer begins that is TLS and no HTTP, as clients quote it."""
HTTPS_WANTED = ("https port", "https server")
"""In what nginx and Go's servers answer to plain HTTP at a port for HTTPS."""
HUNG_UP = ("Server disconnected", "Remote end closed connection")
"""What clients say of a connection that ended in place of an answer."""
MAX_CHAIN = 20


@dataclass(frozen=True)
class Problem:
    """What keeps an answer away."""

    what: str
    """Fit for brackets: `Connection refused: nothing listens at gpu, port 8000`."""
    cure: str = ""
    """Whole sentences; empty where none is known."""


@dataclass(frozen=True)
class _Asked:
    """Whom a client spoke to, or wanted to, and from which system."""

    host: str
    port: int | None
    is_proxy: bool
    system: str

    @property
    def place(self) -> str:
        port = f", port {self.port}" if self.port else ""
        return f"{'the proxy ' * self.is_proxy}{self.host}{port}" if self.host else "it"


def explain(
    error: BaseException, url: str = "", *, is_proxy: bool = False, system: str = sys.platform
) -> Problem:
    """What an error of the network means for somebody who wants a connection to a URL's host."""
    asked = _asked(url, is_proxy, system)
    chain = list(causes(error))
    text = " ".join(one_line(found, 500) for found in chain)
    if "Proxy Authentication Required" in text or WANTS_LOGIN in text:
        return Problem(WANTS_LOGIN)
    for found in chain:
        if isinstance(found, socket.gaierror):
            return _unknown_name(found, asked)
    if UNTRUSTED in text:
        return next((known for sign, known in CERTIFICATES.items() if sign in text), NOT_TRUSTED)
    if any(sign in text for sign in NO_TLS):
        return Problem("it speaks no TLS: http:// is wanted, not https://")
    if TLS_ALERT in text:
        return Problem("it speaks TLS: https:// is wanted, not http://")
    for found in chain:
        if isinstance(found, OSError) and found.errno in CAUSES:
            cause = CAUSES[found.errno]
            what = f"{os.strerror(found.errno)}: {cause.meaning}".replace("PLACE", asked.place)
            return Problem(what, cause.cure(asked))
    names = [type(found).__name__ for found in chain]
    if any(isinstance(found, TimeoutError) for found in chain) or "Timeout" in "".join(names):
        no_connection = any(name.startswith("Connect") and "Timeout" in name for name in names)
        return Problem("no answer in time", _cure_of_silence(asked) if no_connection else "")
    if any(sign in text for sign in HUNG_UP):
        return Problem("it hung up without an answer", BROKEN_OFF)
    return Problem(f"{type(error).__name__}: {one_line(error, 200)}".removesuffix(": "))


def answer_words(status: int, said: str = "", location: str | None = None) -> str:
    """`HTTP 404: no such model`; of a redirect, `HTTP 307 to https://gpu/v1`."""
    words = f"HTTP {status}"
    if 300 <= status < 400 and location:
        words += f" to {one_line(location)}"
    return f"{words}: {one_line(said)}" if said.strip() else words


def wants_https(status: int, said: str) -> bool:
    """Whether an answer to plain HTTP says that it stands at a port for HTTPS."""
    return status == 400 and any(sign in said[:2000].lower() for sign in HTTPS_WANTED)


def _unknown_name(error: socket.gaierror, asked: _Asked) -> Problem:
    """A host's name that the system could not look up."""
    is_cut_off = error.errno == socket.EAI_AGAIN
    meaning = "no name server answers" if is_cut_off else "there is no host of this name"
    name = asked.host.rstrip(".")
    if name.endswith(".local"):
        cure = (
            "A name in .local is found in its own network alone, while that host is awake; its IP "
            "address, or its name in a tailnet, is found from elsewhere."
        )
    elif name.endswith(".ts.net") or (name and "." not in name):
        cure = (
            "Is the tailnet up on this host (`tailscale status`), with MagicDNS? Or write the IP "
            "address in place of the name."
        )
    else:
        cure = "Is this host online?"
        if not is_cut_off:  # which is also said where no name server was asked at all
            cure = f"Is the name spelled right? {cure}"
    said = one_line(error.strerror or error, 100)
    return Problem(f"{said}: {meaning}" + f", {name!r}" * bool(name), cure)


CERTIFICATES = {
    "has expired": Problem("its certificate has expired", "Renew it, or set this host's clock."),
    "not yet valid": Problem("its certificate is not valid yet", "Set this host's clock."),
    "is not valid for": Problem(
        "its certificate is another host's", "Write the name into the URL that it holds."
    ),
}
"""By what OpenSSL says of a certificate."""
NOT_TRUSTED = Problem(
    "its certificate is not trusted here; SSL_CERT_FILE names a file with those that are"
)
BROKEN_OFF = "Look at the server's log; or is https:// wanted?"
TAILNET = "is this host online, and in that network or tailnet (`tailscale status`)?"


def _cure_of_refusal(asked: _Asked) -> str:
    if asked.is_proxy:
        return "Is the proxy up?"
    if is_this_host(asked.host):
        return "Start it, or correct the port."
    return (
        "Start it there, and let it listen to other hosts (`--host 0.0.0.0`): at 127.0.0.1 it "
        "listens to its own."
    )


def _cure_of_no_route(asked: _Asked) -> str:
    cure = f"Is that host up, and {TAILNET}"
    if asked.system != "darwin":
        return cure
    return (
        f"{cure} macOS says this too where it keeps a terminal or tmux from the local network: "
        "allow it in System Settings, Privacy & Security, Local Network, or work in Terminal.app "
        "or over ssh."
    )


def _cure_of_silence(asked: _Asked) -> str:
    where = f" to port {asked.port}" if asked.port else ""
    return f"Is that host awake, and does every firewall let one{where}?"


@dataclass(frozen=True)
class _Cause:
    meaning: str
    """PLACE stands for whom was asked."""
    cure: Callable[[_Asked], str]


_NO_ROUTE = _Cause("no way leads to PLACE", _cure_of_no_route)
_NO_NETWORK = _Cause("no way leads to PLACE", lambda _: f"{TAILNET[0].upper()}{TAILNET[1:]}")
_FORBIDDEN = _Cause(
    "this host forbids it", lambda _: "Allow it in its firewall (Little Snitch, nftables)."
)
_BROKEN_OFF = _Cause("PLACE broke off", lambda _: BROKEN_OFF)
_NO_FILES = _Cause("too many at once", lambda _: "`ulimit -n 10000` allows more.")
CAUSES = {
    errno.ECONNREFUSED: _Cause("nothing listens at PLACE", _cure_of_refusal),
    errno.ETIMEDOUT: _Cause("PLACE says nothing", _cure_of_silence),
    errno.EHOSTUNREACH: _NO_ROUTE,
    errno.EHOSTDOWN: _NO_ROUTE,
    errno.ENETUNREACH: _NO_NETWORK,
    errno.ENETDOWN: _NO_NETWORK,
    errno.EADDRNOTAVAIL: _NO_NETWORK,
    errno.EPERM: _FORBIDDEN,
    errno.EACCES: _FORBIDDEN,
    errno.ECONNRESET: _BROKEN_OFF,
    errno.ECONNABORTED: _BROKEN_OFF,
    errno.EPIPE: _BROKEN_OFF,
    errno.EMFILE: _NO_FILES,
    errno.ENFILE: _NO_FILES,
}
"""By the number of the system's error."""


def _asked(url: str, is_proxy: bool, system: str) -> _Asked:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, scheme = "", None, ""
    else:
        scheme = parts.scheme
    return _Asked(host, port or {"http": 80, "https": 443}.get(scheme), is_proxy, system)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was raised from or holds, the outermost first."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < MAX_CHAIN:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        context = None if found.__suppress_context__ else found.__context__
        inner = (found.__cause__, getattr(found, "os_error", None), context, *found.args)
        waiting += [other for other in inner if isinstance(other, BaseException)]
