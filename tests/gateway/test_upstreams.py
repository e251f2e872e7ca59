"""One attempt at a server: what is an answer, what is lost, and what is only busy."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_model import EVENT_STREAM, FakeModelServer, Reply, completion, error, stream
from support.fake_proxy import FakeProxy
from support.local_gateway import model_at

from orchestrator.endpoint.answers import read_json
from orchestrator.gateway.events import event_data, stream_error
from orchestrator.gateway.replies import StreamTally, make_reply, too_long_answer
from orchestrator.gateway.upstreams import (
    Busy,
    EventStream,
    Lost,
    UpstreamAnswer,
    Upstreams,
    answer_of,
    answer_of_error,
)
from orchestrator.types import RequestResult

BODY = b'{"messages": [{"role": "user", "content": "a question"}]}'


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


def call(server: FakeModelServer, what: Callable[[Upstreams, str], Awaitable[Any]]) -> Any:
    async def play() -> Any:
        async with Upstreams(model_at(server.base_url)) as upstreams:
            return await what(upstreams, server.base_url)

    return asyncio.run(play())


def ask(server: FakeModelServer, reply: Reply) -> Any:
    server.script = [reply]
    return call(server, lambda upstreams, url: upstreams.ask(url, BODY))


def streamed(server: FakeModelServer, reply: Reply) -> Any:
    """The events of a stream, or the answer in its place."""
    server.script = [reply]

    async def read(upstreams: Upstreams, url: str) -> Any:
        found = await upstreams.stream(url, BODY)
        if not isinstance(found, EventStream):
            return found
        try:
            return [event async for event in found.events()]
        finally:
            found.close()

    return call(server, read)


@pytest.mark.parametrize(("reply", "status"), [(completion(), 200), (error(404, "no model"), 404)])
def test_a_completion_and_a_refusal_are_answers(
    server: FakeModelServer, reply: Reply, status: int
) -> None:
    found = ask(server, reply)

    assert (found.status, found.body) == (status, b"".join(reply.chunks))
    assert streamed(server, error(404, "no model")).status == 404


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_not_lost(server: FakeModelServer, status: int) -> None:
    with pytest.raises(Busy, match=f"HTTP {status}: later"):
        ask(server, error(status, "later"))
    with pytest.raises(Busy):
        streamed(server, Reply(200, [b'data: {"error": {"code": 503}}\n\n'], EVENT_STREAM))


@pytest.mark.parametrize(
    "reply",
    [
        error(500, "crashed"),
        error(408, "slow"),
        Reply(302),
        Reply(200, [b"<html>"]),
        completion(breaks_off=True),
    ],
)
def test_everything_else_is_lost(server: FakeModelServer, reply: Reply) -> None:
    with pytest.raises(Lost):
        ask(server, reply)


def test_a_server_that_does_not_listen_is_lost(server: FakeModelServer) -> None:
    server.stop()
    with pytest.raises(Lost, match="Connection refused: nothing listens at 127"):
        ask(server, completion())
    server.start_again()


def test_events_come_one_by_one_however_they_were_cut(server: FakeModelServer) -> None:
    whole = b'data: {"choices": []}\n\n: ping\r\n\r\ndata: [DONE]\n\n'
    cut = Reply(200, [whole[:9], whole[9:30], whole[30:]], EVENT_STREAM)

    assert streamed(server, cut) == [
        b'data: {"choices": []}\n\n',
        b": ping\n\n",
        b"data: [DONE]\n\n",
    ]


@pytest.mark.parametrize(
    "reply",
    [
        stream({"content": "x"}, ends=False),
        Reply(200, [], EVENT_STREAM),
        Reply(200, [b"<html>"], EVENT_STREAM),
        Reply(200, [b'data: {"error": {"message": "EngineCore", "code": 500}}\n\n'], EVENT_STREAM),
    ],
    ids=["breaks off", "nothing", "a page", "an error"],
)
def test_a_stream_that_comes_to_nothing_is_lost(server: FakeModelServer, reply: Reply) -> None:
    with pytest.raises(Lost):
        streamed(server, reply)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (completion(), ""),
        (error(500, "crashed"), "HTTP 500"),
        (Reply(200, [b"<html>"]), "the answer is no JSON object"),
    ],
)
def test_a_probe_asks_for_one_real_token(
    server: FakeModelServer, reply: Reply, problem: str
) -> None:
    server.probe = lambda: reply

    probed = call(server, lambda upstreams, url: upstreams.probe(url))

    assert (probed.problem, probed.is_clear) == (problem, problem != "HTTP 503")
    assert server.probes == 1


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_server_behind_a_proxy_is_asked_through_it(
    server: FakeModelServer, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProxy(urlsplit(server.base_url).port or 0) as proxy:
        monkeypatch.setenv("http_proxy", f"{scheme}://{proxy.place}")
        monkeypatch.delenv("no_proxy", raising=False)

        assert asyncio.run(_ask_through_proxy()).status == 200
        assert {word.partition(" ")[2] for word in proxy.asked} == {"gpu:8000"}
        server.probe = lambda: error(500, "crashed")
        assert asyncio.run(_probe_through_proxy()).endswith(
            f"HTTP 500 through the proxy {scheme}://{proxy.place} of http_proxy"
        )


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (b"200 OK", Lost, "no JSON object"),
        (b"301 Moved\r\nLocation: http://login/", Lost, "HTTP 301 to http://login/"),
        (b"407 Who Are You", Lost, "wants a login"),
        (b"503 Try Later", Busy, "HTTP 503"),
    ],
)
def test_what_a_proxy_says_in_a_servers_place_is_no_answer(
    status: bytes, kind: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = b"HTTP/1.1 " + status + b"\r\nContent-Length: 12\r\n\r\n<html>log in"
    with FakeProxy(answer=page) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.place)
        for name in ("http_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

        with pytest.raises(kind, match=rf"{says}.* through the proxy http://{proxy.place} of HTTP"):
            asyncio.run(_ask_through_proxy())


async def _ask_through_proxy() -> Any:
    async with Upstreams(model_at("http://gpu:8000/v1")) as upstreams:
        return await upstreams.ask("http://gpu:8000/v1", BODY)


async def _probe_through_proxy() -> str:
    async with Upstreams(model_at("http://gpu:8000/v1")) as upstreams:
        return (await upstreams.probe("http://gpu:8000/v1")).problem


def test_metrics_are_read_where_there_are_any(server: FakeModelServer) -> None:
    def metrics() -> Any:
        return call(server, lambda upstreams, url: upstreams.metrics(url))

    assert metrics() is None
    server.metrics = "vllm:num_requests_running 3.0\n"
    assert metrics().running == 3.0


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a": 1}\n\n', {"a": 1}),
        (b'event: x\ndata: {"a":\ndata: 1}\n\n', {"a": 1}),
        (b"data: [DONE]\n\n", None),
        (b": ping\n\n", None),
    ],
)
def test_an_event_is_read(event: bytes, data: object) -> None:
    assert read_json(event_data(event))[0] == data


def test_the_word_error_in_an_answer_is_no_error() -> None:
    said = b'data: {"choices": [{"delta": {"content": "\\"error\\""}}]}\n\n'

    assert stream_error(said) is None
    error = stream_error(b'data: {"error": {"message": "dead"}}\n\n')
    assert error is not None
    assert answer_of_error(error).words == "dead"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "message": JSON | st.fixed_dictionaries({"content": JSON}, optional={"tool_calls": JSON}),
        "delta": JSON | st.fixed_dictionaries({}, optional={"content": JSON, "reasoning": JSON}),
        "finish_reason": JSON | st.sampled_from(["stop", "length", "abort"]),
    },
)
ANY_ERROR = JSON | st.fixed_dictionaries({}, optional={"message": JSON, "code": JSON, "type": JSON})
ANYTHING_SAID = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON | st.lists(CHOICE | JSON, max_size=2),
        "error": ANY_ERROR,
        "usage": JSON | st.fixed_dictionaries({"prompt_tokens": JSON}),
    },
)
ANY_BODY = st.binary() | (ANYTHING_SAID | JSON).map(lambda said: json.dumps(said).encode())


@pytest.mark.fuzz
@given(st.integers(200, 599), ANY_BODY)
def test_whatever_a_server_says_is_an_answer_a_refusal_or_a_loss(status: int, body: bytes) -> None:
    try:
        answer = answer_of(status, body)
    except (Lost, Busy) as nothing:
        answer = nothing.answer or UpstreamAnswer(502, body, None)
    for strip in (False, True):
        reply = make_reply(copy.deepcopy(answer), strip)
        assert (reply.status == 200) == (answer.status == 200)
    assert too_long_answer(answer).says_too_long == "yes"


@pytest.mark.fuzz
@given(st.lists(ANY_BODY | st.just(b"[DONE]"), max_size=6), st.booleans())
def test_whatever_a_stream_says_passes_or_ends_it(bodies: list[bytes], strip: bool) -> None:
    tally = StreamTally(strip, usage_was_asked=False)
    for body in bodies:
        event = b"data: " + body + b"\n\n"
        if (said := stream_error(event)) is not None:
            assert 400 <= answer_of_error(said).status < 600
        assert isinstance(tally.take(event), bytes)
    assert tally.result in RequestResult
