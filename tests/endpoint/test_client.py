"""The chat client against the scripted endpoint: what is waited out, and what comes back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.config.schema import Endpoint, Model
from orchestrator.dataset import Dataset
from orchestrator.endpoint.client import (
    ChatClient,
    Completion,
    ContextOverflow,
    OutOfTime,
    is_answering,
    require_an_answer,
    require_endpoint,
)
from orchestrator.errors import EndpointUnavailable, PrerequisiteError, RequestRefused
from orchestrator.testing.endpoint import ScriptedEndpoint
from orchestrator.types import Instance

NOWHERE = "http://127.0.0.1:9/v1"


def model(served_name: str = "scripted", **endpoint: Any) -> Model:
    given = {"base_url": "scripted", "request_timeout_s": 10, "retry_s": 60} | endpoint
    return Model(name="m", served_name=served_name, endpoint=Endpoint(**given))


class Player:
    """Asks a scripted endpoint, for one instance with one persona, without waiting in between."""

    def __init__(self, demo: Dataset, instance: Instance) -> None:
        self._demo, self._instance = demo, instance
        self._open: list[Any] = []
        self.held: list[float] = []

    def start(self, persona: str) -> ScriptedEndpoint:
        endpoint = ScriptedEndpoint(
            self._demo.instances, self._demo.answers, {"default": persona}
        ).__enter__()
        self._open.append(lambda: endpoint.__exit__(None, None, None))
        return endpoint

    def ask(
        self, base_url: str, turn: int = 0, timeout_s: float | None = None, **settings: Any
    ) -> Completion:
        client = ChatClient(
            model(**settings),
            base_url,
            on_hold=self.held.append,
            sleep=lambda seconds: time.sleep(0.01),
        )
        self._open.append(client.close)
        messages = [{"role": "user", "content": self._instance.problem_statement}]
        for _ in range(turn):
            messages += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]
        return client.complete(messages, timeout_s)

    def close(self) -> None:
        for close in reversed(self._open):
            close()


@pytest.fixture
def player(demo: Dataset, instance: Instance) -> Iterator[Player]:
    player = Player(demo, instance)
    yield player
    player.close()


@pytest.fixture
def play(player: Player) -> Callable[..., Completion]:
    """Asks a fresh endpoint with a persona: `play("solves", turn=2)`."""
    return lambda persona, **more: player.ask(player.start(persona).base_url, **more)


def test_an_answer_comes_with_its_tokens_and_its_time(play: Callable[..., Completion]) -> None:
    answer = play("solves")

    assert "git status" in answer.content
    assert answer.finish_reason == "stop"
    assert answer.prompt_tokens > 100
    assert answer.completion_tokens > 0
    assert answer.seconds > 0
    assert not answer.swallowed


def test_an_answer_of_nothing_but_reasoning_is_swallowed(play: Callable[..., Completion]) -> None:
    answer = play("swallowed")

    assert answer.swallowed
    assert answer.content == ""


@pytest.mark.parametrize("persona", ["errors:3", "hangs_up:2", "away:0.1"])
def test_a_server_that_is_away_for_a_while_is_waited_out_and_held(
    player: Player, persona: str
) -> None:
    endpoint = player.start(persona)

    assert "git status" in player.ask(endpoint.base_url).content
    assert endpoint.requests > 1
    assert len(player.held) == endpoint.requests - 1
    assert all(seconds > 0 for seconds in player.held)


def test_a_server_that_restarts_is_waited_out(player: Player) -> None:
    endpoint = player.start("solves")
    endpoint.go_away(0.1)

    assert "git status" in player.ask(endpoint.base_url).content
    assert player.held


def test_a_server_that_stays_away_is_unavailable_after_the_time_that_it_has(
    play: Callable[..., Completion],
) -> None:
    with pytest.raises(EndpointUnavailable, match=r"stayed away for 1 s \(HTTP 500\)"):
        play("crashes_late", turn=2, retry_s=1)


def test_nothing_there_is_unavailable(player: Player) -> None:
    with pytest.raises(EndpointUnavailable, match="ConnectError"):
        player.ask(NOWHERE, retry_s=0)


def test_a_prompt_that_is_too_long_is_told_apart(player: Player) -> None:
    endpoint = player.start("overflows")

    with pytest.raises(ContextOverflow):
        player.ask(endpoint.base_url, turn=2)

    assert endpoint.requests == 1
    assert not player.held


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens.",
        '{"code": "context_length_exceeded"}',
        "the request exceeds the available context size",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "You passed 131073 input tokens. However, the model's context length is only 131072 tokens",
        "The prompt (total length 9000) is too long to fit into the model",
    ],
)
def test_servers_say_overflow_in_many_words(text: str) -> None:
    from orchestrator.endpoint.client import CONTEXT_OVERFLOW

    assert CONTEXT_OVERFLOW.search(text)


def test_a_model_that_is_not_served_comes_back_at_once(player: Player) -> None:
    with pytest.raises(RequestRefused, match=r"HTTP 404: .*`other` does not exist"):
        player.ask(player.start("solves").base_url, served_name="other")

    assert not player.held


def test_the_callers_own_time_says_nothing_of_the_server(
    play: Callable[..., Completion],
) -> None:
    with pytest.raises(OutOfTime):
        play("slow:3", timeout_s=0.15)


def test_a_server_that_takes_longer_than_it_may_is_away(play: Callable[..., Completion]) -> None:
    with pytest.raises(EndpointUnavailable, match="stayed away"):
        play("slow:3", request_timeout_s=0.15, retry_s=0, timeout_s=60)


def test_an_endpoint_answers_when_a_token_comes_back(player: Player) -> None:
    endpoint = player.start("solves")

    assert is_answering(model(), endpoint.base_url)
    assert not is_answering(model("other"), endpoint.base_url)
    endpoint.go_away(60)
    assert not is_answering(model(), endpoint.base_url)
    assert not is_answering(model(), NOWHERE)


def test_the_endpoint_says_what_it_serves(player: Player) -> None:
    facts = require_endpoint(model(), player.start("solves").base_url)

    assert facts["max_model_len"] == 32768


def test_another_model_there_is_named(player: Player) -> None:
    with pytest.raises(PrerequisiteError, match="does not serve 'other' but scripted"):
        require_endpoint(model("other"), player.start("solves").base_url)


@pytest.mark.parametrize("base_url", [NOWHERE, "http://", "no url at all", "http://a b/v1"])
def test_a_url_where_nothing_answers_says_how_to_set_it(base_url: str) -> None:
    with pytest.raises(PrerequisiteError, match=r"model\.endpoint\.base_url"):
        require_endpoint(model(), base_url)


@pytest.fixture
def web_page() -> Iterator[Callable[[str], str]]:
    """A server that answers with a page of its own, whatever it is asked: `web_page("200 OK")`."""
    servers: list[socket.socket] = []

    def serve(server: socket.socket, page: bytes) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(page)

    def start(status: str) -> str:
        page = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
        servers.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(servers[-1], page.encode()), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].getsockname()[1]}/v1"

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.mark.parametrize(
    ("status", "cure"),
    [("200 OK", "/v1"), ("404 Not Found", "/v1"), ("401 Unauthorized", "api_key_env")],
)
def test_a_server_that_is_no_api_is_a_prerequisite_with_its_cure(
    web_page: Callable[[str], str], status: str, cure: str
) -> None:
    with pytest.raises(PrerequisiteError, match=cure):
        require_endpoint(model(), web_page(status))


def test_a_page_in_place_of_an_answer_is_the_endpoints_failure_not_the_agents(
    player: Player, web_page: Callable[[str], str]
) -> None:
    with pytest.raises(EndpointUnavailable):
        player.ask(web_page("200 OK"), retry_s=0)


def test_a_server_that_answers_in_the_end_is_ready_for_the_night(player: Player) -> None:
    require_an_answer(model(), player.start("recovers").base_url)


@pytest.mark.parametrize(
    ("persona", "said"), [("swallowed", "reasoning-parser"), ("errors", "500")]
)
def test_a_server_without_a_usable_answer_is_told_before_the_night(
    player: Player, persona: str, said: str
) -> None:
    with pytest.raises(PrerequisiteError, match=said):
        require_an_answer(model(), player.start(persona).base_url)
