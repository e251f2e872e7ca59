"""The page of a whole benchmark: 300 instances, as SWE-bench Lite has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.config import load_run_config
from orchestrator.journal import read_journal
from orchestrator.made_up.benchmark import made_up_benchmark
from orchestrator.made_up.write import write_made_up_run
from orchestrator.run.folder import write_reports
from orchestrator.run.lock import RunLock


@pytest.mark.slow
def test_the_page_of_300_instances_is_small_and_loads_nothing(tmp_path: Path) -> None:
    rows = made_up_benchmark(300)
    paths = write_made_up_run(tmp_path / "night", rows, failures_left=3)
    config, state = load_run_config(paths.config), read_journal(paths.journal)

    write_reports(config, paths, rows.dataset, state, RunLock.read(paths))

    page = paths.report_html.read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert len(re.findall(r"<tr[^>]* data-", page)) >= 300 or page.count("#/") >= 300
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', markup)
    assert "quarantined" in page.lower()
