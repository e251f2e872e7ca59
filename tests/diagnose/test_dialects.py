"""Tool calls in models' own dialects, and tokens that no answer should hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.played_model import SPEAK

from orchestrator.diagnose.dialects import (
    DIALECTS,
    control_token_in,
    dialect_of,
    dialect_spoken_by,
    padding_in,
)

RAW = {
    "gemma4": '<|tool_call>call:bash{command:<|"|>ls<|"|>}<tool_call|>',
    "gemma4 ": "call:bash{command:ls}",
    "functiongemma": "<start_function_call>call:bash{command:ls}<end_function_call>",
    "": "```tool_code\nprint(bash('ls'))\n```",
    "seed_oss": "<seed:tool_call><function=bash><parameter=command>ls</parameter></function>",
    "minimax_m2": '<minimax:tool_call><invoke name="bash">',
    "deepseek_v32": '<｜DSML｜function_calls><｜DSML｜invoke name="bash">',
    "deepseek_v31": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>bash<｜tool▁sep｜>{}",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.bash:0",
    "openai": "<|channel|>commentary to=functions.bash <|constrain|>json<|message|>{}",
    "mistral": '[TOOL_CALLS][{"name": "bash", "arguments": {}}]',
    "glm45": "<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value></tool_call>",
    "qwen3_xml": "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>",
    "qwen3_xml ": "I look.\n<function=bash>ls</function>",
    "granite": '<|tool_call|>[{"name": "bash"}]',
    "hermes": 'I look.\n<tool_call>\n{"name": "bash", "arguments": {}}\n</tool_call>',
    "llama3_json": '{"name": "bash", "parameters": {"command": "ls"}}',
    "llama3_json ": '<|python_tag|>{"name": "bash"}',
    "pythonic": "[bash(command='ls')]",
    " ": '```json\n{"name": "bash", "arguments": {"command": "ls"}}\n```',
}
"""Text to the parser that reads it (blanks make keys differ)."""
PROSE = (
    "I call the function and look at the file.",
    "```\ngrep -n 'def call' src/rates.py\n```",
    "<command>\nsed -n 1,40p x.py\n</command>",
    "The list [1, 2] and a dict {'name': 'x'} are compared.",
    "assert total(rows=[]) == 0",
    "recall:x{y} is no call",
)


@pytest.mark.parametrize("parser", RAW)
def test_a_raw_call_is_known_by_its_dialect(parser: str) -> None:
    found = dialect_of(RAW[parser])

    assert found is not None
    assert found.parser == parser.strip()


@pytest.mark.parametrize("parser", SPEAK)
def test_what_played_models_say_is_known(parser: str) -> None:
    found = dialect_of(SPEAK[parser]("bash", {"command": "ls"}))

    assert found is not None
    assert found.parser == parser


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_text_holds_neither_calls_nor_tokens(text: str) -> None:
    assert (dialect_of(text), control_token_in(text), padding_in(text)) == (None, "", "")


@pytest.mark.parametrize(
    "token",
    ["<pad>", "[PAD]", "<unused49>", "\0", "<|pad|>", "<unk>", "<｜▁pad▁｜>"],
)
def test_padding_is_found(token: str) -> None:
    assert padding_in(f"ls{token} -l") == token.replace("\0", "NUL")


@pytest.mark.parametrize(
    "token",
    [
        *("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<eos>", "<bos>", "</s>", "<turn|>"),
        *("<|turn>", "<end_of_turn>", "<start_of_turn>", "<channel|>", "<|eot_id|>", "<|return|>"),
        *("<|start_header_id|>", "<|fim_middle|>", "<｜end▁of▁sentence｜>", "[/INST]", "<|user|>"),
    ],
)
def test_control_tokens_are_found(token: str) -> None:
    assert control_token_in(f"I look.{token}") == token


def test_a_model_is_known_by_name() -> None:
    spoken = dialect_spoken_by("my-model", "google/gemma-4-26B-A4B-it")

    assert spoken is not None
    assert spoken.parser == "gemma4"
    assert dialect_spoken_by("my-model") is None


@pytest.mark.vllm
def test_every_parser_that_is_recommended_is_one_of_vllms() -> None:
    (module,) = Path(os.environ["SWE_ORCHESTRATOR_VLLM"]).glob(
        "lib/python3*/site-packages/vllm/tool_parsers/__init__.py"
    )
    known = module.read_text(encoding="utf-8")

    assert [d.parser for d in DIALECTS if d.parser and f'"{d.parser}":' not in known] == []
