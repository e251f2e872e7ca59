"""Runs of the demo in one session, as a program: started, or gone on with where they are there.

    python -m support.run_together RUNS_DIR INSTANCES RUN=PERSONA …

prints a JSON object of their reports by run id, and ends with the worst of their exit codes.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from orchestrator.config import RunRequest
from orchestrator.errors import OrchestratorError
from orchestrator.run.session import reopen, run_sessions, start


def main(runs_dir: str, instances: str, *runs: str) -> int:
    console = Console(stderr=True, width=200)
    with ExitStack() as stack:
        sessions = []
        for run in runs:
            run_id, _, persona = run.partition("=")
            if (Path(runs_dir) / run_id / "journal.sqlite").exists():
                session = reopen(Path(runs_dir) / run_id, console)
            else:
                session = start(request_of(runs_dir, instances, run_id, persona), console)
            sessions.append(stack.enter_context(session))
        finished = run_sessions(sessions, console, "both")
    reports = {one.report.run_id: dataclasses.asdict(one.report) for one in finished}
    print(json.dumps(reports, default=str))
    return max(one.exit_code for one in finished)


def request_of(runs_dir: str, instances: str, run_id: str, persona: str) -> RunRequest:
    settings = {
        "cluster.sandbox.kind": "process",
        "cluster.workers": 4,
        "model.personas.default": persona,
        "selection.instances": [instances],
    }
    return RunRequest("demo", run_id=run_id, runs_dir=runs_dir, settings=settings)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except OrchestratorError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
