from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from orchestrator.page.render import PageScript, content_policy, render_page

TEMPLATE = '{% extends "base.html" %}{% block content %}<p>{{ words }}</p>{% endblock %}'


def render(folder: Path, **context: object) -> str:
    (folder / "mine.html").write_text(TEMPLATE)
    return render_page("mine.html", "a <title>", context, folders=[folder])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a\x1b[31mb", "ab"),
        ("a\u202eb", "ab"),
        ("half \ud800 a pair", "half \ufffd a pair"),
        ("nul \0", "nul \ufffd"),
    ],
)
def test_words_of_others_are_escaped_and_harmless(
    words: str, expected: str, tmp_path: Path
) -> None:
    assert f"<p>{expected}</p>" in render(tmp_path, words=words)


def test_a_page_of_another_part_has_the_same_frame(tmp_path: Path) -> None:
    html = render(tmp_path, words="")

    assert "<title>a &lt;title&gt;</title>" in html
    assert "--accent" in html
    assert 'href="#content"' in html


def test_a_word_that_a_template_lacks_is_an_error_and_no_gap(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        render(tmp_path)


def test_a_browser_runs_the_pages_own_scripts_alone() -> None:
    policy = content_policy([PageScript.of("let a = 1")])

    digest = base64.b64encode(hashlib.sha256(b"let a = 1").digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


@pytest.mark.parametrize("text", ["a</script>b", "</SCRIPT x", "<!-- a"])
def test_a_script_that_would_end_itself_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can't stand in a page"):
        PageScript.of(text)
