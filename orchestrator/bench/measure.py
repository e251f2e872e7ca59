"""Measures how fast a model server is with so many agents at once.

Every simulated agent holds one conversation after another (`bench.conversations`). A level first
warms up, until every agent has had an answer. Then it is measured. Then open requests may end.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, NoReturn

import aiohttp

from orchestrator.bench.conversations import Conversation
from orchestrator.bench.levels import Level, MeasuredAnswer
from orchestrator.bench.target import Target
from orchestrator.endpoint.fields import TOO_BUSY, Tokens, read_tokens
from orchestrator.endpoint.metrics import ServerMetrics, parse_metrics
from orchestrator.network.connections import network_errors, open_session, way_to
from orchestrator.network.problems import answer_words

TICK_S = 0.1
WARM_UP_FACTOR = 4
"""The warm-up may take so many windows: its prompts are long, and in no cache yet."""
SHORTEST_LIMIT_S = 30.0
"""For the warm-up, and for what is under way when the window ends."""
FAILURES_TO_GIVE_UP = 10
"""A level ends after so many refusals and errors without one answer; three per agent at least."""
FIRST_DELAY_S, MAX_DELAY_S = 0.5, 5.0


class TooBusy(Exception):
    """The server lets nobody in just now; the request is fine."""


class NoAnswer(Exception):
    """The request came to nothing; says why."""


@dataclass(frozen=True)
class StreamedAnswer:
    """A streamed answer. Times are of `time.monotonic`."""

    text: str
    sent: float
    first_token: float
    ended: float
    tokens: Tokens


@dataclass(frozen=True)
class Tick:
    """Where a level stands, for the live line."""

    at_once: int
    warm: bool
    seconds: float
    """Since the window opened, or since the level's start where it did not yet."""
    answers: int
    rejected: int
    errors: int


def measure_level(
    target: Target,
    at_once: int,
    *,
    seconds: float,
    pause_s: float,
    on_tick: Callable[[Tick], None] = lambda tick: None,
) -> Level:
    """Let so many agents work, and measure them for `seconds` once they are warm.

    `pause_s` is the mean time between an answer and the next request.
    """
    return asyncio.run(_measure(target, at_once, seconds, pause_s, on_tick))


async def _measure(
    target: Target, at_once: int, seconds: float, pause_s: float, on_tick: Callable[[Tick], None]
) -> Level:
    timeout = aiohttp.ClientTimeout(total=target.timeout_s, sock_connect=10)
    async with open_session(
        target.base_url, {"limit": 0}, headers=target.headers, timeout=timeout
    ) as session:
        return await _LevelRun(session, target, at_once, seconds, pause_s, on_tick).measure()


@dataclass
class _Seen:
    """What has happened so far; times are seconds since the level's start."""

    answers: list[MeasuredAnswer] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    """Agents that have had an answer, or an error."""


