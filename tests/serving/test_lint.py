"""People's command lines against what is known to be broken: good ones pass, bad ones are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.serving.command import ServerCommand
from orchestrator.serving.faults import KNOWN, Fault
from orchestrator.serving.lint import lint
from orchestrator.serving.read_command import read_command

SPARK = "DGX Spark (GB10, SM121, 128 GB shared)"
TOOLS = "--enable-auto-tool-choice --tool-call-parser"
QWEN = f"{TOOLS} qwen3_xml --gpu-memory-utilization 0.8"
TEMPLATE = "--chat-template examples/tool_chat_template_gemma4.jinja"
GEMMA = f"{TOOLS} gemma4 {TEMPLATE} --gpu-memory-utilization 0.8"
QWEN_FP8 = "Qwen/Qwen3.6-35B-A3B-FP8"
MTP = """'{"method": "mtp", "num_speculative_tokens": 2}'"""
RUN = "docker run --gpus all --ipc=host -p 8000:8000 vllm/vllm-openai"

GOOD = {
    "Gemma, of vLLM's recipe": f"""
        docker run -d --gpus all --ipc=host -e VLLM_USE_V2_MODEL_RUNNER=1
          vllm/vllm-openai:v0.30.0 nvidia/Gemma-4-26B-A4B-NVFP4
          --kv-cache-dtype fp8 --gpu-memory-utilization 0.8 --max-num-seqs 8
          --load-format fastsafetensors --enable-prefix-caching --max-num-batched-tokens 8192
          {TOOLS} gemma4 --reasoning-parser gemma4 {TEMPLATE}""",
    "Gemma with its template mounted": f"""
        docker run --gpus all -v /home/me/t:/templates:ro vllm/vllm-openai:v0.28.0
          google/gemma-4-31B-it {TOOLS} gemma4 --gpu-memory-utilization 0.85
          --chat-template /templates/tool_chat_template_gemma4.jinja""",
    "Gemma with its draft model": f"""vllm serve RedHatAI/gemma-4-26B-A4B-it-FP8-dynamic {GEMMA}
          --speculative-config '{{"model": "google/gemma-4-26B-A4B-it-assistant",
          "num_speculative_tokens": 4}}'""",
    "Gemma with its maker's template": f"""vllm serve google/gemma-4-E4B-it {TOOLS} gemma4
          --chat-template ./chat_template.jinja --gpu-memory-utilization 0.8""",
    "Gemma by a digest": f"{RUN}@sha256:{'a' * 64} google/gemma-4-26B-A4B-it {GEMMA}",
    "Gemma by a variable": f"docker run $VLLM_IMAGE vllm serve google/gemma-4-26B-A4B-it {GEMMA}",
    "Qwen, thinking off": f"""vllm serve {QWEN_FP8} {QWEN} --enable-prefix-caching
          --default-chat-template-kwargs '{{"enable_thinking": false}}'""",
    "Qwen with the parser's other name": f"""vllm serve Qwen/Qwen3.5-35B-A3B {TOOLS} qwen3_coder
          --gpu_memory_utilization=0.87""",
    "Qwen that drafts by n-grams": f"""vllm serve {QWEN_FP8} {QWEN}
          --speculative-config '{{"method": "ngram", "num_speculative_tokens": 4}}'""",
    "Qwen FP8 without DeepGEMM": f"""docker run -e VLLM_USE_DEEP_GEMM=0 --gpus all
          vllm/vllm-openai:v0.24.0 {QWEN_FP8} {QWEN} --enable-prefix-caching""",
    "Qwen in NVFP4 of a new version": f"{RUN}:v0.30.0 nvidia/Qwen3.6-35B-A3B-NVFP4 {QWEN}",
    "memory in bytes": f"""vllm serve {QWEN_FP8} {TOOLS} qwen3_xml
          --kv-cache-memory-bytes 40G""",
    "a switch that is taken back": f"""vllm serve {QWEN_FP8} {QWEN} --enforce-eager
          --no-enforce-eager""",
    "another model, whose parser nobody here knows": f"""vllm serve openai/gpt-oss-120b {TOOLS}
          openai --gpu-memory-utilization 0.8""",
    "flags in a file": f"vllm serve {QWEN_FP8} --config /etc/vllm/qwen.yaml",
}

ANSWERS, DRAFTS = "answers taken for thoughts", "drafts and prefix cache"
TEMPLATE_MISSING, PARSER, OFF = (
    *("no chat template", "tool parser of another model", "tool calls are off"),
)
MEMORY, EAGER, UNREADABLE = "too much of the memory", "eager mode", "value that can't be read"

