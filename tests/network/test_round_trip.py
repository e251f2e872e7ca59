"""How a host is found and reached."""

from __future__ import annotations

import socket

import pytest

from orchestrator.network.round_trip import connect_seconds, resolve


def test_a_host_is_resolved_to_each_of_its_addresses_once() -> None:
    assert resolve("127.0.0.1", 80) == ("127.0.0.1",)
    found = resolve("localhost", 80)
    assert len(found) == len(set(found)) > 0
    with pytest.raises(OSError, match=r"."):
        resolve("no-such-host.invalid", 80)


def test_a_connection_is_timed_so_many_times() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        taken = connect_seconds(host, port, tries=3)
    assert len(taken) == 3
    assert all(seconds > 0 for seconds in taken)
    with pytest.raises(OSError, match="refused"):
        connect_seconds("127.0.0.1", port)
