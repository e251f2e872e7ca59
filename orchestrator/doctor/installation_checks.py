"""The Python that runs this, and its packages."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator import __version__
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, failed, passed, warned
from orchestrator.doctor.installation import (
    HEAVY,
    OURS,
    find_installed,
    mixed_problems,
    package_problems,
    shadowed_problems,
    wanted_packages,
    wanted_python,
)

CHECKOUT = Path(__file__).resolve().parents[2]
"""Where this package lies: the checkout's folder, or site-packages."""


class Python(Check):
    """Another Python than the one that all was installed for, or one that is too old or new."""

    name = "Python"
    depth = Depth.DOCTOR

    def look(self, case: Case) -> Iterator[CheckFinding]:
        version, wanted = platform.python_version(), wanted_python()
        own = CHECKOUT / ".venv"
        is_other = own.is_dir() and os.path.realpath(own) != os.path.realpath(sys.prefix)
        problems = False
        if not wanted.contains(version, prereleases=True):
            problems = True
            yield failed(
                f"{version}, of {sys.executable}; {wanted} is supported",
                "Install with another: in a checkout `rm -r .venv`, then `scripts/demo` finds one.",
            )
        if is_other:
            problems = True
            yield warned(
                f"{sys.executable} runs this, and what was installed here is in {own}",
                f"{own}/bin/python -m orchestrator …",
            )
        if _is_translated():
            problems = True
            yield warned(
                f"{sys.executable} is for Intel's processors, which this Mac emulates",
                "Install one for arm64 (`uv python install 3.12`), `rm -r .venv`, `scripts/demo`.",
            )
        if not problems:
            yield passed(f"{version}, {sys.prefix}")


class Packages(Check):
    """A package is missing, of another version, or another than the one that was installed."""

    name = "packages"
    depth = Depth.DOCTOR

    def look(self, case: Case) -> Iterator[CheckFinding]:
        installed, wanted = find_installed(), wanted_packages()
        names = [OURS, *(requirement.name for requirement in wanted)]
        problems = [
            *package_problems(wanted, installed),
            *shadowed_problems(HEAVY, installed),
            *mixed_problems(names, installed, os.environ),
        ]
        problems.sort(key=lambda problem: not problem.is_fatal)
        for problem in problems:
            yield (failed if problem.is_fatal else warned)(problem.what, problem.cure)
        ours = installed.get(OURS)
        if ours is not None and ours.version != __version__:
            yield warned(
                f"{OURS} {ours.version} is installed, and {__version__} runs, of {CHECKOUT}",
                "Start the one that is installed, from another folder; or in a checkout "
                "`scripts/demo`, which installs it.",
            )
        elif not problems:
            heavy = (f"{name} {installed[name].version}" for name in HEAVY if name in installed)
            yield passed(f"{OURS} {__version__}, {', '.join(heavy)}")


def _is_translated() -> bool:
    """Whether this process is emulated on a Mac (by Rosetta)."""
    if sys.platform != "darwin":
        return False
    command = ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "1"
