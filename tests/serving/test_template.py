"""The chat template: from a server of this test's, from the cache, or a person's own."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config.recipe import Recipe
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.serving.docker_command import Template
from orchestrator.serving.template import fetch_template, read_template

TEXT = "{{ messages }}\r\n"
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
BODIES = {"/t.jinja": TEXT.encode(), "/binary": b"\xff\xfe\x00"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = BODIES.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "chat-templates"


def test_a_template_is_downloaded_once(server: str, cache: Path) -> None:
    assert fetch_template(Template(SHA, "t.jinja", f"{server}/t.jinja")) == TEXT
    assert (cache / SHA).read_bytes() == TEXT.encode()
    assert fetch_template(Template(SHA, "t.jinja", "http://127.0.0.1:9/away")) == TEXT


def test_a_kept_template_that_was_changed_is_downloaded_anew(server: str, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / SHA).write_text("half")

    assert fetch_template(Template(SHA, "t.jinja", f"{server}/t.jinja")) == TEXT


@pytest.mark.parametrize(
    ("path", "sha256", "says"),
    [
        ("/t.jinja", "0" * 64, "another file than the recipe means"),
        ("/none", SHA, "HTTP 404"),
        ("/binary", hashlib.sha256(BODIES["/binary"]).hexdigest(), "no text in UTF-8"),
    ],
)
def test_what_is_not_the_recipes_template_is_refused(
    server: str, cache: Path, path: str, sha256: str, says: str
) -> None:
    with pytest.raises(PrerequisiteError, match=says):
        fetch_template(Template(sha256, "t.jinja", f"{server}{path}"))
    assert not cache.exists()


def test_who_has_no_network_is_told_to_bring_the_file() -> None:
    with pytest.raises(PrerequisiteError, match="--chat-template FILE"):
        fetch_template(Template(SHA, "t.jinja", "http://127.0.0.1:9/t.jinja"))


def test_a_file_of_ones_own_is_checked_too(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "it's mine.jinja"
    file.write_bytes(TEXT.encode())

    with pytest.raises(ConfigError, match="--force takes it"):
        read_template(file, recipe)
    template, text = read_template(file, recipe, force=True)
    assert (template.sha256, text) == (SHA, TEXT)
    with pytest.raises(ConfigError, match="No such file"):
        read_template(tmp_path / "none", recipe)


def test_the_recipes_own_file_is_taken_from_disk(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "any name"
    file.write_bytes(TEXT.encode())
    assert recipe.chat_template is not None
    wanted = recipe.chat_template.model_copy(update={"sha256": SHA})

    template, text = read_template(file, recipe.model_copy(update={"chat_template": wanted}))

    assert template.url == wanted.url
    assert text == TEXT
