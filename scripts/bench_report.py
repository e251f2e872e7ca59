"""What a report costs: seconds of processor and bytes, for runs of several sizes side by side.

Makes runs up (`scripts/report-demo` does the same), reads what their files say of each instance,
and writes report.json with report.md, then report.html with what lies beside it. Prints each part,
and the last size's cost an instance against the first's: above 1, it grows faster than the run.

usage: .venv/bin/python scripts/bench_report.py [--sizes 50 300] [--dataset-dir DIR]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.config import load_run_config
from orchestrator.journal import read_journal
from orchestrator.made_up.benchmark import lite_or_made_up, made_up_benchmark
from orchestrator.made_up.write import write_made_up_run
from orchestrator.page.write import write_page
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.markdown import render_markdown
from orchestrator.run.folder import evidence_of, subject_of
from orchestrator.run.lock import RunLock

PARTS = (
    "instances",
    "reading, s",
    "json and md, s",
    "html, s",
    "json and md, kB",
    "html, kB",
    "beside it, kB",
)


@dataclass(frozen=True)
class Cost:
    """Of one run's report. Seconds are of this process's processor."""

    instances: int
    reading_s: float
    texts_s: float
    page_s: float
    texts_kb: float
    page_kb: float
    beside_kb: float


def measure(paths: RunPaths) -> Cost:
    state, lock = read_journal(paths.journal), RunLock.read(paths)
    evidence = evidence_of(paths, load_run_config(paths.config), state, lock)
    began = time.process_time()
    subject = subject_of(evidence, lock)
    was_read = time.process_time()
    write_atomic(paths.report_json, json.dumps(subject.report.as_dict(), indent=1))
    write_atomic(paths.report_md, render_markdown(subject.report, state))
    has_texts = time.process_time()
    write_page(paths, subject, evidence)
    ended = time.process_time()
    return Cost(
        len(state.instances),
        was_read - began,
        has_texts - was_read,
        ended - has_texts,
        kilobytes(paths.report_json, paths.report_md),
        kilobytes(paths.report_html),
        kilobytes(*paths.report_files.glob("*")),
    )


def kilobytes(*files: Path) -> float:
    return sum(path.stat().st_size for path in files) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="What a report costs, by the size of its run.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 300], help="in instances")
    parser.add_argument("--dataset-dir", help="real rows of Lite; then its size is the last one")
    given = parser.parse_args()
    made = [made_up_benchmark(size) for size in given.sizes]
    if given.dataset_dir:
        made[-1] = lite_or_made_up(given.dataset_dir, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        runs = [write_made_up_run(Path(folder) / str(i), rows) for i, rows in enumerate(made)]
        measure(runs[0])  # imports, and the charts' engine
        costs = [measure(paths) for paths in runs]
    first, last = astuple(costs[0]), astuple(costs[-1])
    table = Table("", *(f"{cost.instances} instances" for cost in costs), "ratio an instance")
    for number, name in enumerate(PARTS[1:], start=1):
        values = [astuple(cost)[number] for cost in costs]
        per = [(cost[number] / cost[0]) for cost in (first, last)]
        ratio = f"{per[1] / per[0]:.2f}" if per[0] else ""
        table.add_row(name, *(f"{value:,.2f}" for value in values), ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
