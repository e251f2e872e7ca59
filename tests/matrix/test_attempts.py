"""`launch --attempts K` is a matrix of one cell, with what K attempts come to in its report."""

from __future__ import annotations

import pytest
from support.matrices import FAILED, RESOLVED, UNRESOLVED, Table

from orchestrator.config import RunRequest
from orchestrator.errors import ConfigError
from orchestrator.matrix.attempts import as_matrix
from orchestrator.matrix.cells import plan_runs
from orchestrator.matrix.results import build_cells

YES, NO = RESOLVED, UNRESOLVED


def test_attempts_are_runs_of_one_cell_with_the_same_settings() -> None:
    request = RunRequest("demo", settings={"selection.slice": "0:3", "rollout.max_steps": 9})

    runs = [one.run for one in plan_runs(as_matrix(request, 3), "m", request)]

    assert [run.run_id for run in runs] == [f"m.scripted.mini.{n}" for n in (1, 2, 3)]
    assert len({run.cell for run in runs}) == 1
    assert {run.config.rollout.max_steps for run in runs} == {9}
    assert {run.config.selection.slice for run in runs} == {"0:3"}


@pytest.mark.parametrize("agent", ["gold", "nop"])
def test_an_agent_that_asks_no_model_has_nothing_to_repeat(agent: str) -> None:
    with pytest.raises(ConfigError, match="asks no model"):
        as_matrix(RunRequest("demo", agent=agent), 2)


def test_more_attempts_than_a_matrix_has_runs_are_one_line() -> None:
    with pytest.raises(ConfigError, match=r"--attempts 900: .*400 at most"):
        as_matrix(RunRequest("demo"), 900)


def test_a_cells_attempts_are_told_together_and_one_without_a_verdict_is_no_zero() -> None:
    table = Table()
    table.add("m", "a", [YES, YES, NO, YES], attempt=1)
    table.add("m", "a", [YES, NO, NO, FAILED], attempt=2)
    (cell,) = build_cells(table.runs)

    assert cell.repeated is not None
    assert (cell.repeated.instances, cell.repeated.left_out) == (3, 1)
    assert cell.repeated.pass_at[1].rate == pytest.approx(1 / 2)
    assert cell.repeated.pass_at[2].rate == pytest.approx(2 / 3)
    assert cell.repeated.pass_all[2].rate == pytest.approx(1 / 3)
    assert cell.repeated.flips == {"org__box-2": 1}


def test_one_attempt_has_nothing_of_the_kind() -> None:
    table = Table()
    table.add("m", "a", [YES, NO])

    assert build_cells(table.runs)[0].repeated is None
