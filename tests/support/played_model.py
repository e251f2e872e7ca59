"""A model that calls tools well, and the ways in which models and their servers do not.

`good_message` is what a good model says to any request of `diagnose`, as a server with the right
parser hands it on; `spoken` is the same before any parser, in a dialect. A persona is a function of
the good answer. `PlayedServer` answers in this process, `ToolModelServer` over HTTP.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from orchestrator.config.schema import Endpoint, Model
from orchestrator.diagnose.judge import Answered
from orchestrator.scripted.actions import SUBMIT
from orchestrator.scripted.protocols import Protocol, answer_form, message_of
from support.fake_model import FakeModelServer, Reply

URL = "http://127.0.0.1:1/v1"
VALUES = {"string": "grep -rn parse src", "array": ["tests/test_it.py"], "integer": 3}
"""By type, for required parameters."""
CHARS_PER_TOKEN = 4
TOOL_CHARS = 800
"""Of one tool of a request, about."""
COMMANDS = ("grep -rn parse src", "sed -n 1,40p src/rates.py", "python -m pytest -q", SUBMIT)


def played(name: str = "played", **more: Any) -> Model:
    """Its profile. Four at once are enough to see what company does, and take half the time."""
    settings = {"max_concurrency": 4, **more}
    return Model(name=name, served_name=name, endpoint=Endpoint(base_url=URL), **settings)


@dataclass(frozen=True)
class Turn:
    """What is asked of a persona."""

    request: Mapping[str, Any]
    at_once: int
    """Requests that the server has, this one too."""
    number: int
    """Answers that the conversation holds already."""

    @property
    def has_tools(self) -> bool:
        return bool(self.request.get("tools"))

    @property
    def tools(self) -> int:
        return len(self.request.get("tools") or ())


@dataclass(frozen=True)
class Said:
    """An answer on its way; `status` is HTTP's, `words` those of an error."""

    message: dict[str, Any]
    finish_reason: str = "stop"
    status: int = 200
    words: str = ""

    def but(self, **message: Any) -> Said:
        return replace(self, message=self.message | message)

    @property
    def call(self) -> dict[str, Any]:
        function: dict[str, Any] = self.message["tool_calls"][0]["function"]
        return function

    def calling(self, name: str, arguments: str) -> Said:
        call = {"id": "call_0", "type": "function"}
        function = {"name": name, "arguments": arguments}
        return self.but(tool_calls=[call | {"function": function}])


Persona = Callable[[Turn, Said], Said]


