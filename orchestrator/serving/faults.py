"""What is known to be broken between a model, its server, its machine and who asks: one table.

`serving.lint` asks it of a command line before a server starts, the doctor of a server that runs.
Each fault names its symptom, what mends it, and who says so, with the date.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.config.image_names import moves, tag_of
from orchestrator.serving.pairing import GEMMA_4, QWEN, Pairing, Version, family_of

__all__ = ["Fault", "Pairing", "family_of", "faults_of"]

PARSERS = {
    **dict.fromkeys(QWEN, ("qwen3_xml", "qwen3_coder")),
    GEMMA_4: ("gemma4",),
}
"""Of tool calls, that read a family's own form; the first is what the makers of the models name."""
MOST_OF_SHARED_MEMORY = 0.87
_OTHER_MODELS = re.compile(
    r"gemma-?_?[123]|qwen|hermes|llama|mistral|deepseek|granite|phi\d|chatml", re.IGNORECASE
)
"""In the names of templates."""


@dataclass(frozen=True)
class Fault:
    name: str
    symptom: str
    """What a person will see."""
    cure: str
    """The flag, image or choice that mends it."""
    source: str
    """Who says so, with the date."""
    is_fatal: bool = True
    """Whether agents can not work so; else it costs speed, or is a risk."""


@dataclass(frozen=True)
class _Known:
    fault: Fault
    holds: Callable[[Pairing], bool | None]
    """None where that depends on what is not known."""
    machine: str = ""
    """The kind of machine (`Pairing.is_on`) that it is known of; empty: of all."""


def faults_of(pairing: Pairing) -> tuple[Fault, ...]:
    """What is known to be broken there, in the table's order. What is not known breaks nothing:
    a fault of one kind of machine is there but not fatal where the machine is not known, and
    likewise what hangs on whether functions are called.
    """
    return tuple(fault for known in KNOWN if (fault := _fault_of(known, pairing)) is not None)


def _fault_of(known: _Known, pairing: Pairing) -> Fault | None:
    there = pairing.is_on(known.machine) if known.machine else True
    holds = known.holds(pairing)
    if there is False or holds is False:
        return None
    symptom = known.fault.symptom if there else f"on {ON[known.machine]}: {known.fault.symptom}"
    is_certain = there is True and holds is True
    return replace(known.fault, symptom=symptom, is_fatal=known.fault.is_fatal and is_certain)


ON = {
    "spark": "a DGX Spark",
    "sm12x": "SM120 and SM121 (RTX 50, RTX PRO 6000, DGX Spark)",
    "shared memory": "a machine whose GPU shares the memory",
}


def _is_gemma(pairing: Pairing) -> bool:
    return pairing.family == GEMMA_4


def _is_qwen(pairing: Pairing) -> bool:
    return pairing.family in QWEN


def _is_from(pairing: Pairing, first: Version, before: Version) -> bool:
    """Whether it is vLLM of a version from `first` on and `before` the other."""
    version = pairing.parsed_version if pairing.server in ("", "vLLM") else None
    return version is not None and first <= version < before


def _image_moves(pairing: Pairing) -> bool:
    return bool(pairing.image) and moves(pairing.image)


def _has_foreign_parser(pairing: Pairing) -> bool:
    return bool(pairing.tool_parser) and pairing.tool_parser not in PARSERS[pairing.family]


def _has_foreign_template(pairing: Pairing) -> bool:
    """Whether the template's name tells of another model."""
    return bool(_OTHER_MODELS.search(pairing.chat_template or ""))


def _drafts_by_mtp(pairing: Pairing) -> bool:
    """As far as is known: a method that is not named is the model's own heads, mostly."""
    return bool(pairing.speculative) and (not pairing.draft_method or "mtp" in pairing.draft_method)


