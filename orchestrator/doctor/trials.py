"""What a model's server does when it is asked for the doctor's sake, in figures.

Nothing here judges: `trial_checks` does. A server is asked as rollouts ask it, with the profile's
fields; only the answer's length is the trial's own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

import httpx

from orchestrator.bench.conversations import code_text
from orchestrator.config.schema import Model
from orchestrator.endpoint.client import authorization
from orchestrator.endpoint.fields import (
    TOO_BUSY,
    Tokens,
    read_tokens,
    with_profile,
)
from orchestrator.endpoint.listing import SHORT_TIMEOUT_S
from orchestrator.endpoint.metrics import ServerMetrics, parse_metrics
from orchestrator.endpoint.overflow import said_to_be_too_long
from orchestrator.endpoint.server_settings import settings_of
from orchestrator.endpoint.servers import Serving
from orchestrator.endpoint.serving import read_completion, read_metrics
from orchestrator.errors import PrerequisiteError
from orchestrator.network.connections import open_client, way_to

LONG_CHARS = 12_000
"""Of a prompt of some 3,500 tokens; half of the context at most, even at a character a token."""
CUT_CHARS = 22_000
"""Some 6,500 tokens: more than the 4,096 that Ollama and LM Studio take where nobody says more."""
SHORT_CHARS = 2_000
"""By its tokens it is known how many the long one has."""
SPEED_TOKENS = 100
"""Some 3 s at 30 tokens a second."""
ENOUGH_TOKENS = 20
"""For a speed."""
ANSWER_TIMEOUT_S = 60.0
"""For one answer; three of them are no longer than the question at a launch may take."""
UPLOAD_CHARS = 1_000_000
"""Twice what the longest prompts of agents come to."""
USUAL_CONTEXT = 32768
"""Tokens that agents get along with, where the profile says none."""
COUNT = "Count from 1 to 200 in words, one number a line, and write nothing else."


class ServerBusy(Exception):
    """It lets nobody in just now."""


class ServerSlow(Exception):
    """It did not answer within `ANSWER_TIMEOUT_S`."""


@dataclass(frozen=True)
class Timed:
    """One answer, and how long it took, in seconds."""

    seconds: float
    tokens: Tokens
    cached_tokens: int | None
    """Of the prompt, as the server says; None where it does not."""


@dataclass(frozen=True)
class LongPrompt:
    """A long prompt that no server has seen, asked twice."""

    first: Timed
    second: Timed
    expected_tokens: float | None
    """Of the prompt, by those of a short one; None where that was not asked."""
    grown: ServerMetrics | None
    """Counters' growth over the second time; None where the server shows none."""


@dataclass(frozen=True)
class MeasuredSpeed:
    """A short question, answered with one token and with many."""

    one: Timed
    many: Timed
    before: ServerMetrics | None
    grown: ServerMetrics | None
    """Over the longer answer."""

    @property
    def new_tokens(self) -> int:
        return self.many.tokens.completion_tokens - self.one.tokens.completion_tokens

    @property
    def tokens_per_s(self) -> float | None:
        """Generated, without the time for the prompt; None where too few were to tell.

        The prompt is short: what takes longer than half of the answer was some warming up.
        """
        seconds = self.many.seconds - min(self.one.seconds, self.many.seconds / 2)
        return self.new_tokens / seconds if self.new_tokens >= ENOUGH_TOKENS else None

    @property
    def others(self) -> int:
        """Requests of others that the server was seen with."""
        if self.before is None or self.grown is None:
            return 0
        waited = max(m.running + m.waiting for m in (self.before, self.grown))
        written = self.grown.generation_tokens - self.many.tokens.completion_tokens
        return max(round(waited), int(written > SPEED_TOKENS / 10))


@dataclass(frozen=True)
class Upload:
    """`UPLOAD_CHARS` on their way to a server."""

    seconds: float
    is_too_large: bool
    """Something before the server lets no request of this size through."""

    @property
    def bytes_per_s(self) -> float:
        return UPLOAD_CHARS / self.seconds


