from __future__ import annotations

import re

from orchestrator.page.instances.scripts import VIEWER, instance_scripts


def test_the_library_leaves_one_name_behind_and_asks_for_nothing_more() -> None:
    library, _ = instance_scripts()

    assert library.text.startswith("globalThis.DataTable = ")
    assert re.search(r"^\s*(import|export)\b", library.text, re.MULTILINE) is None


def test_our_programs_make_no_html_of_text() -> None:
    _, ours = instance_scripts()

    assert len(VIEWER) > 5
    html = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\("
    assert re.findall(html, ours.text) == []
