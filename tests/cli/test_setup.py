"""`init` and `models add` as people meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import Ended
from support.model_servers import LM_STUDIO, OLLAMA, ModelServer

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of profiles."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(LM_STUDIO) as server:
        yield server


def test_a_model_is_added_and_listed(server: ModelServer, say: Say, own: Path) -> None:
    said = say(f"models add mine --base-url {server.base_url}").succeeded()

    first, *rest = said.splitlines()
    assert first == (
        f"wrote {own}/models/mine.yaml: qwen/qwen3.5-35b, 40960 tokens, on LM Studio; "
        "as the profile qwen3.5-35b for the rest"
    )
    assert rest == [
        "next:",
        "  python -m orchestrator doctor lite --model mine",
        "  python -m orchestrator launch smoke --model mine",
    ]
    assert "mine" in say("models").succeeded()
    assert "mine" in say("models list").succeeded()
    again = say(f"models add mine --base-url {server.base_url}")
    again.assert_one_line(2, "mine.yaml is there already")
    assert say(f"models add mine --base-url {server.base_url} --force").exit_code == 0


def test_init_is_answered_by_flags(server: ModelServer, say: Say, own: Path) -> None:
    flags = "--model mine --sandboxes process --notify none --no-doctor"
    said = say(f"init --base-url {server.base_url} {flags}").succeeded()

    assert f"wrote {own}/models/mine.yaml\nwrote {own}/clusters/home.yaml\n" in said
    assert f"takes home here, as {own}/clusters/home.yaml is there" in say("clusters").succeeded()


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        ("init --base-url {url}", 2, "--served-name"),
        ("init --base-url {url} --served-name gemma4:26b", 2, "--model is missing"),
        ("init --base-url {url} --served-name gemma4:26b --model m", 2, "--sandboxes is missing"),
        ("init --base-url http://127.0.0.1:9", 3, "Connection refused"),
        ("init --base-url ftp://x", 2, "--base-url: ftp://x: is no URL"),
        ("init --base-url {url} --api-key-env NO_SUCH_KEY", 3, "$NO_SUCH_KEY is not set"),
        ("models add m --base-url {url}", 2, "name one with --served-name"),
        ("models add m --base-url {url} --served-name x", 2, "does not serve 'x'"),
        ("models add ../m --base-url {url}", 2, "can be no profile's name"),
        ("models add m --base-url http://127.0.0.1:9/v1", 3, "--base-url http://HOST:PORT/v1"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_writes_nothing(
    words: str, exit_code: int, says: str, say: Say, own: Path
) -> None:
    with ModelServer(OLLAMA) as server:
        say(words.replace("{url}", server.base_url)).assert_one_line(exit_code, says)
    assert not own.exists()
