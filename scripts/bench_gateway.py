#!/usr/bin/env python3
"""What the gateway adds to the latency of a model server, and how many requests it carries.

    scripts/bench_gateway.py [--quick]

A stand-in for the server, the real gateway and the load run in a process each. Agents ask, wait for
the answer and ask again, directly and through the gateway by turns, so that a machine that slows
down slows both. The server takes as long for a request as the request says; what is shown is the
latency less that time, so that two runs of different delays can be compared to a tenth of a
millisecond. Every figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from orchestrator.config.cluster import GatewayAddress
from orchestrator.config.schema import Endpoint, Model
from orchestrator.gateway.launcher import GatewayProcess
from orchestrator.gateway.messages import Requested
from orchestrator.report.markdown import bar
from orchestrator.types import RolloutKey

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.fake_model import EVENT_STREAM, Reply, Server, events, serve_replies

AIM_P50_MS = 2.0
AIM_P99_MS = 10.0
AIM_AGENTS = 32
EVENTS = 20
GAP_S = 0.01
"""Between two events of a streamed answer."""
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Case:
    """So many agents at once, with requests of one kind."""

    agents: int
    body_kb: int = 20
    streams: bool = False
    delay_ms: tuple[float, float] = (50, 150)
    """Of the answer, or of a stream's first event; drawn anew for every request."""

    @property
    def name(self) -> str:
        return f"{self.agents} at once, {self.body_kb} kB{', stream' if self.streams else ''}"


CASES = (
    Case(1, delay_ms=(10, 30)),
    Case(8),
    Case(32),
    Case(128),
    Case(32, body_kb=200),
    Case(1, streams=True, delay_ms=(10, 30)),
    Case(8, streams=True),
    Case(32, streams=True),
    Case(128, streams=True),
)
FULL = (
    Case(64, delay_ms=(0, 0)),
    Case(64, body_kb=200, delay_ms=(0, 0)),
)
"""As many as it carries: the server answers at once."""


@dataclass(frozen=True)
class Load:
    """What the load's process does for one measurement."""

    case: Case
    urls: Sequence[str]
    """An agent's base URL each."""
    token: str
    seconds: float
    seed: int


@dataclass(frozen=True)
class Sample:
    """One request, in milliseconds, without the time that the server was asked to take."""

    first_ms: float
    """To the first event of a stream; of other answers the same as `all_ms`."""
    all_ms: float
    whole_ms: float
    """The latency as the agent sees it."""


@dataclass(frozen=True)
class Run:
    """One path's requests of one round."""

    samples: Sequence[Sample]
    seconds: float
    cpu_ms: float
    """The gateway's, for all that was sent."""
    sent: int
    """Those that connected and were not measured included."""

    @property
    def per_s(self) -> float:
        return len(self.samples) / self.seconds

    def percentile(self, percent: int, of: Callable[[Sample], float]) -> float:
        ordered = sorted(map(of, self.samples))
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


