"""The server's packages are compiled for the sandboxes' Python, whatever this host's own is."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.agents.installing import pythons
from orchestrator.agents.sweagent import bytecode
from orchestrator.agents.sweagent.bytecode import SANDBOX_PYTHON, compile_packages, is_compiled
from orchestrator.errors import PrerequisiteError

COMPILED = f"swerex/__pycache__/__init__.{bytecode.TAG}.pyc"
RIGHT = f"""#!/bin/sh
case "$*" in
*compileall*) for folder; do :; done; mkdir -p "$folder/swerex/__pycache__"
    echo "$0" >"$folder/{COMPILED}" ;;
esac
"""
"""A Python of the sandboxes' version: it writes its own path in place of bytecode."""
OTHER = "#!/bin/sh\nexit 1\n"
UV = f"""#!/bin/sh
[ "$1 $2 $3" = "python install {SANDBOX_PYTHON}" ] || exit 2
bin=$UV_PYTHON_INSTALL_DIR/cpython-{SANDBOX_PYTHON}.14-macos-aarch64-none/bin
/bin/mkdir -p "$bin" && /bin/cp "$(/usr/bin/dirname "$0")/right" "$bin/python{SANDBOX_PYTHON}"
"""
NO_NETWORK = '#!/bin/sh\necho "error: failed to lookup address information"\nexit 2\n'


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    (tmp_path / "runtime" / "swerex").mkdir(parents=True)
    (tmp_path / "runtime" / "swerex" / "__init__.py").write_text("said = 'old'\n")
    return tmp_path / "runtime"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs of a Mac whose only Python is 3.13."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setattr(pythons.shutil, "which", _which_in(folder))
    monkeypatch.setattr(pythons, "PLACES", (f"{tmp_path}/more/{{python}}.*/python",))
    write_program(folder / "python3.13", OTHER)
    write_program(folder / "right", RIGHT)
    return folder


def _which_in(folder: Path) -> Callable[[str], str | None]:
    def which(name: str) -> str | None:
        return str(folder / name) if (folder / name).exists() else None

    return which


def no_uv(target: Path) -> None:
    raise PrerequisiteError("pip can't install it")


def compile_on(programs: Path, packages: Path, install_uv: Callable[[Path], None] = no_uv) -> str:
    """The path of the Python that did it."""
    compile_packages(packages, programs / "python3.13", install_uv, lambda _: None)
    assert is_compiled(packages)
    return (packages / COMPILED).read_text().strip()


def test_a_host_whose_only_python_is_another_gets_one_from_uv_for_the_moment(
    programs: Path, packages: Path
) -> None:
    write_program(programs / "uv", UV)

    python = compile_on(programs, packages)

    assert python.endswith(f"/python{SANDBOX_PYTHON}")
    assert not Path(python).exists(), "nothing stays on the host"


def test_uv_is_brought_along_where_there_is_none(programs: Path, packages: Path) -> None:
    def install_uv(target: Path) -> None:
        write_program(target / "bin" / "uv", UV)
        write_program(target / "bin" / "right", RIGHT)

    assert compile_on(programs, packages, install_uv).endswith(f"/python{SANDBOX_PYTHON}")


def test_a_python_of_the_host_is_taken_first(programs: Path, packages: Path) -> None:
    theirs = write_program(programs / f"python{SANDBOX_PYTHON}", RIGHT)

    assert compile_on(programs, packages) == str(theirs)


def test_a_shim_behind_which_there_is_no_python_is_passed_by(
    programs: Path, packages: Path, tmp_path: Path
) -> None:
    write_program(programs / f"python{SANDBOX_PYTHON}", OTHER)
    pyenvs = write_program(tmp_path / "more" / f"{SANDBOX_PYTHON}.7" / "python", RIGHT)

    assert compile_on(programs, packages) == str(pyenvs)


@pytest.mark.parametrize(
    ("uv", "says"),
    [(None, "pip can't install it"), (NO_NETWORK, "lookup"), ("#!/bin/sh\n", "says that it did")],
)
def test_where_none_can_be_had_the_reason_is_told(
    programs: Path, packages: Path, uv: str | None, says: str
) -> None:
    if uv is not None:
        write_program(programs / "uv", uv)

    with pytest.raises(PrerequisiteError, match=says):
        compile_on(programs, packages)
    assert not is_compiled(packages)


def test_what_another_python_compiled_is_not_taken_for_it(packages: Path) -> None:
    other = packages / "swerex" / "__pycache__" / "__init__.cpython-313.pyc"
    other.parent.mkdir()
    other.touch()

    assert not is_compiled(packages)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="needs the sandboxes' Python")
def test_bytecode_is_taken_whatever_a_mount_makes_of_times(packages: Path) -> None:
    (packages / "template.py").write_text("{{ no python }}\n")
    source = packages / "swerex" / "__init__.py"

    compile_packages(packages, Path(sys.executable), no_uv, lambda _: None)
    source.write_text("said = 'new, and of another size'\n")
    os.utime(source, (1, 1))

    flags = (packages / COMPILED).read_bytes()[4:8]
    assert int.from_bytes(flags, "little") == 0b01, "by hash, and unchecked"
    code = f"import sys; sys.path.insert(0, {str(packages)!r}); import swerex; print(swerex.said)"
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert said.stdout == "old\n", said.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="needs the sandboxes' Python")
def test_an_installation_from_before_is_compiled_anew(packages: Path) -> None:
    """Its bytecode goes by the sources' times."""
    source = packages / "swerex" / "__init__.py"
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    made = py_compile.compile(str(source), invalidation_mode=mode)
    assert made == importlib.util.cache_from_source(str(source))

    compile_packages(packages, Path(sys.executable), no_uv, lambda _: None)

    assert (packages / COMPILED).read_bytes()[4] == 0b01
