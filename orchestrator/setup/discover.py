"""What is there already, found by looking: model servers here and on the tailnet, and the engine.

Nothing here takes longer than a person waits for a question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from orchestrator.backends import Host, find_backend
from orchestrator.config.cluster import Cluster
from orchestrator.endpoint.answers import read_json
from orchestrator.endpoint.listing import read_entries
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.connections import open_client
from orchestrator.network.tailnet import TailnetStatus, ask_client

PORTS = (8000, 30000, 11434, 1234, 8080)
"""Where vLLM, SGLang, Ollama, LM Studio and llama.cpp listen unless told otherwise."""
LOOK_S = 1.5
"""For one address, and for the tailnet's client."""
MAX_PEERS = 12


@dataclass(frozen=True)
class FoundServer:
    url: str
    """Its base URL."""
    words: str
    """What it serves, for people."""


def find_servers(hosts: Sequence[str]) -> tuple[FoundServer, ...]:
    """Those at these hosts that list models, or want a key first."""
    urls = [f"http://{host}:{port}/v1" for host in hosts for port in PORTS]
    found: dict[str, FoundServer] = {}

    def look(url: str) -> None:
        words = _what_it_serves(url)
        if words is not None:
            found[url] = FoundServer(url, words)

    _at_once(look, urls, 2 * LOOK_S)
    return tuple(found[url] for url in urls if url in found)


def _what_it_serves(url: str) -> str | None:
    """None where it is no model server."""
    try:
        with open_client(url, timeout=LOOK_S) as client:
            reply = client.get(f"{url}/models")
    except (httpx.HTTPError, httpx.InvalidURL, PrerequisiteError, UnicodeError):
        return None
    if reply.status_code in (401, 403):
        return "wants a key"
    entries = read_entries(read_json(reply.content)[0]) if reply.is_success else None
    return None if entries is None else one_line(", ".join(entries) or "no model", 100)


def _at_once(work: Callable[[str], None], items: Sequence[str], limit_s: float) -> None:
    """Threads that nobody waits for: a name server may keep one of them for minutes."""
    deadline = time.monotonic() + limit_s
    threads = [threading.Thread(target=work, args=(item,), daemon=True) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def tailnet_hosts() -> tuple[str, ...]:
    """Names of the tailnet's other hosts that are online; none where there is no tailnet."""
    status = ask_client(LOOK_S)
    if not isinstance(status, TailnetStatus):
        return ()
    return tuple(sorted(peer.name for peer in status.peers if peer.online and peer.name))[
        :MAX_PEERS
    ]


def find_engine(cluster: Cluster) -> Host:
    """The Docker engine of this host. Raises PrerequisiteError."""
    return _host("docker", cluster)


def find_bare_host(cluster: Cluster) -> Host:
    """This host without an engine. Raises PrerequisiteError."""
    return _host("process", cluster)


def _host(kind: str, cluster: Cluster) -> Host:
    return find_backend(kind).host(cluster.sandbox.model_copy(update={"kind": kind}))
