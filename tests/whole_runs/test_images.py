"""Whole runs whose images come from a registry onto a small disk, and are held by neither."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.commands import CommandLine, wait_until
from support.docker_registry import Registry, open_registry
from support.registry_proxy import RegistryProxy
from support.small_engine import SmallEngine
from support.tiny_benchmark import MB, TinyBenchmark, make_benchmark

from orchestrator.journal import RunState, read_journal
from orchestrator.journal.store import Journal

pytestmark = [pytest.mark.docker, pytest.mark.ray, pytest.mark.slow]
DISK_MB = 300
RESERVE_GB = 0.03
SETTINGS = {
    "cluster.grading.network": "false",  # the engine has none
    "cluster.grading.slots": "2",
    "cluster.images.reserve_gb": f"{RESERVE_GB}",
    "cluster.sandbox.memory_gb": "0.5",
    "cluster.grading.memory_gb": "0.5",
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with open_registry(tmp_path_factory.mktemp("registry")) as opened:
        yield opened


@pytest.fixture
def proxy(registry: Registry) -> Iterator[RegistryProxy]:
    with RegistryProxy(registry.address) as opened:
        yield opened


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallEngine]:
    with SmallEngine(DISK_MB) as started:
        monkeypatch.setenv("DOCKER_HOST", started.url)
        yield started


def words(benchmark: TinyBenchmark, run_id: str, **settings: str) -> list[str]:
    flags = [f"--set={name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    run = ["launch", str(benchmark.rows), "--agent", "gold", "--sandbox", "docker"]
    return [*run, "--run-id", run_id, "--workers", "2", *flags]


def state_of(orchestrate: CommandLine, run_id: str) -> RunState:
    return read_journal(orchestrate.runs_dir / run_id / "journal.sqlite")


def assert_every_instance_graded_once(state: RunState, count: int) -> None:
    assert [row for row in (*state.rollouts, *state.grades) if row.failure] == []
    graded = Counter(row.instance_id for row in state.grades)
    assert (len(graded), set(graded.values())) == (count, {1})
    assert all(verdict.resolved for verdict in state.verdicts.values())


def test_twenty_images_of_60_mb_pass_through_a_disk_of_300_mb(
    orchestrate: CommandLine, registry: Registry, engine: SmallEngine, tmp_path: Path
) -> None:
    """Images of five in a row share a third, and all of them a third."""
    benchmark = make_benchmark(tmp_path, registry, registry.address, 20, own_mb=20, shared_mb=20)
    least_free = [engine.free]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            least_free.append(engine.free)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = orchestrate(*words(benchmark, "small"))
    finally:
        ended.set()
        watcher.join()

    assert done.exit_code == 0, done.stderr
    assert_every_instance_graded_once(state_of(orchestrate, "small"), 20)
    assert min(least_free) > 0


def test_a_registry_that_is_away_a_kill_in_mid_pull_and_a_quota_hold_a_run_and_fail_nothing(
    orchestrate: CommandLine,
    registry: Registry,
    proxy: RegistryProxy,
    engine: SmallEngine,
    tmp_path: Path,
) -> None:
    """The outage comes first, then driver and engine are killed, and what goes on is rationed."""
    benchmark = make_benchmark(tmp_path, registry, proxy.address, 5, own_mb=4, shared_mb=4)
    proxy.bytes_per_s = 5 * MB
    proxy.down()
    process = orchestrate.start(*words(benchmark, "night"))
    assert process.stdout is not None
    assert any("is away" in line for line in process.stdout), "and the run goes on"
    proxy.up()
    wait_until(lambda: proxy.sent > 2 * MB, "the pulls go on by themselves")
    kill_driver(process)
    engine.kill()

    with Journal.open(orchestrate.runs_dir / "night" / "journal.sqlite") as journal:
        known = {image.name for image in journal.pulled()}
    assert known, "it was in the journal before it began"
    engine.start()
    assert not {tag for image in engine.client().images.list() for tag in image.tags} - known
    # five images come sooner than in three such times, also on a slow host
    proxy.bytes_per_s, proxy.quota, proxy.window_s = None, 2, 15.0
    ended = orchestrate("resume", "night", "--set=cluster.images.keep=false")

    assert ended.exit_code == 0, ended.stderr
    assert "gives no more" in ended.stdout
    assert_every_instance_graded_once(state_of(orchestrate, "night"), 5)
    assert engine.client().images.list() == [], "also those of the session that was killed"


def kill_driver(process: subprocess.Popen[str]) -> None:
    psutil.Process(process.pid).send_signal(signal.SIGKILL)
    process.communicate()
