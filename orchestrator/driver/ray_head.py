"""Ray on this host for one driver: a process in a session of its own, which Ray's are children of.

So nothing that a terminal sends to the driver's process group reaches Ray, and Ray, which makes
whoever starts it the leader of a process group where the system has no prctl (macOS), leaves the
driver in the terminal's foreground.

Settings of `ray.init` are the first line of standard input. One line of standard output answers:
Ray's address and the folder of its session, or why it does not start. When standard input ends, as
it does with the driver, however that ends, all processes of the session are killed. They are also
killed when one of them ends without which nothing works; the driver sees this process end then.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import sys
from typing import Any

import ray
from ray._private import ray_constants, worker

from orchestrator.driver.local_ray import kill_session

NEEDED = {ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET}
WATCH_EVERY_S = 1.0


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever Ray prints
    # Ray quotes commands as Windows reads them, and reads them as a shell does: with this Python's
    # path in them, which may hold quotes
    subprocess.list2cmdline = lambda seq: shlex.join(map(os.fsdecode, seq))
    answer = _start(json.loads(sys.stdin.readline()))
    print(json.dumps(answer), file=answers, flush=True)
    if "error" not in answer:
        _wait_for_an_end()
    kill_session(os.getsid(0))


def _start(settings: dict[str, Any]) -> dict[str, str]:
    try:
        started = ray.init("local", **settings).address_info
    except Exception as error:  # noqa: BLE001 - the process's boundary: the driver tells the person
        return {"error": str(error) or type(error).__name__}
    return {"address": started["gcs_address"], "session_dir": started["session_dir"]}


def _wait_for_an_end() -> None:
    """The driver's, or that of a process which Ray needs."""
    node = worker._global_node
    while not select.select([sys.stdin], [], [], WATCH_EVERY_S)[0]:
        if any(name in NEEDED for name, _ in node.dead_processes()):
            return


if __name__ == "__main__":
    main()
