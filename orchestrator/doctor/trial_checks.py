"""What a model's server shows when it is tried: its prefix cache, its speed, its clock.

Each check asks (`trials`), and a function of what came judges.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config.schema import Speed
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import CheckFinding, Depth, Severity, failed, passed, warned
from orchestrator.doctor.server_check import ServerCheck
from orchestrator.doctor.trials import (
    ANSWER_TIMEOUT_S,
    SPEED_TOKENS,
    LongPrompt,
    MeasuredSpeed,
    ServerSlow,
    Trial,
    context_wanted,
)
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.endpoint.server_settings import settings_of
from orchestrator.endpoint.servers import Serving
from orchestrator.report.words import duration
from orchestrator.text import as_sentence

REUSED_SHARE = 0.1
"""Of a prompt that was asked before: less is the chat template's own beginning."""
MUCH_FASTER, SOONER_S = 0.6, 0.2
"""The second time by a cache: at most this share of the first, and so much sooner."""
CUT_SHARE = 0.7
"""Of the tokens that a prompt must have: with fewer it was cut. Estimates are off by a tenth."""
THROTTLED_SHARE, SLOW_SHARE = 0.15, 0.5
"""Of the expected speed."""
CLOCK_S = 5.0
WHY_CACHE = (
    "each step of a rollout sends its whole conversation again, and to read it anew is what limits "
    "a night"
)
THROTTLED = (
    "A GPU that once ran out of memory may stay near 700 MHz until its power is drawn: shut the "
    "machine down, pull the plug for a minute, and start the server with less memory "
    "(`--gpu-memory-utilization 0.8`)."
)
SLOW = (
    "Does something else run on its GPU (`nvidia-smi`), or is it another variant of the weights "
    "than the one that was measured? A throttled GPU shows its clock in `nvidia-smi -q -d CLOCK`."
)


class PrefixCache(ServerCheck):
    """What was computed of a prompt is not kept: each step of an agent costs its whole prompt."""

    name = "prefix cache"
    depth = Depth.DOCTOR

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        prompt = case.long_prompts[server.base_url]
        if isinstance(prompt, Exception):
            raise prompt
        setting = server.facts.get("cache", {}).get("enable_prefix_caching")
        is_on = {"True": True, "False": False}.get(setting)
        yield judge_cache(prompt, is_on, settings_of(server.kind).prefix_cache)


class WholePrompts(ServerCheck):
    """A server cuts long prompts without a word: the agent's task, which comes first, is lost."""

    name = "whole prompts"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return super().applies(case) and any(
            settings_of(server.kind).may_cut for server in case.servers.found
        )

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        settings = settings_of(server.kind)
        if not settings.may_cut:
            return
        prompt = case.long_prompts[server.base_url]
        if isinstance(prompt, Exception):
            yield CheckFinding(Severity.SKIPPED, f"can't be looked at: see {PrefixCache.name}")
        else:
            context = settings.context.format(tokens=context_wanted(case.model))
            yield judge_whole(prompt, context)


class GenerationSpeed(ServerCheck):
    """A server writes far more slowly than the profile expects: it is not well, or not alone."""

    name = "speed"
    depth = Depth.DOCTOR

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        with Trial(case.model, server, case.key) as trial:
            try:
                yield judge_speed(trial.speed(), case.model.speed)
            except ServerSlow:
                yield judge_unfinished(trial.metrics(), case.model.speed)


class Clock(ServerCheck):
    """The server's clock is another than this host's."""

    name = "clock"
    depth = Depth.DOCTOR

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        with Trial(case.model, server, case.key) as trial:
            yield judge_clock(trial.clock_ahead_s())


