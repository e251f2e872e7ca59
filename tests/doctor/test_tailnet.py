"""What the doctor says of a server in a tailnet, with a stand-in for Tailscale's command."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import tailscale
from support.examined import ExamineServers, examine_servers, said

from orchestrator.config import RunConfig
from orchestrator.doctor import tailnet_member
from orchestrator.network import tailnet

GPU = "http://spark:8000/v1"
TAILNET_IP = "100.70.0.2"
DIRECT = {"CurAddr": "192.168.1.20:41641", "Active": True}
RELAYED = {"CurAddr": "", "Relay": "fra", "Active": True}
SEEN = "2026-11-25T22:10:03.5Z"


def spark(**given: Any) -> dict[str, Any]:
    return tailscale.node("spark", TAILNET_IP, **given)


@pytest.fixture
def examine_server(make_config: Callable[..., RunConfig]) -> ExamineServers:
    """Makes the checks of a model's servers: `examine_server(url, settings={…})`."""
    return partial(examine_servers, make_config)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a client that prints this: `client(tailscale.status(…))`. At first there is none."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(tailnet, "MAC_APP", "/no/such/app")
    monkeypatch.setattr(tailnet_member, "PATIENCE_S", 0.0)

    def install(prints: str, **more: Any) -> None:
        tailscale.install(folder, prints, **more)

    return install


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What this host's network does: `net(found=[address], reached=True)`."""

    def be(found: list[str], reached: bool) -> None:
        def resolve(host: str, port: int) -> tuple[str, ...]:
            if not found:
                raise OSError("no such name")
            return tuple(found)

        def connect_seconds(host: str, port: int, tries: int = 5) -> tuple[float, ...]:
            if not reached:
                raise OSError("nobody there")
            return (0.004,) * tries

        monkeypatch.setattr(tailnet_member, "resolve", resolve)
        monkeypatch.setattr(tailnet_member, "connect_seconds", connect_seconds)

    return be


def told(examine_server: ExamineServers, level: str, url: str = GPU) -> list[str]:
    """What the check `tailnet` says at a level; the server itself answers nobody here."""
    lines = said(examine_server(url), level)
    return [line.removeprefix("tailnet: ") for line in lines if line.startswith("tailnet: ")]


UNREACHED = [
    (
        tailscale.status(spark(), BackendState="NeedsLogin"),
        "Tailscale's client on this host is logged out.",
        "`tailscale up`, and log in.",
    ),
    (
        tailscale.status(spark(), BackendState="Stopped"),
        "Tailscale's client on this host is stopped.",
        "`tailscale up`.",
    ),
    (
        tailscale.status(spark(), BackendState="NeedsMachineAuth"),
        "waits to be let into the tailnet",
        "Approve this host in the admin console",
    ),
    (tailscale.status(spark(), BackendState="Starting"), "is still starting", "Wait until"),
    (tailscale.status(spark(), BackendState="Dreaming"), "says Dreaming", "`tailscale up`"),
    (
        tailscale.status(spark(Online=False, LastSeen=SEEN)),
        "100.70.0.2 is offline in the tailnet, last seen 2026-11-25 22:10 UTC.",
        "Wake it",
    ),
    (tailscale.status(spark(Online=False)), "100.70.0.2 is offline in the tailnet.", "Wake it"),
    (
        tailscale.status(spark(Expired=True)),
        "100.70.0.2's key for the tailnet has expired.",
        "`tailscale up --force-reauth`",
    ),
    (
        tailscale.status(spark(), this_host={"KeyExpiry": "2026-01-02T03:04:05Z"}),
        "this host's key for the tailnet has expired.",
        "`tailscale up --force-reauth`",
    ),
    (
        tailscale.status(spark(), TUN=False),
        "Tailscale runs without root on this host",
        "`export ALL_PROXY=socks5://localhost:1055`",
    ),
    (tailscale.status(), "the tailnet of this host has no 100.70.0.2.", "`tailscale status`"),
]


@pytest.mark.parametrize(("prints", "what", "cure"), UNREACHED)
def test_why_a_host_of_the_tailnet_is_not_reached_is_told_before_its_server(
    prints: str,
    what: str,
    cure: str,
    client: Callable[..., None],
    net: Callable[..., None],
    examine_server: ExamineServers,
) -> None:
    client(prints)
    net(found=[TAILNET_IP], reached=False)
    (line,) = told(examine_server, "fail", f"http://{TAILNET_IP}:9/v1")

    assert what in line
    assert cure in line.partition("→")[2]


def test_a_client_that_is_not_there_or_does_not_answer_is_told(
    client: Callable[..., None], net: Callable[..., None], examine_server: ExamineServers
) -> None:
    net(found=[], reached=False)
    whole_name = "http://spark.tail1234.ts.net:8000/v1"
    (line,) = told(examine_server, "fail", whole_name)
    assert "lies in a tailnet, and Tailscale is not installed on this host" in line

    client("", exit_code=1, errors="failed to connect to local tailscaled")
    (line,) = told(examine_server, "fail", whole_name)
    assert "does not answer (failed to connect to local tailscaled)" in line
    assert "`sudo systemctl start tailscaled`" in line


