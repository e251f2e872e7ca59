"""The gateway before a real vLLM server: what agents get, and what is metered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from support.local_gateway import LocalGateway, model_at
from support.rows import key_of
from support.tiny_vllm import (
    BLOCK_TOKENS,
    CONTEXT_TOKENS,
    ENDLESS,
    MODEL,
    NO_THINKING,
    RUNNING,
    WAITING,
    TinyVllm,
    saying,
)

from orchestrator.config.schema import Model
from orchestrator.endpoint.client import ChatClient, ContextOverflow
from orchestrator.endpoint.serving import require_an_answer, require_endpoint, serving_facts
from orchestrator.errors import PrerequisiteError, RequestRefused
from orchestrator.gateway.messages import Requested, Sampled
from orchestrator.types import ModelRequest, RequestResult

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
Open = Callable[..., LocalGateway]


@pytest.fixture
def gateway_to() -> Iterator[Open]:
    """A gateway before a server: `gateway_to(server, request_fields={…})`."""
    with ExitStack() as stack:

        def start(server: TinyVllm, served_name: str = MODEL, **settings: Any) -> LocalGateway:
            model = model_at(server.base_url, served_name=served_name, **settings)
            return stack.enter_context(LocalGateway(model, api_key=server.api_key))

        yield start


def ask(gateway: LocalGateway, content: str = "hello", rollout: str = "r", **fields: Any) -> Any:
    """The response's JSON of one chat completion through the gateway."""
    return httpx.post(
        f"{gateway.base_url(key_of(rollout))}/chat/completions",
        json={"messages": [{"role": "user", "content": content}]} | fields,
        headers={"Authorization": f"Bearer {gateway.token}"},
        timeout=120,
    )


def records(gateway: LocalGateway, count: int = 1) -> list[ModelRequest]:
    return [said.request for said in gateway.wait_for(Requested, count, limit_s=60)]


def test_an_answer_passes_with_its_usage_and_what_was_cached(
    vllm_server: TinyVllm, gateway_to: Open
) -> None:
    gateway = gateway_to(vllm_server, request_fields=NO_THINKING)
    prompt = "a prompt of some length " * 30
    for _ in range(2):
        answer = ask(gateway, prompt, **saying("ls -l")).json()

    assert answer["choices"][0]["message"]["content"] == "ls -l"
    first, second = records(gateway, 2)
    assert first.result is RequestResult.ANSWERED
    assert first.prompt_tokens == second.prompt_tokens > len(prompt)
    assert first.completion_tokens == len("ls -l") + 1
    assert second.cached_tokens is not None
    assert second.cached_tokens >= BLOCK_TOKENS


def test_a_stream_passes_and_its_first_token_is_timed(
    vllm_server: TinyVllm, gateway_to: Open
) -> None:
    gateway = gateway_to(vllm_server, request_fields=NO_THINKING)
    response = ask(gateway, stream=True, **saying("a streamed answer"))

    events = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "a streamed answer"
    (request,) = records(gateway)
    assert request.completion_tokens == len("a streamed answer") + 1
    assert request.first_token_s is not None
    assert 0 < request.first_token_s <= request.total_s


def test_a_prompt_that_is_too_long_is_a_context_overflow(
    vllm_server: TinyVllm, gateway_to: Open
) -> None:
    gateway = gateway_to(vllm_server)
    with (
        ChatClient(gateway.base_url(), gateway.token) as client,
        pytest.raises(ContextOverflow, match="maximum context length"),
    ):
        client.complete([{"role": "user", "content": "x" * (CONTEXT_TOKENS + 10)}])

    (request,) = records(gateway)
    assert (request.result, request.retries) == (RequestResult.CONTEXT_OVERFLOW, 0)


def test_a_model_that_is_not_served_is_refused_at_once(
    vllm_server: TinyVllm, gateway_to: Open
) -> None:
    gateway = gateway_to(vllm_server, served_name="other")
    with (
        ChatClient(gateway.base_url(), gateway.token) as client,
        pytest.raises(RequestRefused, match="HTTP 404"),
    ):
        client.complete([{"role": "user", "content": "hello"}])

    assert records(gateway)[0].retries == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_the_parser_swallows_is_recognised(
    vllm_server: TinyVllm, gateway_to: Open, streamed: bool
) -> None:
    gateway = gateway_to(vllm_server)
    ask(gateway, stream=streamed, **saying("I should look first"))

    (request,) = records(gateway)
    assert request.result is RequestResult.SWALLOWED
    assert request.reasoning_tokens > 0


def test_the_profiles_fields_mend_a_swallowed_answer(
    vllm_server: TinyVllm, gateway_to: Open
) -> None:
    gateway = gateway_to(vllm_server, request_fields=NO_THINKING)

    answer = ask(gateway, **saying("I should look first")).json()
    assert answer["choices"][0]["message"]["content"] == "I should look first"
    assert records(gateway)[0].result is RequestResult.ANSWERED


def test_a_full_queue_is_waited_out(vllm_server: TinyVllm, gateway_to: Open) -> None:
    gateway = gateway_to(vllm_server, request_fields=NO_THINKING)
    most = RUNNING + WAITING
    statuses: list[int] = []
    short = ENDLESS | {"max_tokens": 400}
    asking = [
        threading.Thread(
            target=lambda n=n: statuses.append(  # type: ignore[misc]
                ask(gateway, rollout=f"r{n}", **short).status_code
            )
        )
        for n in range(most + 6)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()

    assert statuses == [200] * (most + 6)
    done = records(gateway, most + 6)
    assert {request.result for request in done} == {RequestResult.ANSWERED}
    assert sum(request.retries for request in done) > 0


def test_the_servers_metrics_come_with_the_samples(vllm_server: TinyVllm, gateway_to: Open) -> None:
    gateway = gateway_to(vllm_server, request_fields=NO_THINKING)
    gateway.wait_for(Sampled, 2)
    ask(gateway, **saying("x" * 50))
    seen = len(gateway.said(Sampled))
    gateway.wait_for(Sampled, seen + 2)

    servers = [message.sample.server for message in gateway.said(Sampled)]
    assert None not in servers
    assert sum(server.generation_tokens for server in servers if server) == 51
    assert servers[-1] is not None
    assert servers[-1].kv_tokens


def test_the_server_is_known_before_the_night(vllm_server: TinyVllm) -> None:
    told = saying("391") | NO_THINKING  # left to itself, a random model says anything
    model: Model = model_at(vllm_server.base_url, served_name=MODEL, request_fields=told)

    assert require_endpoint(model, vllm_server.base_url)["max_model_len"] == CONTEXT_TOKENS
    facts = serving_facts(vllm_server.base_url)
    assert facts["server"] == "vLLM"
    assert facts["version"].startswith("0.")
    assert facts["cache"]["enable_prefix_caching"] == "True"
    assert require_an_answer(model, vllm_server.base_url)["thinking"] == "off"


def test_a_canary_finds_the_parser_that_swallows(vllm_server: TinyVllm) -> None:
    told = saying("391") | {"max_tokens": 100}
    model = model_at(vllm_server.base_url, served_name=MODEL, request_fields=told)

    with pytest.raises(PrerequisiteError, match="reasoning-parser"):
        require_an_answer(model, vllm_server.base_url)
