"""Real vLLM servers: one to ask, one to break, one that says what a test wants.

A start takes 20 s, so all tests here share them: `tests/conftest.py` gives them to one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.tiny_vllm import RUNNING, WAITING, ForcedVllm, TinyVllm


@contextmanager
def _servers(logs: Path) -> Iterator[Callable[..., TinyVllm]]:
    with ExitStack() as stack:

        def start(*flags: str, **more: Any) -> TinyVllm:
            server = TinyVllm(Path(os.environ["SWE_ORCHESTRATOR_VLLM"]), logs, *flags, **more)
            stack.callback(server.close)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyVllm]:
    """The ordinary one, for tests that only ask. Two requests run and six wait, no more.

    It takes what its model says for thought up to `</think>`, unless a request has NO_THINKING.
    """
    with _servers(tmp_path_factory.mktemp("vllm")) as start:
        yield start(
            *("--max-num-seqs", str(RUNNING), "--max-num-queued-reqs", str(RUNNING + WAITING)),
            *("--reasoning-parser", "qwen3", "--enable-prompt-tokens-details"),
            *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        )


@pytest.fixture(scope="session")
def _breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyVllm]:
    with _servers(tmp_path_factory.mktemp("breakable")) as start:
        yield start("--max-num-seqs", "4", api_key="a-key")


@pytest.fixture
def breakable_vllm(_breakable: TinyVllm) -> TinyVllm:
    """One to hang and to kill, with a key; up again at the next test, on the same port."""
    if not _breakable.is_healthy():
        _breakable.kill()
        _breakable.start()
    _breakable.resume_engine()
    return _breakable


@pytest.fixture(scope="session")
def forced_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForcedVllm]:
    """Its context takes what OpenHands says of itself: a token of its model is a byte."""
    folder = tmp_path_factory.mktemp("forced")
    script = folder / "script.json"
    environment = {"FORCED_ANSWERS": str(script), "PYTHONPATH": str(Path(__file__).parents[1])}
    with _servers(folder) as start:
        server = start(
            *("--middleware", "support.forced_answers.ForceAnswers"),
            *("--max-model-len", "49152", "--hf-overrides", '{"max_position_embeddings": 49152}'),
            *("--num-gpu-blocks-override", "1024", "--max-num-seqs", "4"),
            *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
            environment=environment,
        )
        yield ForcedVllm(server, script)