def judge_cache(prompt: LongPrompt, is_on: bool | None, cure: str) -> CheckFinding:
    """By what the server counts; where it counts nothing, by the time of the second answer.

    `is_on` is its own setting; None where it does not show it.
    """
    first, second = prompt.first, prompt.second
    times = (
        f"{first.tokens.prompt_tokens} tokens took {first.seconds:.2f} s, and "
        f"{second.seconds:.2f} s when they were asked again"
    )
    reused = _reused(prompt)
    is_found = reused is not None and reused >= _enough(prompt)
    if is_on is False or (is_on is None and reused is not None and not is_found):
        return warned(f"off: {WHY_CACHE} ({times}).", as_sentence(cure))
    if is_on and not is_found:  # with several engines, another one was asked the second time
        return passed(f"on by its setting, and nothing was found in it this time: {times}")
    if reused is not None:
        return passed(f"on: {reused} tokens were taken from it; {times}")
    if second.seconds < MUCH_FASTER * first.seconds and first.seconds - second.seconds > SOONER_S:
        return passed(f"on, by the times: {times}")
    return passed(f"not known, as the server counts nothing and the times say nothing: {times}")


def _enough(prompt: LongPrompt) -> float:
    return max(1.0, REUSED_SHARE * prompt.second.tokens.prompt_tokens)


def _reused(prompt: LongPrompt) -> int | None:
    """Tokens of the second prompt that were not computed; None where the server says nothing.

    vLLM shows its counters always, and tokens in answers with `--enable-prompt-tokens-details`.
    With the cache off it counts no queries.
    """
    said = prompt.second.cached_tokens
    if prompt.grown is None:
        return said
    return max(round(prompt.grown.prefix_hits), said or 0)


def judge_whole(prompt: LongPrompt, cure: str) -> CheckFinding:
    expected, counted = prompt.expected_tokens, prompt.first.tokens.prompt_tokens
    if expected is None or not counted:
        return passed("not known: the server does not say how many tokens a prompt had")
    if counted < CUT_SHARE * expected:
        return failed(
            f"of a prompt of some {expected:.0f} tokens the server read {counted}, and said "
            "nothing: agents lose their task, which comes first.",
            as_sentence(cure),
        )
    return passed(f"{counted} tokens were sent, and all were read")


def judge_speed(speed: MeasuredSpeed, expected: Speed | None) -> CheckFinding:
    """By the profile's figure. Where others are answered at the same time, nothing is judged."""
    rate = speed.tokens_per_s
    if rate is None:
        return passed(f"not known: its answer had {speed.new_tokens} tokens more than the first")
    return _judge_rate(f"{rate:.1f} tokens a second", rate, speed.others, expected)


def judge_unfinished(metrics: ServerMetrics | None, expected: Speed | None) -> CheckFinding:
    """Where the answer did not come in time; the doctor's own request may still be running."""
    others = round(max(metrics.running + metrics.waiting - 1, 0)) if metrics else 0
    rate = SPEED_TOKENS / ANSWER_TIMEOUT_S
    figure = f"under {rate:.1f} tokens a second"
    if expected is None and not others:
        return warned(f"{figure}: rollouts will end by their time limits.", THROTTLED)
    return _judge_rate(figure, rate, others, expected)


def _judge_rate(figure: str, rate: float, others: int, expected: Speed | None) -> CheckFinding:
    if others:
        return passed(f"{figure}, beside {others} of others: nothing is judged")
    if expected is None:
        return passed(f"{figure}; the profile expects no figure (`speed`)")
    share = rate / expected.tokens_per_s
    figure += f", {share:.0%} of the {expected.tokens_per_s:g} expected ({expected.source})"
    if share < THROTTLED_SHARE:
        return warned(f"{figure}: so a throttled GPU shows itself.", THROTTLED)
    if share < SLOW_SHARE:
        return warned(f"{figure}.", SLOW)
    return passed(figure)


def judge_clock(ahead_s: float | None) -> CheckFinding:
    if ahead_s is None:
        return passed("the server does not say its time")
    if abs(ahead_s) <= CLOCK_S:
        return passed("as this host's, to a few seconds")
    where = "before" if ahead_s > 0 else "behind"
    return warned(
        f"the server's is {duration(abs(ahead_s))} {where} this host's: no result depends on it, "
        "but the server's log can't be held against the run's, and whichever is wrong refuses "
        "certificates and logins (registries, tailnet) as expired or not yet valid.",
        "On the one that is wrong: `sudo timedatectl set-ntp true`, or on macOS "
        "`sudo sntp -sS time.apple.com`.",
    )
