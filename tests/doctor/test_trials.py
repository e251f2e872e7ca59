"""How a server is asked for the doctor's sake, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.fake_model import Reply, completion, error
from support.local_gateway import model_at
from support.tried_server import TriedServer

from orchestrator.doctor import trials
from orchestrator.doctor.trials import LONG_CHARS, SPEED_TOKENS, ServerBusy, ServerSlow, Trial
from orchestrator.endpoint.servers import Serving
from orchestrator.errors import PrerequisiteError

SAMPLING = {"temperature": 0.6, "max_tokens": 8192}


@pytest.fixture
def server() -> Iterator[TriedServer]:
    with TriedServer() as running:
        yield running


def trial(server: TriedServer, context: int | None = 32768, **facts: object) -> Trial:
    model = model_at(
        server.base_url,
        served_name="m",
        sampling=SAMPLING,
        request_fields={"top_k": 20},
        context_length=context,
    )
    return Trial(model, Serving(server.base_url, {"server": server.kind, **facts}), "sk-1")


def test_a_server_is_asked_as_rollouts_ask_it(server: TriedServer) -> None:
    with trial(server) as asked:
        asked.speed()

    one, many = server.asked
    assert (one["max_tokens"], many["max_tokens"]) == (1, SPEED_TOKENS)
    assert many["ignore_eos"] is True
    assert all(q["top_k"] == 20 and q["temperature"] == 0.6 for q in server.asked)
    assert server.headers[0]["Authorization"] == "Bearer sk-1"


def test_a_long_prompt_is_the_same_twice_and_another_one_each_time(server: TriedServer) -> None:
    with trial(server) as asked:
        asked.long_prompt()
        asked.long_prompt()

    prompts = [q["messages"][0]["content"] for q in server.asked]
    assert prompts[0] == prompts[1] != prompts[2] == prompts[3]
    assert prompts[0][:20] != prompts[2][:20], "what one has cached, the other does not find"
    assert len(prompts[0]) == LONG_CHARS


@pytest.mark.parametrize(
    ("of_server", "of_profile", "chars"),
    [(8192, 131072, 4096), (131072, 8192, 4096), (None, None, LONG_CHARS), (4096, None, 2048)],
)
def test_a_long_prompt_fits_at_a_character_a_token(
    of_server: int | None, of_profile: int | None, chars: int, server: TriedServer
) -> None:
    facts = {} if of_server is None else {"context_length": of_server}
    with trial(server, of_profile, **facts) as asked:
        asked.long_prompt()

    assert len(server.asked[0]["messages"][0]["content"]) == chars


@pytest.mark.parametrize(
    ("more", "cached"),
    [
        ({"usage": {"prompt_tokens_details": {"cached_tokens": 2048}}}, 2048),
        ({"usage": {"prompt_tokens_details": {"cached_tokens": 0}}}, 0),
        ({"usage": {"prompt_tokens_details": None}}, None),
        ({"timings": {"cache_n": 1024, "prompt_n": 7}}, 1024),
        ({"timings": "fast"}, None),
        ({"timings": {"cache_n": "many"}}, None),
        ({}, None),
    ],
)
def test_cached_tokens_are_read_as_servers_say_them(
    more: dict[str, object], cached: int | None, server: TriedServer
) -> None:
    body = json.loads(completion().chunks[0])
    body["usage"] |= more.pop("usage", {})
    server.otherwise = lambda: Reply(chunks=[json.dumps(body | more).encode()])

    with trial(server) as asked:
        assert asked.ask("hi", 1).cached_tokens == cached


@pytest.mark.parametrize(
    ("reply", "raises", "says"),
    [
        (error(503, "full"), ServerBusy, ""),
        (error(429, "full"), ServerBusy, ""),
        (error(500, "CUDA error"), PrerequisiteError, "HTTP 500: CUDA error"),
        (error(400, "maximum context length is 9"), PrerequisiteError, "--max-model-len 32768"),
        (Reply(chunks=[b"<html>"]), PrerequisiteError, "no JSON object"),
        (Reply(chunks=[b"{}"]), PrerequisiteError, "no choices"),
        (Reply(chunks=[b"{"], breaks_off=True), PrerequisiteError, "does not complete a chat"),
        (completion(after_s=5), ServerSlow, ""),
    ],
)
def test_an_answer_that_does_not_come_is_told_by_what_kept_it_away(
    reply: Reply,
    raises: type[Exception],
    says: str,
    server: TriedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trials, "ANSWER_TIMEOUT_S", 0.5)
    server.otherwise = lambda: reply

    with trial(server) as asked, pytest.raises(raises, match=says or None):
        asked.ask("hi", 1)


def test_an_upload_costs_the_server_no_answer(server: TriedServer) -> None:
    with trial(server) as asked:
        sent = asked.upload()

    assert 0 < sent.seconds < 30
    assert not sent.is_too_large
    assert server.asked == []


def test_a_server_that_is_gone_has_no_clock_and_no_metrics(server: TriedServer) -> None:
    with trial(server) as asked:
        assert asked.clock_ahead_s() == pytest.approx(0, abs=3)
        assert asked.metrics() is not None
        server.stop()
        assert asked.clock_ahead_s() is None
        assert asked.metrics() is None
        server.start_again()
