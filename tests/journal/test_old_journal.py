"""A journal that an earlier version wrote: it reads to the same report, and can be gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.old_run import RUN_ID, RUN_OF_0_1, lay_out_old_run
from support.rows import instances

from orchestrator.config import load_run_config
from orchestrator.driver.files import read_patches
from orchestrator.driver.plan import make_plan
from orchestrator.journal import Journal, read_journal
from orchestrator.paths import RunPaths
from orchestrator.report.build import build_report
from orchestrator.report.markdown import render_markdown
from orchestrator.types import (
    Failure,
    FailureKind,
    Outcome,
    PulledImage,
    RolloutKey,
    RolloutRecord,
    patch_sha256,
)

STOPPED = ["orchard__ledger-31", "orchard__ledger-47"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lay_out_old_run(tmp_path)


def test_it_reads_to_the_report_that_it_had_then(folder: Path) -> None:
    config, state = load_run_config(folder / "run.yaml"), read_journal(folder / "journal.sqlite")
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    report = build_report(config, state, lock["versions"])

    was = json.loads((RUN_OF_0_1 / "report.json").read_text(encoding="utf-8"))
    now = json.loads(json.dumps(report.as_dict()))
    later = {"decided": {}, "set_aside_ids": [], "changes": [], "emulation": "", "platform": ""}
    integrity = {"dropped": 0, "left": 0, "found": {}}
    calls = {"steps": 16, "unusable_answers": 0, "tool_calls": None}
    expected = was | later | calls | {"images": {}, "integrity": integrity}
    assert {key: now[key] for key in expected} == expected
    assert render_markdown(report, state) == (RUN_OF_0_1 / "report.md").read_text(encoding="utf-8")


def test_the_patches_that_lie_beside_it_are_those_that_it_knows(folder: Path) -> None:
    state = read_journal(folder / "journal.sqlite")
    patches = read_patches(RunPaths(folder), state)

    assert {name: patch_sha256(patch) for name, patch in patches.items()} == {
        name: record.patch_sha256 for name, record in state.outcomes.items()
    }


def test_what_was_stopped_then_and_what_never_started_is_left_to_do(folder: Path) -> None:
    state = read_journal(folder / "journal.sqlite")
    plan = make_plan(instances(*state.instances), state)

    assert [key for key in plan.rollouts if key.attempt == 2] == [
        RolloutKey(RUN_ID, name, 2) for name in STOPPED
    ]
    assert (len(plan.rollouts), plan.grades, plan.done) == (8, (), 4)


def test_it_takes_new_records_beside_the_old_ones(folder: Path) -> None:
    before = read_journal(folder / "journal.sqlite")
    done = RolloutRecord(RolloutKey(RUN_ID, STOPPED[0], 2), outcome=Outcome.SUBMITTED)
    with Journal.open(folder / "journal.sqlite") as journal:
        journal.append_rollout(done)
        assert journal.pulled() == (), "it kept no record of that"
        journal.add_pulled(PulledImage("an/image"))
        after = journal.state()

    assert after.rollouts == (*before.rollouts, done)
    assert after.failures == {
        STOPPED[1]: Failure(FailureKind.INTERRUPTED, "stopped by hand"),
    }
