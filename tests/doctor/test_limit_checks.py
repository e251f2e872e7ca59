"""The system's limits on files and processes, against a run's slots."""

from __future__ import annotations

import pytest

from orchestrator.doctor.check import Severity
from orchestrator.doctor.limit_checks import judge_files, judge_processes
from orchestrator.driver.process_limits import Limit, files_wanted, processes_wanted


@pytest.mark.parametrize(
    ("limit", "slots", "says"),
    [
        (Limit(256, None), 4, "a launch takes 8192"),  # macOS
        (Limit(1024, 524288), 8, "a launch takes 8192"),  # Linux
        (Limit(1024, 4096), 8, "a launch takes 4096"),
        (Limit(65536, 65536), 300, "65536; "),
        (Limit(None, None), 8, "as many as there are"),
        (Limit(1024, 1024), 8, "1024; "),
    ],
)
def test_a_limit_that_a_launch_raises_by_itself_passes(limit: Limit, slots: int, says: str) -> None:
    finding = judge_files(limit, slots)

    assert finding.level is Severity.PASS
    assert says in finding.what


@pytest.mark.parametrize(
    ("limit", "slots"), [(Limit(256, 256), 4), (Limit(1024, 1024), 100), (Limit(64, 128), 1)]
)
def test_a_limit_that_nobody_may_raise_is_told_with_what_does(limit: Limit, slots: int) -> None:
    finding = judge_files(limit, slots)

    assert finding.level is Severity.WARN
    assert f"{limit.highest} files, and {files_wanted(slots)} are wanted" in finding.what
    for words in ("ulimit -n", "limits.conf", "launchctl", "--workers"):
        assert words in finding.cure


@pytest.mark.parametrize(
    ("limit", "running", "cure"),
    [
        (Limit(2000, 2000), 1900, "Raise nproc"),
        (Limit(2000, 8000), 1900, "`ulimit -u 8000`"),
        (Limit(2000, None), 1900, "`ulimit -u unlimited`"),
        (Limit(2000, 2100), 1900, "Raise nproc"),
        (Limit(50, 50), 300, "Raise nproc"),
    ],
)
def test_too_few_processes_are_told(limit: Limit, running: int, cure: str) -> None:
    finding = judge_processes(limit, running, 4)

    assert finding.level is Severity.WARN
    assert f"{processes_wanted(4)} more" in finding.what
    assert finding.cure.startswith(cure)


@pytest.mark.parametrize("limit", [Limit(None, None), Limit(None, 4000), Limit(95000, 95000)])
def test_enough_processes_pass(limit: Limit) -> None:
    assert judge_processes(limit, 300, 8).level is Severity.PASS
