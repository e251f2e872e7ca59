"""What Tailscale's client says, as far as it is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import tailscale

from orchestrator.network import tailnet
from orchestrator.network.tailnet import NoStatus, TailnetStatus, ask_client, parse_status

SPARK = tailscale.node("spark", "100.70.0.2", CurAddr="192.168.1.20:41641", Active=True)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that comes first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(tailnet, "MAC_APP", str(folder / "Tailscale.app"))
    return folder


def test_a_running_client_tells_of_its_hosts_and_how_they_are_reached() -> None:
    status = parse_status(tailscale.status(SPARK))

    assert status is not None
    assert (status.state, status.resolves_names, status.is_userspace) == ("Running", True, False)
    assert status.this_host.name == "mini.tail1234.ts.net"
    (spark,) = status.peers
    assert spark.addresses == ("100.70.0.2", "fd7a:115c:a1e0::2")
    assert (spark.direct, spark.relay, spark.online) == ("192.168.1.20:41641", "fra", True)
    assert (spark.last_seen, spark.key_expiry) == (None, None)


@pytest.mark.parametrize(
    "host",
    ["spark", "Spark", "spark.tail1234.ts.net.", "100.70.0.2", "fd7a:115c:a1e0:0::2"],
)
def test_a_host_is_found_by_each_of_its_names(host: str) -> None:
    status = parse_status(tailscale.status(SPARK))

    assert status is not None
    found = status.find(host)
    assert found is not None
    assert found.host_name == "spark"
    assert status.find(f"x{host}") is None


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-26T03:04:05.123456789Z", datetime(2026, 11, 26, 3, 4, 5, tzinfo=UTC)),
        ("2026-11-26T03:04:05Z", datetime(2026, 11, 26, 3, 4, 5, tzinfo=UTC)),
        ("2026-11-26T05:04:05.1+02:00", datetime(2026, 11, 26, 3, 4, 5, tzinfo=UTC)),
        (tailscale.ZERO_TIME, None),
        ("soon", None),
        (17, None),
    ],
)
def test_times_are_read_as_go_writes_them(text: object, when: datetime | None) -> None:
    peer = tailscale.node("spark", "100.70.0.2", Online=False, LastSeen=text, KeyExpiry=text)
    status = parse_status(tailscale.status(peer))

    assert status is not None
    assert (status.peers[0].last_seen, status.peers[0].key_expiry) == (when, when)


@pytest.mark.parametrize(
    "odd",
    [
        *("", "Tailscale is stopped.", "[]", "null", "{}", '{"BackendState": 3}', "[" * 100_000),
        "The Tailscale GUI failed to start: {",
    ],
)
def test_what_is_no_status_is_none(odd: str) -> None:
    assert parse_status(odd) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"Self": None, "Peer": None, "CurrentTailnet": None},
        {"Self": [], "Peer": [], "CurrentTailnet": "x"},
        {"Peer": {"a": None, "b": {"TailscaleIPs": None, "DNSName": 3}}},
        {"Peer": {"b": {"TailscaleIPs": [None, 7], "CurAddr": {}}}},
    ],
)
def test_what_a_client_leaves_out_is_not_known(odd: dict[str, object]) -> None:
    status = parse_status(json.dumps({"BackendState": "NoState", **odd}))

    assert status is not None
    assert status.find("spark") is None
    assert status.find("") is None


def test_a_client_is_asked_by_its_command(install: Path) -> None:
    tailscale.install(install, tailscale.status(SPARK))

    found = ask_client()

    assert isinstance(found, TailnetStatus)
    assert found.find("spark") is not None


def test_a_client_that_is_logged_out_tells_its_state_and_ends_with_1(install: Path) -> None:
    tailscale.install(install, tailscale.status(BackendState="NeedsLogin"), exit_code=1)

    found = ask_client()

    assert isinstance(found, TailnetStatus)
    assert found.state == "NeedsLogin"


def test_a_client_whose_service_is_down_says_so_in_its_own_words(install: Path) -> None:
    words = "failed to connect to local tailscaled; it doesn't appear to be running"
    tailscale.install(install, "", exit_code=1, errors=f"{words}\n")

    found = ask_client()

    assert isinstance(found, NoStatus)
    assert str(found) == words


def test_a_client_that_can_not_be_started_or_says_nothing_is_told(install: Path) -> None:
    command = tailscale.install(install, "", exit_code=3)
    assert str(ask_client()) == "it ended with 3"
    command.write_text("#!/no/such/shell\n")
    assert "No such file" in str(ask_client())


def test_a_mac_has_the_command_in_the_app(install: Path) -> None:
    assert ask_client() is None
    tailscale.install(install, tailscale.status()).rename(install / "Tailscale.app")
    assert isinstance(ask_client(), TailnetStatus)
