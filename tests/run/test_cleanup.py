"""What dead runs left is removed, whatever their sandboxes were, and nothing else is."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.commands import CommandLine
from support.specs import CONTAINERS, STRANGER, sandbox_spec

from orchestrator.backends import Sandbox, find_backend
from orchestrator.config import RunConfig
from orchestrator.config.sections import AUTO
from orchestrator.driver.leftovers import is_live
from orchestrator.driver.plan import make_plan
from orchestrator.errors import PrerequisiteError, SandboxUnavailable
from orchestrator.host_id import host_id
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths, working_folder
from orchestrator.plugins import BACKENDS
from orchestrator.run.cleanup import (
    clean_attempt,
    clean_dead_runs,
    clean_run,
    evict_left_images,
    hold_driver_lock,
    kinds_used,
    known_kinds,
)
from orchestrator.types import Instance, Outcome, PulledImage, RolloutKey, RolloutRecord

pytestmark = pytest.mark.slow

Leave = Callable[..., Sandbox]
KINDS = ["process", STRANGER]
"""Those that need no engine; tests/backends holds every kind's own cleaning to its contract."""
HOLD = """
import sys
from pathlib import Path
from orchestrator.paths import RunPaths
from orchestrator.run.cleanup import hold_driver_lock
with hold_driver_lock(RunPaths(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stranger's boxes lie, so that tests beside this one keep theirs."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "runs"


@pytest.fixture
def leave(instance: Instance, runs_dir: Path) -> Iterator[Leave]:
    """Starts a sandbox of a run, as a worker that was killed leaves it."""
    with contextlib.ExitStack() as stack:

        def start(kind: str, run_id: str = "a-run", attempt: int = 1) -> Sandbox:
            run_dir = runs_dir / run_id
            run_dir.mkdir(parents=True, exist_ok=True)
            write_lock(run_dir, kind)
            key = RolloutKey(run_id, instance.instance_id, attempt)
            host = host_id()
            spec = sandbox_spec(instance, run_dir, key=key, driver_host=host)
            return stack.enter_context(find_backend(kind).start(spec))

        yield start


@pytest.fixture
def drive(runs_dir: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that holds a run, as its driver does."""
    started: list[subprocess.Popen[str]] = []

    def start(run_id: str) -> subprocess.Popen[str]:
        (runs_dir / run_id).mkdir(parents=True, exist_ok=True)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, "-c", HOLD, str(runs_dir / run_id)]
        process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def write_lock(run_dir: Path, kind: str) -> None:
    (run_dir / "lock.json").write_text(json.dumps({"sandbox": {"kind": kind}}), encoding="utf-8")


def works(sandbox: Sandbox) -> bool:
    try:
        return sandbox.exec("true", 30).exit_code == 0
    except SandboxUnavailable:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_what_dead_runs_left_goes_and_what_live_ones_have_stays(
    kind: str, leave: Leave, drive: Callable[[str], object], runs_dir: Path
) -> None:
    dead, live = leave(kind, "dead"), leave(kind, "live")
    drive("live")

    cleaned = clean_dead_runs(runs_dir, [kind])

    assert (works(dead), works(live)) == (False, True)
    assert cleaned
    assert cleaned.problems == ()
    assert not clean_dead_runs(runs_dir, [kind])


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_run_only_its_own_goes(kind: str, leave: Leave, runs_dir: Path) -> None:
    mine, others = leave(kind, "mine"), leave(kind, "others")

    assert clean_run(RunPaths(runs_dir / "mine"), [kind])

    assert (works(mine), works(others)) == (False, True)


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_attempt_only_its_own_goes(
    kind: str, leave: Leave, runs_dir: Path, instance: Instance
) -> None:
    first, second = leave(kind, attempt=1), leave(kind, attempt=2)

    key = RolloutKey("a-run", instance.instance_id, 1)
    clean_attempt(RunPaths(runs_dir / "a-run"), kind, key)

    assert (works(first), works(second)) == (False, True)