class Trial:
    """One server of a model, for a few questions. A context manager: it keeps its connection."""

    def __init__(self, model: Model, server: Serving, key: str) -> None:
        self._model = model
        self._server = server
        self._settings = settings_of(server.kind)
        self._url = server.base_url
        self._client = open_client(self._url, headers=authorization(key))

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def long_prompt(self) -> LongPrompt:
        """Raises: as `ask`."""
        may_cut = self._settings.may_cut
        chars = self._fitting(CUT_CHARS if may_cut else LONG_CHARS)
        per_char = self._tokens_per_char() if may_cut else None
        prompt = _text(chars)
        first = self.ask(prompt, 1)
        before = self.metrics()
        second = self.ask(prompt, 1)
        return LongPrompt(
            first,
            second,
            None if per_char is None else per_char * chars,
            _growth(before, self.metrics()),
        )

    def speed(self) -> MeasuredSpeed:
        """Raises: as `ask`; ServerSlow, where it writes too slowly to be waited for."""
        one = self.ask(COUNT, 1)
        before = self.metrics()
        fields = {"ignore_eos": True} if self._settings.ignores_eos else {}
        many = self.ask(COUNT, SPEED_TOKENS, fields)
        return MeasuredSpeed(one, many, before, _growth(before, self.metrics()))

    def ask(self, prompt: str, max_tokens: int, fields: Mapping[str, Any] | None = None) -> Timed:
        """One question.

        Raises:
            ServerBusy, ServerSlow: it can't be measured now.
            PrerequisiteError: no completion comes back.
        """
        message = {"role": "user", "content": prompt}
        body = with_profile(self._model, {**(fields or {}), "messages": [message]})
        reply, seconds = self._post({**body, "max_tokens": max_tokens}, ANSWER_TIMEOUT_S)
        if reply.status_code in TOO_BUSY:
            raise ServerBusy
        answer, problem = read_completion(reply)
        if problem:
            raise PrerequisiteError(
                f"{self._url} does not answer a prompt of {len(prompt):,} characters ({problem}).",
                self._longer_context()
                if said_to_be_too_long(reply.status_code, answer) == "yes"
                else "Look at the server's log.",
            )
        return Timed(seconds, read_tokens(answer), _cached(answer))

    def upload(self) -> Upload:
        """Send a long request that the server refuses without any work: it has no messages.

        Raises:
            ServerSlow: it takes longer than is waited.
            PrerequisiteError: the connection breaks off.
        """
        refused = {"model": self._model.served_name}
        padding = secrets.token_hex(UPLOAD_CHARS // 2)  # nothing on the way can make it shorter
        _, small = self._post(refused, ANSWER_TIMEOUT_S)
        reply, large = self._post({**refused, "padding": padding}, ANSWER_TIMEOUT_S)
        return Upload(max(large - small, 1e-3), is_too_large=reply.status_code == 413)

    def clock_ahead_s(self) -> float | None:
        """By how much its clock is before this host's, to a second; None where it shows none."""
        asked = time.time()
        try:
            reply = self._client.get(f"{self._url}/models", timeout=SHORT_TIMEOUT_S)
        except httpx.HTTPError:
            return None
        if "Age" in reply.headers:  # a cache kept the answer
            return None
        return ahead_s(reply.headers.get("Date"), (asked + time.time()) / 2)

    def metrics(self) -> ServerMetrics | None:
        return parse_metrics(read_metrics(self._client, self._url))

    def _post(self, body: Mapping[str, Any], timeout_s: float) -> tuple[httpx.Response, float]:
        started = time.monotonic()
        try:
            reply = self._client.post(
                f"{self._url}/chat/completions",
                json=body,
                timeout=httpx.Timeout(timeout_s, connect=SHORT_TIMEOUT_S),
            )
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            raise ServerSlow from None
        except httpx.HTTPError as error:
            way = way_to(self._url)
            raise PrerequisiteError(
                f"{self._url} does not complete a chat{way} ({way.problem(error).what}).",
                "Look at the server's log.",
            ) from None
        return reply, time.monotonic() - started

    def _longer_context(self) -> str:
        return f"{self._settings.context.format(tokens=context_wanted(self._model))}."

    def _fitting(self, chars: int) -> int:
        """Half of what is promised; a server that cuts is asked for more than it may take."""
        served = None if self._settings.may_cut else self._server.context_length
        known = (served, self._model.context_length)
        return min([chars, *(length // 2 for length in known if length)])

    def _tokens_per_char(self) -> float | None:
        tokens = self.ask(_text(SHORT_CHARS), 1).tokens.prompt_tokens
        return tokens / SHORT_CHARS if tokens else None


def ask_long_prompts(
    model: Model, servers: Sequence[Serving], key: str
) -> dict[str, LongPrompt | Exception]:
    """By base URL; in place of what could not be measured, what `Trial.ask` has raised."""
    found: dict[str, LongPrompt | Exception] = {}
    for server in servers:
        try:
            with Trial(model, server, key) as trial:
                found[server.base_url] = trial.long_prompt()
        except (PrerequisiteError, ServerBusy, ServerSlow) as error:
            found[server.base_url] = error
    return found


def context_wanted(model: Model) -> int:
    """Tokens."""
    return model.context_length or USUAL_CONTEXT


def ahead_s(date: str | None, now: float) -> float | None:
    """What a header `Date` says, in whole seconds, less a time; None where it says none."""
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=UTC)
    return (told - datetime.fromtimestamp(now, UTC)).total_seconds() + 0.5


def _text(chars: int) -> str:
    """A prompt that begins as no other one did."""
    nonce = secrets.token_hex(8)
    return f"Session {nonce}. Read this, and answer OK.\n{code_text(Random(nonce), chars)}"[:chars]


def _cached(answer: Mapping[str, Any]) -> int | None:
    """Of the prompt; llama.cpp says it beside `usage` too, in older versions only there."""
    said = read_tokens(answer).cached_tokens
    timings = answer.get("timings")
    kept = timings.get("cache_n") if isinstance(timings, Mapping) else None
    return kept if said is None and isinstance(kept, int) else said


def _growth(before: ServerMetrics | None, after: ServerMetrics | None) -> ServerMetrics | None:
    return after.since(before) if before and after else None
