"""What requests cost, over an interval and for Prometheus."""

from __future__ import annotations

from support.rows import asked

from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.messages import Sampled
from orchestrator.gateway.meter import Meter
from orchestrator.gateway.states import ServerState
from orchestrator.types import RequestResult

SERVERS = (
    ServerState("http://up/v1", in_flight=2, away_since=None, why="", outages=1),
    ServerState("http://away/v1", in_flight=1, away_since=5.0, why="refused", outages=3),
)


def sample(meter: Meter) -> Sampled:
    server = ServerMetrics(running=3)
    return meter.sample(10.0, waiting=4, states=SERVERS, down_s=0.0, outages=0, server=server)


def test_an_interval_counts_its_own_answers() -> None:
    meter = Meter()
    meter.add("r", asked(prompt_tokens=100, completion_tokens=10, total_s=9, held_s=4, queue_s=1))
    meter.add("r", asked(prompt_tokens=150, completion_tokens=20, total_s=2))
    meter.add("r", asked(result=RequestResult.FAILED, status=502, prompt_tokens=999))

    first = sample(meter)
    assert (first.answers, first.prompt_tokens, first.completion_tokens) == (2, 250, 30)
    assert first.latency_s == (4 + 2) / 2, "without what was waited"
    assert (first.in_flight, first.waiting) == (3, 4)
    second = sample(meter)
    assert (second.answers, second.latency_s) == (0, 0.0)


def test_work_is_by_how_much_conversations_grow() -> None:
    meter = Meter()
    meter.add("r", asked(prompt_tokens=100, completion_tokens=10))
    meter.add("r", asked(prompt_tokens=130, completion_tokens=20))
    assert sample(meter).grown_tokens == 150

    meter.add("r", asked(prompt_tokens=50, completion_tokens=5))
    assert sample(meter).grown_tokens == 5, "its agent has cut it: only the answer is new"


def test_a_rollout_that_is_forgotten_begins_anew() -> None:
    meter = Meter()
    meter.add("r", asked(prompt_tokens=100, completion_tokens=10))
    meter.forget("r")
    meter.add("r", asked(prompt_tokens=100, completion_tokens=10))

    assert sample(meter).grown_tokens == 220


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
