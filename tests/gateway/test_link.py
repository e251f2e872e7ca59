"""What a rollout's watcher learns of the gateway, also when that is gone or new."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from support.fake_model import FakeModelServer

from orchestrator.gateway.link import Link

HELD = "/r/a__b-1.1/held"


@pytest.fixture
def gateway() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


def link_to(gateway: FakeModelServer) -> Link:
    return Link(f"http://127.0.0.1:{gateway.port}/r/a__b-1.1/v1", "a-token")


def say(gateway: FakeModelServer, seconds: float, quiet_s: float = 0.0) -> None:
    gateway.pages[HELD] = json.dumps({"seconds": seconds, "quiet_s": quiet_s})


def test_without_a_gateway_nothing_is_held() -> None:
    with Link("", "") as link:
        assert link.held_s() == 0.0


def test_held_time_and_silence_are_what_the_gateway_says(gateway: FakeModelServer) -> None:
    say(gateway, 12.5, quiet_s=3.0)

    with link_to(gateway) as link:
        assert link.held_s() == 12.5
        assert link.quiet_s == 3.0


def test_a_new_gateway_counts_from_nothing_and_the_old_ones_time_stays(
    gateway: FakeModelServer,
) -> None:
    with link_to(gateway) as link:
        say(gateway, 100.0)
        link.held_s()
        say(gateway, 2.0)
        assert link.held_s() == 102.0
        say(gateway, 5.0)
        assert link.held_s() == 105.0


def test_time_in_which_the_gateway_does_not_answer_is_held_too(gateway: FakeModelServer) -> None:
    with link_to(gateway) as link:
        say(gateway, 10.0)
        link.held_s()
        gateway.stop()
        time.sleep(0.05)
        gone = link.held_s()
        assert 10.05 <= gone < 20.0

        gateway.start_again()
        say(gateway, 0.0)
        assert link.held_s() >= gone


@pytest.mark.parametrize("page", ["<html>", "[]", "{}", '{"seconds": "x", "quiet_s": 0}'])
def test_an_answer_that_can_not_be_read_counts_as_no_answer(
    gateway: FakeModelServer, page: str
) -> None:
    gateway.pages[HELD] = page

    with link_to(gateway) as link:
        assert link.held_s() >= 0.0


def test_an_agent_that_asks_when_its_rollout_has_ended_opens_no_connection(
    gateway: FakeModelServer,
) -> None:
    say(gateway, 12.5)
    with link_to(gateway) as link:
        link.held_s()
    say(gateway, 99.0)

    assert link.held_s() == 12.5