def test_an_engine_that_is_away_does_not_keep_other_kinds_from_being_cleaned(
    leave: Leave, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    dead = leave("process")

    cleaned = clean_dead_runs(runs_dir, ["docker", "no.such:Backend", "process"])

    assert not works(dead)
    assert cleaned.counts == {"containers": 0, "processes": 0, "copies": 1}
    engine, stranger = cleaned.problems
    assert "no Docker engine answers" in engine
    assert "no.such:Backend" in stranger


def test_what_a_killed_worker_had_in_the_temporary_folder_goes(
    drive: Callable[[str], object], runs_dir: Path
) -> None:
    left = {}
    for run_id in ("dead", "live"):
        (runs_dir / run_id).mkdir(parents=True, exist_ok=True)
        with working_folder(str(runs_dir / run_id), "rollout") as folder:
            left[run_id] = folder.parent
        (left[run_id] / "grade-killed").mkdir()
        assert not folder.exists()
    drive("live")

    assert clean_dead_runs(runs_dir, []).counts == {"temporary folders": 1}

    assert not left["dead"].exists()
    assert (left["live"] / "grade-killed").is_dir()
    assert left["live"].stat().st_mode & 0o077 == 0


def test_rays_processes_of_a_dead_driver_are_killed(runs_dir: Path) -> None:
    session = str(runs_dir / "session_2026-11-26_none")
    (runs_dir / "a-run").mkdir(parents=True)
    paths = RunPaths(runs_dir / "a-run")
    paths.ray_session.write_text(session, encoding="utf-8")
    program = "import time; time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", program, f"--session={session}"]) as raylet:
        wait_for_command_line(raylet.pid, session)

        cleaned = clean_dead_runs(runs_dir, [])

        assert raylet.wait(20) != 0
    assert cleaned.counts == {"processes": 1}
    assert not paths.ray_session.exists()


@pytest.mark.parametrize("session", ["", "/", "python", "/tmp", "\udcff", "session_", "a\nb"])
def test_what_is_no_folder_of_ray_names_no_process(runs_dir: Path, session: str) -> None:
    (runs_dir / "a-run").mkdir(parents=True)
    paths = RunPaths(runs_dir / "a-run")
    paths.ray_session.write_bytes(session.encode("utf-8", "surrogateescape"))

    assert clean_dead_runs(runs_dir, []).counts == {"processes": 0}  # this one is alive
    assert not paths.ray_session.exists()


def test_folders_in_the_place_of_files_are_told(runs_dir: Path) -> None:
    paths = RunPaths(runs_dir / "a-run")
    paths.ray_session.mkdir(parents=True)
    (told,) = clean_dead_runs(runs_dir, []).problems
    assert told == f"{paths.ray_session}: Is a directory"

    paths.driver_lock.mkdir()
    with (
        pytest.raises(PrerequisiteError, match=r"driver\.lock: Is a directory"),
        hold_driver_lock(paths),
    ):
        pass


def wait_for_command_line(pid: int, word: str) -> None:
    """Until it runs its own program, and not yet ours."""
    for _ in range(200):
        if word in " ".join(psutil.Process(pid).cmdline()):
            return
        time.sleep(0.05)


def test_kinds_of_other_people_are_known_from_the_locks_of_their_runs(runs_dir: Path) -> None:
    assert known_kinds(runs_dir) == tuple(BACKENDS)
    for run_id, kind in {"a": "process", "b": STRANGER, "c": STRANGER}.items():
        (runs_dir / run_id).mkdir(parents=True)
        write_lock(runs_dir / run_id, kind)
    for run_id, text in {"d": "{", "e": "[]", "f": "{}", "g": '{"sandbox": 1}'}.items():
        (runs_dir / run_id).mkdir()
        (runs_dir / run_id / "lock.json").write_text(text, encoding="utf-8")

    assert kinds_used(runs_dir) == ("process", STRANGER)
    assert known_kinds(runs_dir) == (*BACKENDS, STRANGER)


def test_a_run_has_one_driver_and_the_next_learns_which(
    drive: Callable[[str], subprocess.Popen[str]], runs_dir: Path
) -> None:
    driver = drive("a-run")
    paths = RunPaths(runs_dir / "a-run")

    for _ in range(2):
        with pytest.raises(PrerequisiteError, match=rf"a-run is live \(driver pid {driver.pid} on"):
            hold_driver_lock(paths).__enter__()
    assert is_live(paths.root)


def test_a_driver_that_was_killed_holds_nothing(
    drive: Callable[[str], subprocess.Popen[str]], runs_dir: Path
) -> None:
    driver = drive("a-run")
    driver.kill()
    driver.wait()

    assert not is_live(runs_dir / "a-run")
    with hold_driver_lock(RunPaths(runs_dir / "a-run")):
        assert is_live(runs_dir / "a-run")
    assert not is_live(runs_dir / "a-run")