BAD = {
    "a reasoning parser with Qwen": (
        f"vllm serve {QWEN_FP8} {QWEN} --reasoning-parser qwen3",
        {ANSWERS},
    ),
    "another one, with underscores": (
        f"vllm serve Qwen/Qwen3.5-35B-A3B {QWEN} --reasoning_parser=deepseek_r1",
        {ANSWERS},
    ),
    "Qwen by its served name alone": (
        f"vllm serve /models/weights --served-model-name qwen3.5-35b {QWEN} --reasoning-parser x",
        {ANSWERS},
    ),
    "drafts, the cache on": (
        f"vllm serve {QWEN_FP8} {QWEN} --enable-prefix-caching --speculative-config {MTP}",
        {DRAFTS},
    ),
    "drafts, the cache by default": (
        f"{RUN}:v0.30.0 {QWEN_FP8} {QWEN} --speculative-config {MTP}",
        {DRAFTS},
    ),
    "drafts in dotted flags": (
        f"vllm serve {QWEN_FP8} {QWEN} --speculative-config.method qwen3_next_mtp "
        "--speculative-config.num_speculative_tokens 2",
        {DRAFTS},
    ),
    "drafts by a short flag": (f"vllm serve {QWEN_FP8} {QWEN} -sc {MTP}", {DRAFTS}),
    "drafts by --spec-method": (
        f"vllm serve {QWEN_FP8} {QWEN} --spec-method mtp --spec-tokens 2",
        {DRAFTS},
    ),
    "drafts as older versions have it": (
        f"vllm serve {QWEN_FP8} {QWEN} --speculative-model {QWEN_FP8} --num-speculative-tokens 2",
        {DRAFTS},
    ),
    "drafts without a word on the method": (
        f"""vllm serve {QWEN_FP8} {QWEN} --speculative-config '{{"num_speculative_tokens": 1}}'""",
        {DRAFTS},
    ),
    "NVIDIA's playbook, as it stands": (
        f"""docker run -it --gpus all -p 8000:8000 vllm/vllm-openai:latest
          nvidia/Qwen3.6-35B-A3B-NVFP4 --host 0.0.0.0 --port 8000 --trust-remote-code
          --kv-cache-dtype fp8 --moe-backend marlin --gpu-memory-utilization 0.4
          --enable-prefix-caching --speculative-config {MTP} --reasoning-parser qwen3
          --enable-auto-tool-choice --tool-call-parser qwen3_coder""",
        {ANSWERS, DRAFTS},
    ),
    "Gemma without its template": (
        f"vllm serve google/gemma-4-26B-A4B-it {TOOLS} gemma4 --gpu-memory-utilization 0.8",
        {TEMPLATE_MISSING},
    ),
    "Gemma without its parser": (
        f"vllm serve google/gemma-4-26B-A4B-it {TEMPLATE} --gpu-memory-utilization 0.8",
        {OFF},
    ),
    "Gemma with another's parser": (
        f"vllm serve google/gemma-4-E4B-it {TOOLS} pythonic {TEMPLATE} "
        "--gpu-memory-utilization 0.8",
        {PARSER},
    ),
    "Gemma with another's template": (
        f"vllm serve google/gemma-4-E4B-it {TOOLS} gemma4 --gpu-memory-utilization 0.8 "
        "--chat-template examples/tool_chat_template_gemma3_pythonic.jinja",
        {"chat template of another model"},
    ),
    "Gemma on latest": (f"{RUN}:latest google/gemma-4-26B-A4B-it {GEMMA}", {"Gemma 4's image"}),
    "Gemma on no tag": (f"{RUN} google/gemma-4-26B-A4B-it {GEMMA}", {"Gemma 4's image"}),
    "Gemma on last night's": (
        f"{RUN}:nightly-aarch64 google/gemma-4-26B-A4B-it {GEMMA}",
        {"Gemma 4's image"},
    ),
    "Gemma on latest, for CUDA 13": (
        f"{RUN}:latest-cu130 google/gemma-4-26B-A4B-it {GEMMA}",
        {"Gemma 4's image"},
    ),
    "Gemma on 0.27.1": (
        f"{RUN}:v0.27.1 nvidia/Gemma-4-26B-A4B-NVFP4 {GEMMA}",
        {"version: Gemma 4 does not start"},
    ),
    "Gemma on 0.27.0, with a suffix": (
        f"{RUN}:v0.27.0-cu130 google/gemma-4-31B-it {GEMMA}",
        {"version: Gemma 4 does not start"},
    ),
    "Gemma on a version that does not know it": (
        f"{RUN}:v0.18.1 google/gemma-4-26B-A4B-it {GEMMA}",
        {"version: Gemma 4 unknown"},
    ),
    "Gemma's draft model on the image of May": (
        f"""{RUN}:gemma4-0505-cu130 google/gemma-4-26B-A4B-it {GEMMA} --speculative-config
          '{{"model": "google/gemma-4-26B-A4B-it-assistant", "num_speculative_tokens": 4}}'""",
        {"version: Gemma 4's draft model"},
    ),
    "Qwen on a version that does not know it": (
        f"docker run nvcr.io/nvidia/vllm:26.01-py3 vllm serve Qwen/Qwen3.5-35B-A3B {QWEN}",
        {"version: Qwen 3.5 unknown"},
    ),
    "Qwen in NVFP4 on 0.24": (
        f"{RUN}:v0.24.0-ubuntu2404 nvidia/Qwen3.6-35B-A3B-NVFP4 {QWEN}",
        {"version: NVFP4 of Qwen"},
    ),
    "Qwen in FP8 with DeepGEMM on 0.24": (
        f"{RUN}:v0.24.0 {QWEN_FP8} {QWEN}",
        {"version: FP8 with DeepGEMM"},
    ),
    "Qwen with the parser of older ones": (
        f"vllm serve {QWEN_FP8} {TOOLS} hermes --gpu-memory-utilization 0.8",
        {PARSER},
    ),
    "Qwen without tools": (f"vllm serve {QWEN_FP8} --gpu-memory-utilization 0.8", {OFF}),
    "a parser, and tools not switched on": (
        f"vllm serve {QWEN_FP8} --tool-call-parser qwen3_xml --gpu-memory-utilization 0.8",
        {OFF},
    ),
    "eager": (f"vllm serve {QWEN_FP8} {QWEN} --enforce-eager", {EAGER}),
    "eager by -O0": (f"vllm serve {QWEN_FP8} {QWEN} -O0", {EAGER}),
    "eager by a cudagraph_mode": (
        f"""vllm serve {QWEN_FP8} {QWEN} --compilation-config '{{"cudagraph_mode": "NONE"}}'""",
        {EAGER},
    ),
    "eager by a dotted flag": (f"vllm serve {QWEN_FP8} {QWEN} -cc.cudagraph_mode=none", {EAGER}),
    "0.9 of shared memory": (f"vllm serve m {TOOLS} x --gpu-memory-utilization 0.9", {MEMORY}),
    "0.95, cut short": (f"vllm serve m {TOOLS} x --gpu-memory-util=.95", {MEMORY}),
    "the default, which is more than shared memory has": (f"vllm serve m {TOOLS} x", {MEMORY}),
    "the same in NVIDIA's container": (
        f"docker run nvcr.io/nvidia/vllm:26.10-py3 vllm serve m {TOOLS} x",
        {MEMORY},
    ),
    "a JSON without quotes": (
        f"vllm serve google/gemma-4-26B-A4B-it {GEMMA} --speculative-config {{model:x}}",
        {UNREADABLE},
    ),
    "a share that is no number": (
        f"vllm serve {QWEN_FP8} {TOOLS} qwen3_xml --gpu-memory-utilization 0,8",
        {UNREADABLE},
    ),
    "all at once": (
        "vllm serve google/gemma-4-26B-A4B-it --enforce-eager",
        {TEMPLATE_MISSING, OFF, EAGER, MEMORY},
    ),
}

