"""The command line in this process or in one of its own, and the folders that it is pointed at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.benchmark import row
from support.commands import Ended

from orchestrator.cli import main
from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.made_up.benchmark import made_up_benchmark
from orchestrator.made_up.write import write_made_up_run
from orchestrator.paths import RunPaths
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock

GOOD = {"instance_id": "orchard__ledger-12", "model_name_or_path": "m", "model_patch": ""}


@pytest.fixture(scope="module")
def folders(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Runs that are there, one of them corrupt, and predictions with something wrong."""
    tmp = tmp_path_factory.mktemp("cli")
    runs = tmp / "runs"
    for run_id in ("there", "corrupt"):
        request = RunRequest(
            "demo", run_id=run_id, runs_dir=str(runs), settings={"cluster.sandbox.kind": "process"}
        )
        paths = RunPaths(runs / run_id)
        create_run(paths, load_config(request), demo, RunLock())
    paths.journal.write_bytes(b"no database at all" * 500)
    files = {
        "broken": "{",
        "keys": json.dumps({"instance_id": "x"}),
        "empty": "",
        "list": f"{json.dumps(GOOD)}\n{json.dumps(GOOD | {'model_patch': ['x']})}",
        "escape": json.dumps(row("../../escape")),
        "twice": f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}",
        "models": f"{json.dumps(GOOD)}\n"
        + json.dumps(GOOD | {"model_name_or_path": "n", "instance_id": "y"}),
        "strangers": json.dumps(GOOD | {"instance_id": "stranger__x-1"}),
    }
    for name, text in files.items():
        (tmp / f"{name}.jsonl").write_text(text, encoding="utf-8")
    matrix = "benchmark: smoke\nmodels: [scripted]\nagents: [mini]\n"
    (tmp / "m.yaml").write_text(matrix, encoding="utf-8")
    (tmp / "rows.csv").write_text("instance_id\n", encoding="utf-8")
    nowhere = "--set model.endpoint.base_url=http://127.0.0.1:9/v1"
    return {"tmp": str(tmp), "runs": str(runs), "nowhere": nowhere}


@pytest.fixture
def as_process(folders: dict[str, str]) -> Callable[..., Ended]:
    """Runs a command as `python -m orchestrator`; keywords are environment variables."""

    def run(args: str, **env: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *args.format(**folders).split()],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | env,
            cwd=folders["tmp"],
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def say(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Ended]:
    """Runs a command in this process: `say("status --runs-dir {runs}")`, with names of `folders`.

    The user's cache folder is an empty one.
    """
    monkeypatch.chdir(folders["tmp"])
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(Path(folders["tmp"], "cache")))

    def run(args: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["orchestrator", *args.format(**folders).split()])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A made-up run of six instances, `night`, for those who change nothing in it."""
    root = tmp_path_factory.mktemp("runs") / "night"
    return write_made_up_run(root, made_up_benchmark(6), seed=1)


@pytest.fixture
def paths(written: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy of its own for each test."""
    shutil.copytree(written.root, tmp_path / "runs" / "night")
    return RunPaths(tmp_path / "runs" / "night")
