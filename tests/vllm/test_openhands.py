"""The real OpenHands, in a real container, asks a real vLLM: its calls pass hermes' parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.local_gateway import LocalGateway, model_at
from support.rows import changed_lines, key_of
from support.tiny_vllm import MODEL, NO_THINKING, ForcedVllm

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.actions import SUBMIT, edits_of
from orchestrator.scripted.calls import call_of
from orchestrator.types import Instance, Outcome, RolloutResult

pytestmark = [pytest.mark.vllm, pytest.mark.openhands, pytest.mark.docker, pytest.mark.slow]
THOUGHT = "The next step."
TOOLS = ("terminal", "file_editor", "finish")


def test_a_bug_is_mended_by_calls_of_the_terminal_the_editor_and_finish(
    forced_vllm: ForcedVllm,
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    ensure_image: Callable[[Instance], None],
    demo: Dataset,
    instance: Instance,
    tmp_path: Path,
) -> None:
    ensure_image(instance)
    gold = unseal(demo.answers[instance.instance_id]).gold_patch
    actions = ["git status --short", *edits_of(gold), "git diff --stat", SUBMIT]
    calls = [call_of(action, THOUGHT, TOOLS, "/testbed") for action in actions]
    said = [json.dumps({"name": call.name, "arguments": call.arguments}) for call in calls]
    answers = [f"{THOUGHT}\n<tool_call>\n{call}\n</tool_call>" for call in said]
    server = forced_vllm.says({instance.problem_statement.strip(): answers})
    # its first prompt is 33 kB, and a token a byte
    model = model_at(
        server.base_url,
        served_name=MODEL,
        request_fields=NO_THINKING,
        endpoint={"request_timeout_s": 120},
    )

    with LocalGateway(model) as gateway:
        config = make_config("openhands", {"model.context_length": 49152}, model="scripted")
        address = {"base_url": gateway.base_url(key_of("openhands")), "api_key": gateway.token}
        result = play(config, instance, "docker", tmp_path, **address)

    assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
    assert changed_lines(result.patch) == changed_lines(gold)
    steps = json.loads(result.files["trajectory.json"])["steps"]
    assert [step["thought"].strip() for step in steps] == [THOUGHT] * len(actions)
    assert "changed" in steps[-2]["observation"]
    assert result.record.usage.prompt_tokens > len(actions) * 1000, "as the server counted them"
