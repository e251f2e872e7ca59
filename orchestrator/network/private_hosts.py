"""Hosts of private networks and tailnets, by what is written in a URL: no name is looked up. Pure.

Tailscale gives its hosts addresses of 100.64.0.0/10 and fd7a:115c:a1e0::/48, and names in ts.net
(tailscale.com/kb/1015/100.x-addresses, kb/1081/magicdns).
"""

from __future__ import annotations

import ipaddress

from orchestrator.network.proxies import addresses_of, is_this_host

TAILNET_RANGES = (
    ipaddress.ip_network("100.64.0.0/10"),
    ipaddress.ip_network("fd7a:115c:a1e0::/48"),
)
TAILNET_DOMAIN = ".ts.net"
PRIVATE_DOMAINS = (
    TAILNET_DOMAIN,
    ".local",
    ".lan",
    ".internal",
    ".home.arpa",
    ".home",
    ".fritz.box",
)


def is_of_tailnet(host: str) -> bool:
    """Whether a host is written as an address or a whole name of a tailnet."""
    name = host.lower().rstrip(".")
    in_range = any(
        address in network
        for address in addresses_of(name)
        for network in TAILNET_RANGES
        if address.version == network.version
    )
    return in_range or name.endswith(TAILNET_DOMAIN)


def is_private(host: str) -> bool:
    """Whether a host is written as one of a private network, which a proxy outside can't know."""
    name = host.lower().rstrip(".")
    if not name or is_this_host(name):
        return False
    if addresses := addresses_of(name):
        return is_of_tailnet(name) or any(address.is_private for address in addresses)
    return "." not in name or name.endswith(PRIVATE_DOMAINS)
