"""Why an image did not come, from what the engine says of it. Pure.

An engine hands on what registries and its own storage say, in words alone: of a pull that has begun
there is no status. The words are those of moby (distribution/errors.go and pull_v2.go), of
containerd's resolver and fetcher, whose image store Docker has by now, and of Podman's
containers/image and containers/storage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import docker.utils

from orchestrator.backends.docker.engine import USER_IDS, with_cure
from orchestrator.errors import one_line
from orchestrator.images.pulls import PullFailure, PullProblem


@dataclass(frozen=True)
class _Sign:
    """What an engine says where it meets a problem."""

    problem: PullProblem
    words: str
    """A regular expression, for lower case."""


_SIGNS = (
    _Sign(PullProblem.REFUSED, USER_IDS),
    _Sign(PullProblem.NO_ROOM, r"no space left on device|disk quota exceeded|not enough space"),
    _Sign(
        PullProblem.ENGINE,
        r"containerd\.sock|docker\.sock|docker daemon running|context canceled|transport is closing"
        # of its own disk: on a Mac both also come where the Mac's own disk is full
        r"|input/output error|read-only file system|structure needs cleaning"
        r"|too many open files|cannot allocate memory",
    ),
    _Sign(
        PullProblem.QUOTA,
        r"too ?many ?requests|pull rate limit|rate ?limit (exceeded|reached)|rate exceeded"
        r"|http 429",
    ),
    _Sign(
        PullProblem.AWAY,
        r"connection (refused|reset)|no such host|name resolution|server misbehaving"
        r"|network is unreachable|no route to host|host is (down|unreachable)|broken pipe"
        r"|time-?d? ?-?out|deadline exceeded|client\.timeout|\beof\b|short read|use of closed"
        r"|tls: |x509: |server gave http response|proxyconnect|http2: "
        r"|verification failed|unexpected commit digest|failed size validation|failed precondition"
        r"|(status:?|status code|http|[\w/]+:) 5\d\d\b|internal server error|bad gateway"
        r"|service unavailable|unavailable$",
    ),
    _Sign(
        PullProblem.REFUSED,
        r"manifest unknown|name unknown|name invalid|not ?found|no such image|does not exist"
        r"|denied|unauthorized|forbidden|authentication required|no basic auth|insufficient_scope"
        r"|authorization failed|incorrect username|http 40[0134]"
        r"|no matching manifest|no match for platform|no image found in .*(index|list)"
        r"|no supported platform|not (match|provide) the specified platform"
        r"|invalid reference|invalid tag|invalid repository|must be lowercase|reserved name"
        r"|unsupported (media type|manifest)|schema 1 support|not (yet )?supported",
    ),
)
"""The first whose words are there counts. The image's own name is taken out before."""
_OF_STATUS = {
    400: _Sign(PullProblem.REFUSED, ""),
    401: _Sign(PullProblem.REFUSED, ""),
    403: _Sign(PullProblem.REFUSED, ""),
    404: _Sign(PullProblem.REFUSED, ""),
    429: _Sign(PullProblem.QUOTA, ""),
}
"""Of an answer whose words say nothing that is known."""
_UNKNOWN = _Sign(PullProblem.AWAY, "")
"""It is tried again, and the image store finds out whether the image itself is to blame."""

_SECRET = re.compile(r"(pull rate limit) as '[^']*': \S+")
"""Docker Hub shows who asks, with a token."""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
_TIME = r"(\d+(?:\.\d+)?)(ms|µs|us|ns|h|m|s|)"
_RETRY_AFTER = re.compile(rf"retry[- ]after[:=]?\s*\"?((?:{_TIME})+)", re.IGNORECASE)


def pull_failure(words: str, image: str, status: int | None = None) -> PullFailure:
    """What it means that the engine says so of an image; `status` is that of its answer, where it
    did not begin to pull."""
    said = _without_name(words, image).lower()
    by_status = _OF_STATUS.get(status or 0, _UNKNOWN)
    sign = next((sign for sign in _SIGNS if re.search(sign.words, said)), by_status)
    shown = with_cure(one_line(_SECRET.sub(r"\1", words)))
    return PullFailure(sign.problem, f"{image}: {shown}", _retry_after_s(words))


def _without_name(words: str, image: str) -> str:
    """A name may hold any word, such as `eof` or `denied`."""
    repository, _ = docker.utils.parse_repository_tag(image)
    for name in (image, repository):
        for shown in (name, name.removeprefix("docker.io/")):
            words = words.replace(shown, "")
    return words


def _retry_after_s(words: str) -> float | None:
    """What a registry asks to wait, as GitHub's writes it into its words: `retry-after: 1m1.5s`."""
    found = _RETRY_AFTER.search(words)
    if found is None:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_TIME, found[1]))
