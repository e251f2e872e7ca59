"""The server that `bench` measures: whether it answers, what it holds, and how it is asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx

from orchestrator.bench.conversations import Shape, code_text, shape_for
from orchestrator.config.schema import Model
from orchestrator.endpoint.client import authorization
from orchestrator.endpoint.fields import TOO_BUSY, with_profile
from orchestrator.endpoint.listing import SHORT_TIMEOUT_S
from orchestrator.endpoint.metrics import ServerMetrics, metrics_url, parse_metrics
from orchestrator.endpoint.serving import read_metrics, require_endpoint
from orchestrator.errors import PrerequisiteError
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import answer_words

UNKNOWN_CONTEXT = 32768
"""Tokens, where neither server nor profile says."""
PROBE_CHARS = 4000
PROBE_TIMEOUT_S = 180
PROBE_TRIES = 5
PROBE_DELAY_S = 1.0


@dataclass(frozen=True)
class Target:
    """A server that answered, and what every request to it looks like."""

    base_url: str
    headers: dict[str, str]
    fields: dict[str, Any]
    """Of every request's body: the profile's, and what makes lengths comparable."""
    timeout_s: float
    shape: Shape
    chars_per_token: float
    fixed_lengths: bool
    """The server is vLLM, which writes as many tokens as it is asked for."""
    metrics: ServerMetrics | None
    """At the start; None where the server has no metrics of vLLM's."""

    @property
    def chat_url(self) -> str:
        return f"{self.base_url}/chat/completions"

    @property
    def metrics_url(self) -> str:
        return metrics_url(self.base_url)

    def body(self, messages: list[dict[str, str]], max_tokens: int) -> dict[str, Any]:
        return {
            **self.fields,
            "messages": messages,
            "max_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def require_target(model: Model, key: str, steps: int) -> Target:
    """Look at a model's server, and ask it once. Conversations will have `steps` at most.

    Raises:
        PrerequisiteError: it does not answer, does not serve the model, or counts no tokens.
    """
    base_url = model.endpoint.base_url.rstrip("/")
    facts = require_endpoint(model, base_url, key)
    headers = authorization(key)
    with open_client(base_url, headers=headers) as client:
        metrics = parse_metrics(read_metrics(client, base_url))
        fixed = metrics is not None or facts.get("owned_by") == "vllm"
        fields = request_fields(model, fixed)
        ratio = _measure_ratio(client, base_url, fields)
    known = [n for n in (facts.get("max_model_len"), model.context_length) if isinstance(n, int)]
    return Target(
        base_url=base_url,
        headers=headers,
        fields=fields,
        timeout_s=model.endpoint.request_timeout_s,
        shape=shape_for(min(known, default=UNKNOWN_CONTEXT), steps),
        chars_per_token=ratio,
        fixed_lengths=fixed,
        metrics=metrics,
    )


def request_fields(model: Model, fixed_lengths: bool) -> dict[str, Any]:
    """What a rollout's request says too, but for the answer's length, which is the bench's own."""
    fields = with_profile(model, {"ignore_eos": True} if fixed_lengths else {})
    return {name: value for name, value in fields.items() if name != "max_tokens"}


def _measure_ratio(client: httpx.Client, base_url: str, fields: dict[str, Any]) -> float:
    """Characters a token of the text that is sent; shows too that the server answers at all."""
    prompt = code_text(Random(0), PROBE_CHARS)
    body = {**fields, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    reply = complete(client, base_url, body)
    try:
        tokens = int(reply.json()["usage"]["prompt_tokens"])
    except (ValueError, KeyError, TypeError):
        tokens = 0
    if tokens <= 0:
        raise PrerequisiteError(f"{base_url} does not say how many tokens its answers took.")
    return PROBE_CHARS / tokens


def complete(client: httpx.Client, base_url: str, body: dict[str, Any]) -> httpx.Response:
    """One chat completion, as the server sent it; one that is too busy is asked again.

    Raises:
        PrerequisiteError: it completes none.
    """
    limits = httpx.Timeout(PROBE_TIMEOUT_S, connect=SHORT_TIMEOUT_S)
    for _ in range(PROBE_TRIES):
        try:
            reply = client.post(f"{base_url}/chat/completions", json=body, timeout=limits)
        except httpx.HTTPError as error:
            way = way_to(base_url)
            raise PrerequisiteError(
                f"{base_url} does not complete a chat{way} ({way.problem(error).what}).",
                "Look at the server's log; a hung engine still lists its models.",
            ) from None
        if reply.status_code == 200:
            return reply
        if reply.status_code not in TOO_BUSY:
            where = reply.headers.get("Location")
            problem = answer_words(reply.status_code, reply.text[:200], where)
            raise PrerequisiteError(f"{base_url} does not complete a chat ({problem}).")
        time.sleep(PROBE_DELAY_S)
    raise PrerequisiteError(
        f"{base_url} is too busy to be measured (HTTP {reply.status_code}).",
        "Measure it while nobody else uses it.",
    )
