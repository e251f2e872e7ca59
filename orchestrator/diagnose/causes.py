"""Why a protocol does not work: whose doing it is, and what mends it. Pure.

The blame goes by where a protocol first fails. At the first level it is the model, or what its
server makes of every answer; with many tools it is what the model can carry; in a loop, with both
before it passing, it is the framework; with several at once and not alone, it is the server. Raw
text, swallowed and empty answers and leaking tokens are a server's at any level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.diagnose.dialects import CHAT_TEMPLATE_OF_GEMMA, DIALECTS, dialect_spoken_by
from orchestrator.diagnose.judge import Kind
from orchestrator.diagnose.levels import SURE, CallLevel, LevelCell, State
from orchestrator.diagnose.protocols import FORM_OF
from orchestrator.endpoint.overflow import said_to_be_too_long
from orchestrator.report.stats import wilson
from orchestrator.scripted.protocols import Protocol

NEEDS_PARSER = "tool choice requires"
"""Of vLLM's refusal where it was started without a tool-call parser (0.32, renderers)."""
LEAKS = (Kind.CONTROL, Kind.RAW_TEXT, Kind.SWALLOWED)
"""What no answer of a server that is well holds, be it seldom."""


class Blame(StrEnum):
    MODEL = "the model"
    SERVER = "the server"
    FRAMEWORK = "the framework"
    OUTAGE = "an outage"
    PROFILE = "the model's profile"


@dataclass(frozen=True)
class BlamedCause:
    """What goes wrong, whose doing it is, and how it is mended."""

    blame: Blame
    words: str
    cure: str
    protocols: tuple[Protocol, ...] = ()


@dataclass(frozen=True)
class AskedModel:
    """What a verdict needs to know of who was asked."""

    names: tuple[str, ...]
    """What the model is called."""
    at_once: int
    chars_per_token: float
    shortened: str = ""
    """What was left out for a small context."""
    is_gone: bool = False
    """The server has stopped answering."""
    protocols: tuple[Protocol, ...] = tuple(FORM_OF)
    """Those that were to be asked in; `--agent` names some."""


@dataclass(frozen=True)
class Scene:
    """A cell that does not work, and what stands around it."""

    cell: LevelCell
    cells: Sequence[LevelCell]
    """All of the table."""
    asked: AskedModel

    @property
    def is_text(self) -> bool:
        return FORM_OF[self.cell.protocol].is_text

    @property
    def others_are_answered(self) -> bool:
        """Whether the server answered anything that was asked after this."""
        asked_later = self.cells[self.cells.index(self.cell) + 1 :]
        return any(cell.judged for cell in asked_later)

    @property
    def is_worse_than_before(self) -> bool:
        return is_worse_than_before(self.cell, self.cells)

    @property
    def kind(self) -> Kind:
        """What most of its bad answers are. A third is enough for what no model does by itself."""
        bad = [(kind, count) for kind, count in self.cell.failures if kind.is_judged]
        total = sum(count for _, count in bad)
        leaks = [kind for kind, count in bad if kind in LEAKS and 3 * count >= total]
        return leaks[0] if leaks else bad[0][0]


def is_worse_than_before(cell: LevelCell, cells: Sequence[LevelCell]) -> bool:
    """Whether the level makes the difference: easier levels of the same protocol are better by more
    than chance explains in one of a hundred cases."""
    easier = [c for c in cells if c.protocol is cell.protocol and c.level < cell.level]
    valid, judged = sum(c.valid for c in easier), sum(c.judged for c in easier)
    return wilson(valid, judged, SURE)[0] * cell.judged > cell.valid


def cause_of(
    protocol: Protocol, cells: Sequence[LevelCell], asked: AskedModel
) -> BlamedCause | None:
    """Why a protocol does not work; None where it does, or was not asked."""
    own = [cell for cell in cells if cell.protocol is protocol]
    found = next((cell for cell in own if cell.state in _OF_STATE), None)
    if found is None:
        return None
    return replace(_OF_STATE[found.state](Scene(found, cells, asked)), protocols=(protocol,))


