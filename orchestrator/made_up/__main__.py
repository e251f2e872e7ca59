"""`python -m orchestrator.made_up`: what a report looks like, without a model and without a night.

The rows are SWE-bench Lite's, from a folder or the hub; made-up ones where neither has them.
Nothing is run, and no model is asked: the numbers say nothing about anything.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orchestrator.config import load_run_config
from orchestrator.errors import OrchestratorError
from orchestrator.journal import read_journal
from orchestrator.made_up.benchmark import lite_or_made_up
from orchestrator.made_up.write import write_made_up_run
from orchestrator.run.folder import write_reports
from orchestrator.run.lock import RunLock


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="report-demo",
        description="Make up a run of 300 instances, write its report, and print where it lies.",
    )
    parser.add_argument("--dataset-dir", help="a folder that holds SWE-bench_Lite-test.parquet")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another night")
    parser.add_argument("--failures", type=int, default=0, help="instances left without a verdict")
    parser.add_argument("--to", type=Path, default=Path("runs/made-up"), help="a folder to make")
    given = parser.parse_args()
    try:
        rows = lite_or_made_up(given.dataset_dir, given.seed)
        print(f"making up a night of {rows.words}", file=sys.stderr)
        paths = write_made_up_run(given.to, rows, seed=given.seed, failures_left=given.failures)
        config, state = load_run_config(paths.config), read_journal(paths.journal)
        write_reports(config, paths, rows.dataset, state, RunLock.read(paths))
    except OrchestratorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(paths.report_html)
    return 0


if __name__ == "__main__":
    sys.exit(main())
