"""What registries answer is bounded, followed with care, and told in one line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from support.registries import Asked, FakeServer, Reply

from orchestrator.images import registry_answers
from orchestrator.images.pulls import PullFailed, PullProblem
from orchestrator.images.registry_answers import (
    Connections,
    RegistryAnswer,
    failure_of,
    read_answer,
    retry_after_s,
)

NOON = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "37"}, 37.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 21 Sep 2026 16:14:20 +0200"}, 60.0),
        ({"retry-after": "999999999999999999999"}, 24 * 3600.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": ""}, None),
        ({"x-retry-after": "1790000025"}, 25.0),
        ({"x-retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_a_registry_asks_to_wait_is_read(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after_s(headers, NOON) == wait


@pytest.mark.parametrize(
    ("status", "body", "problem", "says"),
    [
        (429, b"", PullProblem.QUOTA, "HTTP 429"),
        (
            429,
            b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your limit"}]}',
            PullProblem.QUOTA,
            "You have reached your limit",
        ),
        (403, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}', PullProblem.QUOTA, "TOOMANYREQUESTS"),
        (404, b'{"errors":[{"message":"manifest unknown"}]}', PullProblem.REFUSED, "unknown"),
        (401, b"denied", PullProblem.REFUSED, "denied"),
        (400, b"[]", PullProblem.REFUSED, "HTTP 400"),
        (404, b"<html>nothing here</html>", PullProblem.REFUSED, "HTTP 404"),
        (502, b"", PullProblem.AWAY, "HTTP 502"),
        (503, b"\xff\xfe", PullProblem.AWAY, "HTTP 503"),
        (500, b"[" * 100_000, PullProblem.AWAY, "HTTP 500"),
        (408, b'{"errors":[]}', PullProblem.AWAY, "HTTP 408"),
    ],
)
def test_a_refusal_is_told_by_what_mends_it(
    status: int, body: bytes, problem: PullProblem, says: str
) -> None:
    failure = failure_of(RegistryAnswer(status, {"retry-after": "60"}, body), "ghcr.io")

    assert failure.problem is problem
    assert failure.retry_after_s == 60
    assert failure.detail.startswith("ghcr.io: ")
    assert says in failure.detail
    assert "\n" not in failure.detail
    assert "<" not in failure.detail


def test_a_login_is_not_sent_on_to_another_host() -> None:
    """Blobs lie at hosts of others."""
    with FakeServer(lambda _: Reply(body=b"blob")) as other:
        places = {"/a": f"{other.url}/b", "/same": "/there"}

        def answer(asked: Asked) -> Reply:
            place = places.get(asked.path)
            return Reply(307, headers={"Location": place}) if place else Reply(body=b"here")

        with FakeServer(answer) as server, Connections() as connections:
            shown = {"Authorization": "Bearer secret"}
            assert connections.ask("GET", f"{server.url}/a", shown).body == b"blob"
            assert connections.ask("GET", f"{server.url}/same", shown).body == b"here"

    assert "authorization" not in other.asked[0].headers
    assert server.asked[-1].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    "location", ["/again", "ftp://elsewhere/a", "file:///etc/passwd", "//[::1"]
)
def test_a_redirect_that_leads_nowhere_is_one_line(location: str) -> None:
    with (
        FakeServer(lambda _: Reply(302, headers={"Location": location})) as server,
        Connections() as connections,
        pytest.raises(PullFailed) as caught,
    ):
        connections.ask("GET", f"{server.url}/again", {})

    assert caught.value.failure.problem is PullProblem.AWAY
    assert len(server.asked) <= registry_answers.MAX_REDIRECTS + 1


def test_an_answer_without_end_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_answers, "MAX_BODY", 1000)
    with (
        FakeServer(lambda _: Reply(body=b"x" * 1001)) as server,
        Connections() as connections,
        pytest.raises(PullFailed, match="more than 1000 bytes"),
    ):
        connections.ask("GET", server.url, {})


def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_answers, "ANSWER_S", 0.05)

    def trickle() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.01)
            yield b"x"

    response = httpx.Response(200, content=trickle(), request=httpx.Request("GET", "http://r/v2/"))

    with pytest.raises(PullFailed, match="r does not finish its answer within"):
        read_answer(response)


def test_an_answer_that_breaks_off_is_none() -> None:
    with (
        FakeServer(lambda _: Reply(body=b"x" * 1000, cut_to=10)) as server,
        Connections() as connections,
        pytest.raises(PullFailed) as caught,
    ):
        connections.ask("GET", server.url, {})

    assert caught.value.failure.problem is PullProblem.AWAY


def test_a_registry_that_is_not_there_is_away_with_the_systems_words() -> None:
    with FakeServer(lambda _: Reply()) as server:
        gone = server.url
    with Connections() as connections, pytest.raises(PullFailed) as caught:
        connections.ask("GET", gone, {})

    assert caught.value.failure.problem is PullProblem.AWAY
    assert "Connection refused" in caught.value.failure.detail


def test_a_server_that_says_nothing_is_not_waited_for_without_end() -> None:
    ended = threading.Event()

    def wait(_: Asked) -> Reply:
        ended.wait(20)
        return Reply()

    with FakeServer(wait) as server, Connections(read_s=0.05) as connections:
        with pytest.raises(PullFailed, match="no answer in time"):
            connections.ask("GET", server.url, {})
        ended.set()
