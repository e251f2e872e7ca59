"""A run's page on a disk: a made-up night with every kind of instance, hostile ones too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.made_up.benchmark import made_up_benchmark
from orchestrator.made_up.write import write_made_up_run
from orchestrator.paths import RunPaths
from orchestrator.report.build import Report
from orchestrator.run.report_formats import RunToReport

SCRIPT = "</script><script>globalThis.broken = 1</script><!--<script>"
IMAGE = "<img src=x onerror='globalThis.broken = 1'>"
TURNED = "user\u202e \u2066// admin\u2069 \u2066"
ODD = f"{SCRIPT} {IMAGE} \x1b[31mred\x1b[0m \x1b]0;title\x07 {TURNED} \u2028 \x00 \ud83d \x07 "
"""What a model, a command or a file may hold, and no page may obey."""
WIDE = "w" * 200_000


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


def _make_hostile(paths: RunPaths, instance_id: str) -> None:
    (folder,) = (paths.root / "rollouts" / instance_id).glob("*")
    step = {"thought": ODD, "action": ODD, "observation": ODD + WIDE, "shown": ODD, "time": 1e300}
    steps = [step, step | {"thought": None, "action": {"a": 1}, "prompt_tokens": "many"}, {}]
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
