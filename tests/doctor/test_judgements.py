"""What figures of a server mean: judged without any server."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from orchestrator.config.schema import Speed
from orchestrator.doctor.check import Severity
from orchestrator.doctor.network_checks import judge_connection
from orchestrator.doctor.trial_checks import (
    judge_cache,
    judge_clock,
    judge_speed,
    judge_unfinished,
    judge_whole,
)
from orchestrator.doctor.trials import LongPrompt, MeasuredSpeed, Timed, Upload, ahead_s
from orchestrator.endpoint.fields import Tokens
from orchestrator.endpoint.metrics import ServerMetrics

EXPECTED = Speed(tokens_per_s=30, source="a bench, 2026-08")
QUIET = ServerMetrics()


def asked_twice(
    cached: int | None = None,
    hits: float | None = None,
    times: tuple[float, float] = (2.0, 2.0),
    tokens: int = 3000,
    expected: float | None = None,
) -> LongPrompt:
    first, second = (
        Timed(seconds, Tokens(prompt_tokens=tokens), kept)
        for seconds, kept in zip(times, (None, cached), strict=True)
    )
    grown = None if hits is None else ServerMetrics(prefix_queries=3000, prefix_hits=hits)
    return LongPrompt(first, second, expected, grown)


@pytest.mark.parametrize(
    ("prompt", "is_on", "level", "begin"),
    [
        (asked_twice(cached=2992), None, Severity.PASS, "on: 2992 tokens were taken from it"),
        (asked_twice(hits=2992), True, Severity.PASS, "on: 2992 tokens"),
        (asked_twice(cached=0, hits=2992), True, Severity.PASS, "on: 2992 tokens"),
        (asked_twice(cached=1056), None, Severity.PASS, "on: 1056 tokens"),
        (asked_twice(cached=0), None, Severity.WARN, "off: "),
        (asked_twice(cached=16), None, Severity.WARN, "off: "),
        (asked_twice(hits=0), None, Severity.WARN, "off: "),
        (asked_twice(hits=0, times=(2.0, 0.1)), False, Severity.WARN, "off: "),
        (asked_twice(), False, Severity.WARN, "off: "),
        (asked_twice(hits=0), True, Severity.PASS, "on by its setting, and nothing was found"),
        (
            asked_twice(times=(2.0, 0.2)),
            None,
            Severity.PASS,
            "on, by the times: 3000 tokens took",
        ),
        (asked_twice(times=(2.0, 1.9)), None, Severity.PASS, "not known"),
        (asked_twice(times=(0.02, 0.001)), None, Severity.PASS, "not known"),
        (asked_twice(tokens=0), None, Severity.PASS, "not known"),
        (asked_twice(cached=0, tokens=0), None, Severity.WARN, "off: "),
    ],
)
def test_a_prefix_cache_shows_itself_in_counts_and_else_in_times(
    prompt: LongPrompt, is_on: bool | None, level: Severity, begin: str
) -> None:
    finding = judge_cache(prompt, is_on, "Start the server with `--x`")

    assert (finding.level, finding.what[: len(begin)]) == (level, begin)
    assert finding.cure == ("Start the server with `--x`." if level is Severity.WARN else "")


@pytest.mark.parametrize(
    ("counted", "expected", "level"),
    [
        (6400, 6500.0, Severity.PASS),
        (5900, 6500.0, Severity.PASS),
        (4096, 6500.0, Severity.FAIL),
        (2050, 6500.0, Severity.FAIL),
        (0, 6500.0, Severity.PASS),
        (6400, None, Severity.PASS),
    ],
)
def test_a_cut_prompt_shows_itself_in_its_tokens(
    counted: int, expected: float | None, level: Severity
) -> None:
    finding = judge_whole(asked_twice(tokens=counted, expected=expected), "Do x")

    assert finding.level == level
    assert ("2050" in finding.what) == (counted == 2050)


def speed(tokens_per_s: float, tokens: int = 100, **more: ServerMetrics | None) -> MeasuredSpeed:
    many = Timed(0.3 + tokens / tokens_per_s, Tokens(completion_tokens=1 + tokens), None)
    before, grown = more.get("before", QUIET), more.get("grown", ServerMetrics())
    return MeasuredSpeed(Timed(0.3, Tokens(completion_tokens=1), None), many, before, grown)


@pytest.mark.parametrize(
    ("measured", "level", "says"),
    [
        (speed(29.5), Severity.PASS, "29.5 tokens a second, 98% of the 30 expected (a bench"),
        (speed(108.0), Severity.PASS, "360% of the 30"),
        (speed(16.0), Severity.PASS, "53% of the 30"),
        (speed(14.0), Severity.WARN, "47% of the 30 expected (a bench, 2026-08)."),
        (speed(6.0), Severity.WARN, "20% of the 30"),
        (
            speed(3.0),
            Severity.WARN,
            "10% of the 30 expected (a bench, 2026-08): so a throttled",
        ),
        (speed(3.0, tokens=8), Severity.PASS, "not known: its answer had 8 tokens more"),
        (speed(3.0, before=ServerMetrics(running=4)), Severity.PASS, "beside 4 of others"),
        (speed(3.0, before=ServerMetrics(waiting=2)), Severity.PASS, "beside 2 of others"),
        (speed(3.0, grown=ServerMetrics(running=1)), Severity.PASS, "beside 1 of others"),
        (
            speed(3.0, grown=ServerMetrics(generation_tokens=400)),
            Severity.PASS,
            "beside 1 of others",
        ),
        (speed(3.0, grown=ServerMetrics(generation_tokens=101)), Severity.WARN, "throttled"),
        (speed(3.0, before=None, grown=None), Severity.WARN, "throttled"),
    ],
)
def test_speed_is_held_against_the_expected_where_the_server_is_alone(
    measured: MeasuredSpeed, level: Severity, says: str
) -> None:
    finding = judge_speed(measured, EXPECTED)

    assert finding.level == level
    assert says in finding.what
    assert ("pull the plug" in finding.cure) == ("throttled" in finding.what)


@pytest.mark.parametrize("first_s", [0.3, 3.0, 60.0])
def test_a_first_answer_that_had_to_warm_something_up_hides_no_slow_server(first_s: float) -> None:
    one = Timed(first_s, Tokens(completion_tokens=1), None)
    many = Timed(34.0, Tokens(completion_tokens=100), None)
    finding = judge_speed(MeasuredSpeed(one, many, QUIET, ServerMetrics()), EXPECTED)

    assert finding.level == Severity.WARN


def test_without_an_expected_speed_the_figure_is_told() -> None:
    finding = judge_speed(speed(12.0), None)

    assert (finding.level, finding.what[:20]) == (Severity.PASS, "12.0 tokens a second")


@pytest.mark.parametrize(
    ("metrics", "expected", "level"),
    [
        (None, EXPECTED, Severity.WARN),
        (None, None, Severity.WARN),
        (ServerMetrics(running=1), EXPECTED, Severity.WARN),
        (ServerMetrics(running=1), None, Severity.WARN),
        (ServerMetrics(running=3, waiting=2), EXPECTED, Severity.PASS),
        (ServerMetrics(running=3, waiting=2), None, Severity.PASS),
    ],
)
def test_an_answer_that_does_not_end_in_time_is_a_speed_too(
    metrics: ServerMetrics | None, expected: Speed | None, level: Severity
) -> None:
    finding = judge_unfinished(metrics, expected)

    assert finding.level == level
    assert finding.what.startswith("under 1.7 tokens a second")


@pytest.mark.parametrize(
    ("ahead", "level", "says"),
    [
        (None, Severity.PASS, "does not say its time"),
        (0.4, Severity.PASS, "to a few seconds"),
        (-4.9, Severity.PASS, "to a few seconds"),
        (6.0, Severity.WARN, "6 s before this host's"),
        (-7200.0, Severity.WARN, "2 h 00 min behind this host's"),
        (-800.0, Severity.WARN, "13 min 20 s behind this host's"),
        (20_000_000.0, Severity.WARN, "231 d 11 h before this host's"),
    ],
)
def test_a_clock_that_is_off_says_what_depends_on_it(
    ahead: float | None, level: Severity, says: str
) -> None:
    finding = judge_clock(ahead)

    assert finding.level == level
    assert says in finding.what
    assert ("no result depends on it" in finding.what) == (level is Severity.WARN)


NOW = datetime(2026, 11, 26, 14, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "ahead"),
    [
        (format_datetime(NOW, usegmt=True), 0.5),
        ("Thu, 26 Nov 2026 14:00:10 GMT", 10.5),
        ("Thu, 26 Nov 2026 16:00:00 +0200", 0.5),
        ("Thu, 26 Nov 2026 13:59:00 -0000", -59.5),
        (None, None),
        ("", None),
        ("soon", None),
        ("Thu, 99 Nov 2026 14:00:10 GMT", None),
    ],
)
def test_the_time_of_a_server_is_read_from_its_answers(
    header: str | None, ahead: float | None
) -> None:
    assert ahead_s(header, NOW.timestamp()) == ahead


def upload(seconds: float, is_too_large: bool = False) -> Upload:
    return Upload(seconds, is_too_large)


@pytest.mark.parametrize(
    ("round_trips", "sent", "level", "says"),
    [
        (
            (0.004, 0.2, 0.005),
            upload(0.1),
            Severity.PASS,
            "round trip 5.0 ms (median of 3), 1 MB of",
        ),
        ((0.180,), upload(1.5), Severity.PASS, "1 MB of a prompt takes 1.50 s (0.7 MB/s)"),
        ((), upload(0.1), Severity.PASS, "1 MB of a prompt takes 0.10 s (10.0 MB/s)"),
        ((0.03,), upload(4.0), Severity.WARN, "(0.2 MB/s): each step of an agent sends its whole"),
        ((0.9, 1.1, 0.8), upload(0.9), Severity.WARN, "what lies between is full, or far"),
        ((0.004,), upload(0.1, True), Severity.WARN, "1 MB is refused as too large (HTTP 413)"),
    ],
)
def test_a_connection_is_judged_by_what_agents_need(
    round_trips: tuple[float, ...], sent: Upload, level: Severity, says: str
) -> None:
    finding = judge_connection(round_trips, sent)

    assert finding.level == level
    assert says in finding.what
    assert bool(finding.cure) == (level is Severity.WARN)