def _refused(scene: Scene) -> BlamedCause:
    cell = scene.cell
    words = usual_detail(cell, Kind.REFUSED)
    if NEEDS_PARSER in words:
        return BlamedCause(
            Blame.SERVER,
            "it takes no requests with tools: it was started without a tool-call parser",
            f"start it with --enable-auto-tool-choice --tool-call-parser {_parser(scene.asked)}",
        )
    too_long = (said_to_be_too_long(j.exchange.status, j.exchange.answer) for j in cell.answers)
    if "yes" in too_long:
        return BlamedCause(
            Blame.SERVER,
            f"it refuses what does not fit into its context ({words})",
            "start it with a longer context (--max-model-len), or ask for shorter answers "
            "(model.sampling.max_tokens)",
        )
    if cell.level >= CallLevel.LOOP:
        return BlamedCause(
            Blame.SERVER,
            f"it refuses conversations that hold what calls brought ({words})",
            "give it a chat template that takes them (--chat-template), or use another protocol",
        )
    return BlamedCause(
        Blame.SERVER,
        f"it refuses requests {where(cell)} ({words})",
        "look at its log; servers without tool calling refuse tools so: then use a text protocol",
    )


def _broken(scene: Scene) -> BlamedCause:
    words = f"{where(scene.cell)} ({usual_detail(scene.cell, Kind.NO_ANSWER)})"
    if scene.others_are_answered:
        return BlamedCause(
            Blame.SERVER,
            f"it fails {words}, and answers others after that; it says nothing of the model",
            "look at its log: its chat template may not know what it is given",
        )
    return BlamedCause(
        Blame.OUTAGE,
        f"nothing is answered {words}; that says nothing of the model",
        "look at the server's log, and diagnose again when it is up",
    )


def _cut_off(scene: Scene) -> BlamedCause:
    cell = scene.cell
    return BlamedCause(
        Blame.PROFILE,
        f"answers {where(cell)} end at the limit of tokens before they hold a call",
        "switch thinking off (request_fields: chat_template_kwargs: {enable_thinking: false}), or "
        "raise sampling.max_tokens",
    )


def _fails(scene: Scene) -> BlamedCause:
    if scene.cell.level is CallLevel.CROWD and scene.is_worse_than_before:
        return _under_concurrency(scene)
    return _OF_KIND.get(scene.kind, _of_level)(scene)


_OF_STATE: dict[State, Callable[[Scene], BlamedCause]] = {
    State.REFUSED: _refused,
    State.BROKEN: _broken,
    State.CUT_OFF: _cut_off,
    State.FAILS: _fails,
}


def _under_concurrency(scene: Scene) -> BlamedCause:
    cell = scene.cell
    return BlamedCause(
        Blame.SERVER,
        f"alone everything is well, and {cell.at_once} at once bring answers with {scene.kind}: no "
        "model does that by itself, its server mixes requests up",
        "use another version of the server (padding tokens in tool calls under concurrency are a "
        "known fault of some vLLM versions), without a draft model; until then --workers 1",
    )


def _raw_text(scene: Scene) -> BlamedCause:
    cell = scene.cell
    seen = Counter(judged.judgement.dialect for judged in cell.answers if judged.judgement.dialect)
    name = seen.most_common(1)[0][0]
    dialect = next(dialect for dialect in DIALECTS if dialect.name == name)
    if scene.is_text:
        return BlamedCause(
            Blame.MODEL,
            f"where text is asked for it writes calls of its own, in {name} form",
            "use function calling (--agent sweagent-tools) if that works",
        )
    words = (
        f"calls stay in the answers as text, in {name} form: the server has another parser, or none"
    )
    if not dialect.parser:
        return BlamedCause(
            Blame.MODEL, f"{words}, and vLLM has none that does", "use a text protocol"
        )
    flags = f"--enable-auto-tool-choice --tool-call-parser {dialect.parser}"
    return BlamedCause(Blame.SERVER, words, f"start the server with {flags} {dialect.hint}".strip())


