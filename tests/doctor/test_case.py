"""Facts of a case: each is found once, where it is asked for or in a thread that began before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import RunConfig
from orchestrator.doctor import case as case_module
from orchestrator.doctor.case import Case
from orchestrator.endpoint.servers import Servers, Serving
from orchestrator.errors import PrerequisiteError

URL = "http://127.0.0.1:9/v1"
FOUND = Servers((Serving(URL),))


@pytest.fixture
def case(make_config: Callable[..., RunConfig], tmp_path: Path) -> Case:
    """Of rollouts that ask a server."""
    return Case(make_config("mini", {"model.endpoint.base_url": URL}), tmp_path)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets the servers answer like this, or raise it; gives the threads that ask."""

    def answer_with(answer: Servers | Exception, when: threading.Event | None = None) -> list[str]:
        asking: list[str] = []

        def ask(*_: object) -> Servers:
            asking.append(threading.current_thread().name)
            assert when is None or when.wait(30)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(case_module, "ask_servers", ask)
        return asking

    return answer_with


@pytest.mark.slow
def test_a_fact_is_found_in_a_thread_and_waited_for_by_who_asks(
    case: Case, answer: Callable[..., list[str]]
) -> None:
    go_on = threading.Event()
    asking = answer(FOUND, go_on)

    Case.servers.begin(case)  # comes back though there is no answer
    threading.Timer(0.1, go_on.set).start()

    assert case.servers is FOUND
    assert case.servers is FOUND
    assert len(asking) == 1
    assert threading.current_thread().name not in asking


def test_what_can_not_be_found_in_a_thread_is_the_same_error_for_all_who_ask(
    case: Case, answer: Callable[..., list[str]]
) -> None:
    asking = answer(error := PrerequisiteError("no server answers"))
    Case.servers.begin(case)

    for _ in range(2):
        with pytest.raises(PrerequisiteError) as caught:
            _ = case.servers
        assert caught.value is error
    assert len(asking) == 1


def test_a_bug_in_a_thread_is_raised_where_its_fact_is_asked_for(
    case: Case, answer: Callable[..., list[str]]
) -> None:
    answer(ZeroDivisionError("a bug"))
    Case.servers.begin(case)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = case.servers


def test_what_is_known_is_not_found_again(case: Case, answer: Callable[..., list[str]]) -> None:
    asking = answer(FOUND)
    case.known["servers"] = Servers()

    Case.servers.begin(case)

    assert case.servers == Servers()
    assert asking == []
