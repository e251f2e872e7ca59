"""The server that is diagnosed: what it serves, how much it holds, and one question to it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from orchestrator.bench.target import UNKNOWN_CONTEXT, complete
from orchestrator.config.schema import Model
from orchestrator.diagnose.judge import HTTP_OK, Answered
from orchestrator.diagnose.tasks import probe_text
from orchestrator.endpoint.answers import read_json
from orchestrator.endpoint.client import authorization
from orchestrator.endpoint.fields import TOO_BUSY, read_tokens, with_profile
from orchestrator.endpoint.listing import SHORT_TIMEOUT_S
from orchestrator.endpoint.serving import require_endpoint
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import answer_words

USUAL_CHARS_PER_TOKEN = 3.5
"""Where the server does not count."""
MAX_BUSY_S = 60.0
"""How long a request waits for a server that lets nobody in."""
BUSY_DELAY_S = 0.25
LEAST_TIMEOUT_S = 1.0
HANGS_UP = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@dataclass(frozen=True)
class DiagnosedServer:
    """A server that answered. Use it as a context manager; threads may share it."""

    model: Model
    base_url: str
    context: int
    """Tokens of prompt and answer: the server's word, or the profile's, whichever is less."""
    chars_per_token: float
    client: httpx.Client = field(repr=False)

    def body(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, max_tokens: int
    ) -> dict[str, Any]:
        """A request as an agent's reaches the server, no stream. The profile has the last word."""
        asked: dict[str, Any] = {"messages": messages, "max_tokens": max_tokens}
        if tools:
            asked["tools"] = tools
        return with_profile(self.model, asked)

    def ask(
        self, body: dict[str, Any], deadline: float, is_stopped: Callable[[], bool]
    ) -> Answered:
        """Ask once; a server that is too busy is asked again, and once more one that hangs up, as
        idle connections are closed at any moment. `deadline` is monotonic."""
        busy_until = time.monotonic() + MAX_BUSY_S
        has_hung_up = False
        while True:
            left = max(deadline - time.monotonic(), LEAST_TIMEOUT_S)
            timeout_s = min(self.model.endpoint.request_timeout_s, left)
            limits = httpx.Timeout(timeout_s, connect=min(timeout_s, SHORT_TIMEOUT_S))
            try:
                reply = self.client.post(self._chat_url, json=body, timeout=limits)
            except httpx.HTTPError as error:
                if isinstance(error, HANGS_UP) and not has_hung_up:
                    has_hung_up = True
                    continue
                return Answered(body, 0, None, way_to(self.base_url).problem(error).what)
            until = min(busy_until, deadline)
            if reply.status_code in TOO_BUSY and time.monotonic() < until and not is_stopped():
                time.sleep(BUSY_DELAY_S)
                continue
            return _read(body, reply)

    def is_alive(self) -> bool:
        """Whether it still completes a chat."""
        try:
            complete(self.client, self.base_url, _probe(self.model, "ping"))
        except PrerequisiteError:
            return False
        return True

    @property
    def _chat_url(self) -> str:
        return f"{self.base_url}/chat/completions"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def require_target(model: Model, key: str) -> DiagnosedServer:
    """Look at a model's server, and ask it once.

    Raises:
        PrerequisiteError: it does not answer, does not serve the model, or completes no chat.
    """
    base_url = model.endpoint.base_url.rstrip("/")
    facts = require_endpoint(model, base_url, key)
    known = [n for n in (facts.get("max_model_len"), model.context_length) if isinstance(n, int)]
    client = open_client(base_url, headers=authorization(key))
    try:
        text = probe_text()
        answer, _ = read_json(complete(client, base_url, _probe(model, text)).content)
    except BaseException:
        client.close()
        raise
    tokens = read_tokens(answer).prompt_tokens if isinstance(answer, dict) else 0
    ratio = len(text) / tokens if tokens else USUAL_CHARS_PER_TOKEN
    return DiagnosedServer(model, base_url, min(known, default=UNKNOWN_CONTEXT), ratio, client)


def _probe(model: Model, text: str) -> dict[str, Any]:
    body = with_profile(model, {"messages": [{"role": "user", "content": text}]})
    return {**body, "max_tokens": 1}


def _read(body: dict[str, Any], reply: httpx.Response) -> Answered:
    answer, _ = read_json(reply.content)
    words = ""
    if _is_too_deep(answer):
        return Answered(body, reply.status_code, None, "the answer is nested too deeply to be read")
    if answer is None:
        where = reply.headers.get("Location")
        words = one_line(reply.text, 200)
        if reply.status_code != HTTP_OK:
            words = answer_words(reply.status_code, words, where)
        else:
            words = f"the answer is no JSON: {words}"
    return Answered(body, reply.status_code, answer, words)


def _is_too_deep(answer: Any) -> bool:
    """Whether what is done with it later, copying and writing, would end in a RecursionError."""
    try:
        copy.deepcopy(answer)
    except RecursionError:
        return True
    return False
