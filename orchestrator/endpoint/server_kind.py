"""What kind of server stands behind an OpenAI-compatible URL, and which models it serves.

A kind is known by `owned_by` in /v1/models, which also proxies hand on, or else by a page that only
this kind has. Each page is read by its shape, never by its status: LM Studio answers HTTP 200 to
whatever it does not know. The pages are those that the projects' own documents and sources name:
vLLM's /version and /metrics, SGLang's /server_info (older: /get_server_info), llama.cpp's /props
(tools/server/README.md), Ollama's /api/version, /api/ps and /api/show (docs/api.md), LM Studio's
/api/v0/models and /api/v1/models (docs, REST API).

A context length is what is served now, not what the model was trained for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx

from orchestrator.config.address import server_root
from orchestrator.endpoint.answers import read_json
from orchestrator.endpoint.client import authorization
from orchestrator.endpoint.listing import SetBy, list_entries, read_entries
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.connections import open_client
from orchestrator.text import writable

VLLM, SGLANG, LLAMA_CPP, OLLAMA, LM_STUDIO = "vLLM", "SGLang", "llama.cpp", "Ollama", "LM Studio"
QUESTION_S = 10.0
"""For one page."""
ALL_QUESTIONS_S = 10.0
"""After this no further page is asked for."""
MAX_PAGE_BYTES = 8_000_000
_CONTEXT_KEYS = ("max_model_len", "loaded_context_length", "context_length", "context_window")
"""Of an entry of /v1/models: vLLM and SGLang, LM Studio, and what hosted services say."""
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class ServerKind:
    name: str = ""
    """vLLM, SGLang, llama.cpp, Ollama or LM Studio; empty for all others."""
    version: str = ""
    """As the server says it; empty where it does not."""


@dataclass(frozen=True)
class ServedModel:
    name: str
    """As requests name it."""
    context_length: int | None = None
    """Tokens that the server takes; None where it does not say."""
    root: str = ""
    """Its weights: a repository or a path; empty where the server does not say."""


def identify(base_url: str, api_key: str = "") -> ServerKind:
    """What kind of server it is. Never raises: whatever can't be found out is left empty."""
    try:
        with _open_pages(base_url, api_key) as pages:
            return _identify(pages)
    except (PrerequisiteError, httpx.HTTPError, httpx.InvalidURL, ValueError):
        return ServerKind()  # a broken proxy setting, a URL or a key that can't be sent


def list_models(
    base_url: str, api_key: str = "", set_by: SetBy = SetBy()
) -> tuple[ServedModel, ...]:
    """What is served there, in the server's order.

    Raises:
        PrerequisiteError: nothing answers there, or nothing that lists models.
    """
    entries = list_entries(base_url, api_key, set_by)
    models = tuple(_read_entry(name, entry) for name, entry in entries.items())
    if all(model.context_length for model in models):
        return models
    try:
        with _open_pages(base_url, api_key) as pages:
            complete = COMPLETED_BY.get(_identify(pages).name)
            return models if complete is None else tuple(complete(pages, models))
    except httpx.HTTPError:
        return models


def find_context(name: str, entry: Mapping[str, Any], base_url: str, api_key: str) -> int | None:
    """Tokens that the server takes of a model whose entry in /v1/models is known; None where it
    does not say."""
    known = _read_entry(name, entry).context_length
    if known is not None:
        return known
    try:
        models = list_models(base_url, api_key)
    except PrerequisiteError:
        return None
    return next((model.context_length for model in models if model.name == name), None)


