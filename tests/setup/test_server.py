"""A model server as a person names it, and which of its models is meant."""

from __future__ import annotations

import pytest
from support.model_servers import LM_STUDIO, OLLAMA, VLLM, ModelServer

from orchestrator.endpoint.listing import WantsKey
from orchestrator.endpoint.server_kind import ServedModel, ServerKind
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.setup.server import AnsweringServer, ask_server, read_url, read_variable


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://spark:8000/v1", "http://spark:8000/v1"),
        (" http://spark:8000/v1/ ", "http://spark:8000/v1"),
        ("spark:8000", "http://spark:8000/v1"),
        ("http://spark:11434", "http://spark:11434/v1"),
        ("https://spark.tail1.ts.net/", "https://spark.tail1.ts.net/v1"),
        ("100.64.0.7:1234", "http://100.64.0.7:1234/v1"),
        ("[fd7a::1]:8000", "http://[fd7a::1]:8000/v1"),
        ("gateway.example/qwen/v1", "http://gateway.example/qwen/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
    ],
)
def test_what_people_leave_out_of_a_url_is_put_in(written: str, url: str) -> None:
    assert read_url(written) == url


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "is no URL"),
        ("scripted", "is no URL"),
        ("ftp://spark/v1", "write http://HOST:PORT/v1"),
        ("http://me:secret@spark:8000", "put a key into"),
        ("http://spark:port", "is no URL"),
        ("http://[::1", "is no URL"),
        ("spark:8000/v1/chat/completions", "up to /v1"),
        ("http://spark:8000/v1?key=secret", "no ?"),
        ("http://sp ark:8000", "is no URL"),
    ],
)
def test_what_can_be_no_servers_url_is_told_in_a_line(written: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_url(written)

    assert says in str(caught.value)
    assert "me:secret" not in str(caught.value)


def test_a_key_in_place_of_its_variables_name_is_not_told_again() -> None:
    assert read_variable(" $MY_KEY ") == "MY_KEY"
    for key in ("sk-proj-abcdef", "a key", ""):
        with pytest.raises(ConfigError, match="not the key itself") as caught:
            read_variable(key)
        assert "sk-proj" not in str(caught.value)


def test_a_key_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    monkeypatch.delenv("NO_KEY", raising=False)
    with ModelServer(VLLM, key="secret") as server:
        found = ask_server(server.base_url, "MY_KEY")
        assert (found.kind, found.api_key_env) == (ServerKind("vLLM", "0.32.0"), "MY_KEY")
        with pytest.raises(WantsKey, match=r"HTTP 401.* \(--api-key-env NAME\)"):
            ask_server(server.base_url)
        with pytest.raises(PrerequisiteError, match=r"\$NO_KEY is not set"):
            ask_server(server.base_url, "NO_KEY")


def test_the_only_model_for_conversations_is_meant_where_none_is_named() -> None:
    with ModelServer(LM_STUDIO) as server:
        assert ask_server(server.base_url).model() == ServedModel("qwen/qwen3.5-35b", 40960)
        assert ask_server(server.base_url).model("text-embedding-x").name == "text-embedding-x"


def test_of_several_one_must_be_named() -> None:
    with ModelServer(OLLAMA) as server:
        found = ask_server(server.base_url)

    with pytest.raises(ConfigError, match=r"serves gemma4:26b, qwen3.5:35b: name one with"):
        found.model()
    with pytest.raises(ConfigError, match=r"does not serve 'gemma' but gemma4:26b, qwen3.5:35b"):
        found.model("gemma")


def test_a_server_without_models_is_a_prerequisite() -> None:
    with pytest.raises(PrerequisiteError, match="serves no model"):
        AnsweringServer("http://a/v1", ServerKind(), ()).model()
