"""What the doctor says of a model's servers, from the first question to the last one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.examined import ExamineServers, examine_servers, said
from support.fake_model import FakeModelServer, completion, error
from support.fake_proxy import FakeProxy
from support.tried_server import PAGES_OF, TriedServer

from orchestrator.agents.base import SimpleKind
from orchestrator.config import RunConfig
from orchestrator.doctor import network_checks, trials
from orchestrator.doctor.check import Depth
from orchestrator.network import connections

NOWHERE = "http://127.0.0.1:9/v1"
NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}
EXPECTED = {"model.speed": {"tokens_per_s": 450, "source": "a bench, 2026-11"}}


@pytest.fixture
def examine_server(make_config: Callable[..., RunConfig]) -> ExamineServers:
    """Makes the checks of a model's servers: `examine_server(url, settings={…})`."""
    return partial(examine_servers, make_config)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[TriedServer]:
    with TriedServer() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAGES_OF)
def test_a_healthy_server_of_any_kind_is_warned_of_nothing(
    kind: str, examine_server: ExamineServers
) -> None:
    with TriedServer(kind=kind) as server:
        found = examine_server(server.base_url, settings={"model.request_fields": NO_THINKING})

    assert said(found, "fail") == said(found, "warn") == said(found, "skipped") == []
    passed = " ".join(said(found, "pass"))
    assert f"{server.base_url} ({kind or 'of a kind'}" in passed
    assert "32768 tokens" in passed
    assert "speed: " in passed
    assert "clock: as this host's" in passed
    assert "prefix cache: on: " in passed or kind != "vLLM"


@pytest.mark.parametrize(
    ("served", "wanted", "cure"),
    [
        (["n"], "m", "Is it 'n'? Add `--set model.served_name=n`."),
        (["x", "gemma-4-26b", "qwen3.5-35b"], "gemma4-26b", "Is it 'gemma-4-26b'?"),
        (["Qwen/Qwen3.5-35B-A3B", "x"], "qwen3.5-35b", "Is it 'Qwen/Qwen3.5-35B-A3B'?"),
        (["gemma4:26b", "gemma4:latest"], "gemma4", "Is it 'gemma4:26b'?"),
        (["M", "x"], "m", "Is it 'M'?"),
        (["x", "y"], "m", "Start it with that name."),
        ([], "m", "Start it with that name."),
        (["it's"], "m", """`--set 'model.served_name=it'"'"'s'`"""),
    ],
)
def test_a_wrong_model_name_says_what_is_served_and_the_setting(
    served: list[str], wanted: str, cure: str, examine_server: ExamineServers
) -> None:
    models = json.dumps({"data": [{"id": name} for name in served]})
    with FakeModelServer(pages={"/v1/models": models}) as server:
        found = examine_server(server.base_url, settings={"model.served_name": wanted})

    (line,) = said(found, "fail")
    listed = ", ".join(sorted(served)) or "no model at all"
    assert f"{server.base_url} does not serve {wanted!r} but {listed}." in line
    assert cure in line
    assert said(found, "warn") == []


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("vLLM", "start it with `--served-model-name other`"),
        ("SGLang", "start it with `--served-model-name other`"),
        ("llama.cpp", "start it with `--alias other`"),
        ("Ollama", "`ollama pull other`"),
        ("LM Studio", "`lms load MODEL --identifier other`"),
        ("", "start it with that name"),
    ],
)
def test_the_name_is_mended_as_that_server_takes_it(
    kind: str, cure: str, examine_server: ExamineServers
) -> None:
    with TriedServer(kind=kind, name="others") as server:
        found = examine_server(server.base_url, settings={"model.served_name": "other"})

    (line,) = said(found, "fail")
    assert "Is it 'others'? Add `--set model.served_name=others`." in line
    assert cure in line