def test_asking_whether_a_run_is_live_leaves_no_trace(runs_dir: Path) -> None:
    (runs_dir / "a-run").mkdir(parents=True)

    assert not is_live(runs_dir / "a-run")
    assert not is_live(runs_dir / "none")
    assert list(runs_dir.iterdir()) == [runs_dir / "a-run"]
    assert list((runs_dir / "a-run").iterdir()) == []


@pytest.mark.slow
def test_clean_removes_what_every_kind_left_and_counts_it(
    leave: Leave, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    ours, strangers = leave("process", "one"), leave(STRANGER, "two")

    ended = CommandLine(runs_dir)("clean")

    assert ended.exit_code == 0
    removed, problem = ended.stdout.splitlines()
    assert removed == "removed 0 containers, 0 processes, 1 copies, 1 boxes"
    assert "no Docker engine answers" in problem
    assert (works(ours), works(strangers)) == (False, False)
    counts = json.loads(CommandLine(runs_dir)("clean", "--json").stdout)
    assert counts == {"containers": 0, "processes": 0, "copies": 0, "boxes": 0}


class Evicting:
    """A backend, as far as images go from it; those in use stay."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def evict_image(self, name: str) -> bool:
        self.asked.append(name)
        return name != "in-use"


@pytest.mark.parametrize(
    ("keep", "free_gb", "evicts"),
    [
        (False, 1000.0, True),
        (True, 0.01, False),
        (AUTO, 1000.0, False),  # the session decides, when it knows what it is to bring
        (AUTO, 0.01, True),  # the session would not start
    ],
)
def test_images_that_a_killed_session_left_make_room_before_the_disk_is_looked_at(
    make_config: Callable[..., RunConfig],
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    keep: bool | str,
    free_gb: float,
    evicts: bool,
) -> None:
    """All of them are done but one, whose image is needed still."""
    config = make_config("nop", {"cluster.images.keep": keep})
    images = ("done", "in-use", "needed")
    of_run = [replace(instance, instance_id=f"i-{image}", image=image) for image in images]
    backend = Evicting()
    monkeypatch.setattr("orchestrator.run.cleanup.find_backend", lambda kind: backend)
    with Journal.in_memory("r1", of_run) as journal:
        for image in images:
            journal.add_pulled(PulledImage(image))
        journal.add_pulled(PulledImage("done", "another-node"))
        for name in ("i-done", "i-in-use"):
            key = RolloutKey("r1", name, 1)
            journal.append_rollout(RolloutRecord(key, outcome=Outcome.GAVE_UP))
        before = set(journal.pulled())

        plan = make_plan(of_run, journal.state())
        evict_left_images(config, of_run, journal, plan, CONTAINERS, free_gb)

        assert backend.asked == (["done", "in-use"] if evicts else [])
        gone = {PulledImage("done")} if evicts else set()
        assert set(journal.pulled()) == before - gone


def test_images_that_runs_of_the_same_session_need_are_not_cleaned_away_with_the_others(
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config("nop", {"cluster.images.keep": False})
    of_runs = [replace(instance, instance_id=f"i-{image}", image=image) for image in ("x", "y")]
    backend = Evicting()
    monkeypatch.setattr("orchestrator.run.cleanup.find_backend", lambda kind: backend)
    other = RunPaths(tmp_path / "other")
    other.root.mkdir()
    with (
        Journal.in_memory("r1", of_runs) as journal,
        Journal.create(other.journal, "other", of_runs) as theirs,
    ):
        theirs.append_rollout(RolloutRecord(RolloutKey("other", "i-x", 1), Outcome.GAVE_UP))
        for one in of_runs:
            journal.add_pulled(PulledImage(one.image))
            key = RolloutKey("r1", one.instance_id, 1)
            journal.append_rollout(RolloutRecord(key, outcome=Outcome.GAVE_UP))
        plan = make_plan(of_runs, journal.state())

        beside = [other.root, tmp_path / "not begun yet"]
        evict_left_images(config, of_runs, journal, plan, CONTAINERS, 1000.0, beside)

        assert backend.asked == ["x"]
        assert journal.pulled() == (PulledImage("y"),)
