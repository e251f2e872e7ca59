"""Chat completions on the `openai` client, with a server that may be away for a while.

Until a rollout's call is answered, what the world does (refused, reset, timed out, 5xx, 429) is
waited out for `retry_s` and held against no limit of the rollout. What the request does (4xx) comes
back at once; a context overflow is told apart from the rest.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import openai
from openai.types.chat import ChatCompletion

from orchestrator.config.schema import Endpoint, Model
from orchestrator.errors import EndpointUnavailable, PrerequisiteError, RequestRefused

CONTEXT_OVERFLOW = re.compile(
    r"maximum context length|context length is only|context length exceeded"
    r"|context_length_exceeded|exceeds? the (?:available |model's )?context"
    r"|longer than the maximum model length|maximum input length|too long to fit into the model"
    r"|prompt is too long|input is too long",
    re.IGNORECASE,
)
FIRST_DELAY_S = 1.0
MAX_DELAY_S = 30.0


class ContextOverflow(Exception):
    """The prompt does not fit into the model's context."""


class OutOfTime(Exception):
    """The caller's own time for this call ran out; that says nothing of the server."""


class _NoCompletionError(Exception):
    """What came back is no completion: a proxy's page, say, in place of a server that is away."""


@dataclass(frozen=True)
class Completion:
    """One answer. Tokens as the server counted them; 0 where it does not say."""

    content: str
    finish_reason: str
    swallowed: bool
    """No content, no tool call, but reasoning: the server took the answer for thought."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class ChatClient:
    """Completions of one model at one endpoint."""

    def __init__(
        self,
        model: Model,
        base_url: str,
        api_key: str = "",
        *,
        on_hold: Callable[[float], None] = lambda seconds: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._on_hold = on_hold
        self._sleep = sleep
        # plain http needs no certificates, whose parsing takes 5 MB and 50 ms a rollout
        encrypted = base_url.startswith("https:")
        self._client = openai.OpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=model.endpoint.request_timeout_s,
            http_client=openai.DefaultHttpxClient(verify=encrypted),
        )

    def complete(
        self, messages: list[dict[str, Any]], timeout_s: float | None = None
    ) -> Completion:
        """Ask until there is an answer.

        Raises:
            EndpointUnavailable: the server stayed away for `retry_s`.
            RequestRefused: it refuses the request for another reason than its length.
            ContextOverflow: the messages are too long for the model.
            OutOfTime: no answer within `timeout_s`, which was less than the server is given.
        """
        endpoint = self._model.endpoint
        callers_limit = timeout_s is not None and timeout_s < endpoint.request_timeout_s
        limit_s = timeout_s if timeout_s and callers_limit else endpoint.request_timeout_s
        gave_up_at = time.monotonic() + endpoint.retry_s
        delay_s = FIRST_DELAY_S
        while True:
            started = time.monotonic()
            try:
                return self._ask(messages, limit_s)
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in (408, 429):
                    raise _refusal(error) from error
                problem = f"HTTP {error.status_code}"
            except _NoCompletionError as error:
                problem = str(error)
            except openai.APIConnectionError as error:
                if callers_limit and isinstance(error, openai.APITimeoutError):
                    raise OutOfTime from error
                problem = type(error.__cause__ or error).__name__
            if time.monotonic() + delay_s > gave_up_at:
                raise EndpointUnavailable(
                    f"{self._client.base_url} stayed away for {endpoint.retry_s:.0f} s ({problem})"
                )
            self._sleep(random.uniform(0.5, 1.0) * delay_s)
            delay_s = min(2 * delay_s, MAX_DELAY_S)
            self._on_hold(time.monotonic() - started)

    def _ask(self, messages: list[dict[str, Any]], timeout_s: float) -> Completion:
        started = time.monotonic()
        sampling = self._model.sampling.model_dump(exclude_none=True)
        reply = self._client.chat.completions.create(
            model=self._model.served_name,
            messages=messages,  # type: ignore[arg-type]
            timeout=timeout_s,
            extra_body=self._model.request_fields or None,
            **sampling,
        )
        if not isinstance(reply, ChatCompletion):
            raise _NoCompletionError("the answer is not a chat completion")
        if not reply.choices:
            return Completion("", "no_choices", False, 0, 0, time.monotonic() - started)
        message = reply.choices[0].message
        extra = message.model_extra or {}
        usage = reply.usage
        details = usage.completion_tokens_details if usage else None
        reasoned = bool(extra.get("reasoning") or extra.get("reasoning_content")) or bool(
            details and details.reasoning_tokens
        )
        return Completion(
            content=message.content or "",
            finish_reason=str(reply.choices[0].finish_reason),
            swallowed=not message.content and not message.tool_calls and reasoned,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            seconds=time.monotonic() - started,
        )

    def is_answering(self) -> bool:
        """Whether the server answers at all just now."""
        return is_answering(self._model, self._base_url, self._api_key)

    def close(self) -> None:
        self._client.close()


def is_answering(model: Model, base_url: str, api_key: str = "", timeout_s: float = 20) -> bool:
    """Whether one real token comes back: a server whose engine hangs still answers /health."""
    body = {
        "model": model.served_name,
        "messages": [{"role": "user", "content": "ping"}],
        "max_tokens": 1,
        **model.request_fields,
    }
    try:
        reply = httpx.post(
            f"{base_url.rstrip('/')}/chat/completions",
            json=body,
            headers=_authorization(api_key),
            timeout=timeout_s,
        )
    except httpx.HTTPError:
        return False
    return reply.status_code == 200


SWALLOWED = (
    "answers come back with reasoning and no content: the server's reasoning parser swallows them; "
    "leave --reasoning-parser out, or set chat_template_kwargs: {enable_thinking: false}"
)


def require_an_answer(model: Model, base_url: str, api_key: str = "") -> None:
    """Ask one real question before the night.

    Raises:
        PrerequisiteError: nothing usable comes back.
    """
    quick = model.endpoint.model_copy(update={"retry_s": 0, "request_timeout_s": 120})
    client = ChatClient(model.model_copy(update={"endpoint": quick}), base_url, api_key)
    try:
        answer = client.complete([{"role": "user", "content": "Answer with one word: ready"}])
    except (EndpointUnavailable, RequestRefused, ContextOverflow) as error:
        raise PrerequisiteError(
            f"{base_url} does not complete a chat: {error}.",
            "Look at the server's log; a hung engine still lists its models.",
        ) from None
    finally:
        client.close()
    if answer.swallowed:
        raise PrerequisiteError(f"{base_url}: {SWALLOWED}.")


def require_endpoint(model: Model, base_url: str, api_key: str = "") -> dict[str, Any]:
    """What /v1/models says of the served model, for the lock.

    Raises:
        PrerequisiteError: nothing answers there, or the model is not served.
    """
    endpoint: Endpoint = model.endpoint
    try:
        reply = httpx.get(
            f"{base_url.rstrip('/')}/models", headers=_authorization(api_key), timeout=10
        )
        reply.raise_for_status()
        served = {str(entry["id"]): entry for entry in reply.json()["data"]}
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        cure = (
            f"Put the key into ${endpoint.api_key_env or 'NAME'} (endpoint.api_key_env)."
            if status in (401, 403)
            else "Is it an OpenAI-compatible server, and does the URL end in /v1?"
        )
        raise PrerequisiteError(f"{base_url} answers HTTP {status}.", cure) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PrerequisiteError(
            f"the model server at {base_url} does not answer ({type(error).__name__}).",
            "Start it, or set --set model.endpoint.base_url=http://HOST:PORT/v1.",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise PrerequisiteError(
            f"{base_url}/models is not an OpenAI-compatible answer.", "Does the URL end in /v1?"
        ) from None
    if model.served_name not in served:
        raise PrerequisiteError(
            f"{base_url} does not serve {model.served_name!r} but {', '.join(sorted(served))}.",
            "Start it with that --served-model-name, or set --set model.served_name=NAME.",
        )
    return dict(served[model.served_name])


def _refusal(error: openai.APIStatusError) -> Exception:
    if CONTEXT_OVERFLOW.search(str(error)):
        return ContextOverflow(str(error))
    return RequestRefused(f"HTTP {error.status_code}: {' '.join(str(error).split())[:300]}")


def _authorization(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}