def test_a_dead_endpoint_is_told_once_and_first(examine_server: ExamineServers) -> None:
    found = examine_server(NOWHERE)

    (line,) = said(found, "fail")
    assert line.startswith(f"model server: the model server at {NOWHERE} does not answer (Conn")
    assert "Start it, or correct the port." in line
    assert all("see model server" in skipped for skipped in said(found, "skipped"))
    assert said(found, "warn") == []


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        ("vLLM", "`--max-model-len 65536`"),
        ("SGLang", "`--context-length 65536`"),
        ("llama.cpp", "`--ctx-size` of 65536"),
        ("Ollama", "`OLLAMA_CONTEXT_LENGTH=65536 ollama serve`"),
        ("LM Studio", "`lms load MODEL --context-length 65536`"),
    ],
)
def test_a_too_short_context_names_the_flag_of_that_server(
    kind: str, flag: str, examine_server: ExamineServers
) -> None:
    with TriedServer(kind=kind, context=16384) as server:
        settings = {"model.context_length": 65536}
        found = examine_server(server.base_url, settings=settings, depth=Depth.LAUNCH)

    (line,) = said(found, "warn")
    assert "context: the server's context is 16384 tokens, the profile's 65536" in line
    assert flag in line
    assert "`--set model.context_length=16384`" in line
    assert ("which the server may cut" in line) == (kind in ("Ollama", "LM Studio"))


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("vLLM", "chat template know enable_thinking?"),
        ("SGLang", "chat template know enable_thinking?"),
        ("llama.cpp", "`--jinja --reasoning-budget 0`"),
        ("Ollama", "reasoning_effort: none"),
        ("LM Studio", "settings in LM Studio"),
    ],
)
def test_a_model_that_thinks_although_told_not_to_is_mended_as_that_server_takes_it(
    kind: str, cure: str, examine_server: ExamineServers
) -> None:
    thought = {"content": "391", "reasoning": "17 times 23 is"}
    with TriedServer(kind=kind, message=thought) as server:
        settings = {"model.request_fields": NO_THINKING}
        found = examine_server(server.base_url, settings=settings, depth=Depth.LAUNCH)

    (line,) = said(found, "warn")
    assert line.startswith("thinking: the model thinks although the profile turns thinking off.")
    assert cure in line


def test_a_model_that_may_think_does(examine_server: ExamineServers) -> None:
    with TriedServer(message={"content": "<think>17</think>391"}) as server:
        found = examine_server(server.base_url, depth=Depth.LAUNCH)

    assert said(found, "warn") == []
    assert "thinking: on → " in said(found, "pass")


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("vLLM", "Leave --reasoning-parser out"),
        ("SGLang", "Leave --reasoning-parser out"),
        ("llama.cpp", "Start it with `--reasoning-format none`"),
        ("Ollama", "Set request_fields: {reasoning_effort: none}"),
        ("LM Studio", "Turn thinking off in the model's settings"),
        ("", "Leave --reasoning-parser out"),
    ],
)
def test_the_swallowed_answer_is_told_as_such_with_what_mends_it_there(
    kind: str, cure: str, examine_server: ExamineServers
) -> None:
    with TriedServer(kind=kind, message={"content": None, "reasoning": "391"}) as server:
        found = examine_server(server.base_url)

    (line,) = said(found, "fail")
    assert "answers come back with reasoning and no content" in line
    assert f"→ {cure}" in line