class _LevelRun:
    """One level under way."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        target: Target,
        at_once: int,
        seconds: float,
        pause_s: float,
        on_tick: Callable[[Tick], None],
    ) -> None:
        self._session = session
        self._target = target
        self._at_once = at_once
        self._seconds = seconds
        self._pause_s = pause_s
        self._on_tick = on_tick
        self._seen = _Seen()
        self._stop = asyncio.Event()
        self._nonce = secrets.token_hex(6)  # nothing that an earlier level cached fits this one
        self._started = time.monotonic()

    async def measure(self) -> Level:
        agents = [asyncio.create_task(self._agent(number)) for number in range(self._at_once)]
        try:
            limit_s = max(WARM_UP_FACTOR * self._seconds, SHORTEST_LIMIT_S)
            await self._watch(agents, limit_s, until_warm=True)
            warm = len(self._seen.settled) == self._at_once
            before, start = await self._metrics(), self._now()
            await self._watch(agents, self._seconds, until_warm=False)
            after, end = await self._metrics(), self._now()
            self._stop.set()
            _, late = await asyncio.wait(agents, timeout=max(self._seconds, SHORTEST_LIMIT_S))
            self._seen.errors += [(end, "no answer in time")] * len(late)
        finally:
            for agent in agents:
                agent.cancel()
            await asyncio.gather(*agents, return_exceptions=True)
        grown = after.since(before) if before and after else None
        return self._level((start, end), grown, warm)

    async def _watch(
        self, agents: list[asyncio.Task[None]], limit_s: float, until_warm: bool
    ) -> None:
        """Until the time is over, every agent is warm (if that is wanted), or nothing works."""
        began = self._now()
        while self._now() - began < limit_s and not self._nothing_works():
            if until_warm and len(self._seen.settled) == self._at_once:
                return
            for agent in agents:
                if agent.done():
                    agent.result()  # agents go on till they are stopped: this one has a bug
            self._tick(began, not until_warm)
            await asyncio.sleep(min(TICK_S, limit_s))

    def _tick(self, began: float, warm: bool) -> None:
        seen = self._seen
        answers = sum(answer.ended_s >= began for answer in seen.answers)
        rejected, errors = len(seen.rejected), len(seen.errors)
        seconds = self._now() - began
        self._on_tick(Tick(self._at_once, warm, seconds, answers, rejected, errors))

    def _nothing_works(self) -> bool:
        failed = len(self._seen.errors) + len(self._seen.rejected)
        return not self._seen.answers and failed >= max(FAILURES_TO_GIVE_UP, 3 * self._at_once)

    def _level(
        self, window: tuple[float, float], server: ServerMetrics | None, warm: bool
    ) -> Level:
        seen = self._seen
        # without any answer there is no window: then everything that went wrong counts
        since = window[0] if seen.answers else 0.0
        return Level(
            at_once=self._at_once,
            window=window,
            answers=tuple(seen.answers),
            rejected=sum(since <= at <= window[1] for at in seen.rejected),
            errors=dict(Counter(kind for at, kind in seen.errors if at >= since)),
            server=server,
            warm=warm,
        )

    async def _agent(self, number: int) -> None:
        """Conversations, step after step, until the level stops."""
        random = Random(f"{self._at_once}/{number}")
        # agents meet the window at all ages, as rollouts do in the middle of a night
        age = int((number + random.random()) / self._at_once * self._target.shape.expected_steps)
        await self._sleep(random.uniform(0, self._pause_s))
        conversation = self._open(number, random, age)
        while not self._stop.is_set():
            wanted = self._now()
            reply = await self._ask_until_answered(conversation, number, random)
            if reply is None:  # stopped, or the conversation is refused as it is
                conversation = self._open(number, random)
                continue
            pause_s = random.uniform(0.5, 1.5) * self._pause_s
            self._record(reply, wanted, pause_s)
            used = reply.tokens.prompt_tokens + reply.tokens.completion_tokens
            conversation.add(reply.text, used)
            if conversation.is_over:
                conversation = self._open(number, random)
            self._seen.settled.add(number)
            await self._sleep(pause_s)

    def _open(self, number: int, random: Random, age: int = 0) -> Conversation:
        nonce = f"{number}-{random.getrandbits(48):012x}"
        target = self._target
        ratio = target.chars_per_token
        return Conversation(target.shape, random, ratio, self._nonce, nonce, age)

    async def _ask_until_answered(
        self, conversation: Conversation, number: int, random: Random
    ) -> StreamedAnswer | None:
        """Ask until there is an answer; None where the level stops or the prompt is refused."""
        delay_s = FIRST_DELAY_S
        max_tokens = conversation.answer_tokens()
        while not self._stop.is_set():
            try:
                return await ask(self._session, self._target, conversation.messages, max_tokens)
            except TooBusy:
                self._seen.rejected.append(self._now())
            except NoAnswer as error:
                self._seen.errors.append((self._now(), str(error)))
                self._seen.settled.add(number)
                if str(error) == "HTTP 400":
                    await self._sleep(FIRST_DELAY_S)
                    return None
            await self._sleep(random.uniform(0.5, 1.0) * delay_s)
            delay_s = min(2 * delay_s, MAX_DELAY_S)
        return None

    def _record(self, reply: StreamedAnswer, wanted: float, pause_s: float) -> None:
        self._seen.answers.append(
            MeasuredAnswer(
                wanted_s=wanted,
                sent_s=reply.sent - self._started,
                first_token_s=reply.first_token - self._started,
                ended_s=reply.ended - self._started,
                pause_s=pause_s,
                prompt_tokens=reply.tokens.prompt_tokens,
                completion_tokens=reply.tokens.completion_tokens,
                cached_tokens=reply.tokens.cached_tokens,
            )
        )

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _metrics(self) -> ServerMetrics | None:
        try:
            async with self._session.get(
                self._target.metrics_url, timeout=aiohttp.ClientTimeout(total=10)
            ) as reply:
                return parse_metrics(await reply.text()) if reply.status == 200 else None
        except network_errors(ValueError):
            return None

    def _now(self) -> float:
        return time.monotonic() - self._started


async def ask(
    session: aiohttp.ClientSession,
    target: Target,
    messages: list[dict[str, str]],
    max_tokens: int,
) -> StreamedAnswer:
    """One streamed chat completion.

    Raises:
        TooBusy: HTTP 429 or 503.
        NoAnswer: anything else that is not a whole answer with its usage.
    """
    body = target.body(messages, max_tokens)
    sent = time.monotonic()
    try:
        async with session.post(target.chat_url, json=body, allow_redirects=False) as reply:
            if reply.status in TOO_BUSY:
                raise TooBusy
            if reply.status != 200:
                raise NoAnswer(answer_words(reply.status, location=reply.headers.get("Location")))
            return await _read(reply.content, sent)
    except TimeoutError:
        raise NoAnswer("timed out") from None
    except network_errors() as error:
        raise NoAnswer(way_to(target.base_url).problem(error).what) from None


async def _read(stream: aiohttp.StreamReader, sent: float) -> StreamedAnswer:
    text: list[str] = []
    first_token, tokens = None, Tokens()
    async for line in stream:
        if not line.startswith(b"data:") or line.strip() == b"data: [DONE]":
            continue
        try:
            chunk = json.loads(line[5:])
            said = _said(chunk)
            tokens = read_tokens(chunk) if chunk.get("usage") else tokens
        except (ValueError, AttributeError, TypeError):
            raise NoAnswer("not a chat completion") from None
        if "error" in chunk:
            _raise_streamed(chunk["error"])
        if said and first_token is None:
            first_token = time.monotonic()
        text.append(said)
    ended = time.monotonic()
    if not tokens.prompt_tokens:
        raise NoAnswer("no usage at the stream's end")
    return StreamedAnswer("".join(text), sent, first_token or ended, ended, tokens)


def _raise_streamed(error: Any) -> NoReturn:
    """vLLM's own limit on its queue answers 200 and says 503 within the stream."""
    code = error.get("code") if isinstance(error, dict) else None
    if code in TOO_BUSY:
        raise TooBusy
    raise NoAnswer(f"error {code} within the stream")


def _said(chunk: dict[str, Any]) -> str:
    """The text of a chunk; thought counts as well, for it takes as long."""
    deltas = [choice.get("delta") or {} for choice in chunk.get("choices") or []]
    names = ("content", "reasoning", "reasoning_content")
    return "".join(str(delta[name]) for delta in deltas for name in names if delta.get(name))