def answers_before(request: Mapping[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in request["messages"])


def good_message(request: Mapping[str, Any]) -> dict[str, Any]:
    number = answers_before(request)
    form = answer_form(request)
    if form.protocol is not Protocol.CALLS:
        return message_of("The next step.", COMMANDS[number % len(COMMANDS)], form, number)
    function = request["tools"][number % len(request["tools"])]["function"]
    schema = function["parameters"]
    arguments = {name: _value(schema["properties"][name]) for name in schema["required"]}
    message = message_of("The next step.", None, form, number)
    said = {"name": function["name"], "arguments": json.dumps(arguments)}
    call = {"id": f"call_{number}", "type": "function", "function": said}
    return message | {"tool_calls": [call]}


def _value(schema: Mapping[str, Any]) -> Any:
    return schema["enum"][0] if "enum" in schema else VALUES[schema["type"]]


def _hermes(name: str, arguments: Mapping[str, Any]) -> str:
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"


def _qwen_xml(name: str, arguments: Mapping[str, Any]) -> str:
    given = "".join(
        f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items()
    )
    return f"<tool_call>\n<function={name}>\n{given}</function>\n</tool_call>"


def _gemma(name: str, arguments: Mapping[str, Any]) -> str:
    given = ",".join(f'{key}:<|"|>{value}<|"|>' for key, value in arguments.items())
    return f"<|tool_call>call:{name}{{{given}}}<tool_call|>"


def _mistral(name: str, arguments: Mapping[str, Any]) -> str:
    return f"[TOOL_CALLS]{name}{json.dumps(arguments)}"


SPEAK = {"hermes": _hermes, "qwen3_xml": _qwen_xml, "gemma4": _gemma, "mistral": _mistral}
"""By the name of the parser that reads it."""


def spoken(message: Mapping[str, Any], dialect: str = "hermes") -> str:
    """What the model says, before its server parses it."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    texts = [SPEAK[dialect](call["name"], json.loads(call["arguments"])) for call in calls]
    return "\n".join([str(message["content"] or ""), *texts])


def good(turn: Turn, said: Said) -> Said:
    return said


def without_parameters(said: Said) -> Said:
    return said.calling(said.call["name"], "{}")


def drops_in_long_loops(turn: Turn, said: Said) -> Said:
    return without_parameters(said) if turn.has_tools and turn.number >= 3 else said


def drops_under_many_tools(turn: Turn, said: Said) -> Said:
    return without_parameters(said) if turn.tools > 2 else said


def drops_always(turn: Turn, said: Said) -> Said:
    return without_parameters(said) if turn.has_tools else said


def drops_in_company(turn: Turn, said: Said) -> Said:
    return without_parameters(said) if turn.has_tools and turn.at_once > 1 else said


def pads_in_company(turn: Turn, said: Said) -> Said:
    """Whatever it says: the server mixes requests up."""
    if turn.at_once == 1:
        return said
    if turn.has_tools:
        return said.calling(said.call["name"], '{"command": "gre<pad><pad>"}')
    return said.but(content=f"{said.message['content']}<pad><pad>")


def leaves_raw(dialect: str) -> Persona:
    """No parser reads its calls, or one of another dialect."""

    def leave(turn: Turn, said: Said) -> Said:
        text = spoken(said.message, dialect)
        return said.but(content=text, tool_calls=[]) if turn.has_tools else said

    return leave


def leaks(token: str) -> Persona:
    def leak(turn: Turn, said: Said) -> Said:
        return said.but(content=f"{said.message['content']}{token}")

    return leak


def is_swallowed(turn: Turn, said: Said) -> Said:
    return said.but(content=None, tool_calls=[], reasoning=spoken(said.message))


def is_empty_with_tools(turn: Turn, said: Said) -> Said:
    return said.but(content="", tool_calls=[]) if turn.has_tools else said


def is_cut_off(turn: Turn, said: Said) -> Said:
    return replace(said.but(content="I think that", tool_calls=[]), finish_reason="length")


def talks(turn: Turn, said: Said) -> Said:
    return said.but(content="I would now look at the file.", tool_calls=[])


def refuses_tools(turn: Turn, said: Said) -> Said:
    words = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    return replace(said, status=400, words=words) if turn.has_tools else said


def refuses_results(turn: Turn, said: Said) -> Said:
    """Its chat template knows no role `tool`."""
    roles = {message["role"] for message in turn.request["messages"]}
    words = "Conversation roles must alternate user/assistant/user/assistant/..."
    return replace(said, status=400, words=words) if "tool" in roles else said


def fails_with_tools(turn: Turn, said: Said) -> Said:
    return replace(said, status=500, words="jinja2: unknown filter") if turn.has_tools else said


def fails_always(turn: Turn, said: Said) -> Said:
    return replace(said, status=500, words="EngineDeadError")


def calls_twice(turn: Turn, said: Said) -> Said:
    return said.but(tool_calls=said.message["tool_calls"] * 2) if turn.has_tools else said


def fences_twice(turn: Turn, said: Said) -> Said:
    """An explanation in a block before the command."""
    block = str(said.message["content"]).partition("```")
    return said if turn.has_tools else said.but(content=f"{block[0]}{block[1]}{block[2]}" * 2)


def calls_in_text(turn: Turn, said: Said) -> Said:
    """It has learnt nothing else than calls, whatever form is asked for."""
    return said if turn.has_tools else said.but(content=_hermes("bash", {"command": "ls"}))


def fails_seldom(persona: Persona, share: float, seed: int = 0) -> Persona:
    """It is good but for a share of the answers."""
    random, lock = Random(seed), threading.Lock()

    def play(turn: Turn, said: Said) -> Said:
        with lock:
            fails = random.random() < share
        return persona(turn, said) if fails else said

    return play


def completion_of(turn: Turn, persona: Persona) -> tuple[int, dict[str, Any]]:
    """HTTP's status, and the body."""
    said = persona(turn, Said(good_message(turn.request)))
    if said.status != 200:
        error = {"message": said.words, "type": "BadRequestError", "code": said.status}
        return said.status, {"error": error}
    texts = sum(len(str(message["content"])) for message in turn.request["messages"])
    prompt = (texts + TOOL_CHARS * turn.tools) // CHARS_PER_TOKEN
    completion = len(json.dumps(said.message)) // CHARS_PER_TOKEN
    choice = {"index": 0, "message": said.message, "finish_reason": said.finish_reason}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return 200, {"choices": [choice], "usage": usage}


@dataclass
class PlayedServer:
    """Implements `diagnose.levels.AskedServer` without a network. Requests take `takes_s`.

    Those at once are the threads that are asking, so that a busy machine changes nothing.
    """

    persona: Persona = good
    model: Model = field(default_factory=played)
    takes_s: float = 0.0005
    alive: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._askers: set[threading.Thread] = set()

    def body(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, max_tokens: int
    ) -> dict[str, Any]:
        told = {"tools": tools} if tools else {}
        return {"messages": messages, "max_tokens": max_tokens, **told}

    def ask(
        self, body: dict[str, Any], deadline: float, is_stopped: Callable[[], bool]
    ) -> Answered:
        with self._lock:
            self.asked.append(body)
            self._askers = {asker for asker in self._askers if asker.is_alive()}
            self._askers.add(threading.current_thread())
            turn = Turn(body, len(self._askers), answers_before(body))
        time.sleep(self.takes_s)
        status, answer = completion_of(turn, self.persona)
        return Answered(body, status, answer)

    def is_alive(self) -> bool:
        return self.alive


@dataclass
class ToolModelServer(FakeModelServer):
    """The same over HTTP: it serves `played`, with a context of 32768 tokens."""

    persona: Persona = good
    takes_s: float = 0.01
    context: int = 32768

    def __post_init__(self) -> None:
        self._due: list[float] = []
        model = {"id": "played", "max_model_len": self.context}
        self.pages = {"/v1/models": json.dumps({"data": [model]})}
        super().__post_init__()

    def _reply(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        request, now = json.loads(body), time.monotonic()
        self.asked.append(request)
        self.headers.append(dict(headers))
        self._due = [due for due in self._due if due > now] + [now + self.takes_s]
        persona = good if request["max_tokens"] == 1 else self.persona
        turn = Turn(request, len(self._due), answers_before(request))
        status, answer = completion_of(turn, persona)
        return Reply(status, [json.dumps(answer).encode()], after_s=self.takes_s)
