"""Which keys there are, and how a dotted key is read."""

from __future__ import annotations

import pytest

from orchestrator.agents.templates import TemplateSettings
from orchestrator.config.keys import Keys, nearest


def test_something_near_is_asked_about() -> None:
    assert nearest("max_step", ["max_steps", "max_tokens"]) == "; did you mean 'max_steps'?"


def test_nothing_near_lists_what_is_known() -> None:
    assert nearest("zzz", ["alpha", "beta"]) == "; known: alpha, beta"


def test_the_keys_of_a_section_are_those_of_the_schema() -> None:
    keys = Keys()

    assert {"benchmark", "model", "agent", "cluster", "rollout"} <= set(keys.at([]))
    assert {"cpus", "pids"} <= set(keys.at(["cluster", "sandbox"]))
    assert "base_url" in keys.at(["model", "endpoint"]), "a section that may be None is one"


@pytest.mark.parametrize(
    "path", [["no_such"], ["rollout", "max_steps"], ["model", "personas"], ["run_id", "more"]]
)
def test_what_is_no_section_has_no_keys(path: list[str]) -> None:
    assert Keys().at(path) == []


def test_an_agents_keys_are_those_of_its_kind() -> None:
    assert "max_format_errors" in Keys(TemplateSettings).at(["agent"])
    assert "max_format_errors" not in Keys().at(["agent"])


@pytest.mark.parametrize(
    ("dotted", "parts"),
    [
        ("rollout.max_steps", ("rollout", "max_steps")),
        ("model.personas.socketio__socket.io-1", ("model", "personas", "socketio__socket.io-1")),
        ("cluster.sandbox.env.MY.VARIABLE", ("cluster", "sandbox", "env", "MY.VARIABLE")),
        ("model.request_fields.a.b", ("model", "request_fields", "a", "b")),
        ("no.such.key", ("no", "such", "key")),
        ("run_id", ("run_id",)),
    ],
)
def test_dots_part_a_key_but_not_those_that_people_make_up(
    dotted: str, parts: tuple[str, ...]
) -> None:
    assert Keys().split(dotted) == parts


@pytest.mark.parametrize(
    ("where", "known"),
    [
        (("rollout", "max_steps"), ("rollout", "max_steps")),
        (("cluster", "workers", "int"), ("cluster", "workers")),
        (("model", "personas", "an-id", "[key]"), ("model", "personas", "an-id")),
        (("rollout", "retries", "worker_lost", "[key]"), ("rollout", "retries", "worker_lost")),
    ],
)
def test_what_pydantic_adds_to_a_place_is_left_out(
    where: tuple[str, ...], known: tuple[str, ...]
) -> None:
    assert Keys().known_part(where) == known