@dataclass
class _Pages:
    """A server's own pages. None stands for one that is not there or does not come in time."""

    client: httpx.Client
    base_url: str
    started: float

    def read(self, url: str, body: Mapping[str, Any] | None = None) -> bytes | None:
        """With a body it is asked by POST. `/PATH` lies below the server's root."""
        if time.monotonic() - self.started > ALL_QUESTIONS_S:
            return None
        url = f"{server_root(self.base_url)}{url}" if url.startswith("/") else url
        method = "GET" if body is None else "POST"
        deadline, page = time.monotonic() + QUESTION_S / 2, bytearray()
        try:
            with self.client.stream(method, url, json=body) as reply:
                if reply.status_code != 200:
                    return None
                for part in reply.iter_bytes():
                    page += part
                    if len(page) > MAX_PAGE_BYTES or time.monotonic() > deadline:
                        return None
        except httpx.HTTPError:
            return None
        return bytes(page)

    def json(self, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A page that is a JSON object; an empty one for any other."""
        page = self.read(url, body)
        found = read_json(page)[0] if page else None
        return found if isinstance(found, dict) else {}

    def version(self, path: str) -> str | None:
        found = self.json(path).get("version")
        return _words(found) if isinstance(found, str) else None


@contextmanager
def _open_pages(base_url: str, api_key: str) -> Iterator[_Pages]:
    timeout = QUESTION_S / 2  # to connect or to read; a page that trickles in has as much again
    with open_client(base_url, headers=authorization(api_key), timeout=timeout) as client:
        yield _Pages(client, base_url, time.monotonic())


def _identify(pages: _Pages) -> ServerKind:
    entries = read_entries(pages.json(f"{pages.base_url.rstrip('/')}/models")) or {}
    owners = {entry.get("owned_by") for entry in entries.values() if _is_text(entry, "owned_by")}
    for kind in sorted(KINDS, key=lambda kind: kind.owner not in owners):
        version = kind.ask_version(pages)
        if version is not None or kind.owner in owners:
            return ServerKind(kind.name, version or "")
    return ServerKind(version=pages.version("/version") or "")


@dataclass(frozen=True)
class _Kind:
    name: str
    owner: str
    """As `owned_by` of its models."""
    ask_version: Callable[[_Pages], str | None]
    """None where the server is not known to be of this kind; empty where it shows no version."""


def _ask_ollama(pages: _Pages) -> str | None:
    """Others speak its API too, and have that page; its greeting they have not."""
    version = pages.version("/api/version")
    return version if version and b"Ollama is running" in (pages.read("/") or b"") else None


def _ask_llama_cpp(pages: _Pages) -> str | None:
    props = pages.json("/props")
    is_router = props.get("role") == "router"
    if not _dict(props, "default_generation_settings") and not is_router:
        return None
    return _words(props.get("build_info") or "")


def _ask_lm_studio(pages: _Pages) -> str | None:
    """It shows its version nowhere."""
    entries = read_entries(pages.json("/api/v0/models")) or {}
    is_it = any("state" in entry for entry in entries.values()) or bool(_instances(pages))
    return "" if is_it else None


def _instances(pages: _Pages) -> dict[str, int | None]:
    """Context lengths of LM Studio's models by name; those that are not loaded have none."""
    found: dict[str, int | None] = {}
    for model in _dicts(pages.json("/api/v1/models").get("models")):
        if _is_text(model, "key") and "loaded_instances" in model:
            loaded = _dicts(model["loaded_instances"])
            lengths = [_tokens(_dict(one, "config").get("context_length")) for one in loaded]
            found[model["key"]] = next(filter(None, lengths), None)
    return found


def _ask_sglang(pages: _Pages) -> str | None:
    for path in ("/server_info", "/get_server_info"):
        info = pages.json(path)
        if "version" in info and ("model_path" in info or "internal_states" in info):
            return _words(info["version"])
    return None


def _ask_vllm(pages: _Pages) -> str | None:
    if b"\nvllm:" not in (pages.read("/metrics") or b""):
        return None
    return pages.version("/version") or ""


KINDS = (
    _Kind(OLLAMA, "library", _ask_ollama),
    _Kind(LLAMA_CPP, "llamacpp", _ask_llama_cpp),
    _Kind(LM_STUDIO, "organization_owner", _ask_lm_studio),
    _Kind(SGLANG, "sglang", _ask_sglang),
    _Kind(VLLM, "vllm", _ask_vllm),
)


def _read_entry(name: str, entry: Mapping[str, Any]) -> ServedModel:
    lengths = [_tokens(entry.get(key)) for key in _CONTEXT_KEYS]
    lengths.append(_tokens(_dict(entry, "meta").get("n_ctx")))  # llama.cpp, of one slot
    root = entry["root"] if _is_text(entry, "root") else ""
    return ServedModel(name, next(filter(None, lengths), None), _words(root))


def _complete_by_llama_cpp(pages: _Pages, models: tuple[ServedModel, ...]) -> Iterator[ServedModel]:
    """One server is one model, unless it is a router, which must not load what is asked about."""
    is_router = pages.json("/props").get("role") == "router"
    for model in models:
        query = f"?model={quote(model.name, safe='')}&autoload=false" if is_router else ""
        props = pages.json(f"/props{query}")
        length = _tokens(_dict(props, "default_generation_settings").get("n_ctx"))
        path = props["model_path"] if _is_text(props, "model_path") else ""
        yield replace(
            model,
            context_length=model.context_length or length,
            root=model.root or _words(path),
        )


def _complete_by_ollama(pages: _Pages, models: tuple[ServedModel, ...]) -> Iterator[ServedModel]:
    """A model that is loaded has a length; of others only their own `num_ctx` is certain."""
    running = _dicts(pages.json("/api/ps").get("models"))
    loaded = {
        entry["name"]: _tokens(entry.get("context_length"))
        for entry in running
        if _is_text(entry, "name")
    }
    for model in models:
        length = model.context_length or loaded.get(model.name)
        if length is None:
            parameters = pages.json("/api/show", {"model": model.name}).get("parameters")
            found = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
            length = int(found[1][:12]) if found else None
        yield replace(model, context_length=length or None)


def _complete_by_lm_studio(pages: _Pages, models: tuple[ServedModel, ...]) -> Iterator[ServedModel]:
    entries = read_entries(pages.json("/api/v0/models"))
    lengths = {
        name: _tokens(entry.get("loaded_context_length")) for name, entry in (entries or {}).items()
    }
    if entries is None:
        lengths = _instances(pages)
    for model in models:
        yield replace(model, context_length=model.context_length or lengths.get(model.name))


COMPLETED_BY: Mapping[str, Callable[[_Pages, tuple[ServedModel, ...]], Iterator[ServedModel]]] = {
    LLAMA_CPP: _complete_by_llama_cpp,
    OLLAMA: _complete_by_ollama,
    LM_STUDIO: _complete_by_lm_studio,
}
"""By kind: where it says what its /v1/models leaves out."""


def _tokens(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12:
        return value
    return None


def _dict(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section of it; an empty one where it is none."""
    found = entry.get(key)
    return found if isinstance(found, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    """Those of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_text(entry: Mapping[str, Any], key: str) -> bool:
    return isinstance(entry.get(key), str)


def _words(value: object) -> str:
    return writable(one_line(value))
