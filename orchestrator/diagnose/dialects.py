"""Tool calls in models' own dialects, and tokens that no answer should hold: known by sight. Pure.

A server's tool-call parser turns a dialect into `tool_calls`. Without one, or with another
dialect's, the text stays in the content as it was (seen with vLLM 0.32: HTTP 200, no word of it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CHAT_TEMPLATE_OF_GEMMA = (
    "and give it vLLM's examples/tool_chat_template_gemma4.jinja as --chat-template"
)


@dataclass(frozen=True)
class Dialect:
    """How some models write a call."""

    name: str
    sign: re.Pattern[str]
    parser: str
    """vLLM's name for the parser that reads it (0.32, tool_parsers/__init__.py); empty where it has
    none."""
    hint: str = ""
    """What the server needs beside it."""
    models: re.Pattern[str] | None = None
    """Names of models that speak it, as far as their names tell."""


def _dialect(name: str, sign: str, parser: str, models: str = "", hint: str = "") -> Dialect:
    known = re.compile(models, re.IGNORECASE) if models else None
    return Dialect(name, re.compile(sign), parser, hint, known)


DIALECTS = (
    _dialect("FunctionGemma's", r"<start_function_call>", "functiongemma", r"functiongemma"),
    _dialect(
        "Gemma 4's",
        r"<\|tool_call>|<tool_call\|>|<\|\"\|>|(?<!\w)call:\w+\{",
        "gemma4",
        r"gemma-?4",
        CHAT_TEMPLATE_OF_GEMMA,
    ),
    _dialect("Gemma 3's", r"```tool_code", "", r"gemma-?3"),
    _dialect("Seed-OSS's", r"<seed:tool_call>", "seed_oss", r"seed-?oss"),
    _dialect("MiniMax's", r"<minimax:tool_call>", "minimax_m2", r"minimax"),
    _dialect("DeepSeek V3.2's", r"<｜DSML｜", "deepseek_v32", r"deepseek-?v3\.2"),
    _dialect("DeepSeek's", r"<｜tool▁calls?▁begin｜>", "deepseek_v31", r"deepseek"),
    _dialect("Kimi's", r"<\|tool_calls?_(?:section_)?begin\|>", "kimi_k2", r"kimi-?k2"),
    _dialect("gpt-oss's", r"<\|channel\|>|<\|call\|>|to=functions\.\w+", "openai", r"gpt-?oss"),
    _dialect("Mistral's", r"\[TOOL_CALLS\]", "mistral", r"mistral|devstral|magistral|codestral"),
    _dialect("GLM's", r"<arg_key>|</arg_value>", "glm45", r"glm-?4"),
    _dialect(
        "Qwen's (XML)",
        r"<function=|</function>|<parameter=|</parameter>",
        "qwen3_xml",
        r"qwen-?3\.[5-9]|qwen3-?coder",
    ),
    _dialect("Granite's", r"<\|tool_call\|>", "granite", r"granite"),
    _dialect("LFM2's", r"<\|tool_call_start\|>", "lfm2", r"lfm-?2"),
    _dialect("InternLM's", r"<\|action_start\|>", "internlm", r"internlm"),
    _dialect("Phi 4's", r"functools\[", "phi4_mini_json", r"phi-?4"),
    _dialect("LongCat's", r"<longcat_tool_call>", "longcat", r"longcat"),
    _dialect("Hermes' (JSON)", r"<tool_call>|</tool_call>", "hermes", r"qwen|hermes"),
    _dialect("Jamba's", r"<tool_calls>", "jamba", r"jamba"),
    _dialect("Cohere's", r"<\|START_ACTION\|>", "cohere_command3", r"command-?[ar]"),
    _dialect(
        "Llama 3's (JSON)",
        r"<\|python_tag\|>|^\s*\{\s*\"name\"\s*:\s*\"\w+\"\s*,\s*\"parameters\"\s*:",
        "llama3_json",
        r"llama-?3",
    ),
    _dialect("Pythonic", r"^\s*\[\w+\(\w+\s*=.*\)\]\s*$", "pythonic", r"llama-?4|olmo-?3"),
    _dialect("Anthropic's XML", r"<invoke name=|<function_calls>", ""),
    _dialect("Plain JSON", r"\"name\"\s*:\s*\"\w+\"\s*,\s*\"(?:arguments|parameters)\"\s*:", ""),
)
"""The first whose sign is seen: special ones stand before those whose sign they hold too."""
_PADDING = re.compile(r"\0|<pad>|\[PAD\]|<\|pad(?:ding)?\|>|<｜▁pad▁｜>|<unk>|<unused\d+>")
_CONTROL = re.compile(
    r"<eos>|<bos>|</s>"
    r"|<\|?turn\|?>|<\|?channel\|?>|<start_of_turn>|<end_of_turn>"  # Gemma
    r"|<\|(?:endoftext|im_start|im_end|im_sep)\|>"  # Qwen, and others with ChatML
    r"|<\|(?:eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text)\|>"  # Llama
    r"|<\|(?:end|start|return|message|assistant|user|system|observation)\|>"  # gpt-oss, GLM, Phi
    r"|<\|(?:fim_\w+|vision_\w+|reserved_special_token_\d+)\|>"
    r"|<｜(?:begin▁of▁sentence|end▁of▁sentence|User|Assistant)｜>"  # DeepSeek
    r"|\[/?INST\]"  # Mistral
)


def dialect_of(text: str) -> Dialect | None:
    """The dialect of the tool calls that a text holds; None where it holds none."""
    return next((dialect for dialect in DIALECTS if dialect.sign.search(text)), None)


def dialect_spoken_by(*names: str) -> Dialect | None:
    """By what a model is called: its profile's name, its served name."""
    return next(
        (d for d in DIALECTS if d.models and any(d.models.search(name) for name in names)), None
    )


def padding_in(text: str) -> str:
    """The first token of a text that stands for nothing, as it is shown; empty where it holds none.

    It breaks whatever it stands in, calls too, so that it is looked for first.
    """
    found = _PADDING.search(text)
    return found[0].replace("\0", "NUL") if found else ""


def control_token_in(text: str) -> str:
    """The same for tokens that end turns, name roles and the like."""
    found = _CONTROL.search(text)
    return found[0] if found else ""
