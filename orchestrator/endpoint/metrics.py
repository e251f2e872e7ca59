"""What a vLLM server says of itself under /metrics, as one reading and the difference of two.

Names: https://docs.vllm.ai/en/latest/design/metrics/ . Older servers say gpu_cache_usage_perc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from orchestrator.config.address import server_root

_PREFIX = "vllm:"
_SUMS = {
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "num_preemptions_total": "preemptions",
    "prefix_cache_queries_total": "prefix_queries",
    "prefix_cache_hits_total": "prefix_hits",
    "prompt_tokens_total": "prompt_tokens",
    "generation_tokens_total": "generation_tokens",
    "time_to_first_token_seconds_sum": "first_token_s",
    "time_to_first_token_seconds_count": "first_tokens",
    "request_queue_time_seconds_sum": "queue_s",
    "request_queue_time_seconds_count": "queued",
}
_GAUGES = ("running", "waiting")
_KV_USAGE = ("kv_cache_usage_perc", "gpu_cache_usage_perc")
_CONFIG = "cache_config_info"


@dataclass(frozen=True)
class ServerMetrics:
    """One reading, engines summed. Counters count from the server's start; tokens and seconds."""

    running: float = 0.0
    waiting: float = 0.0
    preemptions: float = 0.0
    prefix_queries: float = 0.0
    """Prompt tokens that were looked up in the prefix cache."""
    prefix_hits: float = 0.0
    """Those of them that were found."""
    prompt_tokens: float = 0.0
    generation_tokens: float = 0.0
    first_token_s: float = 0.0
    """Sum over `first_tokens` answers; so is `queue_s` over `queued`."""
    first_tokens: float = 0.0
    queue_s: float = 0.0
    queued: float = 0.0
    kv_usage: float = 0.0
    """0 to 1, the fullest engine's."""
    kv_tokens: int | None = None
    """What the KV cache holds, of all engines together; None where the server does not say."""

    def since(self, earlier: ServerMetrics) -> ServerMetrics:
        """Counters as the growth from `earlier` on, gauges as they are.

        A counter that fell was reset by a restart: what it shows now is the growth.
        """
        grown = {}
        for name in _SUMS.values():
            now, before = getattr(self, name), getattr(earlier, name)
            grown[name] = now if name in _GAUGES or now < before else now - before
        return ServerMetrics(**grown, kv_usage=self.kv_usage, kv_tokens=self.kv_tokens)

    def __add__(self, other: ServerMetrics) -> ServerMetrics:
        """Two servers as one: sums, and the fuller cache."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMS.values()}
        known = [kv for kv in (self.kv_tokens, other.kv_tokens) if kv is not None]
        return ServerMetrics(
            **sums,
            kv_usage=max(self.kv_usage, other.kv_usage),
            kv_tokens=sum(known) if known else None,
        )


def metrics_url(base_url: str) -> str:
    """vLLM's metrics lie at the server's root, beside /v1."""
    return f"{server_root(base_url)}/metrics"


def parse_metrics(text: str) -> ServerMetrics | None:
    """A reading of `GET /metrics`; None where it holds nothing of vLLM's.

    Only the lines that are wanted are parsed: the whole takes a server with many histograms 20 ms.
    """
    sums = dict.fromkeys(_SUMS.values(), 0.0)
    kv_usage, kv_tokens, found = 0.0, None, False
    for name, labels, value in _samples(text):
        found = True
        if name in _SUMS:
            sums[_SUMS[name]] += value
        elif name in _KV_USAGE:
            kv_usage = max(kv_usage, value)
        elif name == _CONFIG and (tokens := _kv_tokens(labels)) is not None:
            kv_tokens = (kv_tokens or 0) + tokens
    return ServerMetrics(**sums, kv_usage=kv_usage, kv_tokens=kv_tokens) if found else None


def parse_serving_facts(text: str) -> dict[str, str]:
    """The cache's settings, the nearest that vLLM comes to showing its flags; empty where none."""
    for name, labels, _ in _samples(text):
        if name == _CONFIG:
            return {key: value for key, value in labels.items() if value not in ("None", "")}
    return {}


def shows_drafts(text: str) -> bool:
    """Whether a server has a draft model, or a model that predicts several tokens at once: vLLM
    counts drafts then, and only then."""
    return f"\n{_PREFIX}spec_decode_" in text


def _samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    wanted = tuple(f"{_PREFIX}{name}" for name in (*_SUMS, *_KV_USAGE, _CONFIG))
    lines = [line for line in text.split("\n") if line.startswith(wanted)]
    return [
        (sample.name.removeprefix(_PREFIX), sample.labels, sample.value)
        for family in text_string_to_metric_families("\n".join([*lines, ""]))
        for sample in family.samples
        if math.isfinite(sample.value)
    ]


def _kv_tokens(labels: dict[str, str]) -> int | None:
    """Newer servers say it; of older ones it is blocks times their size."""
    try:
        if "kv_cache_size_tokens" in labels:
            return int(labels["kv_cache_size_tokens"])
        return int(labels["num_gpu_blocks"]) * int(labels["block_size"])
    except (KeyError, ValueError):
        return None
