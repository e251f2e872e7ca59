"""Templates to pages: whole HTML files that load nothing from the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.text import printable

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"


@dataclass(frozen=True)
class PageScript:
    """A program of ours, or of a library, that stands in the page."""

    text: Markup

    @classmethod
    def of(cls, text: str) -> PageScript:
        """Raises ValueError where the text would end its own element."""
        if "</script" in text.lower() or "<!--" in text:
            raise ValueError("a script that holds </script or <!-- can't stand in a page")
        return cls(Markup(text))


def read_asset(name: str) -> str:
    """The text of a style sheet or script that lies beside this module."""
    return (HERE / name).read_text(encoding="utf-8")


def render_page(
    template: str,
    title: str,
    context: Mapping[str, object],
    styles: Sequence[str] = (),
    scripts: Sequence[PageScript] = (),
    folders: Sequence[Path] = (),
) -> str:
    """A page from a template, which extends `base.html`.

    It gets the page's own style sheet before `styles`. Templates are looked for in `folders` too.
    Whatever `context` holds is text of others: it is escaped, and without what moves a cursor or
    turns the direction of writing. Only `Markup` goes in as it is.
    """
    own = (read_asset("style.css"), *styles)
    return (
        _environment(tuple(folders))
        .get_template(template)
        .render(
            **context,
            title=title,
            policy=content_policy(scripts),
            styles=[Markup(style) for style in own],
            scripts=scripts,
        )
    )


@cache
def _environment(folders: tuple[Path, ...]) -> Environment:
    """Templates are read and compiled once."""
    return Environment(
        loader=FileSystemLoader([TEMPLATES, *folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )


def _cleaned(value: object) -> object:
    return printable(value) if type(value) is str else value


def content_policy(scripts: Sequence[PageScript]) -> str:
    """What a browser may do with the page: run these scripts and those that lie beside it, and
    ask nobody. (Styles stand in the elements of charts, so they can't be named by their hashes.)"""
    hashes = " ".join(f"'sha256-{_digest(script.text)}'" for script in scripts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' file: {hashes}".rstrip(),
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
