"""Real vLLM servers: one to ask, one to break, one that says what a test wants.

To import vLLM takes 15 s, and each server 1 GB, so all tests here share them: `tests/conftest.py`
gives them to one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.tiny_vllm import RUNNING, WAITING, ForcedVllm, TinyVllm, VllmImported


@pytest.fixture(scope="session")
def start_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., TinyVllm]]:
    logs = tmp_path_factory.mktemp("vllm")
    with ExitStack() as stack:
        imported = VllmImported(Path(os.environ["SWE_ORCHESTRATOR_VLLM"]), logs)
        stack.callback(imported.close)

        def start(*flags: str, **more: Any) -> TinyVllm:
            server = TinyVllm(imported, logs, *flags, **more)
            stack.callback(server.close)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def vllm_server(start_vllm: Callable[..., TinyVllm]) -> TinyVllm:
    """The ordinary one, for tests that only ask. Two requests run and six wait, no more.

    It takes what its model says for thought up to `</think>`, unless a request has NO_THINKING.
    """
    return start_vllm(
        *("--max-num-seqs", str(RUNNING), "--max-num-queued-reqs", str(RUNNING + WAITING)),
        *("--reasoning-parser", "qwen3", "--enable-prompt-tokens-details"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    )


@pytest.fixture(scope="session")
def _breakable(start_vllm: Callable[..., TinyVllm]) -> TinyVllm:
    return start_vllm("--max-num-seqs", "4", api_key="a-key")


@pytest.fixture
def breakable_vllm(_breakable: TinyVllm) -> TinyVllm:
    """One to hang and to kill, with a key; up again at the next test, on the same port."""
    if not _breakable.is_healthy():
        _breakable.kill()
        _breakable.start()
    _breakable.resume_engine()
    return _breakable


@pytest.fixture(scope="session")
def forced_vllm(
    start_vllm: Callable[..., TinyVllm], tmp_path_factory: pytest.TempPathFactory
) -> ForcedVllm:
    """Its context takes what OpenHands says of itself: a token of its model is a byte."""
    script = tmp_path_factory.mktemp("forced") / "script.json"
    server = start_vllm(
        *("--middleware", "support.forced_answers.ForceAnswers"),
        *("--max-model-len", "49152", "--hf-overrides", '{"max_position_embeddings": 49152}'),
        *("--num-gpu-blocks-override", "1024", "--max-num-seqs", "4"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        environment={"FORCED_ANSWERS": str(script)},
    )
    return ForcedVllm(server, script)
