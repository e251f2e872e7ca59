"""What a calibration has found, as a table, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.table import Table

from orchestrator.calibrate.rounds import Calibration
from orchestrator.errors import EXIT_INTERRUPTED, one_line
from orchestrator.report.calibration import GRADABLE_WORDS, Gradable
from orchestrator.report.words import counted
from orchestrator.text import printable
from orchestrator.user_paths import calibration_rounds

MARKS = {Gradable.NOT_GRADABLE: "✗", Gradable.FLICKERS: "~"}
STYLES = {Gradable.NOT_GRADABLE: "red", Gradable.FLICKERS: "yellow"}


def render_calibration(calibration: Calibration) -> Table | None:
    """The instances that this host can't grade, or not reliably; None where there are none."""
    found = [s for s in calibration.standings.values() if s.gradable in STYLES]
    if not found:
        return None
    table = Table(box=box.SIMPLE, show_header=False, padding=(0, 2, 0, 0))
    table.add_column("instance", no_wrap=True)
    table.add_column("how gold was graded", overflow="fold")
    for standing in sorted(found, key=lambda s: s.gradable is not Gradable.NOT_GRADABLE):
        times = f"resolved {standing.resolved} of {counted(standing.trials, 'time')}"
        why = one_line(printable(standing.why), 160)
        table.add_row(
            f"{MARKS[standing.gradable]} {standing.instance_id}",
            f"{GRADABLE_WORDS[standing.gradable]}, {times}: {why}",
            style=STYLES[standing.gradable],
        )
    return table


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """The sum of it, where to read more, and how to go on."""
    kinds = Counter(standing.gradable for standing in calibration.standings.values())
    whole = len(calibration.standings) + len(calibration.untried)
    where = f"{calibration.kind} sandboxes"
    if calibration.architecture:
        where += f", {calibration.platform} images on {calibration.architecture}"
    counts = [f"{kinds[kind]:,} {GRADABLE_WORDS[kind]}" for kind in Gradable if kinds[kind]]
    if calibration.untried:
        counts.append(f"{len(calibration.untried):,} not tried yet")
    yield f"{calibration.benchmark}: of {counted(whole, 'instance')} {', '.join(counts)} ({where})"
    if kinds[Gradable.NOT_GRADABLE] or kinds[Gradable.FLICKERS]:
        yield f"what their tests printed lies in {calibration_rounds()}"
    if calibration.exit_code == EXIT_INTERRUPTED:
        yield "stopped: the same command goes on"
    elif calibration.untried:
        shown = ", ".join(calibration.untried[:3])
        yield f"not tried yet: {shown}{' …' if len(calibration.untried) > 3 else ''}"
        yield "the same command goes on with them"
    elif calibration.graded_too_seldom:
        seldom = counted(len(calibration.graded_too_seldom), "instance")
        yield f"{seldom} not graded as often as asked for: the same command goes on with them"
    elif all(standing.trials == 1 for standing in calibration.standings.values()):
        yield "graded once each: --again finds what flickers"


def calibration_dict(calibration: Calibration) -> dict[str, Any]:
    """For --json."""
    return {
        "benchmark": calibration.benchmark,
        "platform": calibration.platform,
        "architecture": calibration.architecture,
        "sandboxes": calibration.kind,
        "counts": {
            kind: sum(s.gradable is kind for s in calibration.standings.values())
            for kind in Gradable
        },
        "instances": {
            i: {
                "gradable": s.gradable,
                "resolved": s.resolved,
                "trials": s.trials,
                "why": s.why,
                "round": s.run_id,
            }
            for i, s in calibration.standings.items()
        },
        "untried": list(calibration.untried),
        "graded_too_seldom": list(calibration.graded_too_seldom),
    }
