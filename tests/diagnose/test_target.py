"""The server that is diagnosed, over HTTP: asked as agents ask, and never a traceback."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.fake_model import FakeModelServer, Reply, completion, error

from orchestrator.config.schema import Endpoint, Model, Sampling
from orchestrator.diagnose.judge import Answered, Kind, judge
from orchestrator.diagnose.target import DiagnosedServer, require_target
from orchestrator.diagnose.tasks import probe_text
from orchestrator.errors import PrerequisiteError
from orchestrator.scripted.protocols import Protocol

MESSAGES = [{"role": "user", "content": "hello"}]


def models(**facts: Any) -> dict[str, str]:
    return {"/v1/models": json.dumps({"data": [{"id": "m", **facts}]})}


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer(pages=models(max_model_len=8192)) as running:
        yield running


def model_at(server: FakeModelServer, **settings: Any) -> Model:
    return Model(
        name="m", served_name="m", endpoint=Endpoint(base_url=f"{server.base_url}/"), **settings
    )


@pytest.fixture
def ask(server: FakeModelServer) -> Iterator[Callable[..., Answered]]:
    """One question to the server: `ask(seconds=5)`."""
    with require_target(model_at(server), "a-key") as target:

        def once(seconds: float = 30, stopped: bool = False) -> Answered:
            body = target.body(MESSAGES, None, 100)
            return target.ask(body, time.monotonic() + seconds, lambda: stopped)

        yield once


def test_a_request_is_an_agents_with_the_profiles_fields(server: FakeModelServer) -> None:
    fields = {"chat_template_kwargs": {"enable_thinking": False}}
    model = model_at(server, sampling=Sampling(temperature=0.2), request_fields=fields)
    tools = [{"type": "function", "function": {"name": "bash"}}]
    with require_target(model, "a-key") as target:
        target.ask(target.body(MESSAGES, tools, 100), time.monotonic() + 30, lambda: False)

    assert server.asked[-1] == {
        "messages": MESSAGES,
        "tools": tools,
        "max_tokens": 100,
        "temperature": 0.2,
        "model": "m",
        **fields,
    }
    assert server.headers[-1]["Authorization"] == "Bearer a-key"


def test_the_profiles_own_limit_of_tokens_has_the_last_word(server: FakeModelServer) -> None:
    with require_target(model_at(server, sampling=Sampling(max_tokens=700)), "") as target:
        assert target.body(MESSAGES, None, 100)["max_tokens"] == 700
        assert "tools" not in target.body(MESSAGES, None, 100)


@pytest.mark.parametrize(
    ("served", "said", "context"),
    [(8192, None, 8192), (8192, 4096, 4096), (None, 16384, 16384), (None, None, 32768)],
)
def test_the_context_is_the_servers_or_the_profiles_whichever_is_less(
    served: int | None, said: int | None, context: int
) -> None:
    with (
        FakeModelServer(pages=models(max_model_len=served)) as server,
        require_target(model_at(server, context_length=said), "") as target,
    ):
        assert target.context == context


def _measured(usage: dict[str, Any]) -> DiagnosedServer:
    def reply() -> Reply:
        return completion(usage=usage)

    with (
        FakeModelServer(pages=models(), otherwise=reply) as server,
        require_target(model_at(server), "") as target,
    ):
        return target


def test_what_a_token_holds_is_measured_where_the_server_counts() -> None:
    assert _measured({"prompt_tokens": 1000}).chars_per_token == len(probe_text()) / 1000
    assert _measured({"prompt_tokens": None}).chars_per_token == 3.5


@pytest.mark.slow
def test_a_server_that_is_too_busy_is_asked_again(
    ask: Callable[..., Answered], server: FakeModelServer
) -> None:
    server.script = [error(503, "full"), error(429, "slow down"), completion("there")]

    exchange = ask()

    assert exchange.answer["choices"][0]["message"]["content"] == "there"


def test_a_connection_that_is_closed_is_opened_again(
    ask: Callable[..., Answered], server: FakeModelServer
) -> None:
    """vLLM closes those that were idle for five seconds, as good as at the next request."""
    server.script = [Reply(200, [b""], breaks_off=True), completion("there")]

    assert ask().answer["choices"][0]["message"]["content"] == "there"


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"seconds": 0.6}, {"stopped": True}])
def test_it_is_not_asked_for_ever(
    how: dict[str, Any], ask: Callable[..., Answered], server: FakeModelServer
) -> None:
    server.otherwise = lambda: error(503, "full")

    assert judge(ask(**how), Protocol.CALLS, []).kind is Kind.NO_ANSWER


DEEP = "[" * 900 + "]" * 900
ODD = {
    "a page": Reply(200, [b"<html>Log in</html>"], content_type="text/html"),
    "nothing": Reply(200, [b""]),
    "half an answer": Reply(200, [b'{"choices": [{"mess'], breaks_off=True),
    "deep nesting": Reply(200, [f'{{"choices": [{{"message": {DEEP}}}]}}'.encode()]),
    "deeper nesting": Reply(200, [b"[" * 99999]),
    "a redirection": Reply(302, [b"moved"]),
    "a failure in words": Reply(502, [b"<h1>Bad gateway</h1>\x1b[2J"]),
    "a list": Reply(200, [b"[1, 2]"]),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_answer_is_an_outage_in_words(
    name: str, ask: Callable[..., Answered], server: FakeModelServer
) -> None:
    server.otherwise = lambda: ODD[name]

    found = judge(ask(), Protocol.CALLS, [])

    assert found.kind is Kind.NO_ANSWER
    assert found.detail
    assert found.detail.isprintable()


def test_a_server_that_is_killed_is_an_outage(
    ask: Callable[..., Answered], server: FakeModelServer
) -> None:
    server.stop()

    found = judge(ask(), Protocol.CALLS, [])
    server.start_again()

    assert found.kind is Kind.NO_ANSWER
    assert "refused" in found.detail


def test_a_server_is_alive_while_it_answers_a_short_question(
    server: FakeModelServer,
) -> None:
    with require_target(model_at(server), "") as target:
        assert target.is_alive()
        server.probe = lambda: error(500, "dead")
        assert not target.is_alive()

    assert server.probes == 2


def test_a_server_that_completes_no_chat_is_a_prerequisite(server: FakeModelServer) -> None:
    server.otherwise = lambda: error(500, "EngineDeadError")

    with pytest.raises(PrerequisiteError, match="does not complete a chat"):
        require_target(model_at(server), "")
