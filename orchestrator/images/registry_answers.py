"""Answers of registries: streamed, of bounded size, redirected by hand, and what refusals mean.

Redirects are followed here and not by httpx: a blob often lies at another host, which must not see
the registry's token and may need another proxy, and `https` never leads to `http`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin, urlsplit

from orchestrator.errors import one_line
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import Problem, answer_words

if TYPE_CHECKING:
    import httpx

MAX_BODY = 4 << 20
"""Bytes of an answer that is held in memory; Docker's engine takes no larger manifest."""
ANSWER_S = 60.0
"""For the body of one answer, which is short; layers take as long as they take."""
MAX_REDIRECTS = 5
MAX_RETRY_AFTER_S = 24 * 3600.0
"""What is asked for beyond that is not believed."""
CONNECT_S, READ_S = 10.0, 30.0
"""How long to wait for a connection, and for the next bytes."""
REDIRECTS = (301, 302, 303, 307, 308)
TOO_MANY = 429
PASSING = (408, 425)
"""Statuses below 500 that waiting mends."""
NOT_SENT_ON = ("authorization", "cookie")

Content = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class RegistryAnswer:
    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


class Connections:
    """Clients, one for each server that is asked; for use as a context manager, by many threads."""

    def __init__(self, connect_s: float = CONNECT_S, read_s: float = READ_S) -> None:
        self._open = ExitStack()
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self._waits = (connect_s, read_s)

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @contextmanager
    def stream(
        self, method: str, url: str, headers: Mapping[str, str], content: Content = None
    ) -> Iterator[httpx.Response]:
        """The answer at the end of all redirects, its body still to come.

        Raises:
            PullFailed: there is none.
            PrerequisiteError: the environment's proxy or certificates can't be used.
        """
        with ExitStack() as stack:
            with _network_errors(url):
                sent = {"Accept-Encoding": "identity", **headers}
                response = self._follow(stack, method, url, sent, content)
            yield response

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], content: Content = None
    ) -> RegistryAnswer:
        """A whole answer. Raises as `stream`, and PullFailed for one that is too large."""
        with self.stream(method, url, headers, content) as response:
            return read_answer(response)

    def _follow(
        self, stack: ExitStack, method: str, url: str, headers: dict[str, str], content: Content
    ) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            request = self._client(url).stream(method, url, headers=headers, content=content)
            response = stack.enter_context(request)
            location = response.headers.get("location")
            if response.status_code not in REDIRECTS or not location:
                return response
            if method not in ("GET", "HEAD"):
                break
            there = absolute_url(location, url)
            if url.startswith("https:") and there.startswith("http:"):
                fail(f"{host_of(url)} leads to {one_line(there, 100)}, which has no TLS")
            if origin_of(there) != origin_of(url):
                headers = {k: v for k, v in headers.items() if k.lower() not in NOT_SENT_ON}
            url = there
        return fail(f"{host_of(url)} leads from place to place (HTTP {response.status_code})")

    def _client(self, url: str) -> httpx.Client:
        import httpx

        origin = origin_of(url)
        with self._lock:
            if origin not in self._clients:
                connect_s, read_s = self._waits
                timeout = httpx.Timeout(read_s, connect=connect_s)
                client = open_client(
                    origin, takes_long_answers=True, timeout=timeout, follow_redirects=False
                )
                self._clients[origin] = self._open.enter_context(client)
            return self._clients[origin]


def read_answer(response: httpx.Response) -> RegistryAnswer:
    """Raises PullFailed where the body is too large, breaks off, or does not come to its end."""
    until, body = time.monotonic() + ANSWER_S, bytearray()
    for chunk in read_chunks(response, response.iter_bytes(), MAX_BODY):
        body += chunk
        if time.monotonic() > until:
            fail(f"{host_of(str(response.url))} does not finish its answer within {ANSWER_S:g} s")
    return RegistryAnswer(response.status_code, response.headers, bytes(body))


def read_chunks(response: httpx.Response, chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The body's chunks as they come. Raises PullFailed where it breaks off, or has more bytes than
    the limit."""
    url, size = str(response.url), 0
    with _network_errors(url):
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                fail(f"{host_of(url)} sends more than {limit} bytes in answer to one question")
            yield chunk


def failure_of(answer: RegistryAnswer, host: str) -> PullFailure:
    """What an answer that is none means."""
    code, said = _said(answer.body)
    after = retry_after_s(answer.headers, time.time())
    words = f"{host}: {answer_words(answer.status, said, answer.headers.get('location'))}"
    if answer.status == TOO_MANY or code == "TOOMANYREQUESTS":
        return PullFailure(PullProblem.QUOTA, words, after)
    if answer.status >= 500 or answer.status in PASSING:
        return PullFailure(PullProblem.AWAY, words, after)
    return PullFailure(PullProblem.REFUSED, words, after)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """What is asked to wait: `Retry-After` in seconds or as a date, or the clock time in
    `X-Retry-After`, as Docker Hub's web API once had it. `now` is in seconds since 1970."""
    given = headers.get("retry-after", "").strip()
    moment = headers.get("x-retry-after", "").strip()
    if given.isascii() and given.isdigit():
        wait = float(given[:12])
    elif given:
        try:
            wait = parsedate_to_datetime(given).timestamp() - now
        except (ValueError, OverflowError, TypeError):
            return None
    elif moment.isascii() and moment.isdigit():
        wait = float(moment[:12]) - now
    else:
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER_S)


def fail(what: str, problem: PullProblem = PullProblem.AWAY) -> NoReturn:
    raise PullFailed(PullFailure(problem, one_line(what)))


def absolute_url(place: str, base: str) -> str:
    """A place that a server names, as a whole URL. Raises PullFailed where it is none for HTTP."""
    try:
        url = urljoin(base, place)
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        asked = f"{host_of(base)} names" if base else "the registry names"
        fail(f"{asked} a place that is no URL: {place[:100]!r}")
    return url


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


class NoTls(PullFailed):
    """What was asked in TLS speaks none."""


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    import httpx

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
        way = way_to(url)
        problem: Problem = way.problem(error)
        what = f"{host_of(url)}{way}: {problem.what}. {problem.cure}".rstrip(". ")
        kind = NoTls if "speaks no TLS" in problem.what else PullFailed
        raise kind(PullFailure(PullProblem.AWAY, one_line(what))) from error


def _said(body: bytes) -> tuple[str, str]:
    """Code and words of a registry's error; the beginning of any other text."""
    try:
        found: Any = json.loads(body)
        error = found["errors"][0]
        return str(error.get("code", "")), str(error.get("message") or error.get("code") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        text = body[:200].decode("utf-8", "replace")
        return "", "" if "<" in text else one_line(text, 120)
