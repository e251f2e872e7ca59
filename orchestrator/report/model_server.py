"""report.md's section on the model server: what it was asked, and a picture of the night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.report.build import Report
from orchestrator.report.model_usage import ModelUsage, Spread
from orchestrator.report.night import draw_night
from orchestrator.report.words import amount, compact, duration


def model_server_section(report: Report, samples: Sequence[LoadSample]) -> Iterator[str]:
    """The section's lines; none where nothing was recorded."""
    usage = report.model_traffic
    if usage is None:
        return
    yield "## The model server"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in _rows(usage):
        yield f"| {name} | {value} |"
    yield ""
    night = draw_night(samples)
    if night is not None:
        yield "```text"
        yield from night.lines
        yield "```"
        yield ""
        yield night.legend
        yield ""


def _rows(usage: ModelUsage) -> Iterator[tuple[str, str]]:
    """Names and values; what nobody showed is left out."""
    yield "requests", _requests(usage)
    yield "tokens", _tokens(usage)
    if usage.cached_share is not None:
        yield "prompts found in the cache", f"{usage.cached_share:.1%}"
    if usage.tokens_per_resolved is not None:
        yield "tokens per resolved instance", compact(usage.tokens_per_resolved)
    if usage.completion_tokens_per_s is not None:
        speed = amount(usage.completion_tokens_per_s)
        yield "speed", f"{speed} tokens generated a second while a server was up"
    if usage.latency_s is not None:
        yield "an answer took", _spread(usage.latency_s)
    if usage.first_token_s is not None:
        yield "its first token, where streamed", _spread(usage.first_token_s)
    if usage.outages is not None and usage.outage_s is not None:
        yield "outages", _outages(usage.outages, usage.outage_s)
    if usage.held_s or usage.queue_s:
        yield "requests waited, all together", _waits(usage)


def _requests(usage: ModelUsage) -> str:
    """`1,200: 1,150 answered, 50 abandoned; 7 retries`."""
    results = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in usage.results.items() if count
    )
    noun = "retry" if usage.retries == 1 else "retries"
    retries = f"; {usage.retries:,} {noun}" if usage.retries else ""
    return f"{usage.requests:,}" + (f": {results}" if results else "") + retries


def _tokens(usage: ModelUsage) -> str:
    reasoning = compact(usage.reasoning_tokens)
    thought = f", {reasoning} of them reasoning" if usage.reasoning_tokens else ""
    return f"{compact(usage.prompt_tokens)} in, {compact(usage.completion_tokens)} out{thought}"


def _spread(spread: Spread) -> str:
    return (
        f"{amount(spread.p50)} s (median), 95 % under {amount(spread.p95)} s, "
        f"at most {amount(spread.max)} s"
    )


def _outages(count: int, seconds: float) -> str:
    """Of wall time."""
    return f"{count}: no server was up for {duration(seconds)}" if count else "none"


def _waits(usage: ModelUsage) -> str:
    return (
        f"{duration(usage.held_s)} for servers that were away, "
        f"{duration(usage.queue_s)} for busy ones"
    )
