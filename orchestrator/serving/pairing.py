"""What is known of a model, its server and its machine, and what their names tell. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.config.image_names import tag_of

GEMMA_4, QWEN_35, QWEN_36 = "gemma-4", "qwen-3.5", "qwen-3.6"
QWEN = (QWEN_35, QWEN_36)
"""Hybrids: most of their layers keep a state instead of a cache of every token."""
_FAMILIES = {
    GEMMA_4: re.compile(r"(?<![a-z])gemma[-_. ]?4(?![0-9b])", re.IGNORECASE),
    QWEN_35: re.compile(r"qwen[-_. ]?3[-_.]?5(?![0-9b])", re.IGNORECASE),
    QWEN_36: re.compile(r"qwen[-_. ]?3[-_.]?6(?![0-9b])", re.IGNORECASE),
}
"""How people write a family in a model's name: Gemma-4-26B, gemma4:26b, Qwen3.5, qwen3_5."""
_MACHINES = {
    "spark": re.compile(r"spark|gb10|gx10|sm[_ ]?12\.?1", re.IGNORECASE),
    "sm12x": re.compile(r"spark|gb10|gx10|sm[_ ]?12|rtx.?(50|pro)|\b50[5-9]0\b", re.IGNORECASE),
    "shared memory": re.compile(r"spark|gb10|gx10|shared|unified|jetson|thor", re.IGNORECASE),
}
_NGC = {
    "25.12": "0.11.1",  # vllm#31424, 2026-01
    "26.01": "0.13.0",  # a guide to Qwen 3.5 on the Spark, 2026-02
    "26.04": "0.19.0",  # a benchmark of SM121, 2026-05
    "26.06": "0.22.1",  # NVIDIA's release notes 26.06
    "26.10": "0.31.0",  # NVIDIA's release notes 26.10
}
"""Which vLLM is in NVIDIA's container of a month (nvcr.io/nvidia/vllm)."""

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Pairing:
    """None is what is not known; so is an empty text in the first four and in those of names."""

    family: str = ""
    """As `family_of` says it."""
    server: str = ""
    """Its kind, such as vLLM or Ollama."""
    version: str = ""
    """Of the server."""
    machine: str = ""
    """With the GPU, as people write it: DGX Spark (GB10, SM121, 128 GB shared)."""
    speculative: bool | None = None
    """Whether tokens are drafted, by a model's own heads (MTP) or by another model."""
    prefix_caching: bool | None = None
    calls_functions: bool | None = None
    """Whether who asks uses the server's function calling, with many tools."""

    # what only the command tells that starts it
    image: str = ""
    weights: str = ""
    draft_method: str = ""
    tool_parser: str | None = None
    """Empty where none is set; so with the next two."""
    reasoning_parser: str | None = None
    chat_template: str | None = None
    brings_template: bool | None = None
    """Whether a container is given the template, or has it."""
    offers_tools: bool | None = None
    """Whether requests with tools are taken at all."""
    eager: bool | None = None
    memory_share: float | None = None
    """Of the GPU's memory that the server takes, 0 to 1."""
    deep_gemm: bool | None = None
    unreadable: bool = False
    """Whether a value that should be JSON is none."""

    @property
    def parsed_version(self) -> Version | None:
        return parse_version(self.version or version_of_image(self.image))

    def is_on(self, kind: str) -> bool | None:
        """Whether the machine is a `spark`, an `sm12x` or has `shared memory`; None: not known."""
        return bool(_MACHINES[kind].search(self.machine)) if self.machine else None

    def has_weights(self, form: str) -> bool:
        """Whether the weights' name tells of a format, such as nvfp4."""
        return form in self.weights.lower()


def family_of(*names: str) -> str:
    """Of the first name that tells one (served name, weights, profile); empty where none does."""
    found = (f for name in names for f, form in _FAMILIES.items() if form.search(name))
    return next(found, "")


def parse_version(text: str) -> Version | None:
    """Of `0.28.0`, `v0.28.1rc1.dev3+g1234`: its three numbers, what stands behind them left out.

    A release candidate or a nightly build counts as what it leads to.
    """
    found = re.match(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?![\d])", text.strip())
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def version_of_image(image: str) -> str:
    """vLLM's, as far as the tag tells: v0.28.0-cu130, 26.06-py3 of NVIDIA's; empty where not."""
    tag = tag_of(image)
    if image.startswith("nvcr.io/"):
        return _NGC.get(tag[:5], "")
    found = re.match(r"v?(0\.\d+(?:\.\d+)?)(?![.\d])", tag)
    return found[1] if found else ""
