"""The main job, from the command line to the report, in both sandboxes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import CommandLine, personas

SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "process"]
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_every_persona_ends_where_it_should(orchestrate: CommandLine, sandbox: str) -> None:
    ended = orchestrate.launch(
        sandbox,
        "mixed",
        *personas(
            harborlight__parcelo_14="wrong",
            harborlight__parcelo_21="never_submits",
            harborlight__parcelo_3="breaks_format",
            orchard__ledger_12="recovers",
            orchard__ledger_31="overflows",
            orchard__ledger_47="errors",
            quillworks__mdslate_19="swallowed",
            quillworks__mdslate_28="loops",
            quillworks__mdslate_5="hangs_up",
            tidepool__cronwise_23="away:4",
        ),
    )
    assert ended.exit_code == 0, ended.stderr
    report = ended.report
    assert report["outcomes"] == {
        "context_overflow": 1,
        "format_errors": 2,
        "step_limit": 2,
        "submitted": 7,
    }
    assert report["salvaged_ids"] == ["harborlight__parcelo-21", "orchard__ledger-31"]
    assert set(report["unresolved_ids"]) == {
        "harborlight__parcelo-14",
        "harborlight__parcelo-3",
        "quillworks__mdslate-19",
        "quillworks__mdslate-28",
    }
    assert (report["graded"], report["empty"], report["resolved"]) == (9, 3, 8)
    assert {i: row["cause"] for i, row in report["findings"].items()} == {
        "harborlight__parcelo-14": "wrong_file",
        "harborlight__parcelo-3": "format",
        "quillworks__mdslate-19": "format",
        "quillworks__mdslate-28": "looped",
    }
    assert report["valid"]
    assert not report["failures"]
    assert report["resolve_rate"] == pytest.approx(8 / 12)
    assert any("reasoning parser swallows" in warning for warning in report["warnings"])

    if sandbox == "docker":
        official = official_verdicts(orchestrate.runs_dir / "mixed")
        assert official["resolved_ids"] == report["resolved_ids"]
        assert official["empty_patch_ids"] == sorted(
            ["harborlight__parcelo-3", "quillworks__mdslate-19", "quillworks__mdslate-28"]
        )


def official_verdicts(run_dir: Path) -> dict[str, list[str]]:
    """What `swebench`'s own command line says of a run's predictions.jsonl."""
    tools = Path(sys.executable).parent
    task_repo = Path(__file__).parents[2] / "orchestrator" / "demo"
    build = [str(tools / "swebench"), "dataset", "build", str(task_repo), "--out", "data"]
    subprocess.run(build, cwd=run_dir, check=True, capture_output=True)
    (dataset,) = (run_dir / "data").rglob("*.parquet")
    evaluate = [str(tools / "swebench"), "eval", str(dataset), "--run-id", "official"]
    evaluate += ["--predictions", "predictions.jsonl", "--workers", "2", "--timeout", "60"]
    evaluate += ["--report-dir", "official"]
    done = subprocess.run(evaluate, cwd=run_dir, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (report,) = (run_dir / "official").glob("*.json")
    found = json.loads(report.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_gold_resolves_every_instance(orchestrate: CommandLine, sandbox: str) -> None:
    gold = orchestrate.launch(sandbox, "gold", "--agent", "gold")
    assert (gold.exit_code, gold.report["resolved"]) == (0, 12), gold.stderr
    run_dir = orchestrate.runs_dir / "gold"
    official = json.loads((run_dir / "gold.gold.json").read_text(encoding="utf-8"))
    assert official["resolved_instances"] == 12
    assert official["error_instances"] == 0
    logs = run_dir / "logs" / "run_evaluation" / "gold" / "gold" / "orchard__ledger-12"
    names = {path.name for path in logs.iterdir()}
    assert {"report.json", "test_output.txt", "patch.diff", "eval.sh"} <= names


def test_nop_resolves_none(orchestrate: CommandLine) -> None:
    nop = orchestrate.launch("process", "nop", "--agent", "nop")
    assert (nop.exit_code, nop.report["resolved"], nop.report["empty"]) == (0, 0, 12), nop.stderr


NO_SUCH_FILE = "diff --git a/no b/no\n--- a/no\n+++ b/no\n@@ -1 +1 @@\n-old\n+new\n"


@pytest.fixture(scope="module")
def gold_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of gold over three instances."""
    orchestrate = CommandLine(tmp_path_factory.mktemp("runs"))
    words = ("--agent", "gold", "--instances", "orchard__.*")
    ended = orchestrate.launch("process", "gold", *words)
    assert (ended.exit_code, ended.report["resolved"]) == (0, 3), ended.stderr
    return orchestrate.runs_dir / "gold"


