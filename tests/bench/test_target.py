"""The server before it is measured: is it there, and how is it asked?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.fake_model import FakeModelServer

from orchestrator.bench.target import metrics_url, request_fields, require_target
from orchestrator.config.schema import Endpoint, Model, Sampling
from orchestrator.errors import PrerequisiteError
from orchestrator.scripted.endpoint import ScriptedEndpoint


def model(base_url: str, **more: Any) -> Model:
    endpoint = Endpoint(base_url=base_url, request_timeout_s=10)
    return Model(name="m", served_name="scripted", endpoint=endpoint, **more)


def test_requests_are_the_profiles_but_for_the_length() -> None:
    fields = request_fields(
        model(
            "http://x/v1",
            sampling=Sampling(temperature=0.6, max_tokens=8192),
            request_fields={"chat_template_kwargs": {"enable_thinking": False}, "max_tokens": 9},
        ),
        fixed_lengths=True,
    )

    assert fields == {
        "model": "scripted",
        "temperature": 0.6,
        "chat_template_kwargs": {"enable_thinking": False},
        "ignore_eos": True,
    }


def test_metrics_lie_at_the_servers_root() -> None:
    assert metrics_url("http://h:8000/v1/") == "http://h:8000/metrics"
    assert metrics_url("http://h:8000/openai") == "http://h:8000/openai/metrics"


@pytest.mark.slow
def test_a_server_is_looked_at_before_it_is_measured(
    serve: Callable[[str], ScriptedEndpoint],
) -> None:
    target = require_target(model(serve("solves").base_url, context_length=16384), "", 30)

    assert target.shape.context == 16384, "the smaller of the server's and the profile's"
    assert target.shape.steps == 30
    assert 3 < target.chars_per_token < 5
    assert (target.fixed_lengths, target.metrics) == (False, None)


@pytest.mark.slow
def test_a_server_that_lists_models_and_answers_nothing_is_a_prerequisite(
    serve: Callable[[str], ScriptedEndpoint],
) -> None:
    with pytest.raises(PrerequisiteError, match="HTTP 500"):
        require_target(model(serve("errors:1e9").base_url), "", 30)


def test_a_server_that_does_not_serve_the_model_is_a_prerequisite() -> None:
    with FakeModelServer() as server, pytest.raises(PrerequisiteError, match="does not serve"):
        require_target(model(server.base_url), "", 30)
