"""From the table to what a person does: which agent to use, and what is worth a word. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any

from orchestrator.diagnose.causes import (
    LEAKS,
    AskedModel,
    BlamedCause,
    amount,
    cause_of,
    is_worse_than_before,
    usual_detail,
    where,
)
from orchestrator.diagnose.judge import Kind
from orchestrator.diagnose.levels import TOO_HARD, CallLevel, LevelCell, State
from orchestrator.diagnose.protocols import FORM_OF
from orchestrator.endpoint.fields import read_tokens
from orchestrator.scripted.protocols import Protocol

GONE = "The server has stopped answering, so nothing is decided."
PREFERENCE = (Protocol.THOUGHT_ACTION, Protocol.XML, Protocol.CALLS, Protocol.MINI)
"""SWE-agent in text is what benchmarks are run with; mini-swe-agent brings no tools."""
CUT_SHARE = 0.5


@dataclass(frozen=True)
class Verdict:
    agent: str | None
    """The profile to use; None where nothing works, or nothing is known."""
    headline: str
    causes: tuple[BlamedCause, ...]
    remarks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def conclude(cells: Sequence[LevelCell], asked: AskedModel) -> Verdict:
    """Everything that the table says; no cells at all say nothing."""
    causes = _merge([cause for p in FORM_OF if (cause := cause_of(p, cells, asked))])
    agent, headline = (None, GONE) if asked.is_gone else _choose(cells, asked)
    return Verdict(agent, headline, tuple(causes), tuple(_remarks(cells, asked)))


class Standing(IntEnum):
    """How far an agent gets with a protocol, best first."""

    WORKS = 0
    ALONE = 1
    UNCLEAR = 2
    FEW_TOOLS = 3
    UNKNOWN = 4
    FAILS = 5

    @property
    def is_usable(self) -> bool:
        return self <= Standing.FEW_TOOLS


HEADLINES = {
    Standing.WORKS: "Use --agent {profile}: {label} works at every level that was asked.",
    Standing.ALONE: "Use --agent {profile} with --workers 1: {label} works, but not with "
    "{at_once} at once.",
    Standing.UNCLEAR: "Perhaps --agent {profile}: {label} is not shown to fail, and not shown to "
    "work at every level.",
    Standing.FEW_TOOLS: "Perhaps --agent {profile}: {label} works with two tools and not with "
    "many; it has three.",
    Standing.UNKNOWN: "Nothing is known of the model yet: too few answers came that could be "
    "judged.",
    Standing.FAILS: "No agent profile works with this model as it is served.",
}


def _choose(cells: Sequence[LevelCell], asked: AskedModel) -> tuple[str | None, str]:
    """The best protocol's agent, if one is usable, and a line that says so."""
    wanted = [protocol for protocol in PREFERENCE if protocol in asked.protocols]
    standings = {p: _standing([c for c in cells if c.protocol is p]) for p in wanted}
    best = min(wanted, key=lambda protocol: standings[protocol])
    standing, form = standings[best], FORM_OF[best]
    if standing is Standing.FAILS and len(wanted) < len(PREFERENCE):
        return None, "No agent that was asked for works with this model as it is served."
    words = {"profile": form.profile, "label": form.label, "at_once": asked.at_once}
    return form.profile if standing.is_usable else None, HEADLINES[standing].format(**words)


def _standing(cells: Sequence[LevelCell]) -> Standing:
    asked = [cell for cell in cells if cell.answers]
    states = {cell.state for cell in asked} - {State.UNTESTED}
    if states <= {State.BROKEN}:
        return Standing.UNKNOWN
    if states <= _NOT_BAD:
        if not asked[-1].valid:
            return Standing.UNKNOWN
        is_whole = asked[-1].level >= CallLevel.LOOP and not any(cell.skipped for cell in asked)
        return Standing.WORKS if is_whole and states == {State.WORKS} else Standing.UNCLEAR
    last = asked[-1]  # nothing was asked behind it: all before it works
    is_worse = last.state is State.FAILS and is_worse_than_before(last, cells)
    if last.level is CallLevel.CROWD and (is_worse or last.state is not State.FAILS):
        return Standing.ALONE
    if is_worse and last.level is CallLevel.FULL and last.protocol is Protocol.CALLS:
        return Standing.FEW_TOOLS
    return Standing.UNKNOWN if states - _NOT_BAD == {State.BROKEN} else Standing.FAILS


