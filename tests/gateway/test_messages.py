"""What passes between driver and gateway goes there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.messages import (
    Availability,
    Listening,
    Message,
    Requested,
    Sampled,
    from_line,
    to_line,
)
from orchestrator.types import ModelRequest, RequestResult, RolloutKey

SAMPLE = LoadSample(
    at=1.5,
    seconds=10,
    answers=1,
    grown_tokens=2,
    prompt_tokens=3,
    completion_tokens=4,
    latency_s=5,
    in_flight=6,
    waiting=7,
    down_s=8,
    server=ServerMetrics(running=2, kv_tokens=9),
)


@pytest.mark.parametrize(
    "message",
    [
        Listening(port=8080),
        Requested(
            request=ModelRequest(
                RolloutKey("r", "a__b-1", 2), RequestResult.FAILED, "http://h/v1", 502, 1.0, 2.0
            )
        ),
        Availability(down=True, notes=("http://h/v1: größer\nthan\u2028one line",)),
        Sampled(sample=SAMPLE),
        Sampled(sample=replace(SAMPLE, server=None)),
    ],
)
def test_a_message_is_one_line_and_comes_back_as_it_was(message: Message) -> None:
    line = to_line(message)

    assert "\n" not in line
    assert from_line(line) == message


@pytest.mark.parametrize("line", ["", "Traceback (most recent call last):", "Listening {}"])
def test_a_line_that_is_no_message_raises(line: str) -> None:
    with pytest.raises(ValueError):
        from_line(line)
