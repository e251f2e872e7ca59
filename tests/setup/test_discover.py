"""What is found by looking: servers here and on the tailnet, quickly, and nothing that is none."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from support.model_servers import LM_STUDIO, OLLAMA, VLLM, ModelServer, Pages

from orchestrator.errors import PrerequisiteError
from orchestrator.network import tailnet
from orchestrator.setup import discover
from orchestrator.setup.discover import FoundServer, find_servers, tailnet_hosts
from orchestrator.setup.server import ask_server


@pytest.mark.parametrize(
    ("pages", "key", "words"),
    [
        (VLLM, "", "gemma-4-26b"),
        (OLLAMA, "", "gemma4:26b, qwen3.5:35b"),
        (LM_STUDIO, "", "qwen/qwen3.5-35b, text-embedding-x"),
        (Pages({"/v1/models": {"data": None}}), "", "no model"),
        (VLLM, "secret", "wants a key"),
    ],
)
def test_a_model_server_is_found_with_what_it_serves(
    pages: Pages, key: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer(pages, key=key) as server:
        monkeypatch.setattr(discover, "PORTS", (9, server.port))
        url = f"http://localhost:{server.port}/v1"
        assert find_servers(["localhost"]) == (FoundServer(url, words),)


@pytest.mark.parametrize(
    "otherwise", [(200, "<html>a web page"), (404, {}), (500, {}), (200, {"models": []}), (302, "")]
)
def test_other_servers_are_not_taken_for_one(
    otherwise: tuple[int, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer(Pages({}, otherwise)) as server:
        monkeypatch.setattr(discover, "PORTS", (server.port,))
        assert find_servers(["localhost", "no-such-host.invalid"]) == ()


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "LOOK_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(discover, "PORTS", (silent.getsockname()[1],))
        assert find_servers(["localhost"]) == ()


def tailscale(tmp_path: Path, says: str, exit_code: int = 0) -> str:
    program = tmp_path / "tailscale"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {exit_code}\n")
    program.chmod(0o755)
    return str(program)


def test_hosts_of_the_tailnet_that_are_online_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = {
        "a": {"DNSName": "spark.tail1.ts.net.", "Online": True},
        "b": {"DNSName": "phone.tail1.ts.net.", "Online": False},
        "c": {"DNSName": "", "Online": True},
        "d": {"DNSName": "mini.tail1.ts.net.", "Online": True},
    }
    command = tailscale(tmp_path, json.dumps({"BackendState": "Running", "Peer": peers}))
    monkeypatch.setattr(tailnet, "find_client", lambda: command)

    assert tailnet_hosts() == ("mini.tail1.ts.net", "spark.tail1.ts.net")


@pytest.mark.parametrize(
    "says", ["", "not running", "[]", '{"Peer": null}', '{"Peer": {"a": 1, "b": {"Online": true}}}']
)
def test_a_tailnet_that_is_not_up_has_no_hosts(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tailscale(tmp_path, says, exit_code=1)
    monkeypatch.setattr(tailnet, "find_client", lambda: command)

    assert tailnet_hosts() == ()


def test_a_host_alone_is_looked_at_on_the_ports_of_model_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ModelServer(VLLM) as server:
        monkeypatch.setattr(discover, "PORTS", (9, server.port))
        assert ask_server(" localhost ").base_url == f"http://localhost:{server.port}/v1"
    with pytest.raises(PrerequisiteError, match="nothing at localhost lists models"):
        ask_server("localhost")