WARNED = {
    "the image of the users' own report": (
        f"{RUN}:gemma4-cu130 google/gemma-4-26B-A4B-it {GEMMA}",
        {"version: old parser of Gemma 4"},
    ),
    "an old parser of Gemma": (
        f"{RUN}:v0.23.0-aarch64-cu129-ubuntu2404 google/gemma-4-26B-A4B-it {GEMMA}",
        {"version: old parser of Gemma 4"},
    ),
    "latest, for another model": (
        f"{RUN}:latest {QWEN_FP8} {QWEN}",
        {"image without an exact tag"},
    ),
    "a template that no mount brings": (
        f"{RUN}:v0.30.0 google/gemma-4-26B-A4B-it {TOOLS} gemma4 --gpu-memory-utilization 0.8 "
        "--chat-template /templates/tool_chat_template_gemma4.jinja",
        {"chat template not in the container"},
    ),
    "slow kernels": (
        f"{RUN}:v0.29.0 nvidia/Gemma-4-26B-A4B-NVFP4 {GEMMA}",
        {"version: slow kernels for NVFP4"},
    ),
    "no prefix cache": (
        f"vllm serve {QWEN_FP8} {QWEN} --no-enable-prefix-caching --speculative-config {MTP}",
        {"no prefix cache"},
    ),
    "no prefix cache by an older version's default": (
        f"{RUN}:v0.25.1 {QWEN_FP8} {QWEN} --speculative-config {MTP}",
        {"no prefix cache"},
    ),
}