def _swallowed(scene: Scene) -> BlamedCause:
    return BlamedCause(
        Blame.SERVER,
        "answers are swallowed: all of them is taken for thought, and nothing is left to act on",
        "start the server without --reasoning-parser, or switch thinking off (request_fields: "
        "chat_template_kwargs: {enable_thinking: false})",
    )


def _empty(scene: Scene) -> BlamedCause:
    cell = scene.cell
    if scene.is_text:
        return BlamedCause(
            Blame.SERVER,
            f"answers {where(cell)} are empty",
            "look at its chat template and its log; on Ollama, raise num_ctx: it cuts prompts",
        )
    return BlamedCause(
        Blame.SERVER,
        f"answers to requests with tools are empty {where(cell)}: the server's template or parser "
        "loses the call",
        "serve the model with vLLM and its own parser (Ollama is known for it with Gemma 4), or "
        "use a text protocol",
    )


def _control(scene: Scene) -> BlamedCause:
    cell = scene.cell
    return BlamedCause(
        Blame.SERVER,
        f"tokens that end turns or stand for nothing reach the answers {where(cell)} "
        f"({usual_detail(cell, Kind.CONTROL)})",
        "check the server's chat template and version, and that no draft model (multi-token "
        "prediction) runs together with prefix caching",
    )


def _missing(scene: Scene) -> BlamedCause:
    cell = scene.cell
    spoken = dialect_spoken_by(*scene.asked.names)
    if cell.level is CallLevel.ONE and spoken is not None and spoken.parser == "gemma4":
        return BlamedCause(
            Blame.SERVER,
            "calls lose their parameters: Gemma 4 does so without its chat template, though the "
            "model wrote them",
            f"start the server with --tool-call-parser gemma4 {CHAT_TEMPLATE_OF_GEMMA}",
        )
    return _of_level(scene)


_OF_KIND: dict[Kind, Callable[[Scene], BlamedCause]] = {
    Kind.RAW_TEXT: _raw_text,
    Kind.SWALLOWED: _swallowed,
    Kind.EMPTY: _empty,
    Kind.CONTROL: _control,
    Kind.MISSING: _missing,
}


def _of_level(scene: Scene) -> BlamedCause:
    """What is wrong is the call itself: it goes by how much was asked of the model."""
    cell = scene.cell
    seen = f"{amount(cell, scene.kind)} {where(cell)}"
    another = "use a protocol that works, or another model"
    if cell.level is CallLevel.ONE:
        return BlamedCause(Blame.MODEL, seen, another)
    if not scene.is_worse_than_before:
        return BlamedCause(
            Blame.MODEL, f"{seen}, and easier levels are not clearly better", another
        )
    if cell.level is CallLevel.FULL:
        words = f"{seen}, while two tools are well: so many tools are more than it carries"
        return BlamedCause(Blame.MODEL, words, another if scene.is_text else "use a text protocol")
    return BlamedCause(
        Blame.FRAMEWORK,
        f"{seen}, while single calls are well: long loops with tool results are what breaks",
        another if scene.is_text else "change the framework, not the model: use a text protocol",
    )


def amount(cell: LevelCell, kind: Kind) -> str:
    return f"{cell.counts[kind]} of {cell.judged} answers with {kind}"


def where(cell: LevelCell) -> str:
    return {
        CallLevel.ONE: "at level 1",
        CallLevel.FULL: "at level 2",
        CallLevel.LOOP: "at level 3",
        CallLevel.CROWD: f"at level 3 with {cell.at_once} at once",
    }[cell.level]


def usual_detail(cell: LevelCell, kind: Kind) -> str:
    details = Counter(j.judgement.detail for j in cell.answers if j.judgement.kind is kind)
    return details.most_common(1)[0][0] if details else "it does not say why"


def _parser(asked: AskedModel) -> str:
    spoken = dialect_spoken_by(*asked.names)
    if spoken is None or not spoken.parser:
        return "NAME (gemma4 for Gemma 4, qwen3_xml for Qwen 3.5 and 3.6, hermes for Qwen 3)"
    return f"{spoken.parser} {spoken.hint}".strip()
