"""The packages of SWE-agent's server, compiled for the Python that runs them.

They are mounted into sandboxes read-only, and run by the images' Python. What a host's other Python
compiled is nothing to that one: each start of the server would compile all anew, in memory. It then
takes 2.6 s in place of 1.4, and 18 in place of 15 where it is emulated (qemu, one at a time).

So a Python of that minor version compiles them, once, where they are installed: one of this host's,
or one that uv brings for that moment. Bytecode is the same on every platform. It is never made in
a sandbox, though each holds such a Python: what one image's programs write would be run in all
others.

Python takes it without a look at the sources (PEP 552, unchecked hashes): a mount through a virtual
machine need not show their times as they were, and nobody changes them.
"""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.agents.base import Say
from orchestrator.agents.sweagent.programs import run_program
from orchestrator.errors import PrerequisiteError

SANDBOX_PYTHON = "3.11"
"""Of official images, under /opt/miniconda3."""
TAG = f"cpython-{SANDBOX_PYTHON.replace('.', '')}"
PLACES = (
    "~/.pyenv/versions/{python}.*/bin/python{python}",
    "~/.local/share/uv/python/cpython-{python}.*/bin/python{python}",
    "/opt/homebrew/bin/python{python}",
    "/usr/local/bin/python{python}",
)
"""Where a Python may lie that is not on every PATH."""
IS_IT = (
    "import sys; v = sys.version_info; "
    f"sys.exit((sys.implementation.cache_tag, v.releaselevel) != ({TAG!r}, 'final'))"
)


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
    for python in _pythons(own):
        if _is_of_its_version(python):
            _compile(folder, python, detail)
            return
    with tempfile.TemporaryDirectory(prefix="python-") as place:
        _compile(folder, _bring_python(Path(place), install_uv, detail), detail)


def _compile(folder: Path, python: str, detail: Say) -> None:
    how = ("-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")
    try:
        run_program([python, *how, str(folder)], "", detail)
    except PrerequisiteError as error:
        # a package may hold templates that are no Python
        if not is_compiled(folder):
            raise PrerequisiteError(f"{python} can't compile {folder}: {error}") from error


def _pythons(own: Path) -> Iterator[str]:
    """Those of this host that may be of the sandboxes' version."""
    yield str(own)
    if found := shutil.which(f"python{SANDBOX_PYTHON}"):
        yield found
    for place in PLACES:
        yield from sorted(glob.glob(os.path.expanduser(place.format(python=SANDBOX_PYTHON))))


def _is_of_its_version(python: str) -> bool:
    try:
        run_program([python, "-I", "-c", IS_IT], "")
    except PrerequisiteError:  # a shim of pyenv's, say, behind which there is none
        return False
    return True


def _bring_python(place: Path, install_uv: Callable[[Path], None], detail: Say) -> str:
    """Bring a Python of the sandboxes' version into a folder, by uv."""
    uv = shutil.which("uv")
    if uv is None:
        install_uv(place / "uv")
        uv = str(place / "uv" / "bin" / "uv")
    folders = {
        "UV_PYTHON_INSTALL_DIR": str(place / "python"),
        "UV_PYTHON_BIN_DIR": str(place / "bin"),
    }
    problem = f"no Python {SANDBOX_PYTHON} is on this host, and uv can't bring one"
    run_program([uv, "python", "install", SANDBOX_PYTHON], problem, detail, folders)
    name = f"cpython-{SANDBOX_PYTHON}*/bin/python{SANDBOX_PYTHON}"
    found = sorted((place / "python").glob(name))
    if not found:
        raise PrerequisiteError(f"{problem}: it says that it did")
    return str(found[0])
