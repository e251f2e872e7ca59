"""An evaluation log of Inspect: what stands in it. Inspect itself reads it in test_by_consumers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.errors import PrerequisiteError
from orchestrator.exports.base import RunToExport
from orchestrator.exports.inspect_log import SCORER, inspect_log
from orchestrator.exports.kinds import export_inspect


@pytest.mark.slow
def test_a_log_has_the_reports_numbers(run: RunToExport) -> None:
    log = inspect_log(run)

    scores = [s["scores"][SCORER]["value"] for s in log["samples"] if s["scores"]]
    assert scores.count("C") == run.report.resolved
    (score,) = log["results"]["scores"]
    assert score["metrics"]["resolve_rate"]["value"] == run.report.resolve_rate
    assert score["unscored_samples"] == len(run.report.failure_ids)
    assert log["eval"]["tags"] == [run.report.validity.state]


def test_what_has_no_verdict_has_an_error_and_no_score(run: RunToExport) -> None:
    samples = {sample["id"]: sample for sample in inspect_log(run)["samples"]}

    for instance_id in run.report.failure_ids:
        assert samples[instance_id]["scores"] == {}
        assert samples[instance_id]["error"]["message"].startswith("sandbox_unavailable: ")


def test_without_inspect_a_person_is_told_how_to_get_it(
    run: RunToExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)

    with pytest.raises(PrerequisiteError, match="pip install --upgrade inspect-ai"):
        export_inspect(run, tmp_path)
    assert not list(tmp_path.iterdir())
