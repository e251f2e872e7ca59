"""Docker Hub's web API, played: layers and sizes without a pull."""

from __future__ import annotations

from typing import Any

import pytest
from support.registries import FakeServer, Reply

from orchestrator.images import docker_hub
from orchestrator.images.docker_hub import hub_size
from orchestrator.images.layers import ImageSize
from orchestrator.images.names import parse_name
from orchestrator.images.pulls import PullFailed, PullProblem
from orchestrator.images.registry_answers import Connections

D1, D2, D3 = (f"sha256:{digit * 64}" for digit in "123")
OFFICIAL = "swebench/sweb.eval.x86_64.a_1776_b-1"
STEPS = [
    {"digest": D1, "size": 100, "instruction": "ADD file:1 in /"},
    {"size": 0, "instruction": " CMD [/bin/sh]"},
    {"digest": D2, "size": 20, "instruction": "RUN setup"},
]
AMD = {"architecture": "amd64", "os": "linux", "variant": None, "digest": D3, "layers": STEPS}
ARM = {**AMD, "architecture": "arm64", "variant": "v8", "layers": STEPS[:1]}


def ask(reply: Reply, monkeypatch: pytest.MonkeyPatch, name: str = OFFICIAL) -> ImageSize:
    with FakeServer(lambda _: reply) as server, Connections() as connections:
        monkeypatch.setattr(docker_hub, "WEB", server.url)
        try:
            return hub_size(connections, parse_name(name), "linux/amd64")
        finally:
            assert all("/v2/repositories/" in path for path in server.paths())


@pytest.mark.parametrize("body", [[AMD], [ARM, AMD], [{}, AMD]])
def test_layers_of_an_official_image_are_those_of_its_platform(
    body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ask(Reply(body=body), monkeypatch)

    assert [(layer.digest, layer.size) for layer in size.layers] == [(D1, 100), (D2, 20)]
    assert (size.digest, size.estimated) == (D3, False)


def test_a_short_name_is_asked_for_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(lambda _: Reply(body=[AMD])) as server, Connections() as connections:
        monkeypatch.setattr(docker_hub, "WEB", server.url)
        hub_size(connections, parse_name("python:3.11-slim"), "linux/amd64")

    assert server.paths() == ["GET /v2/repositories/library/python/tags/3.11-slim/images"]


@pytest.mark.parametrize("digest", [None, "", "md5:1", 3])
def test_an_old_image_may_have_no_digest(digest: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(Reply(body=[{**AMD, "digest": digest}]), monkeypatch).digest == ""


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(404, {"message": "object not found"}), PullProblem.REFUSED),
        (Reply(body=[ARM]), PullProblem.REFUSED),
        (Reply(body=[]), PullProblem.REFUSED),
        (Reply(body=[{**AMD, "layers": None}]), PullProblem.REFUSED),
        (Reply(body=[{**AMD, "layers": []}]), PullProblem.REFUSED),
        (Reply(body=[{**AMD, "layers": [None]}]), PullProblem.REFUSED),
        (Reply(body=[{**AMD, "layers": [{"digest": D1, "size": "much"}]}]), PullProblem.AWAY),
        (Reply(body={"results": []}), PullProblem.AWAY),
        (Reply(body=[None]), PullProblem.AWAY),
        (Reply(body=b"<html>maintenance</html>"), PullProblem.AWAY),
        (Reply(body=b"[" * 100_000), PullProblem.AWAY),
        (Reply(body=[AMD], cut_to=30), PullProblem.AWAY),
        (Reply(503), PullProblem.AWAY),
        (Reply(429, headers={"Retry-After": "30"}), PullProblem.QUOTA),
    ],
)
def test_what_tells_no_size_is_one_line(
    reply: Reply, problem: PullProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PullFailed) as caught:
        ask(reply, monkeypatch)

    assert caught.value.failure.problem is problem
    assert "\n" not in caught.value.failure.detail


def test_by_digest_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PullFailed, match="by digest"):
        ask(Reply(body=[AMD]), monkeypatch, f"{OFFICIAL}@{D1}")
