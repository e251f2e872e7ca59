"""What Ray takes by itself: started with its defaults, and one actor that answers."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from watched_processes import WatchedProcesses, say

SETTLES_S = 5
"""Ray's agents and its dashboard go on growing for some seconds after an actor has answered."""
PROGRAM = f"""
import sys, time, ray

ray.init(address="local")

@ray.remote
class Actor:
    def answer(self):
        return time.time()

answered = ray.get(Actor.remote().answer.remote())
with open(sys.argv[1], "w") as file:
    file.write(str(answered))
time.sleep({SETTLES_S})
"""


@dataclass(frozen=True)
class RayAlone:
    start_s: float
    """From the start of a Python to the actor's answer."""
    peak_mb: float


def measure_ray(folder: Path) -> RayAlone:
    """In a new folder. Raises CommandFailed where Ray does not start."""
    folder.mkdir()
    watched = WatchedProcesses("Ray alone", folder)
    began = time.time()
    try:
        answered = folder / "answered"
        watched.run(sys.executable, "-c", PROGRAM, answered, RAY_USAGE_STATS_ENABLED="0")
    finally:
        watched.kill()
    measured = RayAlone(float(answered.read_text(encoding="utf-8")) - began, watched.peak_mb)
    say(f"Ray alone: {measured.start_s:.1f} s, {measured.peak_mb:.0f} MB")
    return measured
