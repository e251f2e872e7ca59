"""`doctor` as people meet it: the right thing first, with what mends it, and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.benchmark import row
from support.commands import Ended
from support.small_engine import SmallEngine
from support.tried_server import TriedServer

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]
BASE = os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE", "python:3.11-slim-bookworm")
ON_DOCKER = f"doctor demo --sandbox docker --set cluster.images.base={BASE}"
ON_THIS_MACHINE = ("other runs", "power", "secrets")
"""Whatever else goes on here, and however it is set up."""


def by_level(ended: Ended, level: str) -> dict[str, list[dict[str, str]]]:
    """Findings by check."""
    assert "Traceback" not in ended.stderr
    checks = ended.report["checks"]
    return {check["name"]: check["findings"] for check in checks if check["level"] == level}


@pytest.fixture
def rows(folders: dict[str, str]) -> str:
    """A benchmark of one instance, whose image comes from Docker Hub."""
    path = Path(folders["tmp"], "rows.jsonl")
    path.write_text(json.dumps(row()), encoding="utf-8")
    return str(path)


def test_all_that_a_bundled_benchmark_needs_is_here(say: Say) -> None:
    ended = say("doctor demo --sandbox process --json")

    assert ended.exit_code == 0
    assert by_level(ended, "fail") == {}
    assert set(by_level(ended, "warn")) <= set(ON_THIS_MACHINE)
    assert {"Python", "dataset", "sandboxes", "Ray"} <= set(by_level(ended, "pass"))


def test_each_finding_is_a_line_with_its_cure_in_the_next(say: Say, no_engine: None) -> None:
    ended = say("doctor demo --sandbox docker")

    lines = ended.stdout.splitlines()
    assert ended.exit_code == 3
    assert "Traceback" not in ended.stdout + ended.stderr
    (failed,) = (number for number, line in enumerate(lines) if line.startswith("FAIL"))
    assert "sandboxes" in lines[failed]
    assert "no Docker engine answers" in lines[failed]
    assert lines[failed + 1].strip().startswith("→ ")
    assert lines[0].startswith("No model is named")
    assert lines[-1].startswith("1 check failed")
    assert "mend sandboxes first; " in lines[-1]
    assert lines[-1].endswith("checks can be made after that")


def test_on_a_bare_machine_the_engine_is_what_fails(say: Say, rows: str, no_engine: None) -> None:
    ended = say(f"doctor {rows} --json")

    assert ended.exit_code == 3
    assert list(by_level(ended, "fail")) == ["sandboxes"]
    assert ended.report["conclusion"].startswith("1 check failed: mend sandboxes first")


def test_a_dataset_that_lacks_something_is_told_first_and_once(
    say: Say, rows: str, no_engine: None
) -> None:
    Path(rows).write_text(json.dumps(row(base_commit="")), encoding="utf-8")

    ended = say(f"doctor {rows} --sandbox docker --json")

    failed = by_level(ended, "fail")
    assert ended.exit_code == 3
    assert list(failed) == ["dataset", "sandboxes"]
    assert "mend dataset first" in ended.report["conclusion"]
    assert "base_commit" in failed["dataset"][0]["what"]


@pytest.mark.slow  # the hub's client takes four seconds to import
def test_a_hub_that_is_away_is_told_with_what_does_without_it(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")

    ended = say("doctor SWE-bench/of-the-hub --sandbox process --json")

    (found,) = by_level(ended, "fail")["dataset"]
    assert "mend dataset first" in ended.report["conclusion"]
    assert "nothing listens at 127.0.0.1, port 9" in found["what"]
    assert "--dataset-dir DIR" in found["cure"]
    assert "etry" not in ended.stderr


def test_what_is_wrong_with_the_request_itself_is_wrong_usage(say: Say) -> None:
    say("doctor demo --model no-such-model").assert_one_line(2, "no-such-model")
    say("doctor no-such-benchmark").assert_one_line(2, "no-such-benchmark")


def test_a_model_server_is_asked_where_one_is_named(say: Say) -> None:
    with TriedServer(name="scripted") as server:
        ended = say(
            "doctor demo --agent mini --sandbox process --json "
            f"--set model.endpoint.base_url={server.base_url}"
        )

    assert by_level(ended, "fail") == {}
    assert {"model server", "speed", "prefix cache"} <= set(by_level(ended, "pass"))


@pytest.mark.docker
def test_with_a_healthy_engine_nothing_is_warned_of(say: Say) -> None:
    ended = say(f"{ON_DOCKER} --json")

    assert ended.exit_code == 0
    assert set(by_level(ended, "warn")) <= set(ON_THIS_MACHINE)
    passed = by_level(ended, "pass")
    assert "API 1." in passed["sandboxes"][0]["what"]
    assert "ran in" in passed["tiny sandbox"][0]["what"]


@pytest.mark.docker
def test_without_emulation_that_is_what_fails_with_what_brings_it(say: Say) -> None:
    """Nobody emulates these processors on the hosts of these tests."""
    ended = say(f"{ON_DOCKER} --set cluster.sandbox.platform=linux/riscv64 --json")

    failed = by_level(ended, "fail")
    (found,) = failed["tiny sandbox"]
    assert ended.exit_code == 3
    assert "sandbox trial" in by_level(ended, "skipped")
    assert "mend tiny sandbox first" in ended.report["conclusion"]
    assert "runs no containers of linux/riscv64 on linux/amd64" in found["what"]
    assert "binfmt --install riscv64" in found["cure"]


@pytest.fixture
def full_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallEngine]:
    """Not a byte is free on its disk."""
    with SmallEngine(size_mb=64) as engine:
        with contextlib.suppress(OSError), open(engine.disk / "filler", "wb") as filler:
            while True:
                filler.write(bytes(1_000_000))
                filler.flush()
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        yield engine


@pytest.mark.docker
def test_a_full_disk_of_the_engines_is_told_first_and_nothing_that_follows_from_it(
    say: Say, full_engine: Any
) -> None:
    ended = say(f"{ON_DOCKER} --json")

    assert ended.exit_code == 3
    (found,) = by_level(ended, "fail")["engine's disk"]
    assert "mend engine's disk first" in ended.report["conclusion"]
    assert "is full" in found["what"]
    assert "images prune" in found["cure"]
    assert {"tiny sandbox", "sandbox trial"} <= set(by_level(ended, "skipped"))
