"""What the system allows is read as it is, and raised as far as it may be."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from orchestrator.driver.process_limits import (
    Limit,
    open_files,
    processes,
    processes_running,
)

RAISE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from orchestrator.driver.process_limits import allow_open_files
allow_open_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_limits_are_the_systems() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert open_files().now == (None if soft == resource.RLIM_INFINITY else soft)
    assert processes_running() >= 1
    if os.geteuid() == 0:
        assert processes() == Limit(None, None)


@pytest.mark.parametrize(("soft", "hard", "then"), [(256, 4096, "4096"), (300, 300, "300")])
def test_a_launch_raises_the_limit_on_open_files_as_far_as_it_may(
    soft: int, hard: int, then: str
) -> None:
    program = RAISE.format(soft=soft, hard=hard)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == (then, "")
