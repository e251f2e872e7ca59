"""Who is told when a run has ended: what is offered, and what an answer means."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.model_servers import ModelServer, Pages
from support.person import Person

from orchestrator.setup import ask_notify as module
from orchestrator.setup.ask_notify import ask_notify, read_notify
from orchestrator.setup.given import Given


def told(given: Given, person: Person, **more: Any) -> dict[str, Any]:
    return ask_notify(given, person.asker(**more))


@pytest.mark.parametrize(
    ("answer", "section"),
    [
        ("none", {}),
        ("https://ntfy.sh/my-topic", {"url": "https://ntfy.sh/my-topic"}),
        ("$MY_TOPIC", {"url_env": "MY_TOPIC"}),
        ("true 'a title' -x", {"command": ["true", "a title", "-x"]}),
        ("true https://example.org", {"command": ["true", "https://example.org"]}),
    ],
)
def test_who_is_told_is_read_from_what_it_looks_like(answer: str, section: object) -> None:
    assert read_notify(answer) == section


def test_the_topic_that_is_offered_is_one_that_nobody_guesses() -> None:
    topics = [told(Given(), Person(["1", "n"]))["url"] for _ in range(2)]

    assert all(topic.startswith("https://ntfy.sh/swe-orchestrator-") for topic in topics)
    assert len(set(topics)) == 2


def test_a_test_message_that_does_not_arrive_is_asked_about_again() -> None:
    with ModelServer(Pages({"/topic": "{}"})) as server:
        url = f"http://127.0.0.1:{server.port}"
        person = Person([f"{url}/none", "y", f"{url}/topic", "y"])
        assert told(Given(), person) == {"url": f"{url}/topic"}

    assert "the test message was not sent: 127.0.0.1 answers HTTP 404" in person.saw
    assert server.bodies[-1] == b"this is a test message of `init`"


def test_a_flag_sends_one_too_and_the_profile_is_written_all_the_same() -> None:
    person = Person()
    given = Given(notify="false", send_test=True)

    assert told(given, person, at_terminal=False) == {"command": ["false"]}
    assert "the test message was not sent: false ended with exit code 1" in person.saw


@pytest.mark.parametrize("system", ["darwin", "linux"])
def test_a_command_for_this_screen_is_offered_where_it_is_there(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = module.COMMANDS[system]
    program = tmp_path / command[0]
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    person = Person(["2", "n"])

    assert told(Given(), person) == {"command": list(command)}
    assert "  2  on this screen: " in person.saw
