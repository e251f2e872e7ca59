"""Machines of every user get ready-made wheels: none has to compile, and none goes without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.agents.openhands import installation as openhands
from orchestrator.agents.sweagent.installation import CONSTRAINTS, SANDBOX_PYTHON, WHEELS

ROOT = Path(__file__).parents[2]
HOSTS = ("aarch64-apple-darwin", "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu")
PYTHONS = ("3.11", "3.12", "3.13")
SANDBOXES = {
    "manylinux2014_x86_64": "x86_64-manylinux2014",
    "manylinux2014_aarch64": "aarch64-manylinux2014",
}
"""pip's word for a platform to uv's."""
NO_INDEX = ("dns error", "Connection refused", "Network is unreachable", "network was disabled")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """The command that would install wheels, by the uv that the scripts use."""
    found = subprocess.run(
        ["bash", "-c", '. scripts/lib.sh && find_uv && printf %s "$UV"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    target = str(tmp_path_factory.mktemp("target"))
    options = ("--quiet", "--dry-run", "--only-binary", ":all:", "--target", target)
    return [found.stdout, "pip", "install", *options]


def require_wheels(
    install: Sequence[str], platform: str, python: str, arguments: Sequence[str]
) -> None:
    """Skips where no index can be reached, but not in CI."""
    command = [*install, "--python-platform", platform, "--python-version", python, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if any(word in done.stderr for word in NO_INDEX) and os.environ.get("CI") != "true":
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("host", HOSTS)
def test_every_locked_line_has_a_wheel_for_the_users_machines(
    host: str, python: str, install: Sequence[str]
) -> None:
    lock = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements.lock")]

    require_wheels(install, host, python, lock)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("host", HOSTS)
def test_all_that_sweagent_needs_has_a_wheel_for_the_users_machines(
    host: str, python: str, install: Sequence[str]
) -> None:
    require_wheels(install, host, python, ["--no-deps", "-r", str(CONSTRAINTS)])


@pytest.mark.parametrize("python", openhands.PYTHONS)
@pytest.mark.parametrize("host", HOSTS)
def test_all_that_openhands_needs_has_a_wheel_for_the_users_machines(
    host: str, python: str, install: Sequence[str]
) -> None:
    require_wheels(install, host, python, ["--no-deps", "-r", str(openhands.CONSTRAINTS)])


@pytest.mark.parametrize("sandbox", WHEELS)
def test_sweagents_server_has_wheels_for_sandboxes(sandbox: str, install: Sequence[str]) -> None:
    server = ["--constraint", str(CONSTRAINTS), "swe-rex"]

    require_wheels(install, SANDBOXES[WHEELS[sandbox]], SANDBOX_PYTHON, server)


def test_a_platform_without_wheels_is_noticed(install: Sequence[str]) -> None:
    """Ray has none for Macs of Intel's, which is why the README leaves them out."""
    with pytest.raises(AssertionError, match="ray"):
        require_wheels(install, "x86_64-apple-darwin", "3.12", ["--no-deps", "ray==2.60.0"])