GPU = "http://gpu:8000/v1"
LOGIN = b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n<html><title>Log in, please</title>ok"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://login.firm.com/\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (LOGIN, "is a web page ('Log in, please'), not an OpenAI-compatible answer"),
        (FORBIDDEN, "answers HTTP 403"),
        (BAD_GATEWAY, "answers HTTP 502"),
        (NOT_FOUND, "answers HTTP 404"),
        (MOVED, "answers HTTP 302 to http://login.firm.com/"),
        (b"\r\n\r\n", "does not answer"),
    ],
)
def test_a_proxy_in_the_way_of_a_private_host_is_told_first_with_the_exception(
    answer: bytes,
    what: str,
    examine_server: ExamineServers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy of these tests is on this host; a firm's is not."""
    monkeypatch.setattr(connections, "is_this_host", lambda host: False)
    with FakeProxy(answer=answer) as proxy:
        place = proxy.place
        monkeypatch.setenv("HTTP_PROXY", f"http://{place}")
        found = examine_server(GPU)

    (warning,) = said(found, "warn")
    assert warning.startswith(f"proxy: {GPU}, of a private network, is asked through the proxy")
    (failure,) = said(found, "fail")
    assert what in failure
    assert f"through the proxy http://{place} of HTTP_PROXY" in failure
    assert "ask it without the proxy, `export NO_PROXY='gpu'`" in failure


def test_a_proxy_that_is_down_is_what_fails(
    examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "is_this_host", lambda host: False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (failure,) = said(examine_server(GPU), "fail")

    assert "nothing listens at the proxy 127.0.0.1, port 9" in failure
    assert "`export NO_PROXY='gpu'`" in failure


def test_a_setting_that_is_no_proxy_is_told_once(
    examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gpu:nonsense")
    found = examine_server(GPU)

    (failure,) = said(found, "fail")
    assert failure.startswith("proxy: HTTP_PROXY is 'gpu:nonsense'")
    assert said(found, "warn") == []


@pytest.mark.slow
def test_a_proxy_that_leads_there_is_named_and_the_upload_measured(
    server: TriedServer, examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Tailscale's without root: on this host."""
    with FakeProxy(server.port) as proxy:
        place = proxy.place
        monkeypatch.setenv("ALL_PROXY", f"socks5://{place}")
        found = examine_server(GPU)

    assert said(found, "warn") == said(found, "fail") == []
    passed = said(found, "pass")
    assert f"proxy: {GPU} is asked through the proxy socks5://{place} of ALL_PROXY → " in (passed)
    assert any(line.startswith("connection: 1 MB of a prompt takes ") for line in passed)


@pytest.mark.slow
def test_a_server_on_this_host_has_no_connection_to_be_measured(
    server: TriedServer, examine_server: ExamineServers
) -> None:
    names = [one.check.name for one in examine_server(server.base_url)]

    assert "connection" not in names
    assert "proxy" not in names
    assert "tailnet" not in names


@pytest.mark.slow
def test_a_server_elsewhere_is_measured_by_round_trip_and_upload(
    server: TriedServer, examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_checks, "_is_elsewhere", lambda url: True)
    found = examine_server(server.base_url)

    assert said(found, "warn") == said(found, "fail") == []
    (line,) = (line for line in said(found, "pass") if line.startswith("connection: "))
    assert line.startswith("connection: round trip ")
    assert "(median of 5), 1 MB of a prompt takes " in line


@pytest.mark.slow
def test_every_replica_is_tried_and_named(
    server: TriedServer, examine_server: ExamineServers
) -> None:
    with TriedServer(caches=False, tokens_per_s=200) as second:
        settings = EXPECTED | {"model.context_length": 65536}
        second.pages["/v1/models"] = json.dumps(
            {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 65536}]}
        )
        found = examine_server(server.base_url, second.base_url, NOWHERE, settings=settings)

    warnings = said(found, "warn")
    assert [line.partition(": ")[0] for line in warnings] == [
        *("model server", "context", "speed", "prefix cache")
    ]
    assert f"a replica is missing: the model server at {NOWHERE}" in warnings[0]
    assert f"context: {server.base_url}: the server's context is 32768" in warnings[1]
    assert f"speed: {second.base_url}: " in warnings[2]
    assert f"prefix cache: {second.base_url}: off" in warnings[3]
    assert f"prefix cache: {server.base_url}: on: " in " ".join(said(found, "pass"))
    assert said(found, "fail") == []


@pytest.mark.slow
def test_a_prefix_cache_that_is_off_is_told_with_the_flag(examine_server: ExamineServers) -> None:
    with TriedServer(caches=False) as server:
        (line,) = said(examine_server(server.base_url), "warn")

    assert line.startswith("prefix cache: off: each step of a rollout sends its whole conversation")
    assert "`--enable-prefix-caching`" in line


@pytest.mark.slow
def test_a_tenth_of_the_expected_speed_tells_of_a_throttled_gpu(
    examine_server: ExamineServers,
) -> None:
    settings = {"model.speed": {"tokens_per_s": 4000, "source": "a bench, 2026-11"}}
    with TriedServer(tokens_per_s=400) as server:
        (line,) = said(examine_server(server.base_url, settings=settings), "warn")

    assert line.startswith("speed: ")
    assert "of the 4000 expected (a bench, 2026-11): so a throttled GPU shows itself." in line
    assert "shut the machine down, pull the plug" in line


@pytest.mark.slow
def test_a_server_that_does_not_end_an_answer_in_time_is_slow_and_the_rest_is_tried(
    examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "ANSWER_TIMEOUT_S", 0.3)
    with TriedServer(tokens_per_s=50) as server:
        found = examine_server(server.base_url, settings=EXPECTED)

    (line,) = said(found, "warn")
    assert line.startswith("speed: under 1.7 tokens a second, 0% of the 450 expected")
    assert "prefix cache: on: " in " ".join(said(found, "pass"))


@pytest.mark.slow
def test_a_server_that_hangs_at_a_long_prompt_is_told(
    examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "ANSWER_TIMEOUT_S", 0.3)
    with TriedServer(kind="Ollama") as server:
        answers = iter([*[completion()] * 3, *[completion(after_s=2)] * 9])
        server.otherwise = lambda: next(answers)
        found = examine_server(server.base_url)

    (line,) = said(found, "warn")
    assert line.startswith("prefix cache: no answer within 60 s.")
    assert "whole prompts: can't be looked at: see prefix cache → " in said(found, "skipped")


def test_an_agent_that_does_not_say_whether_it_calls_functions_is_no_bug(
    examine_server: ExamineServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of somebody else's, of before the doctor asked."""
    monkeypatch.delattr(SimpleKind, "calls_functions")
    with TriedServer(name="gemma-4-26b") as server:
        settings = {"model.served_name": "gemma-4-26b"}
        found = examine_server(server.base_url, settings=settings, depth=Depth.LAUNCH)

    assert said(found, "fail") == said(found, "warn") == []


@pytest.mark.slow
def test_a_slow_server_that_is_not_alone_is_not_judged(examine_server: ExamineServers) -> None:
    with TriedServer(tokens_per_s=200, others=3) as server:
        found = examine_server(server.base_url, settings=EXPECTED)

    assert said(found, "warn") == []
    assert any("beside 3 of others: nothing is judged" in line for line in said(found, "pass"))


@pytest.mark.slow
def test_a_server_that_stops_early_has_no_speed(examine_server: ExamineServers) -> None:
    with TriedServer(kind="Ollama", writes_at_most=6) as server:
        found = examine_server(server.base_url, settings=EXPECTED)

    assert said(found, "warn") == []
    assert any(line.startswith("speed: not known") for line in said(found, "pass"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Ollama", "LM Studio", ""])
def test_a_server_that_cuts_prompts_without_a_word_is_found_out(
    kind: str, examine_server: ExamineServers
) -> None:
    """Ollama takes 4,096 tokens where nobody says more, and keeps half of what is longer."""
    with TriedServer(kind=kind, context=131072, cuts_at=4096) as server:
        found = examine_server(server.base_url, settings={"model.context_length": 131072})

    (line,) = said(found, "fail")
    assert line.startswith("whole prompts: of a prompt of some ")
    assert "the server read 2048, and said nothing: agents lose their task" in line
    assert "131072" in line.partition("→")[2]


@pytest.mark.slow
def test_a_server_that_refuses_what_it_promises_is_told_with_the_flag(
    examine_server: ExamineServers,
) -> None:
    with TriedServer(kind="Ollama", context=131072, refuses_at=4096) as server:
        found = examine_server(server.base_url, settings={"model.context_length": 131072})

    (line,) = said(found, "fail")
    assert line.startswith("prefix cache: ")
    assert "HTTP 400: This model's maximum context length is 4096 tokens." in line
    assert "OLLAMA_CONTEXT_LENGTH=131072" in line
    assert "whole prompts: can't be looked at: see prefix cache → " in said(found, "skipped")


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_lets_nobody_in_just_now_is_not_judged(
    status: int, examine_server: ExamineServers
) -> None:
    with TriedServer() as server:
        answers = iter([completion(), *[error(status, "the queue is full")] * 9])
        server.otherwise = lambda: next(answers)
        found = examine_server(server.base_url)

    assert said(found, "warn") == said(found, "fail") == []
    assert sum("too busy to be measured" in line for line in said(found, "pass")) == 2


def test_a_server_that_breaks_at_a_longer_answer_is_told(examine_server: ExamineServers) -> None:
    with TriedServer() as server:
        answers = iter([completion(), *[error(500, "CUDA error: an illegal access")] * 9])
        server.otherwise = lambda: next(answers)
        found = examine_server(server.base_url)

    assert [line.partition(":")[0] for line in said(found, "fail")] == ["speed", "prefix cache"]
    assert all("CUDA error" in line for line in said(found, "fail"))


@pytest.mark.parametrize(
    ("settings", "kind", "agent", "says"),
    [
        ({"model.served_name": "gemma4:26b"}, "Ollama", "sweagent-tools", "come back empty"),
        ({"model.served_name": "gemma-4-26b"}, "vLLM", "sweagent-tools", "calls lack parameters"),
        ({"model.served_name": "gemma-4-26b"}, "vLLM", "mini", ""),
        ({"model.served_name": "gemma4:26b"}, "Ollama", "mini", ""),
        ({"model.served_name": "qwen3.5-35b"}, "vLLM", "sweagent-tools", ""),
    ],
)
def test_a_known_bad_pair_is_told_at_a_launch(
    settings: dict[str, Any], kind: str, agent: str, says: str, examine_server: ExamineServers
) -> None:
    with TriedServer(kind=kind, name=settings["model.served_name"]) as server:
        found = examine_server(server.base_url, settings=settings, agent=agent, depth=Depth.LAUNCH)

    assert said(found, "fail") == []
    warnings = " ".join(said(found, "warn"))
    assert says in warnings
    assert bool(warnings) == bool(says)
    assert ("--agent sweagent or mini" in warnings) == bool(says)


@pytest.mark.parametrize(("drafts", "caches"), [(True, True), (True, False), (False, True)])
def test_drafts_beside_a_prefix_cache_are_told_of_qwen(
    drafts: bool, caches: bool, examine_server: ExamineServers
) -> None:
    with TriedServer(name="qwen3.6-35b", caches=caches) as server:
        server.metrics += "vllm:spec_decode_num_drafts_total 0.0\n" * drafts
        settings = {"model.served_name": "qwen3.6-35b"}
        found = examine_server(server.base_url, settings=settings, depth=Depth.LAUNCH)

    assert [line.partition(" (")[0] for line in said(found, "warn")] == (
        [
            "known faults: drafts and prefix cache: multi-token prediction spoils the cached state "
            "of hybrid models: tool calls are malformed, more of them the longer the server runs"
        ]
        if drafts and caches
        else []
    )


def test_a_version_that_is_known_to_be_broken_is_told(examine_server: ExamineServers) -> None:
    with TriedServer(name="gemma-4-26b") as server:
        server.pages["/version"] = json.dumps({"version": "0.27.1"})
        settings = {"model.served_name": "gemma-4-26b"}
        found = examine_server(server.base_url, settings=settings, depth=Depth.LAUNCH)

    assert any("known faults: version" in line for line in said(found, "warn"))
    assert any("vllm#53836" in line for line in said(found, "warn"))


def test_a_launch_asks_one_answer_of_each_server(
    server: TriedServer, examine_server: ExamineServers
) -> None:
    examine_server(server.base_url, depth=Depth.LAUNCH)

    assert len(server.asked) == 1
