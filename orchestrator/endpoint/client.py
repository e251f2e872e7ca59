"""An agent's chat completions, through the gateway.

The gateway waits while servers are away, so a call may take hours. It ends with an answer, or with
an error that waiting would not mend. The client itself waits only while the gateway restarts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from orchestrator.endpoint.fields import (
    INTERNAL_ERROR,
    Tokens,
    error_code,
    error_text,
    error_type,
    is_swallowed,
    read_tokens,
    why_no_completion,
)
from orchestrator.endpoint.overflow import OVERFLOW_CODE
from orchestrator.errors import EndpointUnavailable, InternalError, RequestRefused, one_line
from orchestrator.network.problems import explain

RESTART_S = 120.0
"""How long the gateway may be gone; its driver starts it again within seconds."""
POLL_S = 1.0


class ContextOverflow(Exception):
    """The prompt does not fit into the model's context."""


@dataclass(frozen=True)
class Completion:
    """One answer. Tokens as the server counted them; 0 where it does not say."""

    content: str
    finish_reason: str
    swallowed: bool
    """No content, no tool call, but reasoning: the server took the answer for thought."""
    tokens: Tokens
    seconds: float
    tool_calls: tuple[dict[str, Any], ...] = ()
    """As the server sent them."""


class ChatClient:
    """Completions for one rollout, at its base URL."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        restart_s: float = RESTART_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._restart_s = restart_s
        self._sleep = sleep
        # no proxy of the environment lies between a worker and its gateway, and a certificate store
        # for plain http would take 5 MB and 50 ms a rollout
        self._client = httpx.Client(
            headers=authorization(api_key),
            timeout=httpx.Timeout(None, connect=10),
            trust_env=False,
            verify=self._base_url.startswith("https:"),
        )

    def complete(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None
    ) -> Completion:
        """Ask, and wait for the answer. `tools` are functions that the model may call.

        Raises:
            EndpointUnavailable: no server answers, for longer than is waited.
            RequestRefused: servers refuse the request for another reason than its length.
            InternalError: the gateway met a bug of its own.
            ContextOverflow: the messages are too long for the model.
        """
        question: dict[str, Any] = {"messages": messages}
        if tools:
            question["tools"] = tools
        # httpx itself fails at half a surrogate pair; the gateway mends it
        body = json.dumps(question).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self._base_url}/chat/completions"
        gone_since: float | None = None
        while True:
            started = time.monotonic()
            try:
                reply = self._client.post(url, content=body, headers=headers)
            except httpx.HTTPError as error:
                refused = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if gone_since is None or not refused:
                    gone_since = time.monotonic()  # it was there until now
                if time.monotonic() - gone_since > self._restart_s:
                    problem = f"the gateway is gone ({explain(error, url).what})"
                    raise EndpointUnavailable(problem) from error
                self._sleep(POLL_S)
                continue
            return _read(reply, time.monotonic() - started)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def authorization(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _read(reply: httpx.Response, seconds: float) -> Completion:
    try:
        answer = reply.json()
    except ValueError:
        answer = None
    if reply.status_code != 200:
        text = error_text(answer) if answer is not None else reply.text
        problem = f"HTTP {reply.status_code}: {one_line(text)}"
        if error_type(answer) == INTERNAL_ERROR:
            raise InternalError(f"the gateway: {text} (gateway.log has the traceback)")
        if reply.status_code == 503:
            raise EndpointUnavailable(text)
        if error_code(answer) == OVERFLOW_CODE:
            raise ContextOverflow(problem)
        raise RequestRefused(problem)
    if why := why_no_completion(answer):
        raise EndpointUnavailable(why)
    choice = answer["choices"][0]
    return Completion(
        content=choice["message"].get("content") or "",
        finish_reason=str(choice.get("finish_reason")),
        swallowed=is_swallowed(answer),
        tokens=read_tokens(answer),
        seconds=seconds,
        tool_calls=tuple(choice["message"].get("tool_calls") or ()),
    )