@pytest.fixture
def gold_run(gold_once: Path, orchestrate: CommandLine) -> Path:
    """A copy of it, among the test's own runs."""
    return Path(shutil.copytree(gold_once, orchestrate.runs_dir / "gold"))


def test_predictions_of_others_are_graded_and_counted_over_the_benchmark(
    orchestrate: CommandLine, gold_run: Path, tmp_path: Path
) -> None:
    lines = (gold_run / "predictions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in lines.splitlines()][:2]
    rows[1]["model_patch"] = NO_SUCH_FILE
    predictions = tmp_path / "preds.json"
    predictions.write_text(json.dumps(rows), encoding="utf-8")
    grade = ["grade", "demo", "--predictions", str(predictions), "--sandbox", "process"]
    graded = orchestrate(*grade, "--run-id", "others", "--instances", "orchard__.*", "--json")
    report = graded.report
    assert graded.exit_code == 4  # one instance has no prediction
    assert (report["instances"], report["graded"], report["resolved"]) == (3, 2, 1)
    assert report["failures"] == {"no_prediction": 1}
    assert report["causes"] == {"patch_does_not_apply": 1}


def test_changed_patch_is_graded_again_and_nothing_else_is(
    orchestrate: CommandLine, gold_run: Path
) -> None:
    patch = gold_run / "rollouts" / "orchard__ledger-12" / "1" / "patch.diff"
    patch.write_text("this is no patch\n", encoding="utf-8")
    again = orchestrate("grade", "gold", "--json")
    assert again.exit_code == 0, again.stderr
    assert again.report["unresolved_ids"] == ["orchard__ledger-12"]
    assert "0 rollouts" in again.stderr
    assert "1 patch to grade" in again.stderr


@pytest.mark.parametrize(
    ("proxy", "another"),
    [("http://127.0.0.1:9", "no proxy at all"), ("socks5h://127.0.0.1:9", "socks5h://127.0.0.1:9")],
)
def test_no_proxy_stands_between_the_parts_of_a_run(
    orchestrate: CommandLine, proxy: str, another: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`another` is for what has no variable of its own, and read by all that read the first."""
    named = {"http_proxy": proxy, "https_proxy": proxy, "all_proxy": another, "grpc_proxy": another}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.upper(), value)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    ended = orchestrate.launch("process", "proxied", "--instances", "orchard__ledger-12")

    assert (ended.exit_code, ended.report["resolved"]) == (0, 1), ended.stderr


def test_what_resume_changes_is_kept_and_stands_in_the_report(
    orchestrate: CommandLine, gold_run: Path
) -> None:
    refused = orchestrate("resume", "gold", "--set", "rollout.max_steps=5")
    refused.assert_one_line(2, "start a new run")
    more = ("--set", "cluster.grading.slots=2", "--set", "rollout.retries.endpoint_unavailable=0")
    again = orchestrate("resume", "gold", *more, "--json")

    assert [line.partition(" (")[0] for line in again.report["changes"]] == [
        "cluster.grading.slots auto → 2",
        "rollout.retries.endpoint_unavailable 5 → 0",
    ]
    report = (gold_run / "report.md").read_text(encoding="utf-8")
    assert report.count("| changed on resume |") == 2
