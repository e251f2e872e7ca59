"""A run's folder as version 0.1.0 left it: a demo run that a person stopped half-way.

Of its files those that later versions read are kept, and its journal as SQL (`sqlite3 .dump`).
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

RUN_OF_0_1 = Path(__file__).parents[1] / "journal" / "run_of_0_1"
RUN_ID = "int-process"


def lay_out_old_run(runs_dir: Path) -> Path:
    """A copy of it, journal and all; gives its folder."""
    folder = runs_dir / RUN_ID
    shutil.copytree(RUN_OF_0_1, folder, ignore=shutil.ignore_patterns("*.sql"))
    with closing(sqlite3.connect(folder / "journal.sqlite")) as db:
        db.executescript((RUN_OF_0_1 / "journal.sql").read_text(encoding="utf-8"))
    return folder
