"""Exports read back by those whom they are for: see scripts/consumers-for-tests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator.evidence.facts import Evidence
from orchestrator.exports.atif import export_atif, trajectory
from orchestrator.exports.base import RunToExport
from orchestrator.exports.inspect_log import inspect_log

pytestmark = pytest.mark.consumers

READ_ATIF = """
import json, sys
from pathlib import Path
from harbor.models.trajectories import Trajectory
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    read = Trajectory.model_validate_json(path.read_bytes())
    found[path.name] = [len(read.steps), read.agent.model_name, read.to_json_dict()["steps"][-1]]
print(json.dumps(found))
"""
WRITE_AND_READ_INSPECT = """
import json, sys
from pathlib import Path
from inspect_ai.log import read_eval_log
from orchestrator.errors import PrerequisiteError
from orchestrator.exports.inspect_file import write_inspect_log
path = Path(sys.argv[1])
write_inspect_log(json.loads(path.read_text()), path.with_name("run.eval"))
log = read_eval_log(str(path.with_name("run.eval")))
try:
    write_inspect_log({"eval": {"model": 3}}, path.with_name("other.eval"))
except PrerequisiteError as error:
    refusal = str(error)
print(json.dumps({
    "status": log.status,
    "model": log.eval.model,
    "metrics": {name: m.value for name, m in log.results.scores[0].metrics.items()},
    "samples": {s.id: len(s.messages) for s in log.samples},
    "right": [s.id for s in log.samples if s.scores and s.scores["swebench"].value == "C"],
    "errors": [s.id for s in log.samples if s.error],
    "refusal": refusal,
}))
"""


def _ask(script: str, path: Path) -> Any:
    """What a script of the readers' Python prints, as JSON."""
    root = Path(orchestrator.__file__).parents[1]
    done = subprocess.run(
        [os.environ["SWE_ORCHESTRATOR_CONSUMERS"], "-c", script, str(path)],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_harbor_reads_every_trajectory(
    run: RunToExport, odd_evidence: Evidence, tmp_path: Path
) -> None:
    export_atif(run, tmp_path)
    odd = json.dumps(trajectory(run, odd_evidence), ensure_ascii=False)
    (tmp_path / "odd.json").write_text(odd, encoding="utf-8")

    found = _ask(READ_ATIF, tmp_path)

    assert len(found) == len(run.reader.state.outcomes) + 1
    for evidence in run.reader.read_all():
        if evidence.rollout:
            steps, model, _ = found[f"{evidence.instance_id}.trajectory.json"]
            assert (steps, model) == (len(evidence.steps) + 1, "made-up")
    assert found["odd.json"][2]["observation"]["results"][0]["content"] == "x ... x"


def test_inspect_writes_and_reads_its_log(run: RunToExport, tmp_path: Path) -> None:
    log = inspect_log(run)
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log), encoding="utf-8")

    found = _ask(WRITE_AND_READ_INSPECT, path)

    assert found["status"] == "success"
    assert found["metrics"]["resolve_rate"] == pytest.approx(run.report.resolve_rate)
    assert set(found["right"]) == set(run.report.resolved_ids)
    assert set(found["errors"]) == set(run.report.failure_ids)
    assert found["refusal"].startswith("Inspect takes no such log (")
    assert found["samples"] == {s["id"]: len(s["messages"]) for s in log["samples"]}
