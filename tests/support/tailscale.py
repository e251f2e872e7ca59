"""A stand-in for Tailscale's command, and statuses as the real one prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ZERO_TIME = "0001-01-01T00:00:00Z"


def node(name: str, address: str, **given: Any) -> dict[str, Any]:
    """Fields of ipnstate.PeerStatus, as a client of 2026 prints them."""
    return {
        "ID": f"n{name}CNTRL",
        "PublicKey": f"nodekey:{name}",
        "HostName": name,
        "DNSName": f"{name}.tail1234.ts.net.",
        "OS": "linux",
        "UserID": 42,
        "TailscaleIPs": [address, f"fd7a:115c:a1e0::{address.rpartition('.')[2]}"],
        "AllowedIPs": [f"{address}/32"],
        "Addrs": None,
        "CurAddr": "",
        "Relay": "fra",
        "RxBytes": 1420,
        "TxBytes": 980,
        "Created": "2026-03-02T09:14:11.123456789Z",
        "LastWrite": ZERO_TIME,
        "LastSeen": ZERO_TIME,
        "LastHandshake": ZERO_TIME,
        "Online": True,
        "ExitNode": False,
        "ExitNodeOption": False,
        "Active": False,
        "PeerAPIURL": ["http://100.70.0.2:39181"],
        "InNetworkMap": True,
        "InMagicSock": True,
        "InEngine": False,
        **given,
    }


def status(*peers: Mapping[str, Any], this_host: Mapping[str, Any] = {}, **given: Any) -> str:
    """Of the host `mini`, which has these peers."""
    return json.dumps(
        {
            "Version": "1.98.4-t0123abcd",
            "TUN": True,
            "BackendState": "Running",
            "HaveNodeKey": True,
            "AuthURL": "",
            "TailscaleIPs": ["100.70.0.1", "fd7a:115c:a1e0::1"],
            "Self": node("mini", "100.70.0.1", OS="macOS", **this_host),
            "Health": ["Some peers are advertising routes but --accept-routes is false"],
            "MagicDNSSuffix": "tail1234.ts.net",
            "CurrentTailnet": {
                "Name": "me@example.com",
                "MagicDNSSuffix": "tail1234.ts.net",
                "MagicDNSEnabled": True,
            },
            "CertDomains": None,
            "Peer": {peer["PublicKey"]: peer for peer in peers} or None,
            "User": {"42": {"ID": 42, "LoginName": "me@example.com"}},
            "ClientVersion": None,
            **given,
        }
    )


def install(folder: Path, prints: str, exit_code: int = 0, errors: str = "") -> Path:
    """A command `tailscale` in a folder, which prints that for `status --json` alone."""
    folder.mkdir(exist_ok=True)
    (folder / "prints").write_text(prints)
    (folder / "errors").write_text(errors)
    command = folder / "tailscale"
    command.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "status --json" ] && [ -n "$TAILSCALE_BE_CLI" ] || exit 64\n'
        'cat "${0%/*}/prints"; cat "${0%/*}/errors" >&2\n'
        f"exit {exit_code}\n"
    )
    command.chmod(0o755)
    return command
