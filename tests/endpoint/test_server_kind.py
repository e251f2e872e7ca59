"""What kind of server it is, what it serves, and that no server can break the question."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import pytest
from support.fake_proxy import FakeProxy
from support.model_servers import (
    LLAMA_CPP,
    LLAMA_CPP_ROUTER,
    LM_STUDIO,
    LM_STUDIO_V1,
    OLLAMA,
    SGLANG,
    VLLM,
    ModelServer,
    Pages,
    listed,
)

from orchestrator.endpoint import server_kind
from orchestrator.endpoint.listing import name_words
from orchestrator.endpoint.server_kind import ServedModel, ServerKind, identify, list_models
from orchestrator.endpoint.serving import serving_facts
from orchestrator.errors import PrerequisiteError

KINDS = [
    (VLLM, ServerKind("vLLM", "0.32.0")),
    (SGLANG, ServerKind("SGLang", "0.5.9")),
    (LLAMA_CPP, ServerKind("llama.cpp", "b8681-abcdef")),
    (LLAMA_CPP_ROUTER, ServerKind("llama.cpp", "b9000")),
    (OLLAMA, ServerKind("Ollama", "0.24.1")),
    (LM_STUDIO, ServerKind("LM Studio", "")),
    (LM_STUDIO_V1, ServerKind("LM Studio", "")),
]
ids = [kind.name for _, kind in KINDS]


@pytest.mark.parametrize(("pages", "kind"), KINDS, ids=ids)
@pytest.mark.parametrize("prefix", ["", "/serve/qwen"])
def test_a_server_is_known_by_what_it_says(pages: Pages, kind: ServerKind, prefix: str) -> None:
    with ModelServer(pages, prefix) as server:
        assert identify(server.base_url) == kind
        assert identify(f"{server.base_url}/") == kind


@pytest.mark.parametrize(("pages", "kind"), KINDS, ids=ids)
def test_it_is_known_by_its_own_pages_where_its_list_of_models_is_kept_from_us(
    pages: Pages, kind: ServerKind
) -> None:
    with ModelServer(pages.without("/v1/models")) as server:
        assert identify(server.base_url) == kind


@pytest.mark.parametrize(("pages", "kind"), KINDS, ids=ids)
def test_behind_a_proxy_that_hands_on_v1_alone_it_is_known_without_a_version(
    pages: Pages, kind: ServerKind
) -> None:
    only_v1 = Pages({"/v1/models": pages.found["/v1/models"]}, (502, "Bad Gateway"))
    with ModelServer(only_v1) as server:
        assert identify(server.base_url) == ServerKind(kind.name)


def test_sglangs_new_page_is_read_too() -> None:
    info = SGLANG.found["/get_server_info"]
    with ModelServer(Pages({"/server_info": info})) as server:
        assert identify(server.base_url) == ServerKind("SGLang", "0.5.9")


def test_a_model_of_ollama_that_a_user_made_has_the_users_name_and_is_ollamas_still() -> None:
    pages = {**OLLAMA.found, "/v1/models": listed({"id": "me/mine"}, owner="me")}
    with ModelServer(Pages(pages)) as server:
        assert identify(server.base_url).name == "Ollama"


def test_the_key_is_given_with_every_question() -> None:
    with ModelServer(OLLAMA, key="secret") as server:
        assert identify(server.base_url, "secret") == ServerKind("Ollama", "0.24.1")
        assert identify(server.base_url) == ServerKind()


def test_a_server_is_asked_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer(VLLM) as server, FakeProxy(server.port) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.place}")
        monkeypatch.delenv("no_proxy", raising=False)

        assert identify("http://gpu:8000/v1") == ServerKind("vLLM", "0.32.0")
        assert list_models("http://gpu:8000/v1")[0].name == "gemma-4-26b"


def test_who_speaks_ollamas_api_is_not_taken_for_it() -> None:
    """KoboldCpp does, and has pages of others too."""
    models = listed({"id": "koboldcpp/m"}, owner="koboldcpp")
    pages = {"/v1/models": models, "/api/version": {"version": "0.7.0"}, "/": "<html>KoboldAI"}
    with ModelServer(Pages(pages)) as server:
        assert identify(server.base_url) == ServerKind()


ODD = {
    "a login page": "<html>log in</html>",
    "nothing": "",
    "a number": 7,
    "null": None,
    "a list": [1, [2]],
    "data of numbers": {"data": [1, 2]},
    "data is a mapping": {"data": {"id": "m"}},
    "owned by a list": {"data": [{"id": "m", "owned_by": ["vllm"]}], "version": ["1"]},
    "deep": "[" * 100_000,
    "no UTF-8": b'{"data": [{"id": "\xff\xfe", "owned_by": "\xff"}]}',
    "props of nothing": {"default_generation_settings": None, "role": None, "models": 3},
    "models of nothing": {"models": [{"key": 1}, {"name": 2}, {"key": "m"}, 3], "parameters": 4},
    "a short version": {"version": None, "state": 1},
    "half a surrogate pair": '{"version": 3, "data": [{"id": "\\ud800", "owned_by": "\\ud800"}]}',
}


@pytest.mark.parametrize("page", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("status", [200, 500])
def test_whatever_a_server_says_there_is_no_traceback(page: object, status: int) -> None:
    with ModelServer(Pages({}, (status, page))) as server:
        assert identify(server.base_url) == ServerKind()
        serving_facts(server.base_url)
        with suppress(PrerequisiteError):
            names = [model.name for model in list_models(server.base_url)]
            json.dumps(names, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        ("http://127.0.0.1:9/v1", ""),
        ("http://no-such-host.invalid/v1", ""),
        ("http://127.0.0.1:9/v1", "a\nkey"),
        ("http://127.0.0.1:9/v1", "schlüssel"),
        ("http://[::1/v1", ""),
    ],
)
def test_where_nothing_answers_nothing_is_known(base_url: str, key: str) -> None:
    assert identify(base_url, key) == ServerKind()


def test_an_environment_with_a_broken_proxy_ends_no_question_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "gopher://nowhere")
    monkeypatch.delenv("no_proxy", raising=False)

    assert identify("http://gpu:8000/v1") == ServerKind()
    with pytest.raises(PrerequisiteError, match="http_proxy"):
        list_models("http://gpu:8000/v1")


@pytest.mark.slow
def test_a_server_that_accepts_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_kind, "QUESTION_S", 0.1)
    monkeypatch.setattr(server_kind, "ALL_QUESTIONS_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert identify(f"http://127.0.0.1:{silent.getsockname()[1]}/v1") == ServerKind()


@pytest.mark.parametrize(
    ("pages", "models"),
    [
        (VLLM, [ServedModel("gemma-4-26b", 131072, "google/gemma-4-26B-A4B-it")]),
        (SGLANG, [ServedModel("qwen3.5", 65536, "Qwen/Qwen3.5-35B-A3B")]),
        (LLAMA_CPP, [ServedModel("local", 65536, "/models/gemma-4-26B-A4B-it-Q4_K_M.gguf")]),
        (LLAMA_CPP_ROUTER, [ServedModel("a/b:Q4", 8192, "/models/b.gguf"), ServedModel("c")]),
        (OLLAMA, [ServedModel("gemma4:26b", 32768), ServedModel("qwen3.5:35b", 16384)]),
        (LM_STUDIO, [ServedModel("qwen/qwen3.5-35b", 40960), ServedModel("text-embedding-x")]),
        (LM_STUDIO_V1, [ServedModel("qwen/qwen3.5-35b", 40960), ServedModel("text-embedding-x")]),
    ],
    ids=ids,
)
def test_what_is_served_comes_with_the_context_that_the_server_takes(
    pages: Pages, models: list[ServedModel]
) -> None:
    with ModelServer(pages) as server:
        assert list(list_models(server.base_url)) == models


@pytest.mark.parametrize("length", ["131072", True, -1, 0, 1.5, None, 10**30, {"a": 1}])
def test_a_length_that_is_none_is_not_taken(length: object) -> None:
    page = listed({"id": "m", "max_model_len": length, "meta": {"n_ctx": length}}, owner="vllm")
    with ModelServer(Pages({"/v1/models": page})) as server:
        assert list_models(server.base_url) == (ServedModel("m"),)


@pytest.mark.parametrize("loaded", [None, 7, [], [2], [{"config": 3}], [{"config": {"x": 1}}]])
def test_instances_that_are_none_have_no_length(loaded: object) -> None:
    models = {"models": [{"key": "qwen/qwen3.5-35b", "loaded_instances": loaded}]}
    with ModelServer(Pages({**LM_STUDIO_V1.found, "/api/v1/models": models})) as server:
        assert {model.context_length for model in list_models(server.base_url)} == {None}


def test_a_model_of_ollama_that_is_not_loaded_has_no_length_that_anybody_knows() -> None:
    """The model's own limit, 262144, is not what the server takes by default."""
    show = {"parameters": "", "model_info": {"qwen.context_length": 262144}}
    pages = {**OLLAMA.found, "/api/ps": {"models": []}, "/api/show": show}
    with ModelServer(Pages(pages)) as server:
        assert {model.context_length for model in list_models(server.base_url)} == {None}


