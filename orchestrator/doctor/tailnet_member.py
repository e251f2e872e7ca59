"""A model's server that lies in a tailnet: what is found of it, and of the way to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.doctor.check import CheckFinding, failed, passed, warned
from orchestrator.network.connections import Way
from orchestrator.network.private_hosts import is_of_tailnet
from orchestrator.network.proxies import addresses_of
from orchestrator.network.round_trip import connect_seconds, resolve
from orchestrator.network.tailnet import (
    ClientSays,
    NoStatus,
    TailnetHost,
    TailnetStatus,
    ask_client,
)

SOON = timedelta(days=7)
PATIENCE_S = 2.0
"""A direct way is looked for from the first packet on, and mostly found within that."""
NOT_READY = "`tailscale up`, and wait until `tailscale status` lists hosts."
NOT_RUNNING: Mapping[str, tuple[str, str]] = {
    "NeedsLogin": ("is logged out", "`tailscale up`, and log in."),
    "NeedsMachineAuth": (
        "waits to be let into the tailnet",
        "Approve this host in the admin console, under Machines.",
    ),
    "Stopped": ("is stopped", "`tailscale up`."),
    "NoState": ("is not ready", NOT_READY),
    "Starting": ("is still starting", "Wait until `tailscale status` lists hosts."),
}
"""By the client's state: what it is, and what helps."""
RELAYED = (
    "`tailscale ping {host}` says when it is direct; let UDP out of both networks, and port 41641 "
    "into one of them; `tailscale netcheck` shows what is in the way."
)


def find_member(way: Way, client: ClientSays) -> Member | None:
    """The server at the end of a way as one of a tailnet; None where it is none."""
    listed = isinstance(client, TailnetStatus) and client.find(way.host) is not None
    if listed or is_of_tailnet(way.host) or _leads_there(way):
        return Member(way, client)
    return None


def _leads_there(way: Way) -> bool:
    """Whether a name that tells nothing is one of a tailnet, as MagicDNS makes them."""
    if way.proxy is not None or addresses_of(way.host):
        return False
    return any(map(is_of_tailnet, _resolved(way)))


def _resolved(way: Way) -> tuple[str, ...]:
    """The host's addresses; none where the name is not found."""
    try:
        return resolve(way.host, way.port)
    except OSError:
        return ()


