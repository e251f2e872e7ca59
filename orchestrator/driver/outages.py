"""What people are told of model servers that go away and come back: each change once. Pure.

For every server "is away" and "is back" alternate. An outage is told when it has lasted a while;
that is longer after each one that was told lately, so that a server which comes and goes all night
does not fill the log. Those that were too short are counted, and told together now and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.report.words import duration

TELL_AFTER_S = 10.0
"""How long a server must be away before that is told; doubles with each that was told lately."""
LATELY_S = 1800.0
"""For so long a told outage counts; so often at most brief ones are told."""
TRUST_AFTER_S = 120.0
"""A new gateway takes every server to be up. One that was away before is told to be back when it
has answered, or when for so long nothing else was heard."""


@dataclass
class _Server:
    away_since: float | None = None
    why: str = ""
    told: bool = False
    """That it is away."""
    doubted_at: float | None = None
    """When a new gateway began to take it to be up, though it was told to be away."""
    told_at: list[float] = field(default_factory=list)
    """When outages were told, of those that count still."""
    brief: int = 0
    """Outages that ended untold, since they were last told together."""
    brief_s: float = 0.0
    brief_since: float = 0.0
    """When the first of them began."""


class Outages:
    """One run's servers. Times are seconds on any one clock that does not go backwards."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}

    def changed(self, away: Mapping[str, str], now: float) -> Iterator[str]:
        """Servers that are away now, and why: all of them. Yields lines to be told."""
        for url, why in away.items():
            server = self._servers.setdefault(url, _Server())
            server.doubted_at = None
            if server.away_since is None:
                server.away_since = now
            server.why = why
        for url, server in self._servers.items():
            if url not in away and server.away_since is not None and server.doubted_at is None:
                yield from self._came_back(url, server, now)
        yield from self.passed(now)

    def passed(self, now: float) -> Iterator[str]:
        """Time passed. Yields lines that it makes due."""
        for url, server in self._servers.items():
            if server.doubted_at is not None and now - server.doubted_at >= TRUST_AFTER_S:
                yield from self._came_back(url, server, now)
            if server.away_since is not None and not server.told:
                server.told_at = [at for at in server.told_at if now - at < LATELY_S]
                if now - server.away_since >= TELL_AFTER_S * 2.0 ** len(server.told_at):
                    server.told = True
                    server.told_at.append(now)
                    yield f"model server {url} is away: {server.why}"
            if server.brief and now - server.brief_since >= LATELY_S:
                yield _tell_brief(url, server, now)

    def new_gateway(self, now: float) -> Iterator[str]:
        """Another gateway has started, which knows of no outage yet."""
        for url, server in self._servers.items():
            if server.told:
                server.doubted_at = now
            elif server.away_since is not None:
                yield from self._came_back(url, server, now)

    def answered(self, url: str, now: float) -> Iterator[str]:
        """A server has answered a request."""
        server = self._servers.get(url)
        if server is not None and server.doubted_at is not None:
            yield from self._came_back(url, server, now)

    def ended(self, now: float) -> Iterator[str]:
        """Nothing more will happen: brief outages that were not told yet."""
        for url, server in self._servers.items():
            if server.brief:
                yield _tell_brief(url, server, now)

    def _came_back(self, url: str, server: _Server, now: float) -> Iterator[str]:
        assert server.away_since is not None
        lasted_s = now - server.away_since
        if server.told:
            yield f"model server {url} is back after {duration(lasted_s)}"
        else:
            if not server.brief:
                server.brief_since = server.away_since
            server.brief += 1
            server.brief_s += lasted_s
        server.away_since, server.told, server.doubted_at = None, False, None


def _tell_brief(url: str, server: _Server, now: float) -> str:
    times = "once" if server.brief == 1 else f"{server.brief} times"
    line = (
        f"model server {url} was briefly away {times} within {duration(now - server.brief_since)}, "
        f"{duration(server.brief_s)} in all ({server.why})"
    )
    server.brief, server.brief_s = 0, 0.0
    return line
