"""The way in, as somebody takes it who has nothing here yet: init, doctor, launch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import LIMIT_S, Ended
from support.terminals import CTRL_C, AtTerminal

from orchestrator.dataset import Dataset
from orchestrator.scripted.endpoint import ScriptedEndpoint

pytestmark = pytest.mark.slow
ONE = "orchard__ledger-12"


@pytest.fixture
def base_url(demo: Dataset) -> Iterator[str]:
    """A model server, which is somebody's own."""
    with ScriptedEndpoint(demo.instances, demo.answers, {"default": "solves"}) as endpoint:
        yield endpoint.base_url


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A home with nothing in it."""
    ours = ("SWE_ORCHESTRATOR_", "XDG_", "RAY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    (tmp_path / "home").mkdir()
    return kept | {"HOME": str(tmp_path / "home")}


def orchestrate(words: str, tmp_path: Path, env: dict[str, str]) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words.split()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        cwd=tmp_path,
        env=env,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.ray
def test_from_an_empty_machine_to_a_number_and_no_token_of_ray_is_left_behind(
    base_url: str, tmp_path: Path, env: dict[str, str]
) -> None:
    """Another Ray that is started later would ask for the token."""
    told = tmp_path / "told"
    program = tmp_path / "tell"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" >{told}\n')
    program.chmod(0o755)

    said = orchestrate(
        f"init --base-url {base_url} --model mine --sandboxes process --notify {program}",
        tmp_path,
        env,
    ).succeeded()
    assert "doctor demo --model mine:" in said
    assert orchestrate("doctor demo --model mine", tmp_path, env).succeeded()
    ended = orchestrate(f"launch demo --model mine -i {ONE} --json", tmp_path, env)

    assert ended.exit_code == 0, ended.stderr
    assert (ended.report["model"], ended.report["resolved_ids"]) == ("mine", [ONE])
    run_id = ended.report["run_id"]
    assert told.read_text(encoding="utf-8").startswith(f"{run_id} done: 1 of 1 resolved")
    lock = json.loads((tmp_path / "runs" / run_id / "lock.json").read_text(encoding="utf-8"))
    assert lock["serving"][0]["base_url"] == base_url
    assert not (tmp_path / "home" / ".ray").exists()


def test_a_person_at_a_terminal_is_asked_and_asked_again(
    base_url: str, tmp_path: Path, env: dict[str, str]
) -> None:
    with AtTerminal("init", "--no-doctor", cwd=tmp_path, env=env) as terminal:
        terminal.answer("1. Where is the model server?", "http://localhost:9")
        terminal.answer("nothing listens at localhost, port 9", base_url.removesuffix("/v1"))
        terminal.answer("2. A name for its profile [my-scripted]: ", "mine")
        terminal.answer("3. Where do the sandboxes run?", "process")
        terminal.answer("5. Who is told when a run has ended?", "none")
        assert terminal.end() == 0, terminal.said

    assert "Traceback" not in terminal.said
    assert "python -m orchestrator launch demo --model mine" in terminal.said
    written = {path.name for path in (tmp_path / "home").rglob("*.yaml")}
    assert written == {"mine.yaml", "home.yaml"}


@pytest.mark.usefixtures("in_the_foreground")
def test_ctrl_c_leaves_nothing_behind(base_url: str, tmp_path: Path, env: dict[str, str]) -> None:
    with AtTerminal("init", "--base-url", base_url, cwd=tmp_path, env=env) as terminal:
        terminal.press(CTRL_C, "2. A name for its profile", until="nothing was written")
        assert terminal.end() == 130

    assert "Traceback" not in terminal.said
    assert list((tmp_path / "home").rglob("*.yaml")) == []
