"""When the imports of reports begin: not before all that is left runs already."""

from __future__ import annotations

import pytest
from support.rows import key_of

from orchestrator.display.view import Slot, View
from orchestrator.driver.scheduler import Stage
from orchestrator.run.together import _ends_with_what_runs


@pytest.mark.parametrize(
    ("rolled_out", "to_grade", "graded", "running", "ends"),
    [
        (0, 0, 0, [], False),
        (2, 2, 1, [Stage.ROLLOUT, Stage.GRADE], False),
        (3, 3, 1, [Stage.GRADE], False),
        (3, 3, 1, [Stage.GRADE, Stage.GRADE], True),
        (3, 2, 1, [Stage.GRADE], True),
        (3, 1, 1, [], True),
        (2, 2, 2, [], False),  # one has failed: it is redone, or left
    ],
)
def test_imports_of_reports_begin_with_the_last_grades(
    rolled_out: int, to_grade: int, graded: int, running: list[Stage], ends: bool
) -> None:
    view = View("three", instances=3, started_at=0.0, rolled_out=rolled_out, to_grade=to_grade)
    view.verdicts = {("r", f"v-{number}"): True for number in range(graded)}
    for number, stage in enumerate(running):
        key = key_of(f"i-{number}")
        view.slots[stage, key] = Slot(stage, key, 0.0, "")

    assert _ends_with_what_runs(view) is ends
