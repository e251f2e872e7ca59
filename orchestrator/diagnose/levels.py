"""Asks, level by level: one cell of the table is a level and a protocol."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from typing import Protocol as Interface

from orchestrator.config.schema import Model
from orchestrator.diagnose.judge import Answered, Judgement, Kind, judge, seen_by_agent
from orchestrator.diagnose.protocols import (
    FORM_OF,
    FORMS,
    Form,
    Opening,
    ask_again,
    go_on,
    open_full,
    open_small,
)
from orchestrator.diagnose.tasks import Sizes, fit
from orchestrator.endpoint.fields import read_tokens
from orchestrator.report.stats import wilson
from orchestrator.scripted.protocols import Protocol

GOOD = 0.9
"""Of the answers must be valid: agents ask again after one that is not, and lose a step by it."""
SURE = 0.99
"""Confidence of intervals: what chance explains in one of a hundred cases is told as nothing."""
FEWEST = 5
"""Answers before anything is called bad."""
MAX_ROUNDS = 3
"""A cell that chance could explain either way is asked so often."""
UNANSWERED_TO_STOP = 3
TICK_S = 0.1
MAX_AT_ONCE = 8
TOO_HARD = "an easier level does not work"


class CallLevel(IntEnum):
    ONE = 1
    FULL = 2
    LOOP = 3
    CROWD = 4


class State(IntEnum):
    """What a cell says, from best to worst."""

    WORKS = 0
    UNCLEAR = 1
    UNTESTED = 2
    CUT_OFF = 3
    REFUSED = 4
    BROKEN = 5
    """The server gave no answers: it is told, and says nothing of the model."""
    FAILS = 6


@dataclass(frozen=True)
class Judged:
    """One answer within a cell."""

    conversation: int
    turn: int
    """From 1."""
    exchange: Answered
    judgement: Judgement


@dataclass
class LevelCell:
    """A level in a protocol, as far as it was asked."""

    level: CallLevel
    protocol: Protocol
    at_once: int = 1
    answers: list[Judged] = field(default_factory=list)
    skipped: str = ""
    """Why it was not asked, or not to its end."""

    @property
    def counts(self) -> Counter[Kind]:
        return Counter(judged.judgement.kind for judged in self.answers)

    @property
    def judged(self) -> int:
        """How many answers the rate is of."""
        return sum(count for kind, count in self.counts.items() if kind.is_judged)

    @property
    def valid(self) -> int:
        return self.counts[Kind.VALID]

    @property
    def failures(self) -> list[tuple[Kind, int]]:
        """The kinds of what went wrong, the most frequent first."""
        return [(k, n) for k, n in self.counts.most_common() if k is not Kind.VALID]

    @property
    def state(self) -> State:
        """By the rule of `GOOD`: bad is what chance explains in one of a hundred cells at most.

        A cell fails where the upper end of the Wilson interval (99 %) of its rate is under `GOOD`;
        it works where the rate is not; what lies between is unclear. Where most conversations end
        without an answer, or most answers at the limit of tokens, there is no rate to speak of.
        """
        counts, judged = self.counts, self.judged
        conversations = len({judged.conversation for judged in self.answers})
        # a refusal ends a loop, however many answers came before it
        for state, kind in ((State.BROKEN, Kind.NO_ANSWER), (State.REFUSED, Kind.REFUSED)):
            if 2 * counts[kind] > conversations:
                return state
        if counts[Kind.CUT_OFF] > judged:
            return State.CUT_OFF
        if not judged:
            return State.UNTESTED
        if judged >= FEWEST and wilson(self.valid, judged, SURE)[1] < GOOD:
            return State.FAILS
        return State.WORKS if self.valid >= GOOD * judged else State.UNCLEAR


@dataclass(frozen=True)
class AskingPlan:
    """How often is asked, and how much at once."""

    times: int
    at_once: int
    seconds: float
    """For everything."""
    sizes: Sizes
    forms: tuple[Form, ...] = FORMS

    @property
    def levels(self) -> list[CallLevel]:
        return [level for level in CallLevel if level is not CallLevel.CROWD or self.at_once > 1]

    def conversations(self, level: CallLevel) -> int:
        """In one round of a cell."""
        if level is CallLevel.CROWD:
            return self.at_once
        return max(1, self.times // 5) if level is CallLevel.LOOP else self.times

    def turns(self, level: CallLevel) -> int:
        return self.sizes.turns if level >= CallLevel.LOOP else 1

    @property
    def answers(self) -> int:
        """In all, where nothing is skipped and nothing unclear."""
        each = sum(self.conversations(n) * self.turns(n) for n in self.levels)
        return len(self.forms) * each


def make_plan(
    context: int,
    chars_per_token: float,
    model: Model,
    times: int,
    seconds: float,
    forms: tuple[Form, ...] = FORMS,
) -> AskingPlan:
    """For a model whose server takes `context` tokens; as much at once as a run would, or less."""
    sizes = fit(context, chars_per_token)
    return AskingPlan(times, min(MAX_AT_ONCE, model.max_concurrency), seconds, sizes, forms)


class AskedServer(Interface):
    """What is asked; `diagnose.target.DiagnosedServer` is one."""

    @property
    def model(self) -> Model: ...

    def body(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, max_tokens: int
    ) -> dict[str, Any]: ...

    def ask(
        self, body: dict[str, Any], deadline: float, is_stopped: Callable[[], bool]
    ) -> Answered: ...

    def is_alive(self) -> bool: ...


class Diagnosis:
    """Everything that is asked, cell after cell."""

    def __init__(
        self,
        server: AskedServer,
        templates: dict[Protocol, str],
        plan: AskingPlan,
    ) -> None:
        self.on_tick: Callable[[LevelCell], None] = lambda cell: None
        """Called some times a second while a cell is asked."""
        self.cells: list[LevelCell] = []
        """In their order, the last one perhaps not to its end."""
        self._server = server
        self._templates = templates
        self._plan = plan
        self._deadline = time.monotonic() + plan.seconds
        self._stop = threading.Event()
        self.is_gone = False
        """The server has stopped answering."""
        self._strips = server.model.reasoning == "strip"

    def run(self) -> Iterator[LevelCell]:
        """Ask cell after cell; each is given when it is done. Safe to be left at any point: what
        was asked so far is in `cells`."""
        for level in self._plan.levels:
            for form in self._plan.forms:
                width = self._plan.at_once if level is CallLevel.CROWD else 1
                cell = LevelCell(
                    level, form.protocol, width, skipped=self._why_skipped(level, form.protocol)
                )
                self.cells.append(cell)
                if not cell.skipped:
                    self._fill(cell)
                yield cell

    def _why_skipped(self, level: CallLevel, protocol: Protocol) -> str:
        if self.is_gone:
            return "the server has stopped answering"
        if time.monotonic() > self._deadline:
            return "no time was left"
        for cell in self.cells:
            if cell.protocol is protocol and cell.state not in (State.WORKS, State.UNCLEAR):
                return TOO_HARD
        return ""

    def _fill(self, cell: LevelCell) -> None:
        """Ask once, and again while chance could explain what came either way."""
        rounds = 0
        while rounds == 0 or self._wants_more(cell, rounds):
            self._ask_round(cell, rounds)
            rounds += 1
        if time.monotonic() > self._deadline:
            cell.skipped = "the time was over"
        elif self._is_hopeless(cell) and cell.counts[Kind.NO_ANSWER]:
            self.is_gone = not self._server.is_alive()

    def _wants_more(self, cell: LevelCell, rounds: int) -> bool:
        is_unclear = cell.state is State.UNCLEAR and not self._is_over(cell)
        return is_unclear and (rounds < MAX_ROUNDS or cell.judged < FEWEST)

    def _ask_round(self, cell: LevelCell, round_: int) -> None:
        count = self._plan.conversations(cell.level)
        numbers = iter(range(round_ * count, (round_ + 1) * count))
        lock = threading.Lock()
        bugs: list[BaseException] = []

        def work() -> None:
            try:
                while not self._is_over(cell):
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    self._converse(cell, number)
            except BaseException as error:  # noqa: BLE001 - handed to who waits, and raised there
                bugs.append(error)

        # daemons: nobody who says stop waits for a server
        threads = [threading.Thread(target=work, daemon=True) for _ in range(cell.at_once)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(TICK_S)
                    self.on_tick(cell)
        except BaseException:
            self._stop.set()
            raise
        if bugs:
            raise bugs[0]

    def _converse(self, cell: LevelCell, number: int) -> None:
        """One conversation to its last turn, or until its context is full."""
        opening = self._open(cell, number)
        tools = opening.tools if cell.protocol is Protocol.CALLS else None
        messages = opening.messages
        sizes = self._plan.sizes
        for turn in range(1, self._plan.turns(cell.level) + 1):
            body = self._server.body(messages, tools, sizes.max_tokens)
            exchange = self._server.ask(body, self._deadline, self._stop.is_set)
            if self._stop.is_set():
                return
            if not exchange.status and time.monotonic() > self._deadline:
                return  # it was given up by us
            judgement = judge(exchange, cell.protocol, opening.tools, strips=self._strips)
            cell.answers.append(Judged(number, turn, exchange, judgement))
            if judgement.kind in (Kind.REFUSED, Kind.NO_ANSWER) or self._is_over(cell):
                return
            if self._is_full(exchange):
                return
            message = seen_by_agent(exchange.answer, strips=self._strips)
            if judgement.kind is Kind.VALID:
                grown = go_on(cell.protocol, message, sizes)
            else:
                grown = ask_again(message, judgement.detail)
            messages = [*messages, *grown]

    def _open(self, cell: LevelCell, number: int) -> Opening:
        template = self._templates[cell.protocol]
        if cell.level is CallLevel.ONE:
            return open_small(template, number)
        return open_full(FORM_OF[cell.protocol], template, number, self._plan.sizes)

    def _is_full(self, exchange: Answered) -> bool:
        """Whether another turn might not fit into the context."""
        sizes, tokens = self._plan.sizes, read_tokens(exchange.answer)
        used = tokens.prompt_tokens + tokens.completion_tokens
        return used + sizes.result_tokens + sizes.max_tokens > sizes.context

    def _is_over(self, cell: LevelCell) -> bool:
        late = time.monotonic() > self._deadline
        return late or self._stop.is_set() or self._is_hopeless(cell)

    @staticmethod
    def _is_hopeless(cell: LevelCell) -> bool:
        """Nothing at all was answered, so often that nothing will be."""
        unanswered = cell.counts[Kind.REFUSED] + cell.counts[Kind.NO_ANSWER]
        return unanswered >= UNANSWERED_TO_STOP and unanswered == len(cell.answers)
