"""What a model server is and whether it answers, asked before the night and kept in the lock."""

from __future__ import annotations

import difflib
import shlex
import time
from collections.abc import Sequence
from typing import Any

import httpx

from orchestrator.config.schema import Model
from orchestrator.endpoint.answers import normalise, read_json
from orchestrator.endpoint.client import authorization
from orchestrator.endpoint.fields import (
    SWALLOWED_ANSWERS,
    error_text,
    has_reasoning,
    is_swallowed,
    read_tokens,
    why_no_completion,
    with_profile,
)
from orchestrator.endpoint.listing import SHORT_TIMEOUT_S, SetBy, list_entries, name_words
from orchestrator.endpoint.metrics import metrics_url, parse_serving_facts, shows_drafts
from orchestrator.endpoint.server_kind import identify
from orchestrator.endpoint.server_settings import settings_of
from orchestrator.errors import PrerequisiteError
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import answer_words
from orchestrator.text import as_sentence

CANARY = "What is 17 * 23? Answer with the number alone."
CANARY_TOKENS = 1024
CANARY_TIMEOUT_S = 180.0


def require_endpoint(model: Model, base_url: str, api_key: str = "") -> dict[str, Any]:
    """What /v1/models says of the served model.

    Raises:
        PrerequisiteError: nothing answers there, or the model is not served.
    """
    set_by = SetBy(key_variable=model.endpoint.api_key_env or "")
    served = list_entries(base_url, api_key, set_by)
    if model.served_name not in served:
        raise PrerequisiteError(
            f"{base_url} does not serve {model.served_name!r} but {name_words(sorted(served))}.",
            _cure_of_name(model.served_name, sorted(served), identify(base_url, api_key).name),
        )
    return dict(served[model.served_name])


def _cure_of_name(wanted: str, served: Sequence[str], kind: str) -> str:
    """What helps where a model is not served under the name that the profile has."""
    start = settings_of(kind).name.format(name=shlex.quote(wanted))
    meant = _nearest(wanted, served)
    if meant is None:
        return as_sentence(start)
    setting = shlex.quote(f"model.served_name={meant}")
    return f"Is it {meant!r}? Add `--set {setting}`. Or: {start[0].lower()}{start[1:]}."


def _nearest(wanted: str, served: Sequence[str]) -> str | None:
    """The name that was meant: one that is much alike, or the only one."""
    names = {name.lower(): name for name in served}
    close = difflib.get_close_matches(wanted.lower(), names, n=1, cutoff=0.5)
    if close:
        return names[close[0]]
    return served[0] if len(served) == 1 else None


def require_an_answer(
    model: Model, base_url: str, api_key: str = "", kind: str = ""
) -> dict[str, Any]:
    """Ask one real question, with the fields of the profile; what the answer shows.

    A model that was told not to think should not: `thinking` says what it did. `kind` is the
    server's (`server_kind`), for the cure.

    Raises:
        PrerequisiteError: nothing usable comes back.
    """
    body = with_profile(model, {"messages": [{"role": "user", "content": CANARY}]})
    body["max_tokens"] = min(body.get("max_tokens") or CANARY_TOKENS, CANARY_TOKENS)
    cure = "Look at the server's log; a hung engine still lists its models."
    started = time.monotonic()
    way = way_to(base_url)
    try:
        limits = httpx.Timeout(CANARY_TIMEOUT_S, connect=SHORT_TIMEOUT_S)
        with open_client(base_url, timeout=limits) as client:
            reply = client.post(
                f"{base_url.rstrip('/')}/chat/completions",
                json=body,
                headers=authorization(api_key),
            )
    except httpx.HTTPError as error:
        raise PrerequisiteError(
            f"{base_url} does not complete a chat{way} ({way.problem(error).what}).", cure
        ) from None
    answer, problem = read_completion(reply)
    if problem:
        raise PrerequisiteError(f"{base_url} does not complete a chat{way} ({problem}).", cure)
    normalise(answer)
    choice = answer["choices"][0]
    message = choice["message"]
    cut_off = choice.get("finish_reason") == "length"
    if is_swallowed(answer) and not cut_off:
        mend = as_sentence(settings_of(kind).whole_answers)
        raise PrerequisiteError(f"{base_url}: {SWALLOWED_ANSWERS}.", mend)
    return {
        "thinking": "on" if _thinks(message, answer) else "off",
        "seconds": round(time.monotonic() - started, 2),
        "answer": str(message.get("content") or "")[:200],
        "finish_reason": choice.get("finish_reason"),
    }


def read_completion(reply: httpx.Response) -> tuple[Any, str]:
    """What a server has answered to a chat, parsed, and what is wrong with it as a whole
    completion, in words; empty where nothing is."""
    answer, _ = read_json(reply.content)
    if reply.status_code == 200:
        return answer, why_no_completion(answer)
    words = error_text(answer) if answer is not None else reply.text
    return answer, answer_words(reply.status_code, words, reply.headers.get("Location"))


def read_metrics(client: httpx.Client, base_url: str) -> str:
    """A server's page of metrics; empty where it shows none."""
    try:
        reply = client.get(metrics_url(base_url), timeout=SHORT_TIMEOUT_S)
    except httpx.HTTPError:
        return ""
    return reply.text if reply.status_code == 200 else ""


def serving_facts(base_url: str, api_key: str = "") -> dict[str, Any]:
    """Kind, version, and what is seen of the serving flags; what it does not show is left out."""
    kind = identify(base_url, api_key)
    named = {"server": kind.name, "version": kind.version}
    facts: dict[str, Any] = {key: value for key, value in named.items() if value}
    headers = authorization(api_key)
    with open_client(base_url, headers=headers, timeout=SHORT_TIMEOUT_S) as client:
        metrics = read_metrics(client, base_url)
    if cache := parse_serving_facts(metrics):
        facts["cache"] = cache
        facts["speculative"] = shows_drafts(metrics)
    return facts


def _thinks(message: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Reasoning apart from the content, or a tag within; the template may write the first one."""
    content = str(message.get("content") or "")
    apart = has_reasoning(message) or read_tokens(answer).reasoning_tokens > 0
    return apart or "<think>" in content or "</think>" in content