@dataclass(frozen=True)
class Measured:
    """One case; a pair of runs a round."""

    case: Case
    direct: list[Run] = field(default_factory=list)
    through: list[Run] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(len(run.samples) for run in self.through)

    @property
    def cpu_ms(self) -> float:
        """The gateway's, for one request; over all rounds, since the system counts it coarsely."""
        return sum(run.cpu_ms for run in self.through) / sum(run.sent for run in self.through)

    def paths(self, percent: int, of: Callable[[Sample], float]) -> tuple[float, float]:
        """A percentile directly and through the gateway."""
        direct, through = (
            statistics.median(run.percentile(percent, of) for run in runs)
            for runs in (self.direct, self.through)
        )
        return direct, through

    def added(self, percent: int, of: Callable[[Sample], float]) -> float:
        """Each round's difference by itself, and the median of them."""
        pairs = zip(self.direct, self.through, strict=True)
        return statistics.median(
            t.percentile(percent, of) - d.percentile(percent, of) for d, t in pairs
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a try: short, and few cases")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 0.8
    began = time.monotonic()
    with (
        stand_in() as server_url,
        gateway(server_url) as behind,
        ProcessPoolExecutor(1, mp_context=SPAWN) as pool,
    ):
        bench = Bench(server_url, behind, pool, options.rounds, options.seconds)
        cases = [case for case in CASES if case.agents == AIM_AGENTS or not options.quick]
        measured = [bench.measure(case) for case in cases]
        full = [bench.measure(case) for case in FULL]
    print_latency(measured)
    print_full(full)
    print(
        f"The load, the server and the gateway shared {os.cpu_count()} cores: with many at once, "
        "and with no delay, they wait for each other, and only the CPU time is the gateway's own. "
        "Of fewer than 100 requests a round the p99 is the slowest one."
    )
    print(f"took {time.monotonic() - began:.0f} s")


class Bench:
    """Sends loads by turns to the server and to the gateway before it."""

    def __init__(
        self, server_url: str, behind: GatewayProcess, pool: Executor, rounds: int, seconds: float
    ) -> None:
        self._server_url = server_url
        self._gateway = behind
        self._process = psutil.Process(behind.pid)
        self._pool = pool
        self._rounds = rounds
        self._seconds = seconds

    def measure(self, case: Case) -> Measured:
        measured = Measured(case)
        agents = range(case.agents)
        through = [
            self._gateway.base_url(RolloutKey("bench", f"agent-{agent}", 1)) for agent in agents
        ]
        for number in range(self._rounds):
            load = Load(case, through, self._gateway.token, self._seconds, number)
            measured.direct.append(
                self._run(replace(load, urls=[self._server_url for _ in agents]))
            )
            measured.through.append(self._run(load))
        added = measured.added(50, first_ms)
        print(f"{case.name}: {added:+.2f} ms, {measured.requests} requests", flush=True)
        return measured

    def _run(self, load: Load) -> Run:
        before = self._cpu_s()
        sent, samples, seconds = self._pool.submit(generate, load).result()
        cpu_ms = 1000 * (self._cpu_s() - before)
        results = [m.request.result for m in self._gateway.poll() if isinstance(m, Requested)]
        assert set(results) <= {"answered"}, f"requests ended as {set(results)}"
        return Run(samples, seconds, cpu_ms, sent)

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


# the load


def generate(load: Load) -> tuple[int, list[Sample], float]:
    """Requests sent, those that were measured, and how long that took. A process of its own."""
    return asyncio.run(_generate(load))


async def _generate(load: Load) -> tuple[int, list[Sample], float]:
    rng = random.Random(load.seed)
    conversation = make_conversation(load.case.body_kb)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, headers={"Authorization": f"Bearer {load.token}"}
    ) as session:
        asks = [Agent(session, url, load.case, conversation, rng) for url in load.urls]
        await asyncio.gather(*(agent.ask() for agent in asks))  # connects, and is not counted
        began = time.monotonic()
        samples = await asyncio.gather(*(agent.ask_until(began + load.seconds) for agent in asks))
        seconds = time.monotonic() - began
    flat = [sample for some in samples for sample in some]
    return len(flat) + len(asks), flat, seconds


