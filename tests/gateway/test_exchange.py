"""One request on its way through the gateway: asked again until it is answered, or given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest
from support.rows import key_of

from orchestrator.endpoint.fields import Tokens
from orchestrator.gateway.exchange import Exchange, RequestFailed
from orchestrator.gateway.messages import rollout_segment
from orchestrator.gateway.policy import Policy
from orchestrator.gateway.states import Probed
from orchestrator.gateway.turns import OutageTooLong, Turns
from orchestrator.gateway.upstreams import Busy, Lost, Upstreams
from orchestrator.types import RequestResult

A, B = "http://a/v1", "http://b/v1"
KEY = key_of("a__b-1", 2)
T = TypeVar("T")


class Probes:
    """Model servers as far as they are probed: a token comes back, or there is a problem."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    async def probe(self, url: str) -> Probed:
        return Probed(self.problem)


class Asked:
    """Answers a request as the script says, and then with "an answer"; notes where it was asked."""

    def __init__(self, *script: Exception) -> None:
        self._script = list(script)
        self.urls: list[str] = []

    async def __call__(self, url: str) -> str:
        self.urls.append(url)
        if self._script:
            raise self._script.pop(0)
        return "an answer"


@pytest.fixture(autouse=True)
def little_waiting_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """But enough for a probe to be over before the next attempt, on a busy machine too."""
    monkeypatch.setattr("orchestrator.gateway.policy.MAX_BUSY_S", 0.1)


def play(
    scene: Callable[[Exchange], Awaitable[T]], *urls: str, problem: str = "", **settings: Any
) -> T:
    """A scene with one request at these servers."""

    async def run() -> T:
        policy = Policy(urls or (A,), **({"max_outage_s": 100} | settings))
        turns = Turns(policy, cast(Upstreams, Probes(problem)), lambda change: None)
        try:
            return await scene(Exchange(rollout_segment(KEY), turns))
        finally:
            turns.close()

    return asyncio.run(run())


def test_a_request_is_answered_by_a_server() -> None:
    asked = Asked()

    assert play(lambda exchange: exchange.attempt(asked)) == "an answer"
    assert asked.urls == [A]


@pytest.mark.parametrize("error", [Lost("reset"), Busy("queue is full")])
def test_a_request_that_came_to_nothing_is_asked_again(error: Exception) -> None:
    asked = Asked(error)

    assert play(lambda exchange: exchange.attempt(asked)) == "an answer"
    assert asked.urls == [A, A]


def test_where_one_server_lost_it_another_is_asked() -> None:
    asked = Asked(Lost("reset"))

    assert play(lambda exchange: exchange.attempt(asked), A, B, problem="refused") == "an answer"
    assert asked.urls == [A, B]


@pytest.mark.slow
@pytest.mark.parametrize("error", [Lost("reset"), Busy("queue is full")])
def test_a_request_that_fails_again_and_again_at_servers_that_are_up_is_given_up(
    error: Exception,
) -> None:
    asked = Asked(*[error] * 9)

    with pytest.raises(RequestFailed, match=f"3 attempts came to nothing, the last one: {error}"):
        play(lambda exchange: exchange.attempt(asked), max_tries=3)

    assert len(asked.urls) == 3


def test_a_request_is_held_no_longer_than_an_outage_may_last() -> None:
    asked = Asked(Lost("reset"))

    with pytest.raises(OutageTooLong):
        play(lambda exchange: exchange.attempt(asked), problem="refused", max_outage_s=0)

    assert asked.urls == [A]


def test_an_error_of_another_kind_is_not_tried_again() -> None:
    asked = Asked(ConnectionResetError("the agent hung up"))

    with pytest.raises(ConnectionResetError):
        play(lambda exchange: exchange.attempt(asked))

    assert asked.urls == [A]


@pytest.mark.slow
def test_the_record_says_whose_it_was_where_it_ended_and_what_it_took() -> None:
    tokens = Tokens(70, 9, cached_tokens=64, reasoning_tokens=5)

    async def scene(exchange: Exchange) -> Any:
        await exchange.attempt(Asked(Lost("reset"), Busy("queue is full")))
        return exchange.record(RequestResult.ANSWERED, 200, tokens, time.monotonic())

    record = play(scene, problem="")

    assert (record.key, record.server, record.status) == (KEY, A, 200)
    assert (record.result, record.retries) == (RequestResult.ANSWERED, 2)
    assert (record.prompt_tokens, record.completion_tokens) == (70, 9)
    assert (record.cached_tokens, record.reasoning_tokens) == (64, 5)
    assert 0 < record.held_s + record.queue_s <= record.total_s
    assert record.first_token_s is not None
    assert 0 <= record.first_token_s < record.total_s, "counted from the last attempt"
    assert record.started_at <= time.time()


def test_the_record_of_a_request_that_no_server_saw_names_none() -> None:
    async def scene(exchange: Exchange) -> Any:
        return exchange.record(RequestResult.ABANDONED, 0)

    record = play(scene)

    assert (record.server, record.status, record.retries) == ("", 0, 0)
    assert (record.first_token_s, record.cached_tokens) == (None, None)
    assert (record.prompt_tokens, record.completion_tokens) == (0, 0)
