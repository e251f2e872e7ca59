"""When a server has room for one more request."""

from __future__ import annotations

import pytest

from orchestrator.gateway.states import RAMP_S, Server, Ticket


def test_a_server_that_was_never_away_takes_what_its_cap_allows() -> None:
    server = Server("http://h/v1", {Ticket("a", 0.0) for _ in range(3)}, cap=4)

    assert server.has_room(0.0)
    server.tickets.add(Ticket("b", 0.0))
    assert not server.has_room(0.0)
    assert server.next_release(0.0) is None


def test_a_server_that_is_away_has_no_room_and_its_time_counts() -> None:
    server = Server("http://h/v1", away_since=10.0, past=[(1.0, 2.0), (4.0, 8.0)])

    assert not server.has_room(12.0)
    assert server.away_between(6.0, 12.0) == [(6.0, 8.0), (10.0, 12.0)]
    assert server.next_release(12.0) is None


@pytest.mark.parametrize(("after_s", "released"), [(0.0, 1), (RAMP_S, 2), (3.5 * RAMP_S, 8)])
def test_after_an_outage_twice_as_many_may_go_with_every_step_of_the_ramp(
    after_s: float, released: int
) -> None:
    server = Server("http://h/v1", back_at=100.0)
    server.released = released - 1
    assert server.has_room(100.0 + after_s)

    server.released = released
    assert not server.has_room(100.0 + after_s)
    following = server.next_release(100.0 + after_s)
    assert following is not None
    assert server.has_room(following)


def test_the_ramp_ends() -> None:
    server = Server("http://h/v1", back_at=100.0, released=10**6)

    assert server.has_room(100.0 + 13 * RAMP_S)
