"""What is asked of a server before the night, and what it shows of itself."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.fake_proxy import FakeProxy
from support.local_gateway import model_at
from support.model_servers import ModelServer, Pages

from orchestrator.dataset import Dataset
from orchestrator.endpoint.serving import require_an_answer, require_endpoint, serving_facts
from orchestrator.errors import PrerequisiteError
from orchestrator.scripted.endpoint import ScriptedEndpoint

NOWHERE = "http://127.0.0.1:9/v1"
Start = Callable[[str], str]


@pytest.fixture
def start(demo: Dataset) -> Iterator[Start]:
    """The base URL of a scripted endpoint with one persona for all: `start("solves")`."""
    with ExitStack() as stack:

        def run(persona: str) -> str:
            endpoint = ScriptedEndpoint(demo.instances, demo.answers, {"default": persona})
            return stack.enter_context(endpoint).base_url

        yield run


def test_the_endpoint_says_what_it_serves(start: Start) -> None:
    base_url = start("solves")

    assert require_endpoint(model_at(base_url), base_url)["max_model_len"] == 32768


@pytest.mark.slow
def test_another_model_there_is_named(start: Start) -> None:
    with pytest.raises(PrerequisiteError, match="does not serve 'other' but scripted"):
        require_endpoint(model_at(NOWHERE, served_name="other"), start("solves"))


def test_a_server_without_any_model_says_so() -> None:
    """Ollama before its first `ollama pull`."""
    with (
        ModelServer(Pages({"/v1/models": {"data": None}})) as server,
        pytest.raises(PrerequisiteError, match="does not serve 'm' but no model at all"),
    ):
        require_endpoint(model_at(NOWHERE, served_name="m"), server.base_url)


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        (NOWHERE, "Connection refused: nothing listens at 127.0.0.1, port 9"),
        ("http://[::1]:9/v1", ""),
        ("http://no-such-host.invalid/v1", "no host of this name"),
    ],
)
def test_a_url_where_nothing_answers_says_why_and_how_to_set_it(base_url: str, says: str) -> None:
    with pytest.raises(PrerequisiteError, match=r"model\.endpoint\.base_url") as caught:
        require_endpoint(model_at(base_url), base_url)

    assert says in caught.value.what
    assert "\n" not in str(caught.value)


@pytest.fixture
def web_page() -> Iterator[Callable[..., str]]:
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

    def start(status: str, body: str = "hi") -> str:
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}"
        page = f"{head}\r\n\r\n{body}"
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
    web_page: Callable[..., str], status: str, cure: str
) -> None:
    with pytest.raises(PrerequisiteError, match=cure):
        require_endpoint(model_at(NOWHERE), web_page(status))


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary Redirect", "308 For Good"])
def test_a_server_that_has_moved_says_where_to(web_page: Callable[..., str], status: str) -> None:
    moved = web_page(f"{status}\r\nLocation: https://gpu:8000/v1/models")
    words = f"HTTP {status[:3]} to https://gpu:8000/v1/models"

    with pytest.raises(PrerequisiteError, match=rf"{words}\. .* at https://gpu:8000/v1: "):
        require_endpoint(model_at(NOWHERE), moved)
    with pytest.raises(PrerequisiteError, match=words):
        require_an_answer(model_at(NOWHERE), moved)


def test_a_redirect_to_a_path_alone_names_the_whole_address(web_page: Callable[..., str]) -> None:
    moved = web_page("307 Temporary Redirect\r\nLocation: /api/v1/models")

    with pytest.raises(PrerequisiteError, match=r"at http://127\.0\.0\.1:\d+/api/v1: "):
        require_endpoint(model_at(NOWHERE), moved)


def test_http_to_a_port_that_wants_https_is_told_so(web_page: Callable[..., str]) -> None:
    page = web_page("400 Bad Request", "The plain HTTP request was sent to HTTPS port")

    with pytest.raises(PrerequisiteError, match="write https:// in the base_url"):
        require_endpoint(model_at(NOWHERE), page)


PAGES = [
    (b"200 OK", "not an OpenAI-compatible answer", "does not complete a chat"),
    (b"503 Service Unavailable", "answers HTTP 503", "HTTP 503: <html>log in"),
    (b"407 Who Are You", "wants a login", "wants a login"),
    (b"502 Bad Gateway", "answers HTTP 502", "HTTP 502"),
]


@pytest.mark.parametrize(("status", "of_models", "of_chat"), PAGES)
def test_what_a_proxy_says_in_a_servers_place_names_the_proxy(
    status: bytes, of_models: str, of_chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = b"HTTP/1.1 " + status + b"\r\nContent-Length: 12\r\n\r\n<html>log in"
    gpu = "http://gpu:8000/v1"
    with FakeProxy(answer=page) as proxy:
        monkeypatch.setenv("http_proxy", proxy.place)
        monkeypatch.delenv("no_proxy", raising=False)
        for ask, says in ((require_endpoint, of_models), (require_an_answer, of_chat)):
            with pytest.raises(PrerequisiteError, match=says) as caught:
                ask(model_at(gpu), gpu)
            assert f"through the proxy http://{proxy.place} of http_proxy" in caught.value.what
            assert "\n" not in str(caught.value)


def test_a_server_that_answers_is_ready_for_the_night(start: Start) -> None:
    base_url = start("solves")
    seen = require_an_answer(model_at(base_url), base_url)

    assert seen["thinking"] == "off"
    assert "git status" in seen["answer"]


@pytest.mark.parametrize(
    ("persona", "said"),
    [
        ("swallowed", "reasoning-parser"),
        ("errors:9", "HTTP 500"),
        ("hangs_up:9", "complete a chat"),
    ],
)
def test_a_server_without_a_usable_answer_is_reported_before_the_night(
    start: Start, persona: str, said: str
) -> None:
    base_url = start(persona)
    with pytest.raises(PrerequisiteError, match=said):
        require_an_answer(model_at(base_url), base_url)


def completion(message: dict[str, Any], finish_reason: str = "stop") -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish_reason}]})


@pytest.mark.parametrize(
    ("answer", "thinking"),
    [
        (completion({"content": "391"}), "off"),
        (completion({"content": "17 * 23 ...\n</think>\n391"}), "on"),
        (completion({"content": "391", "reasoning": "Well"}), "on"),
        (completion({"content": None, "reasoning": "Well, 17"}, "length"), "on"),
    ],
)
def test_the_canary_says_whether_the_model_thinks(
    web_page: Callable[..., str], answer: str, thinking: str
) -> None:
    base_url = web_page("200 OK", answer)

    assert require_an_answer(model_at(base_url), base_url)["thinking"] == thinking


@pytest.mark.slow
def test_a_server_that_shows_nothing_of_itself_has_no_facts(start: Start) -> None:
    assert serving_facts(start("solves")) == {}
    assert serving_facts(NOWHERE) == {}
