"""A whole run on a real vLLM that hangs and is killed: every verdict as if nothing had happened."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.tiny_vllm import MODEL, ForcedVllm, TinyVllm

from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.actions import SUBMIT
from orchestrator.scripted.personas import apply_command
from orchestrator.scripted.protocols import AnswerForm, Protocol, message_of
from orchestrator.types import Instance

pytestmark = [pytest.mark.vllm, pytest.mark.ray, pytest.mark.slow]
HUNG_S = 90.0
LIMIT_S = 500
SIX = ".*(ledger|cronwise).*"
WRONG = "tidepool__cronwise-8"
"""This one's agent changes nothing that matters."""


def six_of(demo: Dataset) -> list[Instance]:
    return [instance for instance in demo.instances if re.fullmatch(SIX, instance.instance_id)]


@pytest.fixture
def scripted_vllm(demo: Dataset, forced_vllm: ForcedVllm) -> TinyVllm:
    """In every instance's conversation its model says: look, mend, submit."""
    turns: dict[str, list[str]] = {}
    for instance in six_of(demo):
        patch = unseal(demo.answers[instance.instance_id]).gold_patch
        mend = apply_command(patch) if instance.instance_id != WRONG else "echo a > NOTES.txt"
        commands = ["git status --short", mend, SUBMIT]
        turns[instance.problem_statement.strip()] = [
            message_of("The next step.", command, AnswerForm(Protocol.MINI), 0)["content"]
            for command in commands
        ]
    return forced_vllm.says(turns)


class Launched:
    """`launch demo` with that server, in a process of its own."""

    def __init__(self, server: TinyVllm, runs_dir: Path) -> None:
        self._journal = runs_dir / "night" / "journal.sqlite"
        settings = {
            "model.endpoint.base_url": server.base_url,
            "model.endpoint.max_outage_s": 600,
            # longer than it hangs: it is the lack of any sign of life that is noticed
            "model.endpoint.request_timeout_s": 300,
            "model.endpoint.admission": "auto",
            "model.served_name": MODEL,
        }
        flags = [f"--set={key}={value}" for key, value in settings.items()]
        command = [sys.executable, "-m", "orchestrator", "launch", "demo", "--model", "scripted"]
        where = ["--runs-dir", str(runs_dir), "--run-id", "night", "--instances", SIX]
        self._process = subprocess.Popen(
            [*command, *where, "--sandbox", "process", "--workers", "4", "--json", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: os.environ[name] for name in os.environ if name != "PYTHONPATH"},
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        if not self._journal.exists():
            return []
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()

    @property
    def answers(self) -> int:
        """How often the model has answered."""
        return len(self.rows("SELECT 1 FROM request WHERE result = 'answered'"))

    def wait_for_answers(self, count: int) -> None:
        """Until the model has answered so often."""
        deadline = time.monotonic() + LIMIT_S
        while self.answers < count:
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def end(self) -> dict[str, object]:
        """Its report."""
        stdout, stderr = self._process.communicate(timeout=LIMIT_S)
        assert self._process.returncode == 0, stderr
        report = json.loads(stdout)
        assert isinstance(report, dict)
        return report


def test_a_hung_and_a_killed_server_cost_no_verdict(
    scripted_vllm: TinyVllm, demo: Dataset, tmp_path: Path
) -> None:
    run = Launched(scripted_vllm, tmp_path / "runs")
    run.wait_for_answers(3)
    scripted_vllm.hang_engine()
    time.sleep(HUNG_S)
    answers = run.answers
    scripted_vllm.resume_engine()
    run.wait_for_answers(answers + 1)
    scripted_vllm.kill()
    scripted_vllm.start()
    report = run.end()

    ids = {instance.instance_id for instance in six_of(demo)}
    assert len(ids) == 6
    assert set(report["resolved_ids"]) == ids - {WRONG}  # type: ignore[call-overload]
    assert report["unresolved_ids"] == [WRONG]
    assert report["outcomes"] == {"submitted": 6}
    assert report["valid"] is True
    assert run.rows("SELECT attempt FROM rollout WHERE attempt > 1") == []
    ((held_s,),) = run.rows("SELECT max(held_s) FROM rollout")
    assert float(str(held_s)) > HUNG_S / 2
    held = run.rows("SELECT 1 FROM request WHERE result = 'answered' AND held_s > 1")
    assert held, "what it could not answer was answered when it was back"
