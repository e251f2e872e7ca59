"""Each rule of the taxonomy has an instance of the demo, and a persona that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.commands import CommandLine
from support.local_gateway import LocalGateway, model_at
from support.rows import key_of

from orchestrator.config import RunConfig
from orchestrator.config.load import list_profiles
from orchestrator.dataset import Dataset
from orchestrator.evidence.facts import Cause
from orchestrator.evidence.read import EvidenceReader
from orchestrator.evidence.taxonomy import find
from orchestrator.journal.views import RunState
from orchestrator.paths import RunPaths
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.types import GradeReason, GradeRecord, RolloutResult

pytestmark = pytest.mark.slow

IN_THE_RUN = {
    "harborlight__parcelo-3": Cause.NO_EDIT,
    "harborlight__parcelo-14": Cause.SPOOFED,
    "harborlight__parcelo-21": Cause.TESTS_ONLY,
    "orchard__ledger-12": Cause.RIGHT_FILE,
    "orchard__ledger-31": Cause.STILL_FAILING,
    "orchard__ledger-47": Cause.BROKE_TESTS,
    "quillworks__mdslate-5": Cause.EXPLORING,
    "quillworks__mdslate-19": Cause.WRONG_FILE,
    "quillworks__mdslate-28": Cause.TESTS_TOO_LONG,
    "tidepool__cronwise-23": Cause.TESTS_DID_NOT_RUN,
}
CHEATS = "tidepool__cronwise-35"
"""Resolved, by results that its patch has rewritten."""


@pytest.mark.ray
@pytest.mark.slow
def test_every_way_to_fail_has_its_cause_in_the_report(orchestrate: CommandLine) -> None:
    short = ["--set", "rollout.max_steps=8", "--set", "cluster.grading.timeout_s=10"]
    chosen = ["--instances", "|".join([*IN_THE_RUN, CHEATS])]

    ended = orchestrate.launch("process", "c", "--model", "scripted-causes", *chosen, *short)

    assert ended.exit_code == 0, ended.stderr
    report = ended.report
    assert {i: row["cause"] for i, row in report["findings"].items() if row["cause"]} == IN_THE_RUN
    assert report["resolved_ids"] == [CHEATS]
    assert report["spoofed_ids"] == ["harborlight__parcelo-14", CHEATS]
    assert "replaces unittest.TextTestResult.addFailure" in report["findings"][CHEATS]["spoofed"]
    assert any("can have written the test results itself" in w for w in report["warnings"])
    text = (orchestrate.runs_dir / "c" / "report.md").read_text(encoding="utf-8")
    assert "## Why instances were not resolved" in text
    assert "tests/test_of_the_issue.py" in text
    again = json.loads(orchestrate("report", "c", "--json").stdout)
    assert again["findings"] == report["findings"]


@pytest.mark.parametrize(
    ("persona", "limits", "cause"),
    [
        ("dawdles", {"rollout.time_limit_s": 1}, Cause.TIMED_OUT),
        ("runs_on", {"rollout.max_steps": 4}, Cause.NOT_SUBMITTED),
        ("overfills", {}, Cause.CONTEXT),
    ],
)
def test_a_limit_that_is_met_is_the_cause(
    persona: str,
    limits: dict[str, int],
    cause: Cause,
    demo: Dataset,
    make_config: Callable[..., RunConfig],
    play: Callable[..., RolloutResult],
    tmp_path: Path,
) -> None:
    instance = next(i for i in demo.instances if i.instance_id == "tidepool__cronwise-8")
    config = make_config("mini", limits)
    endpoint = ScriptedEndpoint([instance], demo.answers, {"default": persona})
    with endpoint, LocalGateway(model_at(endpoint.base_url)) as gateway:
        given = {"base_url": gateway.base_url(key_of(instance.instance_id))}
        result = play(config, instance, "process", tmp_path, **given, api_key=gateway.token)
    record = result.record
    grade = GradeRecord(record.key, record.patch_sha256, False, GradeReason.TESTS)
    grades = [grade] if record.has_patch else []
    state = RunState("r", {instance.instance_id: instance.repo}, [record], grades)

    found = find(EvidenceReader(RunPaths(tmp_path), config, demo, state).read(instance.instance_id))

    assert found.cause is cause


def test_the_shipped_profiles_show_every_cause_that_an_agent_can_have() -> None:
    played = set()
    for name in ("scripted-limits", "scripted-causes"):
        profile = yaml.safe_load(list_profiles("models")[name].read_text(encoding="utf-8"))
        played |= set(profile["personas"].values())

    assert played >= {"breaks_format", "loops", "overfills", "runs_on", "dawdles", "wrong"}
    assert played >= {"changes_nothing", "forges", "edits_tests", "misses", "mends_half"}
    assert played >= {"breaks_tests", "explores", "makes_tests_hang", "keeps_tests_from_running"}
