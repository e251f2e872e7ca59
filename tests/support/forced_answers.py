"""ASGI middleware for a real vLLM: what it says follows a script, all else is its own.

The script, a JSON file that FORCED_ANSWERS names, maps a text that stands in a conversation to its
answers, turn by turn; it is read for every request. Structured output makes the model say them,
token by token, through its own engine and its own parsers. vLLM's process imports this module:
standard library only.
"""

from __future__ import annotations

import json
import os
from typing import Any


class ForceAnswers:
    """`vllm serve --middleware support.forced_answers.ForceAnswers`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/chat/completions":
            await self._app(scope, receive, send)
            return
        raw, more = b"", True
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        body = json.dumps(self._force(json.loads(raw))).encode()
        given = False

        async def replay() -> Any:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _force(self, body: dict[str, Any]) -> dict[str, Any]:
        with open(os.environ["FORCED_ANSWERS"], encoding="utf-8") as file:
            script: dict[str, list[str]] = json.load(file)
        text = "\n".join(str(message["content"]) for message in body["messages"])
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        for key, answers in script.items():
            if key in text:
                answer = answers[min(turn, len(answers) - 1)]
                forced = {"structured_outputs": {"choice": [answer]}}
                return body | forced | {"max_tokens": len(answer.encode()) + 1}
        return body
