"""The real SWE-agent, in real containers, asks a real vLLM: do messages, tools and parsers fit?"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.local_gateway import LocalGateway, model_at
from support.rows import changed_lines, key_of
from support.tiny_vllm import MODEL, NO_THINKING, ForcedVllm

from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.actions import SUBMIT
from orchestrator.scripted.personas import apply_command
from orchestrator.scripted.protocols import AnswerForm, Protocol, message_of
from orchestrator.types import Instance, Outcome, RolloutResult

pytestmark = [pytest.mark.vllm, pytest.mark.sweagent, pytest.mark.docker, pytest.mark.slow]
THOUGHT = "The next step."
PROTOCOLS = {
    "sweagent": Protocol.THOUGHT_ACTION,
    "sweagent-xml": Protocol.XML,
    "sweagent-tools": Protocol.CALLS,
}


def spoken(command: str, protocol: Protocol) -> str:
    """What a model says, before its server parses it."""
    message = message_of(THOUGHT, command, AnswerForm(protocol), 0)
    if protocol is not Protocol.CALLS:
        return str(message["content"])
    function = message["tool_calls"][0]["function"]
    call = {"name": function["name"], "arguments": json.loads(function["arguments"])}
    return f"{THOUGHT}\n<tool_call>\n{json.dumps(call)}\n</tool_call>"


def test_each_configuration_mends_a_bug_in_its_protocol(
    forced_vllm: ForcedVllm,
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    ensure_image: Callable[[Instance], None],
    demo: Dataset,
    tmp_path: Path,
) -> None:
    """Each on an instance of its own, by which the server knows what its model is to say."""
    golds = [unseal(demo.answers[i.instance_id]).gold_patch for i in demo.instances[:3]]
    script = {}
    for instance, gold, protocol in zip(demo.instances, golds, PROTOCOLS.values(), strict=False):
        commands = ["git status --short", apply_command(gold), "git diff --stat", SUBMIT]
        script[instance.problem_statement.strip()] = [spoken(c, protocol) for c in commands]
        ensure_image(instance)
    server = forced_vllm.says(script)
    model = model_at(server.base_url, served_name=MODEL, request_fields=NO_THINKING)

    with LocalGateway(model) as gateway, ThreadPoolExecutor(3) as pool:

        def roll(agent: str, instance: Instance) -> RolloutResult:
            config = make_config(agent, model="scripted")
            address = {"base_url": gateway.base_url(key_of(agent)), "api_key": gateway.token}
            return play(config, instance, "docker", tmp_path, **address)

        results = list(pool.map(roll, PROTOCOLS, demo.instances[:3]))

    for result, gold in zip(results, golds, strict=True):
        assert (result.outcome, result.failure) == (Outcome.SUBMITTED, None)
        assert changed_lines(result.patch) == changed_lines(gold)
        steps = json.loads(result.files["trajectory.json"])["steps"]
        assert [step["thought"].strip() for step in steps] == [THOUGHT] * 4
        assert "changed" in steps[2]["observation"]
        assert result.record.usage.prompt_tokens > 4 * 1000, "as the server counted them"
