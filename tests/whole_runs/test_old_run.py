"""A run that was begun with an earlier version goes on with this one."""

from __future__ import annotations

import pytest
from support.commands import CommandLine
from support.old_run import RUN_ID, lay_out_old_run

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_run_of_the_version_before_is_resumed_to_its_end(orchestrate: CommandLine) -> None:
    folder = lay_out_old_run(orchestrate.runs_dir)
    config = folder / "run.yaml"
    text = config.read_text(encoding="utf-8")
    assert "default: slow:2" in text
    config.write_text(text.replace("slow:2", "slow:0.1"), encoding="utf-8")
    patches = {p: p.read_bytes() for p in folder.glob("rollouts/*/1/patch.diff")}

    ended = orchestrate("resume", RUN_ID, "--json")

    assert ended.exit_code == 0, ended.stderr
    assert (ended.report["resolved"], ended.report["valid"]) == (12, True)
    assert {p: p.read_bytes() for p in patches} == patches
    assert len(list(folder.glob("rollouts/*/2"))) == 2
