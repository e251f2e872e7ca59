"""What runs have on this host is found, and stays where it is."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.specs import STRANGER, sandbox_spec

from orchestrator.backends import Sandbox, find_backend
from orchestrator.driver.leftovers import find_leftovers
from orchestrator.file_locks import hold_lock
from orchestrator.host_id import host_id
from orchestrator.paths import RunPaths, temporary_folder
from orchestrator.types import Instance, RolloutKey

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stranger's boxes lie, so that tests beside this one keep theirs."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "runs"
    for name in ("dead", "live", "clean"):
        (folder / name).mkdir(parents=True)
    return folder


@contextlib.contextmanager
def sandbox_of(run_dir: Path, instance: Instance, kind: str) -> Iterator[Sandbox]:
    key = RolloutKey(run_dir.name, instance.instance_id, 1)
    with find_backend(kind).start(
        sandbox_spec(instance, run_dir, key=key, driver_host=host_id())
    ) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("kind", "left"), [("process", ("processes", "copies")), (STRANGER, ("boxes",))]
)
def test_sandboxes_of_a_dead_run_are_found_and_go_on(
    kind: str, left: tuple[str, ...], runs_dir: Path, instance: Instance
) -> None:
    dead, live = runs_dir / "dead", runs_dir / "live"
    with (
        sandbox_of(dead, instance, kind) as one,
        sandbox_of(live, instance, kind),
        hold_lock(RunPaths(live).driver_lock),
    ):
        found = find_leftovers(runs_dir, [kind])

        assert found.live == (live,)
        assert found.dead == {dead: left}
        assert one.exec("true", 30).exit_code == 0
    for run_dir in (dead, live):
        find_backend(kind).clean(run_dir)
    assert find_leftovers(runs_dir, [kind]).dead == {}


def test_what_a_dead_run_left_beside_its_sandboxes_is_found(runs_dir: Path) -> None:
    session = str(runs_dir / "session_2026-11-26_none")
    dead = RunPaths(runs_dir / "dead")
    dead.ray_session.write_text(session, encoding="utf-8")
    left = temporary_folder(str(dead.root)) / "rollout-killed"
    left.mkdir(parents=True)
    program = "import time; time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", program, f"--session={session}"]) as raylet:
        try:
            while session not in " ".join(psutil.Process(raylet.pid).cmdline()):
                time.sleep(0.02)
            found = find_leftovers(runs_dir, [])
            assert raylet.poll() is None
        finally:
            raylet.kill()

    assert found.dead == {dead.root: ("temporary folders", "processes of Ray")}
    assert left.is_dir()
    assert find_leftovers(runs_dir, []).dead == {dead.root: ("temporary folders",)}


def test_where_an_engine_is_away_or_there_are_no_runs_nothing_is_found(
    tmp_path: Path, no_engine: None
) -> None:
    found = find_leftovers(tmp_path / "none", ["docker", "process", "no.such:Backend"])

    assert (found.live, dict(found.dead)) == ((), {})
    assert not (tmp_path / "none").exists()
