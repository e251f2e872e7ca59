"""A recipe and a model whose every value is as odd as it may be, and a program that plays ssh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.recipe import Recipe
from orchestrator.config.schema import Model
from orchestrator.serving.shell import READY

Play = Callable[..., Path]
ODD = (
    "it's",
    'a "b"',
    "$(touch owned)",
    "`touch owned`",
    "$HOME",
    "a\nEND\nb",
    "back\\slash",
    "; touch owned #",
    "  blanks  ",
    "*",
    "ümläut 🙂",
    "-x",
)


@pytest.fixture
def odd() -> tuple[str, ...]:
    return ODD


@pytest.fixture
def recipe() -> Recipe:
    flags: list[dict[str, Any]] = [
        {"name": f"--flag-{number}", "value": value, "why": value, "source": value}
        for number, value in enumerate(ODD)
    ]
    flags += [
        {
            "name": "--enable-prefix-caching",
            "why": "prompts grow at their end",
            "source": "a bench",
        },
        {"name": "--max-model-len", "value": 1, "why": "the profile knows better"},
        {"name": "--host", "value": "127.0.0.1", "why": "nobody would reach it"},
        {"name": "--port", "value": 9, "why": "neither"},
    ]
    return Recipe.model_validate(
        {
            "name": "odd",
            "machine": "a box (128 GB shared)",
            "image": "registry:5000/team/vllm:v0.32.0",
            "port": 8123,
            "chat_template": {
                "url": "https://example.org/v1/a'b$(touch${IFS}owned).jinja",
                "sha256": "0" * 64,
                "why": "reads\nconversations",
                "source": "its makers",
            },
            "flags": flags,
            "env": [{"name": "ODD", "value": ODD[5], "why": "odd"}],
            "default": "fp8",
            "variants": {
                "fp8": {"description": "8 bits", "weights": "org/model-FP8"},
                "nvfp4": {
                    "description": "4 bits",
                    "weights": "org/model-NVFP4",
                    "image": "registry:5000/team/vllm:v0.33.0",
                    "without": ["--flag-0"],
                },
            },
            "notes": ["a note\nof two lines"],
        }
    )


@pytest.fixture
def model() -> Model:
    return Model.model_validate(
        {
            "name": "odd",
            "served_name": 'it\'s "odd" $(touch owned)\nEND',
            "endpoint": {"base_url": "http://gpu.invalid:8000/v1"},
            "context_length": 4096,
            "recipe": "odd",
        }
    )


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Lets a script of sh be ssh, and tells the file that gets its arguments.

    It plays what runs over there, from the first line of ours on; with `is_login` from before it.
    """

    def install(script: str, *, is_login: bool = False) -> Path:
        words = tmp_path / "words"
        program = tmp_path / "a ssh"
        begin = "" if is_login else f"echo {READY}\n"
        program.write_text(f"#!/bin/sh\necho \"$*\" >'{words}'\n{begin}{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("SWE_ORCHESTRATOR_SSH", f"'{program}' -F 'my config'")
        return words

    return install
