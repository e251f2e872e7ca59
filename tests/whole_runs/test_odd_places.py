"""Runs where people have them: folders of any name, a terminal, a system without prctl."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil
import pytest
from support.commands import ODD_NAME, CommandLine, wait_until

import orchestrator
from orchestrator.journal import read_journal

pytestmark = [pytest.mark.ray, pytest.mark.slow]
NO_PRCTL = """
import ctypes
found = ctypes.CDLL.__getattr__
def find(library, name):
    if name == "prctl":
        raise AttributeError(name)
    return found(library, name)
ctypes.CDLL.__getattr__ = find
"""
IN_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


def install(folder: Path) -> Path:
    """This installation, at another place: its Python, with all paths as they are there."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (folder / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n", encoding="utf-8")
    packages = Path(sysconfig.get_path("purelib"))
    there = folder / packages.relative_to(sys.prefix)
    there.parent.mkdir(parents=True)
    there.symlink_to(packages)
    (folder / "orchestrator").symlink_to(Path(orchestrator.__file__).parent)
    (folder / "configs").symlink_to(Path(orchestrator.__file__).parents[1] / "configs")
    return folder / "bin" / "python"


@pytest.mark.parametrize("sandbox", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_every_path_that_a_person_chooses_may_hold_any_character(
    sandbox: str, tmp_path: Path
) -> None:
    home = tmp_path / ODD_NAME
    python = install(home / "clone")
    for name in ("tmp", "cache", "data"):
        (home / name).mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONPATH": str(home / "clone"),
        "SWE_ORCHESTRATOR_DATA": str(home / "data"),
        "SWE_ORCHESTRATOR_CACHE": str(home / "cache"),
    }
    runs = CommandLine(home / "runs")
    words = runs.launch_words(sandbox, "odd", "--agent", "gold", "-i", "orchard__ledger-12")

    done = subprocess.run(
        [python, "-m", "orchestrator", *words, "--runs-dir", runs.runs_dir],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (grade,) = read_journal(runs.runs_dir / "odd" / "journal.sqlite").grades
    assert grade.resolved


@pytest.fixture
def no_prctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: Ray has no way then to end its processes with their parent's, and makes a
    process group of its own for them."""
    folder = tmp_path / "no-prctl"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NO_PRCTL, encoding="utf-8")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))


def words_of_an_endless_run(orchestrate: CommandLine) -> list[str]:
    words = orchestrate.launch_words("process", "endless", "--instances", "orchard__ledger-12")
    words += ["--set", "model.personas.default=slow:1000", "--runs-dir", str(orchestrate.runs_dir)]
    return [sys.executable, "-m", "orchestrator", *words]


@pytest.mark.usefixtures("no_prctl")
def test_ctrl_c_in_a_script_is_heard_where_there_is_no_prctl(orchestrate: CommandLine) -> None:
    """As scripts/demo is: the terminal's foreground is the script's process group."""
    script = [
        "bash",
        "-c",
        '"$@"; echo "exit code $?"',
        "bash",
        *words_of_an_endless_run(orchestrate),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    scratch = orchestrate.runs_dir / "endless" / "scratch"
    wait_until(lambda: any(scratch.glob("*/testbed/.git")), "a sandbox")
    assert process.stdin is not None
    for _ in range(2):
        process.stdin.write("\x03")
        process.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
    shown, _ = process.communicate(timeout=30)

    assert "exit code 130" in shown
    assert f"resume {orchestrate.runs_dir / 'endless'}" in "".join(shown.split("\r\n"))


@pytest.mark.usefixtures("no_prctl")
def test_ray_ends_with_a_driver_that_is_killed_where_there_is_no_prctl(
    orchestrate: CommandLine,
) -> None:
    process = subprocess.Popen(words_of_an_endless_run(orchestrate), stdout=subprocess.DEVNULL)
    folder = orchestrate.runs_dir / "endless"
    wait_until(lambda: any((folder / "scratch").glob("*/testbed/.git")), "a sandbox")
    session = (folder / "ray-session").read_text(encoding="utf-8")
    assert len(processes_of(session)) > 3

    process.send_signal(signal.SIGKILL)
    process.wait()

    wait_until(lambda: processes_of(session) == [], "the end of Ray's processes", 30)
    orchestrate("clean").succeeded()


def processes_of(session: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(session in word for word in process.cmdline()):
                found.append(process)
    return found