@dataclass(frozen=True)
class Member:
    """One server of a tailnet, and what Tailscale's client on this host says."""

    way: Way
    client: ClientSays

    @property
    def host(self) -> str:
        return self.way.host

    def look(self) -> Iterator[CheckFinding]:
        """What is wrong first. Nothing fails where the host is reached: 100.64.0.0/10 is not
        Tailscale's alone."""
        status = self.client
        if self.way.proxy is not None:
            yield passed(f"{self.host} is asked{self.way}")
        elif not self._is_reached():
            yield self._why_not_reached()
        elif isinstance(status, TailnetStatus) and status.state == "Running":
            yield from self._look_in(status)
        else:
            yield passed(f"{self.host} is reached, and no client on this host says more")

    def _why_not_reached(self) -> CheckFinding:
        status = self.client
        if status is None:
            return failed(
                f"{self.host} lies in a tailnet, and Tailscale is not installed on this host.",
                "Install it (https://tailscale.com/download), then `tailscale up`.",
            )
        if isinstance(status, NoStatus):
            return failed(
                f"Tailscale's client on this host does not answer ({status}).",
                "Open the app, or start the service: `sudo systemctl start tailscaled`.",
            )
        if status.state != "Running":
            is_what, cure = NOT_RUNNING.get(status.state, (f"says {status.state}", NOT_READY))
            return failed(f"Tailscale's client on this host {is_what}.", cure)
        if status.this_host.is_expired(_now()):
            return next(judge_key(status.this_host, "this host's", _now()))
        if status.is_userspace:
            return failed(
                "Tailscale runs without root on this host: nothing but its own proxy leads into "
                "the tailnet.",
                "`export ALL_PROXY=socks5://localhost:1055`, where `tailscaled` has "
                "`--socks5-server=localhost:1055`.",
            )
        return self._why_not_reached_in(status)

    def _why_not_reached_in(self, status: TailnetStatus) -> CheckFinding:
        node = status.find(self.host)
        if node is None:
            return failed(
                f"the tailnet of this host has no {self.host}.",
                "`tailscale status` lists its hosts: is it another tailnet, or another name?",
            )
        if node.is_expired(_now()):
            return next(judge_key(node, f"{self.host}'s", _now()))
        if not node.online:
            seen = f", last seen {node.last_seen:%Y-%m-%d %H:%M} UTC" if node.last_seen else ""
            return failed(
                f"{self.host} is offline in the tailnet{seen}.",
                "Wake it, and let it not sleep; or `tailscale up` there.",
            )
        found = _resolved(self.way)
        if not found:
            return self._unknown_name(status, node)
        if not any(map(is_of_tailnet, found)):
            return passed(f"{self.host} is {found[0]}: the way there is not the tailnet's")
        return passed(f"{self.host} is online in the tailnet")  # and no server listens there

    def _unknown_name(self, status: TailnetStatus, node: TailnetHost) -> CheckFinding:
        has_names = status.resolves_names is not False
        address = node.addresses[0] if node.addresses else "100.x.y.z"
        written = f"[{address}]" if ":" in address else address
        url = self.way.url.replace(self.host, written, 1)
        switch = (
            "`tailscale set --accept-dns=true`"
            if has_names
            else "switch MagicDNS on in the admin console, under DNS"
        )
        return failed(
            f"this host does not find the name {self.host}"
            f"{'' if has_names else ', as the tailnet has no MagicDNS'}.",
            f"Write its address: `--set model.endpoint.base_url={url}`; or {switch}.",
        )

    def _look_in(self, status: TailnetStatus) -> Iterator[CheckFinding]:
        node = status.find(self.host)
        for one, whose in ((status.this_host, "this host's"), (node, f"{self.host}'s")):
            if one is not None:
                yield from judge_key(one, whose, _now())
        found = _resolved(self.way)
        if node is status.this_host:
            yield passed(f"{self.host} is this host")
        elif found and not any(map(is_of_tailnet, found)):
            yield passed(f"{self.host} is {found[0]}: the way there is not the tailnet's")
        else:
            yield judge_path(self.host, next(iter(found), self.host), self._node_now())

    def _node_now(self) -> TailnetHost | None:
        """The client knows the way only to hosts that it has just spoken to, and at first none but
        the relay's."""
        node: TailnetHost | None = None
        for wait_s in (0.0, PATIENCE_S):
            time.sleep(wait_s)
            self._is_reached()
            status = ask_client()
            node = status.find(self.host) if isinstance(status, TailnetStatus) else None
            if node is None or node.direct or node.peer_relay:
                break
        return node

    def _is_reached(self) -> bool:
        try:
            connect_seconds(self.host, self.way.port, tries=1)
        except OSError:
            return False
        return True


def _now() -> datetime:
    return datetime.now(UTC)


def judge_key(node: TailnetHost, whose: str, now: datetime) -> Iterator[CheckFinding]:
    """A host whose key is over is out of the tailnet until a person logs in there."""
    cure = "`tailscale up --force-reauth` there, or disable key expiry in the admin console."
    if node.is_expired(now):
        yield failed(f"{whose} key for the tailnet has expired.", cure)
    elif node.key_expiry and node.key_expiry - now < SOON:
        hours = (node.key_expiry - now).total_seconds() / 3600
        left = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h"
        yield warned(f"{whose} key for the tailnet expires in {left}.", cure)


def judge_path(host: str, address: str, node: TailnetHost | None) -> CheckFinding:
    """`node` is what the client says of the host that this one has just spoken to."""
    name = host if address == host else f"{host} ({address})"
    if node is None:
        return passed(f"{name} is reached; the client lists no such host")
    if node.direct:
        return passed(f"{name} is reached directly, at {node.direct}")
    if node.peer_relay:
        return passed(f"{name} is reached through a relay of the tailnet's own, {node.peer_relay}")
    if node.relay and node.active:
        return warned(
            f"{name} is reached through Tailscale's relay {node.relay} (DERP), which is slow and "
            "shared with others.",
            RELAYED.format(host=host),
        )
    return passed(f"{name} is reached; the client does not say which way")
