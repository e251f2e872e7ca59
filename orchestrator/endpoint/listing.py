"""What a server says that it serves: `GET /v1/models`, the one page that all kinds have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from orchestrator.endpoint.answers import read_json
from orchestrator.endpoint.client import authorization
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.connections import Way, open_client, way_to
from orchestrator.network.problems import answer_words, wants_https
from orchestrator.text import printable, writable

SHORT_TIMEOUT_S = 10.0
MOST_NAMES = 20
"""In one line: hosted services list hundreds."""
_HTML = re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)


@dataclass(frozen=True)
class SetBy:
    """How a person says where the server is and what its key is, for cures."""

    base_url: str = "--set model.endpoint.base_url=http://HOST:PORT/v1"
    key: str = "endpoint.api_key_env"
    key_variable: str = ""
    """Where the key is from; empty where there is none."""


class WantsKey(PrerequisiteError):
    """The server answers nobody without a key."""


def list_entries(
    base_url: str, api_key: str = "", set_by: SetBy = SetBy()
) -> dict[str, dict[str, Any]]:
    """What a server says of each model, by the name under which it is served.

    Raises:
        WantsKey: it answers nobody without a key, or without another.
        PrerequisiteError: nothing answers there, or nothing that lists models.
    """
    way = way_to(base_url)
    try:
        with open_client(base_url, timeout=SHORT_TIMEOUT_S) as client:
            reply = client.get(f"{base_url.rstrip('/')}/models", headers=authorization(api_key))
    except httpx.HTTPError as error:
        problem = way.problem(error)
        raise PrerequisiteError(
            f"the model server at {base_url} does not answer{way} ({problem.what}).",
            _past_the_proxy(way)
            or f"{problem.cure or 'Start it.'} Another is named by {set_by.base_url}"
            + ("; NO_PROXY names hosts that need no proxy." if way.proxy else "."),
        ) from None
    if reply.status_code != 200:
        words = answer_words(reply.status_code, location=reply.headers.get("Location"))
        cure = _cure(reply, set_by)
        if reply.status_code != 401:  # which proxies don't say
            cure = f"{_past_the_proxy(way)} {cure}".strip()
        kind = WantsKey if reply.status_code in (401, 403) else PrerequisiteError
        raise kind(f"{base_url} answers {words}{way}.", cure)
    entries = read_entries(read_json(reply.content)[0])
    if entries is None:
        page = _web_page(reply.text)
        raise PrerequisiteError(
            f"{base_url}/models is {page}not an OpenAI-compatible answer{way}.",
            _past_the_proxy(way)
            or "Does the URL end in /v1, and is it the server that answers, not a login page?",
        )
    return entries


def read_entries(answer: Any) -> dict[str, dict[str, Any]] | None:
    """The models that an answer lists, by name; None where it is no list of them.

    Ollama without any says `"data": null`.
    """
    if not isinstance(answer, dict) or "data" not in answer:
        return None
    listed = [] if answer["data"] is None else answer["data"]
    if not isinstance(listed, list):
        return None
    entries: dict[str, dict[str, Any]] = {}
    for entry in listed:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name.strip():
            entries.setdefault(writable(name), entry)
    return entries if entries or not listed else None


def name_words(names: Sequence[str]) -> str:
    """Models' names in one line, however many or long they are: `a, b and 30 more`."""
    shown = ", ".join(one_line(printable(name), 100) for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown or "no model at all"


def _past_the_proxy(way: Way) -> str:
    """What helps where a proxy stands before a server of a private network; empty elsewhere."""
    return f"It is in a private network: ask it without the proxy, `{way.bypass}`." * bool(
        way.bypass
    )


def _web_page(text: str) -> str:
    """`a web page ('Log in'), `; empty for what is none."""
    if not _HTML.match(text):
        return ""
    title = _TITLE.search(text)
    named = f" ({printable(one_line(title[1], 80))!r})" if title and title[1].strip() else ""
    return f"a web page{named}, "


def _cure(reply: httpx.Response, set_by: SetBy) -> str:
    """What helps where a server answers something else than 200."""
    if reply.status_code in (401, 403):
        return f"Put the key into ${set_by.key_variable or 'NAME'} ({set_by.key})."
    if reply.is_redirect:
        target = str(reply.url.join(reply.headers["Location"])).removesuffix("/models")
        return f"It says that it is at {one_line(target)}: is that the base_url?"
    if wants_https(reply.status_code, reply.text):
        return "It is a port for HTTPS: write https:// in the base_url."
    return "Is it an OpenAI-compatible server, and does the URL end in /v1?"
