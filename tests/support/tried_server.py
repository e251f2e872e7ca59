"""A model server as the doctor tries it: in good health, or ill in one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.fake_model import FakeModelServer, Reply, error

CHARS_PER_TOKEN = 4
METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running {running}.0
vllm:num_requests_waiting 0.0
vllm:generation_tokens_total {written}.0
vllm:prompt_tokens_total 9.0
vllm:prefix_cache_queries_total {queries}.0
vllm:prefix_cache_hits_total {hits}.0
vllm:cache_config_info{{block_size="16",enable_prefix_caching="{cached}"}} 1.0
"""
PAGES_OF: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "vLLM": lambda name, context: {
        "/v1/models": [{"id": name, "owned_by": "vllm", "max_model_len": context}],
        "/version": {"version": "0.30.0"},
    },
    "SGLang": lambda name, context: {
        "/v1/models": [{"id": name, "owned_by": "sglang", "max_model_len": context}],
        "/server_info": {"version": "0.5.9", "model_path": "x"},
    },
    "llama.cpp": lambda name, context: {
        "/v1/models": [{"id": name, "owned_by": "llamacpp"}],
        "/props": {"default_generation_settings": {"n_ctx": context}, "build_info": "b9000"},
    },
    "Ollama": lambda name, context: {
        "/v1/models": [{"id": name, "owned_by": "library"}],
        "/api/version": {"version": "0.33.3"},
        "/api/ps": {"models": [{"name": name, "context_length": context}]},
    },
    "LM Studio": lambda name, context: {
        "/v1/models": [{"id": name, "owned_by": "organization_owner"}],
        "/api/v0/models": {
            "data": [{"id": name, "state": "loaded", "loaded_context_length": context}]
        },
    },
    "": lambda name, context: {"/v1/models": [{"id": name}]},
}
"""By kind: what it shows of itself. The last one is of a kind that nobody knows."""


@dataclass
class TriedServer(FakeModelServer):
    """Says a short answer to what is asked at a launch, and else writes as much as is wanted."""

    kind: str = "vLLM"
    name: str = "m"
    context: int = 32768
    caches: bool = True
    cuts_at: int | None = None
    """Tokens; what is longer it cuts to half of that, as Ollama does."""
    refuses_at: int | None = None
    tokens_per_s: float = 5000.0
    writes_at_most: int = 10_000
    others: int = 0
    """Requests of others that it answers all the time."""
    message: dict[str, Any] = field(default_factory=lambda: {"content": "391"})
    _seen: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=lambda: {"written": 0, "queries": 0, "hits": 0})

    def __post_init__(self) -> None:
        pages = PAGES_OF[self.kind](self.name, self.context)
        pages["/v1/models"] = {"object": "list", "data": pages["/v1/models"]}
        self.pages = {**{path: json.dumps(page) for path, page in pages.items()}, **self.pages}
        self.otherwise = lambda: self._answer(self.asked[-1])
        self._show()
        super().__post_init__()

    def _answer(self, question: dict[str, Any]) -> Reply:
        prompt = str(question["messages"][0]["content"])
        tokens = len(prompt) // CHARS_PER_TOKEN + 10
        if self.refuses_at is not None and tokens > self.refuses_at:
            return error(400, f"This model's maximum context length is {self.refuses_at} tokens.")
        if self.cuts_at is not None and tokens > self.cuts_at:
            tokens = self.cuts_at // 2
        found = tokens // 16 * 16 if self.caches and prompt in self._seen else 0
        self._seen.add(prompt)
        wanted = 3 if "17 * 23" in prompt else question["max_tokens"]
        written = min(wanted, self.writes_at_most)
        self._counts["queries"] += tokens * self.caches
        self._counts["hits"] += found
        self._counts["written"] += written * (1 + 5 * self.others)
        self._show()
        body = {
            "choices": [
                {"message": {"role": "assistant", **self.message}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": tokens, "completion_tokens": written},
        }
        seconds = written / self.tokens_per_s
        return Reply(chunks=[json.dumps(body).encode()], after_s=seconds)

    def _show(self) -> None:
        if self.kind == "vLLM":
            shown = METRICS.format(running=self.others, cached=self.caches, **self._counts)
            self.metrics = shown