_NOT_BAD = {State.WORKS, State.UNCLEAR}


def _remarks(cells: Sequence[LevelCell], asked: AskedModel) -> list[str]:
    """What is worth a word, and no verdict."""
    found = []
    for cell in cells:
        if cell.state in (State.WORKS, State.UNCLEAR):
            found += [
                f"{amount(cell, kind)} {where(cell)} ({FORM_OF[cell.protocol].label}): too few "
                "to judge by, and yet no server that is well does this"
                for kind, _ in cell.failures
                if kind in LEAKS
            ]
        if cell.state is State.UNCLEAR:
            found.append(
                f"{FORM_OF[cell.protocol].label} {where(cell)}: {cell.valid} of {cell.judged} "
                "valid, which chance may explain either way; ask more often (--times)"
            )
        outages = cell.counts[Kind.NO_ANSWER]
        if outages and cell.state is not State.BROKEN:
            found.append(
                f"{outages} requests {where(cell)} came to nothing "
                f"({usual_detail(cell, Kind.NO_ANSWER)}); they count nowhere"
            )
    valid = [
        judged.judgement
        for cell in cells
        if cell.protocol is Protocol.CALLS
        for judged in cell.answers
        if judged.judgement.kind is Kind.VALID
    ]
    if several := sum(judgement.calls > 1 for judgement in valid):
        found.append(
            f"{several} answers held several calls at once, which count as valid here; "
            "sweagent-tools takes one a step, and asks again"
        )
    if beside := sum(bool(judgement.dialect) for judgement in valid):
        found.append(f"{beside} answers held raw tool text beside a valid call")
    if asked.shortened:
        found.append(f"the context is small, so levels 2 and 3 were cut: {asked.shortened}")
    if asked.at_once == 1:
        found.append("several at once were not tried: the profile's max_concurrency is 1")
    return [*found, *_not_asked(cells), *_cut_prompts(cells, asked)]


def _not_asked(cells: Sequence[LevelCell]) -> list[str]:
    """A line a reason."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        if cell.skipped not in ("", TOO_HARD):
            place = f"{FORM_OF[cell.protocol].label} {where(cell)}"
            reasons.setdefault(cell.skipped, []).append(place)
    return [f"not asked to the end ({why}): {', '.join(at)}" for why, at in reasons.items()]


def _cut_prompts(cells: Sequence[LevelCell], asked: AskedModel) -> list[str]:
    """Where a server counts far fewer tokens than it was sent, it has left some of them out."""
    found = []
    for cell in cells:
        if cell.level is not CallLevel.FULL:
            continue
        sent, counted = _prompt_tokens(cell, asked)
        if counted < CUT_SHARE * sent:
            found.append(
                f"{FORM_OF[cell.protocol].label}: the server counted {counted:,} tokens of a "
                f"prompt of about {sent:,.0f}: its template leaves tools out, or it cuts prompts "
                "(on Ollama, raise num_ctx)"
            )
    return found


def _prompt_tokens(cell: LevelCell, asked: AskedModel) -> tuple[float, int]:
    """Of an answered request: as estimated, and as its server counted, if it does."""
    for judged in cell.answers:
        exchange = judged.exchange
        if isinstance(exchange.answer, dict):
            counted = read_tokens(exchange.answer).prompt_tokens
            if counted:
                return len(json.dumps(exchange.request)) / asked.chars_per_token, counted
    return 0.0, 0


def _merge(causes: Sequence[BlamedCause]) -> list[BlamedCause]:
    """One entry for what several protocols suffer from."""
    found: dict[BlamedCause, tuple[Protocol, ...]] = {}
    for cause in causes:
        what = replace(cause, protocols=())
        found[what] = (*found.get(what, ()), *cause.protocols)
    return [replace(what, protocols=protocols) for what, protocols in found.items()]
