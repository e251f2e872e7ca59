"""The scripted endpoint: a real HTTP server with OpenAI's chat API that plays personas.

It finds the instance by its problem statement in the conversation, so it serves any agent. It
stands in for a model in tests, in the demo, and in `--model scripted`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from orchestrator.gold_answers import unseal
from orchestrator.scripted.personas import Persona, ScriptedReply, Turn, parse_persona, solves
from orchestrator.scripted.protocols import (
    AnswerForm,
    answer_form,
    answers_before,
    message_of,
    text_of,
)
from orchestrator.types import Instance, SealedAnswer

MODEL = "scripted"
CHARS_PER_TOKEN = 4


@dataclass
class _InstanceMemory:
    """What the server remembers of one instance."""

    first_request: float
    tries: dict[int, int] = field(default_factory=dict)


class ScriptedEndpoint:
    """An OpenAI-compatible server on 127.0.0.1. Use it as a context manager."""

    def __init__(
        self,
        instances: Sequence[Instance],
        answers: Mapping[str, SealedAnswer],
        personas: Mapping[str, str] | None = None,
        port: int = 0,
        delay_s: float = 0.0,
    ) -> None:
        """`personas` maps instance ids, or `default`, to persona names; all others solve.

        Raises:
            ValueError: an unknown persona.
        """
        self._statements = {i.problem_statement.strip(): i.instance_id for i in instances}
        self._patches = {key: unseal(sealed).gold_patch for key, sealed in answers.items()}
        self._personas: dict[str, tuple[Persona, float]] = {
            key: parse_persona(name) for key, name in (personas or {}).items()
        }
        self._conversations: dict[str, _InstanceMemory] = {}
        self._lock = threading.Lock()
        self._away_until = 0.0
        self.delay_s = delay_s
        """Before every answer, on top of the persona's own."""
        self.requests = 0
        """Chat completions asked for so far."""
        self._server = _HttpServer(("127.0.0.1", port), _Handler)
        self._server.endpoint = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def go_away(self, seconds: float) -> None:
        """From now on hang up on every request, for so long."""
        self._away_until = time.monotonic() + seconds

    @property
    def is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def reply(self, messages: Sequence[Mapping[str, Any]], form: AnswerForm) -> ScriptedReply:
        """What to say next in a conversation."""
        instance_id = self._find_instance(messages)
        number = answers_before(messages, form)
        with self._lock:
            self.requests += 1
            conversation = self._conversations.setdefault(
                instance_id, _InstanceMemory(time.monotonic())
            )
            tries = conversation.tries.get(number, 0)
            conversation.tries[number] = tries + 1
        persona, parameter = self._personas.get(
            instance_id, self._personas.get("default", (solves, 0.0))
        )
        since_first = time.monotonic() - conversation.first_request
        patch = self._patches.get(instance_id, "")
        tools, by_calls = len(form.tools), form.by_calls
        return persona(Turn(number, tries, since_first, patch, parameter, tools, by_calls))

    def _find_instance(self, messages: Sequence[Mapping[str, Any]]) -> str:
        text = "\n".join(text_of(m) for m in messages[:3] if m["role"] != "assistant")
        found = [statement for statement in self._statements if statement in text]
        return self._statements[max(found, key=len)] if found else ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    endpoint: ScriptedEndpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to print about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def do_GET(self) -> None:
        if self.server.endpoint.is_away:
            self.close_connection = True
        elif self.path.endswith("/models"):
            model = {"id": MODEL, "object": "model", "max_model_len": 32768, "owned_by": "scripted"}
            self._send_json(200, {"object": "list", "data": [model]})
        elif self.path == "/health":
            self._send(200, b"", "text/plain")
        else:
            self._send_json(404, _error(404, "not found"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        endpoint = self.server.endpoint
        if endpoint.is_away:
            self.close_connection = True
            return
        try:
            request = json.loads(body)
            messages = request["messages"]
            if request.get("model") != MODEL:
                self._send_json(
                    404, _error(404, f"The model `{request.get('model')}` does not exist.")
                )
                return
            form = answer_form(request)
            reply = endpoint.reply(messages, form)
            completion = _completion(reply, messages, form)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._send_json(400, _error(400, f"malformed body: {error}"))
            return
        time.sleep(endpoint.delay_s + reply.delay_s)
        if reply.hang_up:
            self.close_connection = True
        elif reply.status != 200:
            self._send_json(reply.status, reply.body or _error(reply.status, "scripted"))
        elif request.get("stream"):
            self._send_stream(completion)
        else:
            self._send_json(200, completion)

    def _send_stream(self, full: Mapping[str, Any]) -> None:
        message = full["choices"][0]["message"]
        base = {key: full[key] for key in ("id", "created", "model")}
        base["object"] = "chat.completion.chunk"
        finish = full["choices"][0]["finish_reason"]
        said = [*((delta, None) for delta in _deltas(message)), ({}, finish)]
        chunks = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            for delta, reason in said
        ]
        chunks.append({**base, "choices": [], "usage": full["usage"]})
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        self._send(200, "".join(events).encode(), "text/event-stream")

    def _send_json(self, status: int, body: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The run's own record is enough."""


def _deltas(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message in the pieces that a stream has: its text, then its calls, 40 characters each."""
    name = "content" if message["content"] is not None else "reasoning"
    text = text_of({"content": message[name]})
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{name: piece} for piece in _pieces(text)]
    for index, call in enumerate(message["tool_calls"]):
        function = {"name": call["function"]["name"], "arguments": ""}
        deltas.append({"tool_calls": [call | {"index": index, "function": function}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in _pieces(call["function"]["arguments"])
        ]
    return deltas


def _pieces(text: str) -> list[str]:
    return [text[i : i + 40] for i in range(0, len(text), 40)]


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "ScriptedError", "param": None, "code": code}}


def _completion(
    reply: ScriptedReply, messages: Sequence[Mapping[str, Any]], form: AnswerForm
) -> dict[str, Any]:
    prompt = sum(len(str(message.get("content"))) for message in messages) // CHARS_PER_TOKEN + 1
    message = message_of(reply.thought, reply.command, form, answers_before(messages, form))
    if reply.reasoning is not None:
        message |= {"content": None, "reasoning": reply.reasoning}
    if reply.in_parts:
        words = message["content"].partition(" ")
        message["content"] = [{"type": "text", "text": word} for word in words]
    said = len(json.dumps(message)) // CHARS_PER_TOKEN + 1
    finish = "tool_calls" if message["tool_calls"] else "stop"
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
    }
    if reply.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": said}
    return {
        "id": f"chatcmpl-{time.time_ns()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }
