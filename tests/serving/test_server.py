"""A server that is looked at, with a program that plays ssh."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import PrerequisiteError
from orchestrator.serving.server import look, read_logs, why_not_reached
from orchestrator.serving.shell import Shell

Play = Callable[..., Path]


def found(**facts: object) -> str:
    """A script that tells these facts of a container."""
    return f"cat <<'END'\n@@found {json.dumps(facts)}\n@@health 200\nEND"


def test_a_server_that_runs_and_answers_is_healthy(play: Play) -> None:
    labels = {"swe-orchestrator-serve": "m", "swe-orchestrator-serve.port": "8100"}
    play(found(state={"Status": "running"}, labels=labels, restarts=2))

    status = look(Shell("gpu"), "c", 8000)

    assert status.is_healthy
    assert (status.port, status.restarts) == (8100, 2)


@pytest.mark.parametrize(
    "facts",
    [{}, {"labels": None}, {"labels": {"a": "b"}}, {"labels": []}, {"state": None}],
    ids=str,
)
def test_a_container_that_is_not_ours_is_no_server(play: Play, facts: dict[str, object]) -> None:
    play(found(**facts))

    assert look(Shell("gpu"), "c", 8000).state == ""


def test_labels_that_somebody_changed_do_no_harm(play: Play) -> None:
    labels = {"swe-orchestrator-serve": "m", "swe-orchestrator-serve.port": "none"}
    play(found(state=None, labels=labels, restarts=None))

    assert look(Shell("gpu"), "c", 8000).port == 8000


@pytest.mark.parametrize(
    "odd", [{"state": "up"}, {"state": [1]}, {"restarts": "many"}, {"restarts": []}, {}], ids=str
)
def test_an_engine_that_tells_of_containers_in_another_form_does_no_harm(
    play: Play, odd: dict[str, object]
) -> None:
    labels = {"swe-orchestrator-serve": "m", "swe-orchestrator-serve.port": 8100}
    play(found(**{"state": {"Status": "running"}, "labels": labels, "restarts": 0, **odd}))

    status = look(Shell("gpu"), "c", 8000)

    assert (status.port, status.restarts) == (8100, 0)
    assert status.is_healthy == ("state" not in odd)


def test_what_no_program_should_say_is_no_server(play: Play) -> None:
    play("echo '@@found {half'; echo '@@gpu [N/A], [N/A]'; echo; printf '\\377\\n'")

    assert not look(Shell("gpu"), "c", 8000).is_healthy


def test_a_log_whose_connection_breaks_off_says_so(play: Play) -> None:
    play("echo one; echo 'client_loop: send disconnect: Broken pipe' >&2; exit 255")
    lines = read_logs(Shell("gpu"), "c", follow=True, lines=5)

    assert next(lines) == "one"
    with pytest.raises(PrerequisiteError, match="broke off"):
        next(lines)


def test_why_this_host_does_not_reach_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Connection refused" in why_not_reached("http://127.0.0.1:9/v1")
    assert why_not_reached("http://a..b:8000/v1")
    assert why_not_reached("http://☃:8000/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert "through the proxy" in why_not_reached("http://spark.invalid:8000/v1")