class Agent:
    """Asks, waits for the answer, and asks again."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        case: Case,
        conversation: bytes,
        rng: random.Random,
    ) -> None:
        self._session = session
        self._url = f"{url}/chat/completions"
        self._case = case
        self._conversation = conversation
        self._rng = rng

    async def ask_until(self, deadline: float) -> list[Sample]:
        # agents don't ask in step
        await asyncio.sleep(self._rng.uniform(0, self._case.delay_ms[1] / 1000))
        samples = []
        while time.monotonic() < deadline:
            samples.append(await self.ask())
        return samples

    async def ask(self) -> Sample:
        delay_ms = self._rng.uniform(*self._case.delay_ms)
        streams = json.dumps(self._case.streams).encode()
        body = b'{"delay_ms":%.3f,"stream":%b,%b' % (delay_ms, streams, self._conversation)
        headers = {"Content-Type": "application/json"}
        sent = time.perf_counter()
        async with self._session.post(self._url, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            read = await response.content.readany()
            first_ms = 1000 * (time.perf_counter() - sent)
            end = read
            while read:
                read = await response.content.readany()
                end = (end + read)[-64:]
            whole_ms = 1000 * (time.perf_counter() - sent)
        assert end.endswith((b"}", b"data: [DONE]\n\n")), f"half an answer: {end!r}"
        if not self._case.streams:
            return Sample(whole_ms - delay_ms, whole_ms - delay_ms, whole_ms)
        server_ms = delay_ms + 1000 * (EVENTS - 1) * GAP_S
        return Sample(first_ms - delay_ms, whole_ms - server_ms, whole_ms)


def make_conversation(body_kb: int) -> bytes:
    """The rest of a request's JSON: what an agent and its shell have said so far."""
    shell = "\n".join(
        f'  File "src/package/module_{n}.py", line {n}\n\tassert café == {n!r}' for n in range(25)
    )
    turn = [
        {"role": "assistant", "content": WORDS},
        {"role": "user", "content": f"<returncode>1</returncode>\n<output>\n{shell}\n</output>"},
    ]
    turns = max(1, round(1000 * body_kb / len(json.dumps(turn))))
    body = {"model": "bench", "messages": turn * turns, "temperature": 0.0}
    return json.dumps(body, separators=(",", ":")).encode().removeprefix(b"{")


# the server's stand-in

WORDS = "THOUGHT: The traceback points at the parser, which drops the last token.\n" * 12
ANSWER_FACTS = {"id": "chatcmpl-bench", "created": 1_760_000_000, "model": "bench"}
USAGE = {
    "prompt_tokens": 5000,
    "completion_tokens": 250,
    "total_tokens": 5250,
    "prompt_tokens_details": {"cached_tokens": 4800},
}
ANSWER = json.dumps(
    {
        **ANSWER_FACTS,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": WORDS, "tool_calls": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
).encode()
METRICS = """\
vllm:num_requests_running{engine="0"} 8.0
vllm:num_requests_waiting{engine="0"} 0.0
vllm:kv_cache_usage_perc{engine="0"} 0.4
vllm:prefix_cache_queries_total{engine="0"} 5e+06
vllm:prefix_cache_hits_total{engine="0"} 4.8e+06
vllm:prompt_tokens_total{engine="0"} 5e+06
vllm:generation_tokens_total{engine="0"} 250000.0
"""
DELAY = re.compile(rb'"delay_ms":\s*([\d.]+)')
STREAMS = re.compile(rb'"stream":\s*true')


def make_events() -> list[bytes]:
    """A streamed answer: the events that come with gaps between them, with the last one all that
    ends it."""

    def chunk(choices: list[object], **more: object) -> dict[str, object]:
        return {**ANSWER_FACTS, "object": "chat.completion.chunk", "choices": choices, **more}

    def choice(reason: str | None, **delta: str) -> object:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}

    words = events(*(chunk([choice(None, content=f" token{n}")]) for n in range(EVENTS)))
    words[-1] += b"".join(events(chunk([choice("stop")]), chunk([], usage=USAGE), "[DONE]"))
    return words