def test_ollama_without_any_model_serves_none() -> None:
    with ModelServer(Pages({"/v1/models": {"object": "list", "data": None}})) as server:
        assert list_models(server.base_url) == ()


@pytest.mark.parametrize("name", [None, " ", ["m"], {"m": 1}, True])
def test_a_name_that_is_none_is_no_model(name: object) -> None:
    listed = {"object": "list", "data": [{"id": name}, {"id": "m"}]}
    with ModelServer(Pages({"/v1/models": listed})) as server:
        assert [model.name for model in list_models(server.base_url)] == ["m"]


def test_many_models_and_long_names_are_one_short_line() -> None:
    words = name_words([f"a\n{number}" + "x" * 1000 for number in range(10_000)])

    assert words.endswith(" and 9,980 more")
    assert len(words) < 2500
    assert "\n" not in words
    assert name_words(["a", "b"]) == "a, b"


def test_what_is_kept_in_the_lock_names_the_servers_kind() -> None:
    with ModelServer(VLLM) as server:
        assert serving_facts(server.base_url) == {"server": "vLLM", "version": "0.32.0"}


def test_a_server_of_another_kind_keeps_the_version_that_it_shows() -> None:
    with ModelServer(Pages({"/version": {"version": "7"}})) as server:
        assert serving_facts(server.base_url) == {"version": "7"}
