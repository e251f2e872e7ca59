"""A run's page on a disk: a made-up night with every kind of instance, hostile ones too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.agents.steps import Step
from orchestrator.evidence.facts import Evidence
from orchestrator.journal import RunState
from orchestrator.made_up.benchmark import made_up_benchmark
from orchestrator.made_up.write import write_made_up_run
from orchestrator.page.instances.details import details_of
from orchestrator.page.instances.rows import InstanceRow, InstanceTable, InstanceVerdict
from orchestrator.page.instances.scripts import instance_scripts
from orchestrator.page.instances.storage import keep
from orchestrator.page.instances.write import PageInstances
from orchestrator.page.render import read_asset, render_page
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report
from orchestrator.run.report_formats import RunToReport
from orchestrator.types import Outcome, RolloutKey, RolloutRecord

SCRIPT = "</script><script>globalThis.broken = 1</script><!--<script>"
IMAGE = "<img src=x onerror='globalThis.broken = 1'>"
TURNED = "user\u202e \u2066// admin\u2069 \u2066"
ODD = f"{SCRIPT} {IMAGE} \x1b[31mred\x1b[0m \x1b]0;title\x07 {TURNED} \u2028 \x00 \ud83d \x07 "
"""What a model, a command or a file may hold, and no page may obey."""
WIDE = "w" * 200_000
ALONE = """{% extends "base.html" %}
{% block content %}{% include "_instances.html" %}{% endblock %}
"""


@dataclass(frozen=True)
class WrittenPage:
    paths: RunPaths
    report: Report
    hostile: str
    """An instance whose patch and steps are odd."""
    cut: str
    """One whose trajectory.json is cut off."""

    @property
    def url(self) -> str:
        return self.paths.report_html.as_uri()

    def steps_of(self, instance_id: str) -> int:
        return len(self.trajectory(instance_id)["steps"])

    def trajectory(self, instance_id: str) -> Any:
        (path,) = self.paths.root.glob(f"rollouts/{instance_id}/*/trajectory.json")
        return json.loads(path.read_text(encoding="utf-8"))


def write_run_with_page(folder: Path, count: int = 60) -> WrittenPage:
    paths = write_made_up_run(folder, made_up_benchmark(count), failures_left=3)
    report = RunToReport.read(paths).subject.report
    hostile, cut, *_ = report.unresolved_ids
    _make_hostile(paths, hostile)
    _cut_off(paths, cut)
    RunToReport.read(paths).write_page()
    return WrittenPage(paths, report, hostile, cut)


def write_table_of(instance_id: str, paths: RunPaths) -> Path:
    """A page of nothing but the table of one instance, whose two steps lie in a file beside it."""
    rolled_out = RolloutRecord(RolloutKey("r", instance_id, 1), outcome=Outcome.SUBMITTED)
    row = InstanceRow(
        instance_id, "r", InstanceVerdict.UNRESOLVED, "", "", "submitted", 2, 1, 1.0, 1, ""
    )
    steps = (Step("", "ls", "a.py"), Step("", "cat a.py", WIDE))
    evidence = Evidence(instance_id, "r", rolled_out, None, steps=steps)
    state = RunState("r", {instance_id: "r"}, [rolled_out])
    details = keep([details_of(evidence, row, state)], paths)
    (paths.root / "page.html").write_text(ALONE, encoding="utf-8")
    shown = {"instances": PageInstances(InstanceTable((row,)), details)}
    styles, scripts = (read_asset("instances/instances.css"),), instance_scripts()
    page = render_page("page.html", "A table", shown, styles, scripts, [paths.root])
    paths.report_html.write_text(page, encoding="utf-8")
    return paths.report_html


def _make_hostile(paths: RunPaths, instance_id: str) -> None:
    (folder,) = (paths.root / "rollouts" / instance_id).glob("*")
    step = {
        "thought": ODD,
        "action": ODD,
        "observation": f"{ODD}{WIDE} the very end",
        "shown": ODD,
        "time": 1e300,
    }
    steps = [step, {"thought": None, "action": {"a": 1}, "prompt_tokens": "many"}, {}]
    text = json.dumps({"format": "swe-orchestrator-2", "steps": steps})
    (folder / "trajectory.json").write_text(text, encoding="utf-8")
    patch = (
        f"text before\n--- a/{IMAGE}\n+++ b/{IMAGE}\n@@ -1,99 +1,99 @@ {SCRIPT}\n"
        f"-{TURNED}\n+{SCRIPT}\x1b[2J\x00\n+{WIDE}\n diff --git\n"
    )
    (folder / "patch.diff").write_text(patch, encoding="utf-8")


def _cut_off(paths: RunPaths, instance_id: str) -> None:
    (path,) = (paths.root / "rollouts" / instance_id).glob("*/trajectory.json")
    path.write_bytes(path.read_bytes()[:-400])