@contextmanager
def stand_in() -> Iterator[str]:
    """A model server in a process of its own; its base URL."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def serve(connection: Connection) -> None:
    asyncio.run(_serve(connection))


async def _serve(connection: Connection) -> None:
    server = Server(reply, {"/metrics": METRICS.encode()}.get)
    async with serve_replies(server) as port:
        connection.send(port)
        await asyncio.Event().wait()


EVENTS_SENT = make_events()


def reply(body: bytes, headers: Mapping[str, str]) -> Reply:
    """As late as the request asks for. JSON would take the server longer to read than to answer."""
    delay = DELAY.search(body)
    assert delay is not None
    after_s = float(delay[1]) / 1000
    if STREAMS.search(body):
        return Reply(200, EVENTS_SENT, EVENT_STREAM, after_s=after_s, gap_s=GAP_S)
    return Reply(200, [ANSWER], after_s=after_s)


@contextmanager
def gateway(server_url: str) -> Iterator[GatewayProcess]:
    """The real one, as a run starts it."""
    model = Model(name="bench", served_name="bench", endpoint=Endpoint(base_url=server_url))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        GatewayProcess(model, GatewayAddress(), "", Path(folder) / "gateway.log") as process,
    ):
        yield process


# what is printed


def first_ms(sample: Sample) -> float:
    return sample.first_ms


def all_ms(sample: Sample) -> float:
    return sample.all_ms


def whole_ms(sample: Sample) -> float:
    return sample.whole_ms


def print_latency(measured: Sequence[Measured]) -> None:
    table = Table(
        title="latency in ms, less the time that the server was asked to take; "
        f"aims at {AIM_AGENTS} at once: added p50 {AIM_P50_MS:g}, added p99 {AIM_P99_MS:g}"
    )
    heads = ("direct p50", "gateway p50", "added p50", "direct p99", "gateway p99", "added p99")
    table.add_column("requests", no_wrap=True)
    for head in ("count", *heads, "whole p50", "ratio", "CPU ms", "aims"):
        table.add_column(head, justify="right")
    for m in measured:
        name = f"{m.case.name}, first" if m.case.streams else m.case.name
        table.add_row(name, *latency_cells(m, first_ms))
        if m.case.streams:
            table.add_row(f"{m.case.name}, all", *latency_cells(m, all_ms))
    console = Console(width=165)
    console.print(table)
    print_picture(measured, console)


def latency_cells(m: Measured, of: Callable[[Sample], float]) -> Iterator[str]:
    yield str(m.requests)
    for percent in (50, 99):
        yield from (f"{ms:.2f}" for ms in (*m.paths(percent, of), m.added(percent, of)))
    direct, through = m.paths(50, whole_ms)
    yield f"{direct:.1f} → {through:.1f}"
    yield f"{through / direct:.3f}"
    yield f"{m.cpu_ms:.2f}"
    kept = m.added(50, of) < AIM_P50_MS and m.added(99, of) < AIM_P99_MS
    yield ("kept" if kept else "missed") if m.case.agents == AIM_AGENTS else ""


def print_picture(measured: Sequence[Measured], console: Console) -> None:
    """What the gateway adds to the answer, or to a stream's first event."""
    for percent, aim in ((50, AIM_P50_MS), (99, AIM_P99_MS)):
        added = {m.case.name: max(0.0, m.added(percent, first_ms)) for m in measured}
        most = max(aim, *added.values())
        console.print(f"\nadded p{percent}")
        for name, ms in {"the aim": aim, **added}.items():
            console.print(f"{name:>32} {bar(round(1000 * ms), round(1000 * most), 40)} {ms:.2f} ms")


def print_full(measured: Sequence[Measured]) -> None:
    table = Table(title="requests a second, from a server that answers at once")
    table.add_column("requests")
    for head in ("direct", "gateway", "ratio", "CPU ms", "a core's worth"):
        table.add_column(head, justify="right")
    pictures = []
    for m in measured:
        direct, through = (
            statistics.median(run.per_s for run in runs) for runs in (m.direct, m.through)
        )
        numbers = (f"{direct:.0f}", f"{through:.0f}", f"{through / direct:.2f}")
        table.add_row(m.case.name, *numbers, f"{m.cpu_ms:.2f}", f"{1000 / m.cpu_ms:.0f}")
        for path, rate in (("direct", direct), ("gateway", through)):
            picture = bar(round(rate), round(direct), 40)
            pictures.append(f"{m.case.name:>24} {path:<7} {picture} {rate:.0f}/s")
    console = Console(width=165)
    console.print()
    console.print(table)
    console.print("\n".join(pictures))


if __name__ == "__main__":
    main()
