"""The packages of SWE-agent's server, compiled for the Python that runs them.

They are mounted into sandboxes read-only, and run by the images' Python. What a host's other Python
compiled is nothing to that one: each start of the server would compile all anew, in memory. It then
takes 0.50 s of one core in place of 0.36, on a busy host.

So a Python of that minor version compiles them, once, where they are installed: one of this host's,
or one that uv brings for that moment. Bytecode is the same on every platform. It is never made in
a sandbox, though each holds such a Python: what one image's programs write would be run in all
others.

Python takes it without a look at the sources (PEP 552, unchecked hashes): a mount through a virtual
machine need not show their times as they were, and nobody changes them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from orchestrator.agents.base import Say
from orchestrator.agents.installing.programs import run_program
from orchestrator.agents.installing.pythons import bring_python, cache_tag, find_python
from orchestrator.errors import PrerequisiteError

SANDBOX_PYTHON = "3.11"
"""Of official images, under /opt/miniconda3."""
TAG = cache_tag(SANDBOX_PYTHON)


def is_compiled(folder: Path) -> bool:
    """Whether the packages in a folder are, for the sandboxes' Python."""
    return (folder / "swerex" / "__pycache__" / f"__init__.{TAG}.pyc").is_file()


def compile_packages(
    folder: Path, own: Path, install_uv: Callable[[Path], None], detail: Say
) -> None:
    """Compile all packages in a folder for the sandboxes' Python.

    `own` is a Python that may be of its version, and `install_uv` brings uv into a folder.

    Raises:
        PrerequisiteError: there is no such Python, and none can be brought.
    """
    python = find_python(SANDBOX_PYTHON, own)
    if python is not None:
        _compile(folder, python, detail)
        return
    with tempfile.TemporaryDirectory(prefix="python-") as place:
        brought = bring_python(SANDBOX_PYTHON, Path(place), install_uv, detail)
        _compile(folder, brought, detail)


def _compile(folder: Path, python: str, detail: Say) -> None:
    how = ("-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")
    try:
        run_program([python, *how, str(folder)], "", detail)
    except PrerequisiteError as error:
        # a package may hold templates that are no Python
        if not is_compiled(folder):
            raise PrerequisiteError(f"{python} can't compile {folder}: {error}") from error
