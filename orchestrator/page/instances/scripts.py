"""The programs of the table and the viewer: DataTables, as itables brings it along, and ours."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from orchestrator.page.render import PageScript

VIEWER = ("elements", "data", "diff", "overview", "trajectory", "opened", "table")
"""Files of `viewer/`, in one scope."""
_EXPORTS = re.compile(r"export\{[^}]*?\b(\w+) as default\b[^}]*\};?")


def instance_scripts() -> tuple[PageScript, ...]:
    """They run in this order."""
    folder = Path(__file__).with_name("viewer")
    ours = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in VIEWER)
    return (PageScript.of(_data_tables()), PageScript.of(f'"use strict";\n{{\n{ours}}}\n'))


def _data_tables() -> str:
    """The module as a program that leaves one name behind, `DataTable`.

    Raises RuntimeError where the library is not made as it was.
    """
    spec = importlib.util.find_spec("itables")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("itables is not installed")
    bundle = Path(spec.submodule_search_locations[0]) / "html" / "dt_bundle.js"
    text, exports = _EXPORTS.subn(r"return \1;", bundle.read_text(encoding="utf-8"))
    if exports != 1:
        raise RuntimeError(f"{bundle} exports no default: this version of itables is not known")
    # in strings and comments alone; a page would take it for the start of a comment of its own
    text = text.replace("<!--", "<\\!--")
    return f'globalThis.DataTable = (() => {{"use strict";\n{text}\n}})();'