OF_LIVE_SERVERS = {"Gemma 4's tool calls on Ollama", "Gemma 4 and many tools"}
"""Which no command line tells."""


def found_in(text: str, machine: str = SPARK) -> tuple[Fault, ...]:
    return lint(read_command(" ".join(text.split())), machine)


def fatal(faults: tuple[Fault, ...]) -> set[str]:
    return {fault.name for fault in faults if fault.is_fatal}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_good_command_line_has_no_fault(text: str) -> None:
    assert found_in(text) == ()


@pytest.mark.parametrize(("text", "names"), BAD.values(), ids=BAD)
def test_a_command_line_that_is_known_to_be_broken_is_refused(text: str, names: set[str]) -> None:
    faults = found_in(text)

    assert fatal(faults) == names
    for fault in faults:
        assert fault.symptom
        assert fault.cure
        assert fault.source


@pytest.mark.parametrize(("text", "names"), WARNED.values(), ids=WARNED)
def test_what_only_costs_or_is_a_risk_is_told_and_not_refused(text: str, names: set[str]) -> None:
    faults = found_in(text)

    assert fatal(faults) == set()
    assert {fault.name for fault in faults} == names


@pytest.mark.parametrize(
    "text",
    [
        f"vllm serve m {TOOLS} x --gpu-memory-utilization 0.95",
        f"{RUN}:v0.24.0 {QWEN_FP8} {QWEN} --enable-prefix-caching",
        f"{RUN}:v0.24.0 nvidia/Qwen3.6-35B-A3B-NVFP4 {QWEN} --enable-prefix-caching",
    ],
)
def test_what_is_broken_on_one_kind_of_machine_is_refused_there_alone(text: str) -> None:
    assert fatal(found_in(text, "DGX Spark"))
    assert found_in(text, "H100 (80 GB)") == ()
    (told,) = found_in(text, "")

    assert not told.is_fatal
    assert told.symptom.startswith("on ")


@pytest.mark.parametrize(
    "machine", ["DGX Spark", "nvidia gb10", "ASUS Ascent GX10", "SM121", "sm_121", "sm 12.1"]
)
def test_a_spark_is_known_by_what_people_call_it(machine: str) -> None:
    text = f"{RUN}:v0.24.0 {QWEN_FP8} {QWEN} --enable-prefix-caching"

    assert fatal(found_in(text, machine)) == {"version: FP8 with DeepGEMM"}


def test_every_fault_of_a_command_line_is_found_in_one_here() -> None:
    tried = {
        fault.name for text, _ in (*BAD.values(), *WARNED.values()) for fault in found_in(text)
    }

    assert {known.fault.name for known in KNOWN} - tried == OF_LIVE_SERVERS


def test_a_cure_names_the_flag_that_mends_it() -> None:
    faults = {fault.name: fault for fault in found_in(BAD["all at once"][0])}

    assert "--chat-template" in faults[TEMPLATE_MISSING].cure
    assert "--enable-auto-tool-choice" in faults[OFF].cure
    assert "--enforce-eager" in faults[EAGER].cure
    assert "--gpu-memory-utilization 0.8" in faults[MEMORY].cure


LOOKED_AT = ("--speculative-config", "--speculative-config.x", "--gpu-memory-utilization")
FLAGS = st.sampled_from((*LOOKED_AT, "--chat-template", "--served-model-name")) | st.text()


@given(
    st.builds(
        ServerCommand,
        weights=st.sampled_from(["google/gemma-4", QWEN_FP8]) | st.text(),
        flags=st.lists(st.tuples(FLAGS, st.none() | st.text()), max_size=6).map(tuple),
        image=st.text(),
        env=st.dictionaries(st.text(), st.text(), max_size=2),
        mounts=st.lists(st.text(), max_size=3).map(tuple),
    ),
    st.text(),
)
@pytest.mark.fuzz
def test_no_command_makes_the_lint_fail(command: ServerCommand, machine: str) -> None:
    for fault in lint(command, machine):
        assert fault.name
