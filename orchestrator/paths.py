"""Every path of a run, and of the user's cache, spelled once.

runs/<run_id>/
    run.yaml                 the merged RunConfig that the run was started with
    lock.json                what the number depends on: versions, digests, serving facts
    journal.sqlite           the record: one row a rollout, one a grade
    driver.lock              held (flock) by the live driver
    gateway.log              outages and lost requests, one line each
    ray-session              where the local Ray of the live driver keeps its files
    predictions.jsonl        official keys, one line an instance with an outcome
    rollouts/<instance_id>/<attempt>/
        patch.diff           the prediction's patch (partial.diff of an interrupted one)
        trajectory.json      our one form; the agent's own file lies beside it
        result.json          written last: its existence means the folder is whole
    logs/run_evaluation/<run_id>/<model>/<instance_id>/      the harness's official layout
    <model>.<run_id>.json    the official final report
    report.{json,md}
    scratch/                 copies that process sandboxes work in; empty between runs

<cache>/agents/<kind>/       an agent with an installation of its own; its module draws it
                             (<cache>: $SWE_ORCHESTRATOR_CACHE, or the user's cache folder)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from orchestrator.types import RolloutKey


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run; see the module's docstring for the drawing."""

    root: Path

    @classmethod
    def of(cls, runs_dir: str, run_id: str) -> RunPaths:
        return cls(Path(runs_dir).resolve() / run_id)

    @property
    def run_id(self) -> str:
        return self.root.name

    @property
    def config(self) -> Path:
        return self.root / "run.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "lock.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def driver_lock(self) -> Path:
        return self.root / "driver.lock"

    @property
    def ray_session(self) -> Path:
        return self.root / "ray-session"

    @property
    def gateway_log(self) -> Path:
        return self.root / "gateway.log"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions.jsonl"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_md(self) -> Path:
        return self.root / "report.md"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def harness_logs(self) -> Path:
        return self.root / "logs" / "run_evaluation" / self.run_id

    def rollout(self, key: RolloutKey) -> Path:
        return self.root / "rollouts" / key.instance_id / str(key.attempt)

    def patch(self, key: RolloutKey) -> Path:
        return self.rollout(key) / "patch.diff"

    def harness_log(self, model: str, instance_id: str) -> Path:
        return self.harness_logs / harness_model_name(model) / instance_id


def user_cache() -> Path:
    """Where what is kept between runs lies; each agent that is installed has a folder in it."""
    given = os.environ.get("SWE_ORCHESTRATOR_CACHE")
    cache = Path(given) if given else platformdirs.user_cache_path("swe-orchestrator")
    return cache.resolve()


def harness_model_name(model: str) -> str:
    """The folder name that the official harness makes of a model's name."""
    return model.replace("/", "__")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write to a temporary file beside `path`, fsync, rename: readers see all of it or nothing."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
