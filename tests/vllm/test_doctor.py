"""What the doctor says of a real vLLM: nothing but figures of a good one, and the flag of a bad."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from support.examined import ExamineServers, examine_servers, said
from support.tiny_vllm import CONTEXT_TOKENS, MODEL, NO_THINKING, TinyVllm

from orchestrator.config import RunConfig

pytestmark = pytest.mark.vllm
SETTINGS = {
    "model.served_name": MODEL,
    "model.context_length": CONTEXT_TOKENS,
    "model.request_fields": NO_THINKING,
    # what it says is noise, but the same each time, and soon over
    "model.sampling": {"temperature": 0, "max_tokens": 16},
}


@pytest.fixture
def examine(make_config: Callable[..., RunConfig]) -> ExamineServers:
    return partial(examine_servers, make_config)


def test_a_real_server_in_good_health_is_warned_of_nothing(
    examine: ExamineServers, vllm_server: TinyVllm
) -> None:
    found = examine(vllm_server.base_url, settings=SETTINGS)

    assert said(found, "fail") == said(found, "warn") == []
    passed = said(found, "pass")
    assert any("(vLLM 0." in line and "serves tiny" in line for line in passed)
    assert f"context: {CONTEXT_TOKENS} tokens, the profile's {CONTEXT_TOKENS} → " in passed
    assert any(line.startswith("prefix cache: on: ") for line in passed)
    assert any(" tokens a second; the profile expects no figure" in line for line in passed)


def test_a_real_server_that_is_shorter_than_the_profile_names_its_flag(
    examine: ExamineServers, vllm_server: TinyVllm
) -> None:
    settings = SETTINGS | {"model.context_length": 2 * CONTEXT_TOKENS}
    lines = said(examine(vllm_server.base_url, settings=settings), "warn")

    assert [line.partition(":")[0] for line in lines] == ["context"], lines
    assert f"`--max-model-len {2 * CONTEXT_TOKENS}`" in lines[0]
