"""The chat client at the gateway: what comes back, and what it waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.fake_model import FakeModelServer
from support.local_gateway import LocalGateway, model_at

from orchestrator.dataset import Dataset
from orchestrator.endpoint.client import ChatClient, Completion, ContextOverflow
from orchestrator.errors import EndpointUnavailable, InternalError, RequestRefused
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import Instance

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def ask(demo: Dataset, instance: Instance) -> Iterator[Callable[..., Completion]]:
    """Asks a persona, through a gateway: `ask("solves", turn=2, served_name="other")`."""
    with ExitStack() as stack:

        def run(persona: str, turn: int = 0, served_name: str = "scripted") -> Completion:
            endpoint = ScriptedEndpoint(demo.instances, demo.answers, {"default": persona})
            stack.enter_context(endpoint)
            patient = {"max_tries": 2, "max_outage_s": 1}
            model = model_at(endpoint.base_url, served_name=served_name, endpoint=patient)
            gateway = stack.enter_context(LocalGateway(model))
            client = ChatClient(gateway.base_url(), gateway.token)
            messages = [{"role": "user", "content": instance.problem_statement}]
            for _ in range(turn):
                messages += [
                    {"role": "assistant", "content": "x"},
                    {"role": "user", "content": "y"},
                ]
            return stack.enter_context(client).complete(messages)

        yield run


def test_an_answer_comes_with_its_tokens_and_its_time(ask: Callable[..., Completion]) -> None:
    answer = ask("solves")

    assert "git status" in answer.content
    assert answer.finish_reason == "stop"
    assert answer.tokens.prompt_tokens > 100
    assert answer.tokens.completion_tokens > 0
    assert answer.seconds > 0
    assert not answer.swallowed


def test_an_answer_of_nothing_but_reasoning_is_swallowed(ask: Callable[..., Completion]) -> None:
    answer = ask("swallowed")

    assert answer.swallowed
    assert answer.content == ""


@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_a_context_overflow(ask: Callable[..., Completion]) -> None:
    with pytest.raises(ContextOverflow):
        ask("overflows", turn=2)


def test_a_model_that_is_not_served_is_refused(ask: Callable[..., Completion]) -> None:
    with pytest.raises(RequestRefused, match=r"HTTP 404: .*`other` does not exist"):
        ask("solves", served_name="other")


@pytest.mark.slow
def test_a_request_that_a_server_fails_at_is_refused_in_the_end(
    ask: Callable[..., Completion],
) -> None:
    with pytest.raises(RequestRefused, match=r"2 attempts came to nothing.*HTTP 500"):
        ask("crashes_late", turn=2)


@pytest.mark.slow
def test_a_server_that_stays_away_is_unavailable(ask: Callable[..., Completion]) -> None:
    with pytest.raises(EndpointUnavailable, match="max_outage_s"):
        ask("away:60")


@pytest.mark.slow
def test_a_gateway_that_stays_away_is_unavailable() -> None:
    client = ChatClient(NOWHERE, restart_s=0.1, sleep=lambda seconds: time.sleep(0.05))
    with client, pytest.raises(EndpointUnavailable, match="the gateway is gone"):
        client.complete([])


@pytest.mark.slow
def test_a_gateway_that_is_started_again_is_waited_for(demo: Dataset) -> None:
    with ScriptedEndpoint(demo.instances, demo.answers) as endpoint, ExitStack() as stack:
        model = model_at(endpoint.base_url)
        with LocalGateway(model) as first:
            base_url, port = first.base_url(), first.port
        answers: list[Completion] = []
        client = stack.enter_context(
            ChatClient(base_url, LocalGateway.token, sleep=lambda seconds: time.sleep(0.05))
        )
        asking = threading.Thread(target=lambda: answers.append(client.complete([])))
        asking.start()
        time.sleep(0.2)
        assert answers == []
        stack.enter_context(LocalGateway(model, port=port))
        asking.join(20)

        assert len(answers) == 1


@pytest.mark.slow
def test_a_request_that_was_held_for_long_waits_for_a_new_gateway_as_long_as_any(
    demo: Dataset,
) -> None:
    with ScriptedEndpoint(demo.instances, demo.answers) as endpoint, ExitStack() as stack:
        endpoint.go_away(60)
        model = model_at(endpoint.base_url)
        with LocalGateway(model) as first:
            answers: list[Completion] = []
            client = stack.enter_context(ChatClient(first.base_url(), first.token, restart_s=1.0))
            asking = threading.Thread(target=lambda: answers.append(client.complete([])))
            asking.start()
            time.sleep(2)
            port = first.port
        endpoint.go_away(0)
        stack.enter_context(LocalGateway(model, port=port))
        asking.join(20)

        assert len(answers) == 1


@pytest.mark.parametrize(
    "content", ["\ud83d", "a\0b", "größer 😀", "\x1b[2J\u2028", "x" * 5_000_000]
)
def test_a_prompt_may_hold_whatever_a_command_printed(content: str) -> None:
    with FakeModelServer() as server, LocalGateway(model_at(server.base_url)) as gateway:
        with ChatClient(gateway.base_url(), gateway.token) as client:
            answer = client.complete([{"role": "user", "content": content}])

        (said,) = (message["content"] for message in server.asked[0]["messages"])

    assert answer.content == "an answer"
    assert said == said.encode("utf-8").decode()
    assert len(said) == len(content)


def test_a_bug_of_the_gateway_is_called_so(
    ask: Callable[..., Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(*_: object) -> None:
        raise KeyError("choices")

    monkeypatch.setattr("orchestrator.gateway.agent_request.make_reply", buggy)

    with pytest.raises(InternalError, match=r"^the gateway: KeyError: 'choices' \(gateway\.log"):
        ask("solves")
