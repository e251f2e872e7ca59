"""An evaluation log, checked and written by Inspect's own library, which need not be installed.

Imports nothing of ours but errors: it works in an environment of Inspect's alone.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import PrerequisiteError

INSTALL = f"{shlex.quote(sys.executable)} -m pip install --upgrade inspect-ai"


def require_inspect() -> None:
    """Raises PrerequisiteError where Inspect is not installed."""
    try:
        import inspect_ai.log  # noqa: F401
    except ImportError as error:
        raise PrerequisiteError(
            f"Inspect writes its own log, and is not installed here ({error}).",
            f"Install it beside this program: {INSTALL}.",
        ) from None


def write_inspect_log(log: Mapping[str, Any], path: Path) -> None:
    """Write it in the format that the file's name ends in, `.eval` or `.json`.

    Raises:
        PrerequisiteError: Inspect is not installed, or is of a version that has another form.
    """
    require_inspect()
    from inspect_ai.log import EvalLog, write_eval_log
    from pydantic import ValidationError

    try:
        checked = EvalLog.model_validate(log)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PrerequisiteError(
            f"Inspect takes no such log ({where}: {first['msg']}).",
            f"Install a newer one: {INSTALL}.",
        ) from None
    write_eval_log(checked, str(path))
