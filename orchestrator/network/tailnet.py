"""What Tailscale's client says of this host and of others in its tailnet.

`tailscale status --json` prints Go's ipnstate.Status (tailscale.com/ipn/ipnstate): its fields are
read by those names, and one that is missing or odd is what is not known. The command of the Mac's
app works as one only with TAILSCALE_BE_CLI set, where no terminal started it (tailscale.com/docs,
reference/tailscale-cli).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import one_line

MAC_APP = "/Applications/Tailscale.app/Contents/MacOS/Tailscale"
STATUS_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class TailnetHost:
    """One host of a tailnet, as this host's client knows it."""

    name: str = ""
    """`gpu.tail1234.ts.net`, without the last dot."""
    host_name: str = ""
    """What the host calls itself."""
    addresses: tuple[str, ...] = ()
    online: bool = False
    """Whether it is connected to the control server."""
    active: bool = False
    """Whether anything was sent to it within minutes: only then the way to it is known."""
    direct: str = ""
    """ADDRESS:PORT at which it is reached directly; empty where it is relayed, or idle."""
    relay: str = ""
    """The region of its relay (DERP), which is known of direct ones too."""
    peer_relay: str = ""
    """ADDRESS:PORT of another host of the tailnet that relays."""
    last_seen: datetime | None = None
    """Of one that is not online."""
    key_expiry: datetime | None = None
    """None where its key does not expire."""
    expired: bool = False

    def is_expired(self, now: datetime) -> bool:
        return self.expired or (self.key_expiry is not None and self.key_expiry <= now)

    def is_called(self, host: str) -> bool:
        """Whether a URL's host is this one, by its address, its name or the name's first label."""
        wanted = host.lower().rstrip(".")
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(wanted)) in self.addresses
        name = self.name.lower()
        return bool(wanted) and wanted in (name, name.partition(".")[0])


@dataclass(frozen=True)
class TailnetStatus:
    """A client's view of its tailnet."""

    state: str
    """NoState, NeedsLogin, NeedsMachineAuth, Stopped, Starting or Running."""
    this_host: TailnetHost = field(default_factory=TailnetHost)
    peers: tuple[TailnetHost, ...] = ()
    is_userspace: bool = False
    """The system knows no way into the tailnet: the client's own proxy does."""
    resolves_names: bool | None = None
    """Whether the tailnet has MagicDNS; this host may do without it."""

    def find(self, host: str) -> TailnetHost | None:
        """The node that a URL's host is."""
        return next((node for node in (self.this_host, *self.peers) if node.is_called(host)), None)


class NoStatus(Exception):
    """The client is installed, and says nothing; why, in its words."""


def find_client() -> str | None:
    """Tailscale's command; None where it is not installed."""
    on_path = shutil.which("tailscale")
    return on_path or (MAC_APP if os.access(MAC_APP, os.X_OK) else None)


ClientSays = TailnetStatus | NoStatus | None
"""None where no client is installed."""


def ask_client(timeout_s: float = STATUS_TIMEOUT_S) -> ClientSays:
    """What the client on this host says now."""
    client = find_client()
    if client is None:
        return None
    try:
        return _read_status(client, timeout_s)
    except NoStatus as error:
        return error


def _read_status(client: str, timeout_s: float) -> TailnetStatus:
    """Raises NoStatus."""
    try:
        done = subprocess.run(
            [client, "status", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env=os.environ | {"TAILSCALE_BE_CLI": "1"},
        )
    except subprocess.TimeoutExpired:
        raise NoStatus(f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise NoStatus(one_line(error.strerror or error)) from None
    # one that is logged out prints its state too, and may end with 1
    status = parse_status(done.stdout.decode("utf-8", "replace"))
    if status is None:
        said = (done.stderr or done.stdout).decode("utf-8", "replace")
        raise NoStatus(one_line(said) or f"it ended with {done.returncode}")
    return status


def parse_status(text: str) -> TailnetStatus | None:
    """What `tailscale status --json` printed; None for anything else."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or not isinstance(given.get("BackendState"), str):
        return None
    tailnet, peers = given.get("CurrentTailnet"), given.get("Peer")
    enabled = tailnet.get("MagicDNSEnabled") if isinstance(tailnet, dict) else None
    return TailnetStatus(
        state=given["BackendState"],
        this_host=_node(given.get("Self")),
        peers=tuple(map(_node, peers.values())) if isinstance(peers, dict) else (),
        is_userspace=given.get("TUN") is False,
        resolves_names=enabled if isinstance(enabled, bool) else None,
    )


def _node(given: object) -> TailnetHost:
    if not isinstance(given, Mapping):
        return TailnetHost()
    addresses = given.get("TailscaleIPs")
    return TailnetHost(
        name=_text(given, "DNSName").rstrip("."),
        host_name=_text(given, "HostName"),
        addresses=tuple(map(str, addresses)) if isinstance(addresses, list) else (),
        online=given.get("Online") is True,
        active=given.get("Active") is True,
        direct=_text(given, "CurAddr"),
        relay=_text(given, "Relay"),
        peer_relay=_text(given, "PeerRelay"),
        last_seen=_time(given.get("LastSeen")),
        key_expiry=_time(given.get("KeyExpiry")),
        expired=given.get("Expired") is True,
    )


def _text(given: Mapping[str, Any], key: str) -> str:
    found = given.get(key)
    return one_line(found) if isinstance(found, str) else ""


def _time(text: object) -> datetime | None:
    """RFC 3339, with as many digits behind the second as Go writes; its year 1 is no time."""
    if not isinstance(text, str):
        return None
    head, dot, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if dot else ""
    try:
        found = datetime.fromisoformat(f"{head}{zone}".replace("Z", "+00:00"))
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return found if found.year > 1 else None
