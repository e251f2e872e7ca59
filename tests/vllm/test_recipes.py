"""Each shipped recipe against the real `vllm serve`: one process asks its parser about all."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import list_profiles
from orchestrator.config.recipe import Recipe, load_recipe
from orchestrator.serving.command import ServerCommand
from orchestrator.serving.lint import pairing_of
from orchestrator.serving.vllm_flags import WITH_MANY, WITHOUT_VALUE, read_arguments

pytestmark = pytest.mark.vllm

CHECK = Path(__file__).parents[1] / "support" / "check_with_vllm.py"
RECIPES = [load_recipe(name) for name in list_profiles("recipes")]
GOOD = ["a/model", "--tool-call-parser", "gemma4", "--enable-auto-tool-choice"]
READ = (
    "m",
    "m --enforce-eager --served-model-name a b",
    "--model m --gpu_memory_utilization=0.9 --no-enforce-eager",
    "m --enforce-eager --no-enforce-eager --no-enable-prefix-caching --enable-prefix-caching",
    "m --no-enable-prefix-caching --tool_call_parser gemma4 --tool-call-parser=hermes",
    "--trust-remote-code m --gpu-memory-util 0.5 --enforce",
    """m -tp 2 --speculative-config '{"method": "mtp", "num_speculative_tokens": 2}'""",
    "-sc.method=mtp -sc.num_speculative_tokens 2 m --reasoning-parser qwen3",
    "m --max-logprobs -1 -O3 --served_model_name a --reasoning_parser=qwen3",
)
"""Arguments that people write in many ways; what they set, vLLM and `read_arguments` agree on."""
WRONG = {
    "a flag that there is not": ["a/model", "--enable-prefix-cashing"],
    "a tool parser that there is not": [*GOOD[:2], "gemma5", "--enable-auto-tool-choice"],
    "a tool parser without tools": [*GOOD[:1], "--enable-auto-tool-choice"],
    "a reasoning parser that there is not": ["a/model", "--reasoning-parser", "gemma5"],
    "a JSON that is none": ["a/model", "--speculative-config", "{method: mtp}"],
    "a key that there is not": ["a/model", "--speculative-config", '{"num_spec_tokens": 4}'],
    "a value that there is not": ["a/model", "--kv-cache-dtype", "fp7"],
    "a number that is none": ["a/model", "--max-num-seqs", "many"],
}
"""What the check itself must find, or it finds nothing anywhere."""


def arguments_of(recipe: Recipe, variant_name: str, template: Path) -> list[str]:
    """Of `vllm serve`, as the recipe has them."""
    variant = recipe.variant(variant_name)
    words = [variant.weights, "--served-model-name", recipe.name, "--max-model-len", "131072"]
    for flag in recipe.flags_of(variant):
        words += [flag.name] if flag.value is None else [flag.name, str(flag.value)]
    return words + (["--chat-template", str(template)] if recipe.chat_template else [])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What vLLM's parser says of all recipes, and of what is wrong."""
    template = tmp_path_factory.mktemp("templates") / "a.jinja"
    template.write_text("{{ messages }}", encoding="utf-8")
    commands = [arguments_of(r, name, template) for r in RECIPES for name in r.variants]
    parts = [part for r in RECIPES for part in (r, *r.variants.values())]
    variables = {one.name for part in parts for one in part.env if one.name.startswith("VLLM_")}
    asked = {
        "commands": [*commands, GOOD, *WRONG.values()],
        "variables": sorted(variables),
        "read": [shlex.split(text) for text in READ],
    }
    python = Path(os.environ["SWE_ORCHESTRATOR_VLLM"], "bin", "python")
    ended = subprocess.run(
        [str(python), str(CHECK)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def test_vllm_itself_accepts_every_flag_of_every_shipped_variant(said: dict[str, Any]) -> None:
    wrong = [" ".join(arguments) + ": " for arguments in WRONG.values()]

    assert [p for p in said["problems"] if not p.startswith(tuple(wrong))] == []


@pytest.mark.parametrize("case", WRONG)
def test_a_recipe_that_vllm_would_refuse_is_found(case: str, said: dict[str, Any]) -> None:
    start = " ".join(WRONG[case]) + ": "

    assert [p for p in said["problems"] if p.startswith(start)]


@pytest.mark.parametrize("text", READ)
def test_a_command_line_is_read_to_what_vllm_itself_reads(text: str, said: dict[str, Any]) -> None:
    by_vllm = said["read"][READ.index(text)]
    model, flags = read_arguments(shlex.split(text))
    setup = pairing_of(ServerCommand(model, flags))
    command = ServerCommand(model, flags)

    assert model == by_vllm["model"]
    assert (setup.tool_parser or None) == by_vllm["--tool-call-parser"]
    assert setup.reasoning_parser == (by_vllm["--reasoning-parser"] or "")
    assert setup.memory_share == by_vllm["--gpu-memory-utilization"]
    assert setup.eager == by_vllm["--enforce-eager"]
    assert setup.prefix_caching == (by_vllm["--enable-prefix-caching"] is not False)
    assert (command.value("--served-model-name") or "").split() == (
        by_vllm["--served-model-name"] or []
    )
    drafts = by_vllm["--speculative-config"] or {}
    assert (setup.speculative, setup.draft_method) == (bool(drafts), drafts.get("method", ""))


def test_command_lines_are_read_with_vllms_own_flags_in_mind(said: dict[str, Any]) -> None:
    """What is taken for a value, when people's command lines are read."""
    assert [n for n in said["without_value"] if not WITHOUT_VALUE.fullmatch(n)] == []
    assert [n for n in said["with_value"] if WITHOUT_VALUE.fullmatch(n)] == []
    assert set(WITH_MANY) == set(said["with_many"])