@pytest.mark.parametrize(
    ("enabled", "switch"), [(False, "switch MagicDNS on"), (True, "set --accept-dns=true")]
)
def test_a_name_that_is_not_found_is_told_with_its_address(
    enabled: bool,
    switch: str,
    client: Callable[..., None],
    net: Callable[..., None],
    examine_server: ExamineServers,
) -> None:
    client(tailscale.status(spark(), CurrentTailnet={"MagicDNSEnabled": enabled}))
    net(found=[], reached=False)
    (line,) = told(examine_server, "fail")

    assert "this host does not find the name spark" in line
    assert f"`--set model.endpoint.base_url=http://{TAILNET_IP}:8000/v1`" in line
    assert switch in line
    assert ("no MagicDNS" in line) == (not enabled)


@pytest.mark.parametrize(
    ("peer", "found", "says"),
    [
        (spark(**DIRECT), TAILNET_IP, "spark (100.70.0.2) is reached directly, at 192.168.1.20:41"),
        (spark(**DIRECT | {"Relay": ""}), TAILNET_IP, "is reached directly"),
        (spark(**RELAYED, PeerRelay="1.2.3.4:7:vni:1"), TAILNET_IP, "a relay of the tailnet's own"),
        (spark(Active=False), TAILNET_IP, "the client does not say which way"),
        (
            spark(**DIRECT),
            "192.168.1.20",
            "spark is 192.168.1.20: the way there is not the tailnet",
        ),
        (spark(**DIRECT | {"Online": False}), TAILNET_IP, "is reached directly"),
        (spark(**DIRECT, KeyExpiry="2099-01-01T00:00:00Z"), TAILNET_IP, "is reached directly"),
    ],
)
def test_a_host_that_is_reached_says_how_and_is_warned_of_nothing(
    peer: dict[str, Any],
    found: str,
    says: str,
    client: Callable[..., None],
    net: Callable[..., None],
    examine_server: ExamineServers,
) -> None:
    client(tailscale.status(peer))
    net(found=[found], reached=True)

    (line,) = told(examine_server, "pass")
    assert says in line
    assert told(examine_server, "warn") == told(examine_server, "fail") == []


@pytest.mark.parametrize("state", ["Stopped", "NeedsLogin"])
def test_a_host_that_is_reached_without_the_client_is_not_failed(
    state: str,
    client: Callable[..., None],
    net: Callable[..., None],
    examine_server: ExamineServers,
) -> None:
    """100.64.0.0/10 belongs to providers and other VPNs too."""
    client(tailscale.status(BackendState=state))
    net(found=[TAILNET_IP], reached=True)

    assert told(examine_server, "fail") == told(examine_server, "warn") == []
    assert told(examine_server, "pass") == [
        "spark is reached, and no client on this host says more → "
    ]


def test_a_relayed_host_is_warned_of_with_what_opens_the_direct_way(
    client: Callable[..., None], net: Callable[..., None], examine_server: ExamineServers
) -> None:
    client(tailscale.status(spark(**RELAYED)))
    net(found=[TAILNET_IP], reached=True)

    (line,) = told(examine_server, "warn")
    assert "through Tailscale's relay fra (DERP)" in line
    assert "`tailscale ping spark`" in line
    assert "41641" in line


@pytest.mark.parametrize(("days", "left"), [(0.5, "12 h"), (3, "3 days"), (6, "6 days"), (9, "")])
@pytest.mark.parametrize("whose", ["this host's", "spark's"])
def test_a_key_that_expires_within_a_run_is_told_while_it_can_be_mended(
    days: float,
    left: str,
    whose: str,
    client: Callable[..., None],
    net: Callable[..., None],
    examine_server: ExamineServers,
) -> None:
    when = datetime.now(UTC) + timedelta(days=days, minutes=10)
    expiry = {"KeyExpiry": when.strftime("%Y-%m-%dT%H:%M:%SZ")}
    of_peer, of_this_host = (expiry, {}) if whose == "spark's" else ({}, expiry)
    client(tailscale.status(spark(**DIRECT, **of_peer), this_host=of_this_host))
    net(found=[TAILNET_IP], reached=True)

    warnings = told(examine_server, "warn")
    assert [line.partition(".")[0] for line in warnings] == (
        [f"{whose} key for the tailnet expires in {left}"] if left else []
    )


def test_a_server_outside_of_the_tailnet_is_not_looked_at(
    client: Callable[..., None], net: Callable[..., None], examine_server: ExamineServers
) -> None:
    client(tailscale.status(spark(**DIRECT)))
    net(found=["93.184.216.34"], reached=False)

    names = [one.check.name for one in examine_server("http://other.firm.com:9/v1")]
    assert "tailnet" not in names


def test_a_server_behind_tailscales_own_proxy_is_not_looked_for_without_it(
    client: Callable[..., None],
    net: Callable[..., None],
    examine_server: ExamineServers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client(tailscale.status(spark(), TUN=False))
    net(found=[], reached=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")

    (line,) = told(examine_server, "pass")
    assert line.startswith("spark is asked through the proxy socks5://127.0.0.1:9 of ALL_PROXY")