KNOWN: tuple[_Known, ...] = (
    _Known(
        Fault(
            name="answers taken for thoughts",
            symptom="every answer comes back empty: the parser takes all of it for thought",
            cure="leave out --reasoning-parser, and turn thinking off: "
            """--default-chat-template-kwargs '{"enable_thinking": false}'""",
            source="users' report, 2026-04; seen with vLLM 0.32 (--reasoning-parser qwen3)",
        ),
        lambda s: _is_qwen(s) and bool(s.reasoning_parser),
    ),
    _Known(
        Fault(
            name="drafts and prefix cache",
            symptom="multi-token prediction spoils the cached state of hybrid models: tool calls "
            "are malformed, more of them the longer the server runs",
            cure="leave out --speculative-config (or, far slower for agents, add "
            "--no-enable-prefix-caching)",
            source="vllm#43559, vllm#53912, dgx-spark-playbooks#89, 2026-07 to 2026-09",
        ),
        lambda s: _is_qwen(s) and _drafts_by_mtp(s) and bool(s.prefix_caching),
    ),
    _Known(
        Fault(
            name="no chat template",
            symptom="tool calls lose their parameters, though the model wrote them",
            cure="--chat-template tool_chat_template_gemma4.jinja (vLLM's examples have it), "
            "mounted into the container",
            source="users' report (DGX Spark part 15), 2026-04; vLLM recipes, 2026-08-03",
        ),
        lambda s: _is_gemma(s) and s.chat_template == "",
    ),
    _Known(
        Fault(
            name="chat template of another model",
            symptom="the model is asked in a form that it does not know",
            cure="--chat-template with vLLM's examples/tool_chat_template_gemma4.jinja",
            source="vLLM recipes, 2026-08-03",
        ),
        lambda s: _is_gemma(s) and _has_foreign_template(s),
    ),
    _Known(
        Fault(
            name="chat template not in the container",
            symptom="the server ends at its start: there is no such file in its container",
            cure="-v FOLDER/tool_chat_template_gemma4.jinja:PATH:ro, PATH as in --chat-template",
            source="users' report (DGX Spark part 15), 2026-04",
            is_fatal=False,
        ),
        lambda s: bool(s.chat_template) and s.brings_template is False,
    ),
    _Known(
        Fault(
            name="tool parser of another model",
            symptom="tool calls stay in the answer's text, where no agent finds them",
            cure="--tool-call-parser gemma4",
            source="users' report, 2026-04; vLLM recipes, 2026-08-03",
        ),
        lambda s: _is_gemma(s) and _has_foreign_parser(s),
    ),
    _Known(
        Fault(
            name="tool parser of another model",
            symptom="tool calls stay in the answer's text, where no agent finds them",
            cure="--tool-call-parser qwen3_xml",
            source="users' report, 2026-04; vLLM recipes, 2026-08-13",
        ),
        lambda s: _is_qwen(s) and _has_foreign_parser(s),
    ),
    _Known(
        Fault(
            name="tool calls are off",
            symptom="requests with tools are refused with HTTP 400, or their calls are never read",
            cure="--enable-auto-tool-choice and --tool-call-parser (gemma4, or qwen3_xml for Qwen)",
            source="seen with vLLM 0.32; users' report, 2026-04",
        ),
        lambda s: s.offers_tools is False or s.tool_parser == "",
    ),
    _Known(
        Fault(
            name="Gemma 4's image",
            symptom="what `latest` or no tag names is another server from day to day; some do not "
            "start Gemma 4 at all",
            cure="name an exact tag, such as vllm/vllm-openai:v0.30.0",
            source="users' report, 2026-04; vllm#51744, 2026-08",
        ),
        lambda s: _is_gemma(s) and _image_moves(s),
    ),
    _Known(
        Fault(
            name="image without an exact tag",
            symptom="what is pulled changes from day to day, and with it the number",
            cure="name an exact tag, such as vllm/vllm-openai:v0.30.0",
            source="our own choice",
            is_fatal=False,
        ),
        lambda s: not _is_gemma(s) and _image_moves(s),
    ),
    _Known(
        Fault(
            name="version: Gemma 4 unknown",
            symptom="the server does not know the model",
            cure="vLLM 0.28 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vLLM recipes (0.19.1 at least), 2026-05-11",
        ),
        lambda s: _is_gemma(s) and _is_from(s, (0, 0, 0), (0, 19, 1)),
    ),
    _Known(
        Fault(
            name="version: old parser of Gemma 4",
            symptom="streamed tool calls are broken, and thoughts are lost after tool results: "
            "agents of many turns fail",
            cure="vLLM 0.28 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vllm#45588, vllm#42776, 2026-06 (the new parser came with 0.24)",
            is_fatal=False,
        ),
        lambda s: (
            _is_gemma(s)
            and (_is_from(s, (0, 19, 1), (0, 24, 0)) or tag_of(s.image).startswith("gemma4-"))
        ),
    ),
    _Known(
        Fault(
            name="version: Gemma 4 does not start",
            symptom="the server ends at its start, at the sizes of Gemma 4's attention heads",
            cure="vLLM 0.28 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vllm#53836 (0.27.1 on a DGX Spark), vllm#51744 (0.27.0), 2026-08",
        ),
        lambda s: _is_gemma(s) and _is_from(s, (0, 27, 0), (0, 28, 0)),
    ),
    _Known(
        Fault(
            name="version: Gemma 4's draft model",
            symptom="the image gemma4-0505 has two faults in drafting",
            cure="vLLM 0.28 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vllm#41745, 2026-05",
        ),
        lambda s: (
            _is_gemma(s) and bool(s.speculative) and tag_of(s.image).startswith("gemma4-0505")
        ),
    ),
    _Known(
        Fault(
            name="version: Qwen 3.5 unknown",
            symptom="the server does not know the model",
            cure="vLLM 0.28 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vLLM recipes (0.17 at least), 2026-04-22",
        ),
        lambda s: _is_qwen(s) and _is_from(s, (0, 0, 0), (0, 17, 0)),
    ),
    _Known(
        Fault(
            name="version: NVFP4 of Qwen",
            symptom="weights of 4 bits are not served as they should be on SM12x",
            cure="vLLM 0.30 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vLLM recipes#833 (0.28 at least), 2026-08-21",
        ),
        lambda s: _is_qwen(s) and s.has_weights("nvfp4") and _is_from(s, (0, 17, 0), (0, 28, 0)),
        machine="sm12x",
    ),
    _Known(
        Fault(
            name="version: slow kernels for NVFP4",
            symptom="weights of 4 bits are unpacked to 16 at each step: slower than they need be",
            cure="vLLM 0.30 or newer, such as vllm/vllm-openai:v0.30.0",
            source="vllm#55170 (in no release up to 0.29.0), 2026-09-08",
            is_fatal=False,
        ),
        lambda s: s.has_weights("nvfp4") and _is_from(s, (0, 28, 0), (0, 30, 0)),
        machine="sm12x",
    ),
    _Known(
        Fault(
            name="version: FP8 with DeepGEMM",
            symptom="the server aborts at its start: `Unknown recipe`",
            cure="VLLM_USE_DEEP_GEMM=0 in the server's environment, or vLLM 0.28 or newer",
            source="vllm#47130 (0.24), 2026-06-30",
        ),
        lambda s: (
            s.has_weights("fp8") and s.deep_gemm is True and _is_from(s, (0, 24, 0), (0, 25, 0))
        ),
        machine="sm12x",
    ),
    _Known(
        Fault(
            name="eager mode",
            symptom="tokens come at less than half of the speed",
            cure="leave out --enforce-eager, -O0 and a cudagraph_mode of NONE",
            source="one person's notes of a DGX Spark (-55 %), 2026",
        ),
        lambda s: s.eager is True,
    ),
    _Known(
        Fault(
            name="too much of the memory",
            symptom="the machine runs out of memory; its GPU may then stay near 700 MHz until the "
            "power is drawn",
            cure="--gpu-memory-utilization 0.8 (0.85 to 0.87 at most; vLLM takes 0.92 unless told)",
            source="one person's notes; NVIDIA's release notes 26.10 (the default), 2026-10",
        ),
        lambda s: (s.memory_share or 0) > MOST_OF_SHARED_MEMORY,
        machine="shared memory",
    ),
    _Known(
        Fault(
            name="no prefix cache",
            symptom="every turn of an agent is read from its first token: 39 s to the first token "
            "of 25,000 with ten agents",
            cure="--enable-prefix-caching",
            source="one person's bench of a DGX Spark (vLLM 0.26, cache off), 2026-08",
            is_fatal=False,
        ),
        lambda s: s.prefix_caching is False,
    ),
    _Known(
        Fault(
            name="value that can't be read",
            symptom="the server ends at its start, at a number or a JSON that is none",
            cure="""write JSON in single quotes: --speculative-config '{"method": "ngram"}'""",
            source="seen with vLLM 0.32",
        ),
        lambda s: s.unreadable,
    ),
    _Known(
        Fault(
            name="Gemma 4's tool calls on Ollama",
            symptom="tool calls come back empty (E2B, E4B and 26B)",
            cure="serve it with vLLM, or take an agent in plain text: --agent sweagent or mini",
            source="users' report, 2026-04",
        ),
        lambda s: s.calls_functions if _is_gemma(s) and s.server == "Ollama" else False,
    ),
    _Known(
        Fault(
            name="Gemma 4 and many tools",
            symptom="with function calling and many tools, calls lack parameters",
            cure="take an agent in plain text: --agent sweagent or mini",
            source="users' report, 2026-04",
            is_fatal=False,
        ),
        lambda s: _is_gemma(s) and s.server != "Ollama" and s.calls_functions is True,
    ),
)
"""In the order in which a person should mend them."""
