"""Finding a Python of a wanted minor version on this host, or bringing one by uv."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestrator.agents.base import Say
from orchestrator.agents.installing.programs import run_program
from orchestrator.errors import PrerequisiteError

PLACES = (
    "~/.pyenv/versions/{python}.*/bin/python{python}",
    "~/.local/share/uv/python/cpython-{python}.*/bin/python{python}",
    "/opt/homebrew/bin/python{python}",
    "/usr/local/bin/python{python}",
)
"""Where a Python may lie that is not on every PATH."""


def find_python(version: str, own: Path, modules: Sequence[str] = ("sys",)) -> str | None:
    """A CPython of this minor version, such as 3.11, that is no pre-release and has these modules;
    None where this host has none. `own` is looked at first."""
    found = (p for p in _pythons(version, own) if _is_of_version(p, version, modules))
    return next(found, None)


def _pythons(version: str, own: Path) -> Iterator[str]:
    """Those of this host that may be of this version."""
    yield str(own)
    if found := shutil.which(f"python{version}"):
        yield found
    for place in PLACES:
        yield from sorted(glob.glob(os.path.expanduser(place.format(python=version))))


def cache_tag(version: str) -> str:
    """What CPython of a minor version calls its bytecode."""
    return f"cpython-{version.replace('.', '')}"


def _is_of_version(python: str, version: str, modules: Sequence[str]) -> bool:
    code = (
        f"import sys, {', '.join(modules)}; v = sys.version_info; "
        f"sys.exit((sys.implementation.cache_tag, v.releaselevel) != "
        f"({cache_tag(version)!r}, 'final'))"
    )
    try:
        run_program([python, "-I", "-c", code], "")
    except PrerequisiteError:  # a shim of pyenv's, say, behind which there is none
        return False
    return True


def bring_python(version: str, place: Path, install_uv: Callable[[Path], None], detail: Say) -> str:
    """Bring a Python of this minor version into a folder, by uv; `install_uv` brings that into
    another, for the moment, where this host has none.

    Raises:
        PrerequisiteError: that can't be done.
    """
    problem = f"no Python {version} is on this host, and uv can't bring one"
    with tempfile.TemporaryDirectory(prefix="uv-") as folder:
        uv = shutil.which("uv")
        if uv is None:
            install_uv(Path(folder) / "uv")
            uv = str(Path(folder) / "uv" / "bin" / "uv")
        folders = {"UV_PYTHON_INSTALL_DIR": str(place), "UV_PYTHON_BIN_DIR": f"{folder}/bin"}
        run_program([uv, "python", "install", version], problem, detail, folders)
    found = sorted(place.glob(f"cpython-{version}*/bin/python{version}"))
    if not found:
        raise PrerequisiteError(f"{problem}: it says that it did")
    return str(found[0])
