"""Trajectories in ATIF: what is written of each step. Harbor's own model reads them in
test_by_consumers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.evidence.facts import Evidence
from orchestrator.exports.atif import export_atif, trajectory
from orchestrator.exports.base import RunToExport

pytestmark = pytest.mark.slow


def test_every_instance_with_an_outcome_has_a_trajectory(run: RunToExport, tmp_path: Path) -> None:
    done = export_atif(run, tmp_path)

    written = {path.name.removesuffix(".trajectory.json") for path in tmp_path.iterdir()}
    assert written == set(run.reader.state.outcomes)
    assert done.missing == ()


def test_a_trajectory_begins_with_the_issue_and_has_every_step(run: RunToExport) -> None:
    evidence = next(e for e in run.reader.read_all() if e.rollout)

    found = trajectory(run, evidence)

    assert [step["step_id"] for step in found["steps"]] == list(range(1, len(evidence.steps) + 2))
    assert found["steps"][0]["message"] == run.instances[evidence.instance_id].problem_statement
    assert [step["message"] for step in found["steps"][1:]] == [s.thought for s in evidence.steps]
    tokens = sum(s["metrics"]["prompt_tokens"] for s in found["steps"][1:])
    assert tokens == found["final_metrics"]["total_prompt_tokens"]


def test_the_agent_sees_what_it_was_shown_and_not_what_was_cut(
    run: RunToExport, odd_evidence: Evidence
) -> None:
    steps = trajectory(run, odd_evidence)["steps"]

    assert steps[-1]["observation"]["results"][0]["content"] == "x ... x"
    assert "tool_calls" not in steps[2]
    assert steps[2]["observation"]["results"] == [{"content": "Your answer held 0 commands"}]


def test_odd_text_is_text_that_a_file_can_hold(run: RunToExport, odd_evidence: Evidence) -> None:
    text = json.dumps(trajectory(run, odd_evidence), ensure_ascii=False)

    assert json.loads(text.encode("utf-8"))
    assert "\ud83d" not in text
