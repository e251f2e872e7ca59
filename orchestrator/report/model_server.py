"""report.md's section on the model server: what it was asked, and a picture of the night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.endpoint.load import LoadSample
from orchestrator.report.build import Report
from orchestrator.report.model_usage import ModelUsage, Spread
from orchestrator.report.night import draw_night
from orchestrator.report.words import amount, compact, duration


def model_server(report: Report, trace: Sequence[LoadSample]) -> Iterator[str]:
    """The section's lines; none where nothing was recorded."""
    traffic = report.model_traffic
    if traffic is None:
        return
    yield "## The model server"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in _rows(traffic):
        yield f"| {name} | {value} |"
    yield ""
    night = draw_night(trace)
    if night is not None:
        yield "```text"
        yield from night.lines
        yield "```"
        yield ""
        yield night.legend
        yield ""


def _rows(traffic: ModelUsage) -> Iterator[tuple[str, str]]:
    """Names and values; what nobody showed is left out."""
    yield "requests", _requests(traffic)
    yield "tokens", _tokens(traffic)
    if traffic.cached_share is not None:
        yield "prompts found in the cache", f"{traffic.cached_share:.1%}"
    if traffic.tokens_per_resolved is not None:
        yield "tokens per resolved instance", compact(traffic.tokens_per_resolved)
    if traffic.completion_tokens_per_s is not None:
        speed = amount(traffic.completion_tokens_per_s)
        yield "speed", f"{speed} tokens generated a second while a server was up"
    if traffic.latency_s is not None:
        yield "an answer took", _spread(traffic.latency_s)
    if traffic.first_token_s is not None:
        yield "its first token, where streamed", _spread(traffic.first_token_s)
    if traffic.outages is not None and traffic.outage_s is not None:
        yield "outages", _outages(traffic.outages, traffic.outage_s)
    if traffic.held_s or traffic.queue_s:
        yield "requests waited, all together", _waits(traffic)


def _requests(traffic: ModelUsage) -> str:
    """`1,200: 1,150 answered, 50 abandoned; 7 tried again`."""
    results = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in traffic.results.items() if count
    )
    retries = f"; {traffic.retries:,} retries" if traffic.retries else ""
    return f"{traffic.requests:,}" + (f": {results}" if results else "") + retries


def _tokens(traffic: ModelUsage) -> str:
    reasoning = compact(traffic.reasoning_tokens)
    thought = f", {reasoning} of them reasoning" if traffic.reasoning_tokens else ""
    return f"{compact(traffic.prompt_tokens)} in, {compact(traffic.completion_tokens)} out{thought}"


def _spread(spread: Spread) -> str:
    return (
        f"{amount(spread.p50)} s (median), 95 % under {amount(spread.p95)} s, "
        f"at most {amount(spread.max)} s"
    )


def _outages(count: int, seconds: float) -> str:
    """Of wall time."""
    return f"{count}: no server was up for {duration(seconds)}" if count else "none"


def _waits(traffic: ModelUsage) -> str:
    return (
        f"{duration(traffic.held_s)} for servers that were away, "
        f"{duration(traffic.queue_s)} for busy ones"
    )
