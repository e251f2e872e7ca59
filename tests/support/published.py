"""Published results: made-up ones of the form that the real ones have, and the real ones."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import orchestrator

DATA = os.environ.get("SWE_ORCHESTRATOR_TEST_DATA")
REAL = Path(DATA or Path(orchestrator.__file__).parents[2] / "shared" / "data")
REAL_RESULTS = REAL / "published-lite-results.json"


def made_up(instances: int = 60, systems: int = 4, benchmark: str = "SWE-bench_Lite") -> Any:
    """Systems that resolve ever more of the instances, and not always the same ones."""
    chance = random.Random(4)
    ids = [f"org__box-{number}" for number in range(1, instances + 1)]
    return {
        "benchmark": benchmark,
        "split": "test",
        "instances": instances,
        "source": "made up",
        "systems": {
            f"system-{n}": sorted(i for i in ids if chance.random() < (n + 1) / (systems + 2))
            for n in range(systems)
        },
    }


def write_made_up(folder: Path, **how: Any) -> Path:
    path = folder / "published.json"
    path.write_text(json.dumps(made_up(**how)), encoding="utf-8")
    return path
