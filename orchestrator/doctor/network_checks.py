"""The network between this host and the servers: proxies, the tailnet, and how fast it is."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.doctor.server_check import ServerCheck
from orchestrator.doctor.tailnet_member import Member, find_member
from orchestrator.doctor.trials import UPLOAD_CHARS, Trial, Upload
from orchestrator.endpoint.servers import Serving
from orchestrator.network.connections import Way
from orchestrator.network.proxies import is_this_host
from orchestrator.network.round_trip import connect_seconds

LEAST_BYTES_PER_S = 500_000
"""A step of an agent sends up to 500 kB: a second of it on the way is time enough."""
LONGEST_ROUND_TRIP_S = 0.5


class Proxies(Check):
    """A proxy stands before a server of a private network."""

    name = "proxy"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_server and any(way.proxy for way in case.ways)

    def look(self, case: Case) -> Iterator[CheckFinding]:
        ways = [way for way in case.ways if way.proxy]
        for way in sorted(ways, key=lambda way: not way.bypass):
            if way.bypass:
                yield warned(
                    f"{way.url}, of a private network, is asked{way}.",
                    f"Ask it directly: `{way.bypass}`.",
                )
            else:
                yield passed(f"{way.url} is asked{way}")


class Tailnet(Check):
    """A server lies in a tailnet, and this host's client has no way to it, or a slow one."""

    name = "tailnet"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.asks_server and any(self._members(case))

    def look(self, case: Case) -> Iterator[CheckFinding]:
        for member in self._members(case):
            yield from member.look()

    def _members(self, case: Case) -> Iterator[Member]:
        for way in case.ways:
            member = find_member(way, case.tailnet)
            if member is not None:
                yield member


class Connection(ServerCheck):
    """The way to a server is too slow for what agents send."""

    name = "connection"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return super().applies(case) and any(map(_is_elsewhere, case.addresses))

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        if not _is_elsewhere(server.base_url):
            return
        way = next(way for way in case.ways if way.url == server.base_url)
        with Trial(case.model, server, case.key) as trial:
            yield judge_connection(_round_trips(way), trial.upload())


def _is_elsewhere(base_url: str) -> bool:
    return not is_this_host(urlsplit(base_url).hostname or "")


def _round_trips(way: Way) -> tuple[float, ...]:
    """Seconds; none where a proxy would be measured instead."""
    if way.proxy is not None:
        return ()
    try:
        return connect_seconds(way.host, way.port)
    except OSError:  # it answered a moment ago: a server that takes few connections
        return ()


def judge_connection(round_trips_s: Sequence[float], upload: Upload) -> CheckFinding:
    rate = upload.bytes_per_s
    sent = (
        f"{UPLOAD_CHARS / 1e6:.0f} MB of a prompt takes {upload.seconds:.2f} s "
        f"({rate / 1e6:.1f} MB/s)"
    )
    median = statistics.median(round_trips_s) if round_trips_s else 0.0
    around = f"round trip {1000 * median:.1f} ms (median of {len(round_trips_s)}), "
    figures = around * bool(round_trips_s) + sent
    if upload.is_too_large:
        return warned(
            f"a request of {UPLOAD_CHARS / 1e6:.0f} MB is refused as too large (HTTP 413).",
            "Something before the server limits them: nginx does by `client_max_body_size 20m`.",
        )
    if rate < LEAST_BYTES_PER_S:
        return warned(
            f"{figures}: each step of an agent sends its whole conversation, up to 0.5 MB.",
            "Use a cable in place of Wi-Fi; in a tailnet, a direct connection (`tailscale ping`).",
        )
    if median > LONGEST_ROUND_TRIP_S:
        return warned(
            f"{figures}: what lies between is full, or far.",
            "Look what else uses this host's network.",
        )
    return passed(figures)
