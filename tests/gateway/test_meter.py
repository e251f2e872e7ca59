"""What the meter makes of requests that have ended: a sample of each interval."""

from __future__ import annotations

from typing import Any

from support.rows import asked

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.gateway.meter import Meter
from orchestrator.gateway.states import ServerState
from orchestrator.types import RequestResult

SERVERS = (
    ServerState("http://up/v1", in_flight=2, away_since=None, why="", outages=1),
    ServerState("http://away/v1", in_flight=1, away_since=5.0, why="refused", outages=3),
)


def sample(meter: Meter, **more: Any) -> LoadSample:
    nothing = {"seconds": 10.0, "waiting": 0, "states": [], "down_s": 0.0, "outages": 0}
    return meter.sample(**(nothing | {"server": None} | more))


def test_an_interval_holds_the_answers_that_came_in_it() -> None:
    meter = Meter(lambda: 1234.0)
    meter.add("a", asked("a", prompt_tokens=100, completion_tokens=10, total_s=3.0, held_s=1.0))
    meter.add("b", asked("b", prompt_tokens=200, completion_tokens=20, total_s=5.0, queue_s=1.0))
    first, second = sample(meter), sample(meter)

    assert (first.at, first.seconds) == (1234.0, 10.0)
    assert (first.answers, first.prompt_tokens, first.completion_tokens) == (2, 300, 30)
    assert first.latency_s == 3.0, "the mean of 2 s and 4 s: what was held is left out"
    assert (second.answers, second.grown_tokens, second.latency_s) == (0, 0, 0.0)


def test_a_conversation_counts_by_what_it_has_grown() -> None:
    meter = Meter()
    meter.add("a", asked("a", prompt_tokens=100, completion_tokens=10))
    meter.add("a", asked("a", prompt_tokens=150, completion_tokens=20))

    assert sample(meter).grown_tokens == 170


def test_when_an_agent_has_cut_its_conversation_only_the_answer_counts_as_new() -> None:
    meter = Meter()
    meter.add("a", asked("a", prompt_tokens=100, completion_tokens=10))
    sample(meter)
    meter.add("a", asked("a", prompt_tokens=50, completion_tokens=7))

    assert sample(meter).grown_tokens == 7


def test_a_rollout_that_is_forgotten_begins_anew() -> None:
    meter = Meter()
    meter.add("a", asked("a", prompt_tokens=100, completion_tokens=10))
    meter.forget("a")
    meter.add("a", asked("a", prompt_tokens=100, completion_tokens=10))

    assert sample(meter).grown_tokens == 220


def test_what_is_no_answer_counts_for_prometheus_alone() -> None:
    meter = Meter()
    meter.add("a", asked("a", RequestResult.ABANDONED, prompt_tokens=100))

    assert sample(meter).answers == 0
    assert b'gateway_requests_total{result="abandoned"} 1.0' in meter.exposition(0, [])


def test_requests_at_servers_are_added_up() -> None:
    states = [ServerState(url, 2, None, "", 0) for url in ("http://a/v1", "http://b/v1")]

    assert sample(Meter(), states=states, waiting=3).in_flight == 4


def test_prometheus_sees_requests_tokens_and_servers() -> None:
    meter = Meter()
    meter.add("r", asked(prompt_tokens=100, completion_tokens=10, cached_tokens=60, retries=2))
    meter.add("r", asked(result=RequestResult.REFUSED, status=400))

    text = meter.exposition(4, SERVERS).decode()

    for line in (
        'gateway_requests_total{result="answered"} 1.0',
        'gateway_requests_total{result="refused"} 1.0',
        'gateway_tokens_total{kind="prompt_cached"} 60.0',
        "gateway_retries_total 2.0",
        "gateway_requests_waiting 4.0",
        'gateway_server_up{server="http://up/v1"} 1.0',
        'gateway_server_up{server="http://away/v1"} 0.0',
        'gateway_server_outages{server="http://away/v1"} 3.0',
    ):
        assert line in text.splitlines()
