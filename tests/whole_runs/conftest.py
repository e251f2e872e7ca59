from pathlib import Path

import pytest
from support.commands import CommandLine


@pytest.fixture
def orchestrate(tmp_path: Path) -> CommandLine:
    """The command line with a runs folder of the test's own."""
    return CommandLine(tmp_path / "runs")
