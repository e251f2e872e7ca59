"""A picture from Vega-Lite's words: static SVG in two widths, in the colours of style.css."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

Spec = dict[str, Any]
"""A Vega-Lite specification."""
Key = tuple[tuple[str, str], ...]
"""What colours stand for: each as CSS, with words. The page shows it above the picture."""
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
FONT = "Roboto"
"""It comes with the library, so that every host lays labels out alike. The page's own style sheet
shows its own font instead, which is no wider by much."""


@dataclass(frozen=True)
class PictureForm:
    """How wide a picture is, in CSS pixels; `is_narrow` on a phone."""

    name: str
    width: int

    @property
    def is_narrow(self) -> bool:
        return self is NARROW


WIDE = PictureForm("wide", 896)
NARROW = PictureForm("narrow", 328)


@dataclass(frozen=True)
class Chart:
    """A picture in both widths, of which the style sheet shows one."""

    label: str
    """What it shows, in a sentence: for who does not see it."""
    wide: Markup
    narrow: Markup
    key: Key = ()


def draw(name: str, label: str, spec_for: Callable[[PictureForm], Spec], key: Key = ()) -> Chart:
    """The picture. `name` is one of its own in the page, of letters and dashes."""
    wide, narrow = (Markup(_draw(f"{name}-{form.name}", spec_for(form))) for form in (WIDE, NARROW))
    return Chart(label, wide, narrow, key)


def start_drawing() -> None:
    """Come back when a picture takes no longer than its own drawing: what draws them has to be
    started, for a second or more, once in a process."""
    _svg({"data": {"values": []}, "mark": "point"})


def _draw(name: str, spec: Spec) -> str:
    return _for_the_page(name, _svg(spec))


def _svg(spec: Spec) -> str:
    from vl_convert import vegalite_to_svg

    svg = vegalite_to_svg({"$schema": SCHEMA, "background": None, "config": THEME, **spec})
    return str(svg)


def _for_the_page(name: str, svg: str) -> str:
    """As wide as its place, with ids of its own: a page has many pictures."""
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    svg = svg.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    # the library counts its ids on from one picture to the next
    ids = dict.fromkeys(re.findall(r'\bid="([^"]*)"', svg))
    for number, old in enumerate(ids):
        svg = svg.replace(f'id="{old}"', f'id="{name}-{number}"')
        svg = svg.replace(f"url(#{old})", f"url(#{name}-{number})")
    return svg


THEME: Spec = {
    "aria": False,
    "font": FONT,
    "padding": 0,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": False,
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "titleColor": "var(--muted)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "labelPadding": 6,
    },
    "axisX": {"grid": True, "titlePadding": 8},
    "axisY": {"labelColor": "var(--ink)", "labelFontSize": 13},
    "legend": {"disable": True},
    "text": {"color": "var(--ink)", "fontSize": 13},
    "title": {
        "color": "var(--ink)",
        "fontSize": 13,
        "fontWeight": "normal",
        "anchor": "start",
        "frame": "group",
        "offset": 6,
    },
}
