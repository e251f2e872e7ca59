"""The gateway between agents and servers that misbehave, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.fake_model import Reply, completion, error, stream
from support.gateway_scene import QUESTION, Setup
from support.rows import key_of

from orchestrator.gateway.messages import Availability, Requested, Sampled, rollout_segment
from orchestrator.types import RequestResult, RolloutKey

pytestmark = pytest.mark.slow


def events_of(response: httpx.Response) -> list[Any]:
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_an_answer_passes_unchanged_and_is_metered(setup: Callable[..., Setup]) -> None:
    it = setup(completion(usage={"prompt_tokens_details": {"cached_tokens": 4}}))

    response = it.post(rollout="a__b-1")

    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == "an answer"
    request = it.record()
    assert request.key == key_of("a__b-1")
    assert (request.result, request.status) == (RequestResult.ANSWERED, 200)
    assert (request.prompt_tokens, request.cached_tokens, request.completion_tokens) == (10, 4, 5)
    assert 0 < request.total_s < 5
    assert request.held_s == 0


def test_the_profile_has_the_last_word_over_what_agents_send(setup: Callable[..., Setup]) -> None:
    it = setup(
        served_name="qwen",
        sampling={"temperature": 0.6, "max_tokens": 800},
        request_fields={"chat_template_kwargs": {"enable_thinking": False}},
    )
    it.post(
        {**QUESTION, "model": "gpt-4", "temperature": 0, "chat_template_kwargs": {"tools_first": 1}}
    )

    (asked,) = it.upstream.asked
    assert asked["model"] == "qwen"
    assert (asked["temperature"], asked["max_tokens"]) == (0.6, 800)
    assert asked["chat_template_kwargs"] == {"tools_first": 1, "enable_thinking": False}


def test_runs_that_share_a_server_have_each_its_own_profile(setup: Callable[..., Setup]) -> None:
    it = setup(
        request_fields={"think": True},
        profiles={
            "r1": {"request_fields": {"think": False}},
            "r2": {"request_fields": {"think": "a little"}, "reasoning": "strip"},
        },
    )
    for run_id in ("r1", "r2", "another"):
        url = f"{it.gateway.base_url(RolloutKey(run_id, 'i', 1))}/chat/completions"
        headers = {"Authorization": f"Bearer {it.gateway.token}"}
        assert httpx.post(url, json=QUESTION, headers=headers).status_code == 200

    assert [asked["think"] for asked in it.upstream.asked] == [False, "a little", True]


def test_the_servers_key_stays_with_the_gateway(setup: Callable[..., Setup]) -> None:
    it = setup(api_key="secret")
    it.post()

    assert it.upstream.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer ä"])
def test_without_the_runs_token_nothing_passes(setup: Callable[..., Setup], token: str) -> None:
    it = setup()
    url = f"{it.gateway.base_url()}/chat/completions"

    headers = {"Authorization": token.encode()}
    assert httpx.post(url, json=QUESTION, headers=headers).status_code == 401
    assert it.upstream.asked == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"'])
def test_a_body_that_is_no_chat_request_is_refused(
    setup: Callable[..., Setup], body: bytes
) -> None:
    it = setup()
    headers = {"Authorization": f"Bearer {it.gateway.token}"}
    url = f"{it.gateway.base_url()}/chat/completions"

    assert httpx.post(url, content=body, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "problem",
    [
        error(500, "EngineCore encountered an issue."),
        error(502, "bad gateway"),
        Reply(200, [b"<html>"]),
        Reply(200, [b'{"error": {"message": "x"}}']),
        Reply(200, [b'{"choices": ['], breaks_off=True),
        error(503, "The engine is currently busy"),
        error(429, "slow down"),
    ],
    ids=["500", "502", "a page", "an error as 200", "half an answer", "503", "429"],
)
def test_what_the_world_does_is_waited_out(setup: Callable[..., Setup], problem: Reply) -> None:
    it = setup(problem)

    assert it.post().json()["choices"][0]["message"]["content"] == "an answer"
    request = it.record()
    assert request.result is RequestResult.ANSWERED
    assert request.retries == 1
    assert request.held_s + request.queue_s > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_is_gone_and_comes_back_is_waited_for(
    setup: Callable[..., Setup], streamed: bool
) -> None:
    it = setup(*([stream({"content": "hi"})] if streamed else []))
    it.upstream.stop()
    asking = it.in_background({**QUESTION, "stream": streamed})
    (away,) = it.gateway.wait_for(Availability)
    assert away.down
    assert "Connect" in away.notes[0]
    held = it.get("/r/r1:an-instance:1/held").json()["seconds"]
    assert held > 0
    it.upstream.start_again()

    assert asking().status_code == 200
    assert it.gateway.wait_for(Availability, 2)[1] == Availability(down=False)
    assert it.record().held_s > held
    assert it.upstream.probes >= 1


@pytest.mark.slow
def test_while_a_server_is_away_no_other_request_is_sent_there(setup: Callable[..., Setup]) -> None:
    it = setup()
    it.upstream.probe = it.upstream.otherwise = lambda: error(500, "crashed")
    asking = [it.in_background(rollout=f"r-{n}") for n in range(4)]
    it.gateway.wait_for(Availability)
    time.sleep(0.2)  # those that were on their way are lost too
    asked_then = len(it.upstream.asked)
    late = it.in_background(rollout="late")
    time.sleep(1.5)
    assert len(it.upstream.asked) == asked_then
    it.upstream.probe = it.upstream.otherwise = completion

    assert {join().status_code for join in [*asking, late]} == {200}


def test_a_held_request_fails_after_the_longest_outage(setup: Callable[..., Setup]) -> None:
    it = setup(endpoint={"max_outage_s": 0.5})
    it.upstream.stop()

    response = it.post()

    assert response.status_code == 503
    assert response.json()["error"]["type"] == "endpoint_unavailable"
    assert it.record().result is RequestResult.FAILED
    it.upstream.start_again()


def test_a_request_that_fails_at_a_server_that_is_up_fails_in_the_end(
    setup: Callable[..., Setup],
) -> None:
    it = setup(endpoint={"max_tries": 2})
    it.upstream.otherwise = lambda: error(500, "this prompt breaks me")

    response = it.post()

    assert response.status_code == 502
    assert "this prompt breaks me" in response.json()["error"]["message"]
    assert len(it.upstream.asked) == 2


@pytest.mark.slow
def test_a_request_that_an_idle_server_turns_away_for_ever_fails_in_the_end(
    setup: Callable[..., Setup],
) -> None:
    it = setup(endpoint={"max_tries": 2})
    it.upstream.otherwise = lambda: error(429, "request too large for your quota")

    assert it.post().status_code == 502
    assert "request too large" in it.post().text


@pytest.mark.slow
@pytest.mark.parametrize("poison", [error(500, "crash"), Reply(chunks=[b"nonsense"])])
def test_a_request_that_a_server_fails_at_holds_nobody_else_up(
    setup: Callable[..., Setup], poison: Reply
) -> None:
    it = setup(endpoint={"max_tries": 3})
    it.upstream.otherwise = lambda: poison if "bad" in str(it.upstream.asked[-1]) else completion()
    bad = it.in_background({"messages": [{"role": "user", "content": "bad"}]}, "bad")
    while not it.upstream.asked:
        time.sleep(0.01)

    took = []
    for number in range(10):
        began = time.monotonic()
        assert it.post(rollout=f"good-{number}").status_code == 200
        took.append(time.monotonic() - began)

    assert bad().status_code == 502
    assert max(took) < 0.5, "the bad one's retries take longer"
    assert it.gateway.said(Availability) == []
    requests = it.gateway.wait_for(Requested, 11)
    assert all(said.request.held_s == 0 for said in requests if said.request.status == 200)


@pytest.mark.slow
def test_a_moment_in_which_several_requests_of_a_rollout_are_held_counts_once(
    setup: Callable[..., Setup],
) -> None:
    it = setup()
    it.upstream.stop()
    began = time.monotonic()
    asking = [it.in_background() for _ in range(2)]
    it.gateway.wait_for(Availability)
    time.sleep(0.5)
    it.upstream.start_again()
    for join in asking:
        assert join().status_code == 200

    held_s = it.get(f"/r/{rollout_segment(key_of('an-instance'))}/held").json()["seconds"]
    assert 0.5 <= held_s <= time.monotonic() - began


@pytest.mark.slow
def test_a_page_is_no_token_for_a_probe(setup: Callable[..., Setup]) -> None:
    it = setup(endpoint={"max_outage_s": 1.5, "max_tries": 2})
    page = Reply(200, [b"<html>maintenance</html>"], "text/html")
    it.upstream.otherwise = it.upstream.probe = lambda: page

    response = it.post()

    assert response.status_code == 503, "an outage, and not this request's fault"
    assert response.json()["error"]["type"] == "endpoint_unavailable"


ODD = {
    "no choices": {"choices": []},
    "a null for a choice": {"choices": [None]},
    "text for a message": {"choices": [{"message": "hi"}]},
    "aborted": {"choices": [{"message": {"content": "h"}, "finish_reason": "abort"}]},
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_what_is_no_whole_answer_is_asked_for_again(
    setup: Callable[..., Setup], body: dict[str, Any]
) -> None:
    it = setup(Reply(200, [json.dumps(body).encode()]))

    assert it.post().json()["choices"][0]["message"]["content"] == "an answer"
    assert it.record().retries == 1


@pytest.mark.parametrize(
    "usage",
    [None, [1], "x", {"prompt_tokens": "many"}, {"prompt_tokens": -5}, {"prompt_tokens": 1e300}],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_odd_usage_counts_as_nothing(
    setup: Callable[..., Setup], usage: Any, streamed: bool
) -> None:
    choice = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop", "delta": {}}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    said = Reply(200, [b"data: " + body + b"\n\n"], "text/event-stream")
    it = setup(said if streamed else Reply(200, [body]))

    assert it.post({**QUESTION, "stream": streamed}).status_code == 200
    request = it.record()
    assert (request.result, request.prompt_tokens) == (RequestResult.ANSWERED, 0)


def test_a_refusal_that_quotes_the_prompt_is_no_context_overflow(
    setup: Callable[..., Setup],
) -> None:
    it = setup(error(401, "no key; the request was: mend 'prompt is too long' in cli"))

    assert it.post().status_code == 401
    assert it.record().result is RequestResult.REFUSED


def test_a_stream_that_breaks_after_its_end_is_whole(setup: Callable[..., Setup]) -> None:
    end = b'data: {"choices": [{"index": 0, "delta": {"content": "h"}, "finish_reason": "stop"}]}'
    it = setup(Reply(200, [end + b"\n\n"], "text/event-stream", breaks_off=True))

    it.post({**QUESTION, "stream": True})
    assert it.record().result is RequestResult.ANSWERED


@pytest.mark.slow
def test_an_answer_that_stalls_is_given_up_and_asked_for_again(
    setup: Callable[..., Setup],
) -> None:
    it = setup(completion("late", after_s=5), endpoint={"request_timeout_s": 0.5})

    assert it.post().json()["choices"][0]["message"]["content"] == "an answer"
    assert it.record().retries == 1


@pytest.mark.parametrize(("status", "words"), [(404, "no such model"), (400, "malformed")])
def test_refusals_come_back_at_once_and_are_never_tried_again(
    setup: Callable[..., Setup], status: int, words: str
) -> None:
    it = setup(error(status, words))

    response = it.post()

    assert response.status_code == status
    assert words in response.text
    assert len(it.upstream.asked) == 1
    assert it.record().result is RequestResult.REFUSED
    assert it.gateway.said(Availability) == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, your prompt …",
        "the request exceeds the available context size. try increasing it",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ],
)
def test_a_context_overflow_is_reported_in_the_words_and_the_code_that_agents_know(
    setup: Callable[..., Setup], words: str, streamed: bool
) -> None:
    it = setup(error(400, words))

    response = it.post({**QUESTION, "stream": streamed})

    assert response.status_code == 400
    said = response.json()["error"]
    assert said["code"] == "context_length_exceeded"
    assert "maximum context length" in said["message"]
    assert words in said["message"]
    assert it.record().result is RequestResult.CONTEXT_OVERFLOW


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_swallowed_answer_is_recognised(setup: Callable[..., Setup], field: str) -> None:
    it = setup(completion(None, message={field: "Let me think"}))
    it.post()

    assert it.record().result is RequestResult.SWALLOWED


def test_an_answer_of_nothing_is_not_a_swallowed_one(setup: Callable[..., Setup]) -> None:
    it = setup(completion(""))
    it.post()

    assert it.record().result is RequestResult.ANSWERED


def test_tokens_of_reasoning_without_its_text_are_a_swallowed_answer_too(
    setup: Callable[..., Setup],
) -> None:
    it = setup(completion(None, usage={"completion_tokens_details": {"reasoning_tokens": 5}}))
    it.post()

    assert it.record().result is RequestResult.SWALLOWED
    assert it.record().reasoning_tokens == 5


@pytest.mark.parametrize(
    ("reasoning", "content", "thought"),
    [("strip", "ls", None), ("keep", "<think>hm</think>\n\nls", "hm")],
)
def test_thoughts_are_kept_from_agents_where_the_profile_says_so(
    setup: Callable[..., Setup], reasoning: str, content: str, thought: str | None
) -> None:
    said = completion("<think>hm</think>\n\nls", message={"reasoning": "hm"})
    it = setup(said, reasoning=reasoning)

    message = it.post().json()["choices"][0]["message"]

    assert message["content"] == content
    assert message.get("reasoning") == thought


def test_a_streams_usage_is_read_and_left_out_for_agents_that_did_not_ask_for_it(
    setup: Callable[..., Setup],
) -> None:
    it = setup(stream({"role": "assistant"}, {"content": "h"}, {"content": "i"}))

    events = events_of(it.post({**QUESTION, "stream": True}))

    assert events[-1] == "[DONE]"
    words = [e["choices"][0]["delta"].get("content", "") for e in events[:-1]]
    assert "".join(words) == "hi"
    request = it.record()
    assert (request.prompt_tokens, request.completion_tokens) == (10, 5)
    assert request.first_token_s is not None
    assert it.upstream.asked[0]["stream_options"] == {"include_usage": True}


def test_an_agent_that_asks_for_a_streams_usage_gets_it(setup: Callable[..., Setup]) -> None:
    it = setup(stream({"content": "hi"}))
    asked = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}

    assert events_of(it.post(asked))[-2]["usage"]["prompt_tokens"] == 10


def test_thoughts_are_stripped_from_a_stream_and_the_rest_comes_with_its_end(
    setup: Callable[..., Setup],
) -> None:
    pieces = ["<thi", "nk>so", " what</think", ">\n\n", "l", "s <think>"]
    it = setup(
        stream({"reasoning": "hm"}, *({"content": piece} for piece in pieces)), reasoning="strip"
    )

    events = events_of(it.post({**QUESTION, "stream": True}))

    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert "".join(d.get("content", "") for d in deltas).strip() == "ls <think>"
    assert not any("reasoning" in delta for delta in deltas)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (["a", "b"], "ab"),
        ([{"type": "text", "text": "a"}], "a"),
        ({"type": "text", "text": "a"}, "a"),
        (5, "5"),
        (False, "false"),
        ("a\ud83d\0", "a\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_whatever_a_model_says_is_an_answer_of_its_server(
    setup: Callable[..., Setup], content: Any, text: str, streamed: bool
) -> None:
    it = setup(stream({"content": content}) if streamed else completion(content))

    response = it.post({**QUESTION, "stream": streamed})

    if streamed:
        deltas = [event["choices"][0]["delta"] for event in events_of(response)[:-1]]
        assert "".join(delta.get("content", "") for delta in deltas) == text
    else:
        assert response.json()["choices"][0]["message"]["content"] == text
    assert (it.record().result, it.record().retries) == (RequestResult.ANSWERED, 0)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (rb"a \ud83d \u0000 b", "a \ufffd \ufffd b"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\\ud83d", "\\ud83d"),
        (b"\xed\xa0\xbd", "\ufffd"),
        ("größer 😀".encode(), "größer 😀"),
    ],
)
def test_a_question_reaches_the_server_in_characters(
    setup: Callable[..., Setup], raw: bytes, said: str
) -> None:
    it = setup()
    httpx.post(
        f"{it.gateway.base_url()}/chat/completions",
        content=b'{"messages": [{"role": "user", "content": "%s"}]}' % raw,
        headers={"Authorization": f"Bearer {it.gateway.token}"},
    )

    assert it.upstream.asked[0]["messages"][0]["content"] == said


def test_a_swallowed_stream_is_recognised(setup: Callable[..., Setup]) -> None:
    it = setup(stream({"reasoning": "hm"}))
    it.post({**QUESTION, "stream": True})

    assert it.record().result is RequestResult.SWALLOWED


@pytest.mark.parametrize(
    "problem",
    [
        error(500, "crashed"),
        Reply(200, [b'data: {"error": {"message": "EngineCore", "code": 500}}\n\n']),
        Reply(200, [b'data: {"error": {"message": "The engine is busy", "code": 503}}\n\n']),
        stream(ends=False),
    ],
    ids=["500", "an error as the first event", "busy as the first event", "nothing"],
)
def test_a_stream_that_has_not_begun_is_tried_again(
    setup: Callable[..., Setup], problem: Reply
) -> None:
    it = setup(problem, stream({"content": "hi"}))

    assert events_of(it.post({**QUESTION, "stream": True}))[-1] == "[DONE]"
    assert it.record().retries == 1


DYING = [
    b'data: {"choices": [{"index": 0, "delta": {"content": "h"}}]}\n\n',
    b'data: {"error": {"message": "EngineCore encountered an issue", "code": 500}}\n\n',
    b"data: [DONE]\n\n",
]


@pytest.mark.parametrize(
    "broken",
    [stream({"content": "h"}, ends=False), Reply(200, DYING, "text/event-stream")],
    ids=["breaks off", "ends with an error and [DONE]"],
)
def test_a_stream_that_breaks_off_in_the_middle_says_so_and_is_no_answer(
    setup: Callable[..., Setup], broken: Reply
) -> None:
    it = setup(broken)

    events = events_of(it.post({**QUESTION, "stream": True}))

    assert events[-1]["error"]["type"] == "request_failed"
    request = it.record()
    assert request.result is RequestResult.FAILED
    assert len(it.upstream.asked) == 1


def test_an_agent_that_hangs_up_lets_go_of_the_server(setup: Callable[..., Setup]) -> None:
    it = setup(completion("x" * 10**7, after_s=1.0))
    headers = {"Authorization": f"Bearer {it.gateway.token}"}
    url = f"{it.gateway.base_url()}/chat/completions"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=QUESTION, headers=headers, timeout=0.3)

    assert it.record().result is RequestResult.ABANDONED
    assert it.upstream.hung_up.wait(10)


def test_a_rollout_that_is_over_lets_go_of_what_it_asked_and_may_ask_no_more(
    setup: Callable[..., Setup],
) -> None:
    it = setup(completion(after_s=20))
    failed: list[Exception] = []

    def ask() -> None:
        try:
            it.post(rollout="r")
        except httpx.HTTPError as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not it.upstream.asked:
        time.sleep(0.01)
    headers = {"Authorization": f"Bearer {it.gateway.token}"}
    httpx.delete(f"{it.gateway.root_url}/r/r1:r:1", headers=headers)
    asking.join(10)

    assert failed
    assert it.record().result is RequestResult.ABANDONED
    assert it.post(rollout="r").status_code == 410


def test_rollouts_go_to_another_server_where_theirs_is_gone_and_stay_there(
    setup: Callable[..., Setup],
) -> None:
    it = setup(servers=2)
    it.upstream.stop()

    for turn in range(3):
        body = {"messages": [{"role": "user", "content": f"turn {turn}"}]}
        assert it.post(body, rollout="r").status_code == 200

    assert len(it.upstreams[1].asked) == 3
    (away,) = it.gateway.said(Availability)
    assert not away.down
    it.upstream.start_again()


METRICS = """\
vllm:num_requests_running{{engine="0"}} 2.0
vllm:num_requests_waiting{{engine="0"}} 1.0
vllm:kv_cache_usage_perc{{engine="0"}} 0.5
vllm:prefix_cache_queries_total{{engine="0"}} {n}00.0
vllm:prefix_cache_hits_total{{engine="0"}} {n}0.0
vllm:generation_tokens_total{{engine="0"}} {n}7.0
"""


def test_samples_tell_what_agents_and_servers_did(setup: Callable[..., Setup]) -> None:
    it = setup()
    it.upstream.metrics = METRICS.format(n=1)
    it.gateway.wait_for(Sampled, 2)
    it.upstream.metrics = METRICS.format(n=3)
    it.post(rollout="r")
    it.post(rollout="r")
    time.sleep(0.5)

    samples = [message.sample for message in it.gateway.said(Sampled)]
    assert sum(s.answers for s in samples) == 2
    assert sum(s.completion_tokens for s in samples) == 10
    assert sum(s.grown_tokens for s in samples) == 15 + 0, "the same conversation, no longer"
    servers = [s.server for s in samples if s.server is not None]
    assert sum(s.prefix_queries for s in servers) == 200
    assert servers[-1].kv_usage == 0.5
    assert servers[-1].waiting == 1


def test_a_server_without_such_metrics_gives_none(setup: Callable[..., Setup]) -> None:
    it = setup()

    assert it.gateway.wait_for(Sampled)[0].sample.server is None


def test_the_gateways_own_metrics_are_there_for_prometheus(setup: Callable[..., Setup]) -> None:
    it = setup(completion(), error(400, "no"))
    it.post()
    it.post()

    text = it.get("/metrics").text
    assert 'gateway_requests_total{result="answered"} 1.0' in text
    assert 'gateway_requests_total{result="refused"} 1.0' in text
    assert 'gateway_tokens_total{kind="completion"} 5.0' in text
    assert f'gateway_server_up{{server="{it.upstream.base_url}"}} 1.0' in text


def test_the_servers_models_are_shown(setup: Callable[..., Setup]) -> None:
    assert setup().get("/r/r1:an-instance:1/v1/models").json() == {"data": []}


def test_no_server_has_no_models(setup: Callable[..., Setup]) -> None:
    it = setup()
    it.upstream.stop()

    assert it.get("/r/r1:an-instance:1/v1/models").status_code == 503
    it.upstream.start_again()
