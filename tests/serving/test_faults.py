"""What is known to be broken between a model and a live server, and the names of families."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from orchestrator.serving.faults import KNOWN, Pairing, family_of, faults_of
from orchestrator.serving.pairing import parse_version, version_of_image

SPARK = "DGX Spark (GB10, SM121, 128 GB shared)"
GEMMA = Pairing(family="gemma-4", server="vLLM", version="0.30.0", machine=SPARK)
QWEN = Pairing(family="qwen-3.6", server="vLLM", version="0.30.0", machine=SPARK)
DRAFTS = "drafts and prefix cache"


def names(setup: Pairing) -> list[str]:
    return [fault.name for fault in faults_of(setup)]


@pytest.mark.parametrize(
    ("setup", "found"),
    [
        (Pairing(), []),
        (GEMMA, []),
        (QWEN, []),
        (replace(QWEN, speculative=True, prefix_caching=True), [DRAFTS]),
        (replace(QWEN, family="qwen-3.5", speculative=True, prefix_caching=True), [DRAFTS]),
        (replace(QWEN, speculative=True, prefix_caching=True, version=""), [DRAFTS]),
        (replace(QWEN, speculative=True), []),  # whether the cache is on is not known
        (replace(QWEN, prefix_caching=True), []),
        (replace(QWEN, speculative=False, prefix_caching=True), []),
        (replace(GEMMA, speculative=True, prefix_caching=True), []),
        (replace(QWEN, prefix_caching=False), ["no prefix cache"]),
        (replace(GEMMA, server="Ollama", calls_functions=True), ["Gemma 4's tool calls on Ollama"]),
        (replace(GEMMA, server="Ollama", calls_functions=False), []),
        (replace(QWEN, server="Ollama", calls_functions=True), []),
        (replace(GEMMA, calls_functions=True), ["Gemma 4 and many tools"]),
        (replace(GEMMA, server="llama.cpp", calls_functions=True), ["Gemma 4 and many tools"]),
        (replace(GEMMA, calls_functions=False), []),
        (replace(GEMMA, version="0.27.1"), ["version: Gemma 4 does not start"]),
        (replace(GEMMA, version="0.28.0rc1"), []),
        (replace(GEMMA, version="0.28.1.dev12+g1234abc"), []),
        (replace(GEMMA, version="0.22.1"), ["version: old parser of Gemma 4"]),
        (replace(GEMMA, version="0.12.0"), ["version: Gemma 4 unknown"]),
        (replace(GEMMA, version="nobody knows"), []),
        (replace(GEMMA, server="SGLang", version="0.5.20"), []),
        (replace(GEMMA, server="Ollama", version="0.12.0", calls_functions=False), []),
        (
            replace(QWEN, version="0.24.0", weights="nvidia/Qwen3.6-35B-A3B-NVFP4"),
            ["version: NVFP4 of Qwen"],
        ),
        (replace(QWEN, version="0.24.0", weights="Qwen/Qwen3.6-35B-A3B-FP8"), []),
        (
            replace(QWEN, version="0.24.0", weights="Qwen/Qwen3.6-35B-A3B-FP8", deep_gemm=True),
            ["version: FP8 with DeepGEMM"],
        ),
        (
            replace(QWEN, version="0.29.0", weights="nvidia/Qwen3.6-35B-A3B-NVFP4"),
            ["version: slow kernels for NVFP4"],
        ),
        (
            replace(QWEN, version="0.24.0", weights="x-NVFP4", machine="H100"),
            [],
        ),
    ],
)
def test_a_pair_that_is_known_to_be_bad_is_named(setup: Pairing, found: list[str]) -> None:
    assert names(setup) == found


def test_what_hangs_on_the_agent_is_no_refusal_while_the_agent_is_not_known() -> None:
    (told,) = faults_of(replace(GEMMA, server="Ollama"))
    (certain,) = faults_of(replace(GEMMA, server="Ollama", calls_functions=True))

    assert (told.is_fatal, certain.is_fatal) == (False, True)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.fault.name)
def test_every_fault_says_what_is_seen_what_mends_it_and_who_says_so(known: object) -> None:
    fault = known.fault  # type: ignore[attr-defined]

    assert fault.symptom
    assert fault.cure
    assert re.search(r"20\d\d|seen with vLLM|our own choice", fault.source)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("google/gemma-4-26B-A4B-it", "gemma-4"),
        ("nvidia/Gemma-4-26B-A4B-NVFP4", "gemma-4"),
        ("RedHatAI/gemma-4-31B-it-FP8-dynamic", "gemma-4"),
        ("unsloth/gemma-4-E4B-it-GGUF", "gemma-4"),
        ("gemma4:26b", "gemma-4"),
        ("gemma-4", "gemma-4"),
        ("gemma_4_26b", "gemma-4"),
        ("/models/gemma4", "gemma-4"),
        ("Qwen/Qwen3.5-35B-A3B-FP8", "qwen-3.5"),
        ("qwen3_5-35b", "qwen-3.5"),
        ("qwen35-awq-local", "qwen-3.5"),
        ("qwen-3.5", "qwen-3.5"),
        ("nvidia/Qwen3.6-35B-A3B-NVFP4", "qwen-3.6"),
        ("qwen3.6:35b-a3b-q8_0", "qwen-3.6"),
        ("Qwen3-6-35b", "qwen-3.6"),
        ("google/gemma-3-27b-it", ""),
        ("google/gemma-3-4b-it", ""),
        ("google/gemma-3n-E4B-it", ""),
        ("gemma-4b", ""),
        ("gemma-40b", ""),
        ("google/diffusiongemma-26B-A4B-it", ""),
        ("Qwen/Qwen3-32B", ""),
        ("Qwen/Qwen3-8B", ""),
        ("qwen3-50b", ""),
        ("Qwen/Qwen2.5-Coder-32B", ""),
        ("Qwen/Qwen3.8-27B", ""),
        ("openai/gpt-oss-120b", ""),
        ("", ""),
    ],
)
def test_a_models_family_is_known_by_its_name(name: str, family: str) -> None:
    assert family_of(name) == family


def test_the_first_name_that_tells_a_family_counts() -> None:
    assert family_of("my-model", "/data/weights", "Qwen3.6-35B", "gemma-4") == "qwen-3.6"
    assert family_of() == ""


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.28.0", "0.28.0"),
        ("vllm/vllm-openai:v0.28.0-cu130", "0.28.0"),
        ("vllm/vllm-openai:v0.23.0-aarch64-cu129-ubuntu2404", "0.23.0"),
        ("vllm/vllm-openai:0.24", "0.24"),
        ("registry:5000/vllm/vllm-openai:v0.30.0@sha256:" + "a" * 64, "0.30.0"),
        ("ghcr.io/someone/dgx-spark-vllm:0.16.0-t5", "0.16.0"),
        ("nvcr.io/nvidia/vllm:26.10-py3", "0.31.0"),
        ("nvcr.io/nvidia/vllm:26.02-py3", ""),
        ("vllm/vllm-openai:gemma4-cu130", ""),
        ("vllm/vllm-openai:latest", ""),
        ("vllm/vllm-openai:nightly-20260710", ""),
        ("vllm/vllm-openai", ""),
        ("spark:5000/vllm-openai", ""),
        ("", ""),
    ],
)
def test_an_images_tag_tells_its_version(image: str, version: str) -> None:
    assert version_of_image(image) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.28.0", (0, 28, 0)),
        ("v0.28", (0, 28, 0)),
        ("0.28.1rc1.dev3+g1234", (0, 28, 1)),
        ("0.32.0+cpu", (0, 32, 0)),
        ("26.06-py3", (26, 6, 0)),
        ("", None),
        ("latest", None),
        ("9" * 5000 + ".1", None),
    ],
)
def test_a_version_is_its_three_numbers(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version
