"""What the project takes for granted of vLLM, asked of vLLM itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from support.tiny_vllm import (
    BLOCK_TOKENS,
    CONTEXT_TOKENS,
    ENDLESS,
    KV_TOKENS,
    MODEL,
    NO_THINKING,
    RUNNING,
    WAITING,
    TinyVllm,
    saying,
    wait_until,
)

from orchestrator.endpoint.metrics import ServerMetrics, parse_metrics, parse_serving_facts
from orchestrator.endpoint.overflow import said_to_be_too_long

pytestmark = pytest.mark.vllm


def reading(server: TinyVllm) -> ServerMetrics:
    metrics = parse_metrics(server.metrics())
    assert metrics is not None
    return metrics


def is_idle(server: TinyVllm) -> bool:
    now = reading(server)
    return now.running == now.waiting == 0


def events(response: httpx.Response) -> Iterator[dict[str, Any] | str]:
    """What a stream says: JSON, and at last "[DONE]"."""
    for line in response.iter_lines():
        if line:
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


@pytest.fixture
def crowd(vllm_server: TinyVllm) -> Iterator[ExitStack]:
    """As many endless requests as the server takes; they hang up in the end."""
    with ExitStack() as stack:
        for number in range(RUNNING + WAITING):
            stack.enter_context(vllm_server.stream(f"go {number}", **ENDLESS))
        yield stack
    wait_until(lambda: is_idle(vllm_server))


class TestAnswers:
    def test_a_forced_text_comes_back_word_for_word(self, vllm_server: TinyVllm) -> None:
        reply = vllm_server.ask("hi", **saying("Täglich <frisch>\n"), **NO_THINKING).json()
        (choice,) = reply["choices"]
        assert choice["message"]["content"] == "Täglich <frisch>\n"
        assert choice["finish_reason"] == "stop"
        # a byte each, and the end
        assert reply["usage"]["completion_tokens"] == len("Täglich <frisch>\n".encode()) + 1

    def test_a_reasoning_parser_swallows_an_answer(self, vllm_server: TinyVllm) -> None:
        reply = vllm_server.ask("hi", **saying("ready")).json()
        message = reply["choices"][0]["message"]
        assert message["content"] is None
        assert not message.get("tool_calls")
        assert message["reasoning"] == "ready"
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == len("ready")

    def test_without_thinking_the_parser_leaves_the_answer(self, vllm_server: TinyVllm) -> None:
        reply = vllm_server.ask("hi", **saying("ready"), **NO_THINKING).json()
        message = reply["choices"][0]["message"]
        assert (message["content"], message["reasoning"]) == ("ready", None)
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0

    def test_a_stream_ends_with_its_usage_and_done(self, vllm_server: TinyVllm) -> None:
        wish = {"stream_options": {"include_usage": True}}
        with vllm_server.stream("hi", **saying("ready"), **NO_THINKING, **wish) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            *chunks, usage, done = events(response)
        choices = [chunk["choices"][0] for chunk in chunks]
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == "ready"
        assert choices[-1]["finish_reason"] == "stop"
        assert usage["choices"] == []
        assert usage["usage"]["completion_tokens"] == len("ready") + 1
        assert done == "[DONE]"

    def test_an_answer_is_cut_at_the_end_of_the_context(self, vllm_server: TinyVllm) -> None:
        reply = vllm_server.ask("x" * (CONTEXT_TOKENS - 100), **ENDLESS, **NO_THINKING).json()
        assert reply["choices"][0]["finish_reason"] == "length"
        assert reply["usage"]["total_tokens"] == CONTEXT_TOKENS


class TestRefusals:
    def test_a_prompt_over_the_context_is_a_400_that_the_client_knows(
        self, vllm_server: TinyVllm
    ) -> None:
        response = vllm_server.ask("x" * CONTEXT_TOKENS)
        assert response.status_code == 400
        error = response.json()["error"]
        assert said_to_be_too_long(400, {"error": error}) == "yes"
        assert error["param"] == "input_tokens"

    @pytest.mark.parametrize(
        ("fields", "status", "param"),
        [({"model": "another"}, 404, "model"), ({"messages": "hi"}, 400, "body.messages")],
        ids=["wrong model", "no list of messages"],
    )
    def test_what_else_is_wrong_is_no_overflow(
        self, vllm_server: TinyVllm, fields: dict[str, Any], status: int, param: str
    ) -> None:
        response = vllm_server.ask("hi", **fields)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (status, status, param)
        assert said_to_be_too_long(status, {"error": error}) == "no"

    @pytest.mark.usefixtures("crowd")
    def test_a_full_queue_is_a_503_at_once(self, vllm_server: TinyVllm) -> None:
        wait_until(lambda: reading(vllm_server).waiting == WAITING)
        started = time.monotonic()
        response = vllm_server.ask("one more")
        assert time.monotonic() - started < 2
        assert response.status_code == 503
        assert "cannot accept new requests" in response.json()["error"]["message"]
        assert "retry-after" not in response.headers

    def test_without_the_key_only_health_and_metrics_are_open(
        self, breakable_vllm: TinyVllm
    ) -> None:
        def status(path: str) -> int:
            return httpx.get(breakable_vllm.url + path, trust_env=False).status_code

        assert status("/v1/models") == 401
        assert breakable_vllm.get("/v1/models").status_code == 200
        assert (status("/health"), status("/metrics")) == (200, 200)


class TestWhatItSaysOfItself:
    def test_version_and_model(self, vllm_server: TinyVllm) -> None:
        assert vllm_server.get("/version").json()["version"].count(".") == 2
        (model,) = vllm_server.get("/v1/models").json()["data"]
        assert (model["id"], model["max_model_len"]) == (MODEL, CONTEXT_TOKENS)

    def test_its_cache(self, vllm_server: TinyVllm) -> None:
        assert reading(vllm_server).kv_tokens == KV_TOKENS
        facts = parse_serving_facts(vllm_server.metrics())
        assert facts["enable_prefix_caching"] == "True"
        assert facts["block_size"] == str(BLOCK_TOKENS)
        assert "None" not in facts.values()

    def test_a_prompt_that_is_asked_again_is_found_in_the_cache(
        self, vllm_server: TinyVllm
    ) -> None:
        def ask_again() -> tuple[dict[str, Any], ServerMetrics]:
            before = reading(vllm_server)
            reply = vllm_server.ask("the same prompt again. " * 20, **NO_THINKING).json()
            # counted when it ends, which may be a moment after the answer
            wait_until(lambda: reading(vllm_server).queued > before.queued)
            return reply["usage"], reading(vllm_server).since(before)

        wait_until(lambda: is_idle(vllm_server))
        first, _ = ask_again()
        second, grown = ask_again()
        whole_blocks = first["prompt_tokens"] // BLOCK_TOKENS * BLOCK_TOKENS
        assert whole_blocks > 0
        assert first["prompt_tokens_details"]["cached_tokens"] == 0
        assert second["prompt_tokens_details"]["cached_tokens"] == whole_blocks
        assert grown.prefix_hits == whole_blocks
        assert grown.prefix_queries == grown.prompt_tokens == second["prompt_tokens"]
        assert grown.generation_tokens == second["completion_tokens"]
        assert grown.first_tokens == grown.queued == 1
        assert 0 < grown.first_token_s < 10

    @pytest.mark.usefixtures("crowd")
    def test_what_runs_and_what_waits(self, vllm_server: TinyVllm) -> None:
        wait_until(lambda: reading(vllm_server).waiting == WAITING)
        now = reading(vllm_server)
        assert now.running == RUNNING
        assert 0 < now.kv_usage < 1

    def test_a_client_that_hangs_up_frees_its_slot(self, vllm_server: TinyVllm) -> None:
        wait_until(lambda: is_idle(vllm_server))
        with vllm_server.stream("go", **ENDLESS):
            wait_until(lambda: reading(vllm_server).running == 1)
        assert wait_until(lambda: reading(vllm_server).running == 0) < 3


class TestBreaking:
    def test_a_hung_engine_looks_healthy_and_answers_when_it_goes_on(
        self, breakable_vllm: TinyVllm
    ) -> None:
        breakable_vllm.hang_engine()
        assert breakable_vllm.is_healthy()
        assert breakable_vllm.get("/v1/models").status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            breakable_vllm.ask("hi", timeout_s=2)
        # not even the request that nobody answers is counted
        assert (reading(breakable_vllm).running, reading(breakable_vllm).waiting) == (0, 0)

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(breakable_vllm.ask, "hi", **saying("back"))
            time.sleep(0.5)
            assert not asked.done()
            breakable_vllm.resume_engine()
            assert asked.result().json()["choices"][0]["message"]["content"] == "back"

    def test_a_killed_server_refuses_and_starts_again_on_its_port(
        self, breakable_vllm: TinyVllm
    ) -> None:
        breakable_vllm.ask("hi")
        wait_until(lambda: reading(breakable_vllm).generation_tokens > 1)
        before = reading(breakable_vllm)
        breakable_vllm.kill()
        with pytest.raises(httpx.ConnectError):
            breakable_vllm.ask("hi")

        breakable_vllm.start()
        breakable_vllm.ask("ho", max_tokens=1)
        wait_until(lambda: reading(breakable_vllm).generation_tokens == 1)
        # the counters began anew
        assert reading(breakable_vllm).since(before).generation_tokens == 1

    def test_a_killed_engine_fails_what_runs_and_then_the_server_leaves(
        self, breakable_vllm: TinyVllm
    ) -> None:
        with (
            ThreadPoolExecutor(1) as pool,
            breakable_vllm.stream("go", **ENDLESS) as response,
        ):
            plain = pool.submit(breakable_vllm.ask, "go on", **ENDLESS)
            wait_until(lambda: reading(breakable_vllm).running == 2)
            breakable_vllm.kill_engine()
            assert response.status_code == 200
            *_, error, done = events(response)
            refusal = plain.result()
        assert error["error"]["code"] == 500
        # a stream that broke ends like one that did not
        assert done == "[DONE]"
        assert refusal.status_code == 500
        assert "EngineCore encountered an issue" in refusal.json()["error"]["message"]

        wait_until(lambda: not breakable_vllm.is_healthy())
        assert breakable_vllm.process is not None
        breakable_vllm.process.wait(timeout=20)
        with pytest.raises(httpx.ConnectError):
            breakable_vllm.ask("hi")
