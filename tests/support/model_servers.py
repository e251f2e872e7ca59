"""Servers of each kind, as far as they tell what they are: pages by path, as real ones have them.

LM Studio answers HTTP 200 to whatever it does not know; the others say 404.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

NOT_FOUND = (404, {"detail": "Not Found"})


@dataclass(frozen=True)
class Pages:
    """What a server says. `found` by path, with its query where it has one; a text is no JSON."""

    found: Mapping[str, Any]
    otherwise: tuple[int, Any] = NOT_FOUND

    def without(self, *paths: str) -> Pages:
        return Pages({k: v for k, v in self.found.items() if k not in paths}, self.otherwise)

    def below(self, prefix: str) -> Pages:
        return Pages({f"{prefix}{k}": v for k, v in self.found.items()}, self.otherwise)


def listed(*models: Mapping[str, Any], owner: str) -> dict[str, Any]:
    entries = [{"object": "model", "created": 1, "owned_by": owner, **model} for model in models]
    return {"object": "list", "data": entries}


VLLM = Pages(
    {
        "/v1/models": listed(
            {"id": "gemma-4-26b", "root": "google/gemma-4-26B-A4B-it", "max_model_len": 131072},
            owner="vllm",
        ),
        "/version": {"version": "0.32.0"},
        "/metrics": "# HELP x y\n# TYPE x gauge\nvllm:num_requests_running 0.0\n",
    }
)
SGLANG = Pages(
    {
        "/v1/models": listed(
            {"id": "qwen3.5", "root": "Qwen/Qwen3.5-35B-A3B", "max_model_len": 65536},
            owner="sglang",
        ),
        "/get_server_info": {"model_path": "Qwen/Qwen3.5-35B-A3B", "version": "0.5.9"},
    }
)
LLAMA_CPP = Pages(
    {
        "/v1/models": {
            "models": [{"name": "local", "model": "local"}],
            **listed({"id": "local", "meta": {"n_ctx_train": 262144}}, owner="llamacpp"),
        },
        "/props": {
            "default_generation_settings": {"n_ctx": 65536, "params": {}},
            "total_slots": 4,
            "model_path": "/models/gemma-4-26B-A4B-it-Q4_K_M.gguf",
            "build_info": "b8681-abcdef",
        },
    }
)
LLAMA_CPP_ROUTER = Pages(
    {
        "/v1/models": listed(
            {"id": "a/b:Q4", "status": {"value": "loaded"}},
            {"id": "c", "status": {"value": "unloaded"}},
            owner="llamacpp",
        ),
        "/props": {"role": "router", "build_info": "b9000"},
        "/props?model=a%2Fb%3AQ4&autoload=false": {
            "default_generation_settings": {"n_ctx": 8192},
            "model_path": "/models/b.gguf",
        },
    }
)
OLLAMA = Pages(
    {
        "/v1/models": listed({"id": "gemma4:26b"}, {"id": "qwen3.5:35b"}, owner="library"),
        "/api/version": {"version": "0.24.1"},
        "/api/ps": {"models": [{"name": "gemma4:26b", "context_length": 32768}]},
        "/api/show": {
            "parameters": 'stop    "<eos>"\nnum_ctx                        16384\ntop_k  64',
            "model_info": {"qwen.context_length": 262144},
        },
        "/": "Ollama is running",
    }
)
LM_STUDIO = Pages(
    {
        "/v1/models": listed(
            {"id": "qwen/qwen3.5-35b"}, {"id": "text-embedding-x"}, owner="organization_owner"
        ),
        "/api/v0/models": {
            "object": "list",
            "data": [
                {
                    "id": "qwen/qwen3.5-35b",
                    "type": "llm",
                    "state": "loaded",
                    "max_context_length": 262144,
                    "loaded_context_length": 40960,
                },
                {"id": "text-embedding-x", "state": "not-loaded", "max_context_length": 2048},
            ],
        },
    },
    otherwise=(200, {"error": "Unexpected endpoint or method. (GET /version)"}),
)
LM_STUDIO_V1 = Pages(
    {
        "/v1/models": LM_STUDIO.found["/v1/models"],
        "/api/v1/models": {
            "models": [
                {
                    "type": "llm",
                    "key": "qwen/qwen3.5-35b",
                    "loaded_instances": [
                        {"id": "qwen/qwen3.5-35b", "config": {"context_length": 40960}}
                    ],
                    "max_context_length": 262144,
                },
                {"type": "embedding", "key": "text-embedding-x", "loaded_instances": []},
            ]
        },
    },
    otherwise=LM_STUDIO.otherwise,
)
"""One that has the newer of its APIs alone."""


@dataclass
class ModelServer:
    """Serves pages on this host while its `with` lasts, and keeps what it was asked, in order."""

    pages: Pages
    prefix: str = ""
    key: str = ""
    """Without it in the request, everything is 401."""
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}/v1"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        poll = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet: else each waits 40 ms for the other side

        def answer(self) -> None:
            server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            asked = re.sub(r"^http://[^/]*", "", self.path)  # a proxy hands on whole URLs
            server.asked.append(asked)
            pages = server.pages.below(server.prefix)
            path = asked if asked in pages.found else asked.partition("?")[0]
            status, page = (200, pages.found[path]) if path in pages.found else pages.otherwise
            if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
                status, page = 401, {"error": "Unauthorized"}
            body = page if isinstance(page, bytes) else self.text_of(page).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def text_of(self, page: object) -> str:
            return page if isinstance(page, str) else json.dumps(page)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    return Handler
