"""Ray on this host for one driver: a process in a session of its own, which Ray's are children of.

So nothing that a terminal sends to the driver's process group reaches Ray, and Ray, which makes
whoever starts it the leader of a process group where the system has no prctl (macOS), leaves the
driver in the terminal's foreground.

Settings of `ray.init` are the first line of standard input. One line of standard output answers:
Ray's address and the folder of its session, or why it does not start. When standard input ends, as
it does with the driver, however that ends, all processes of the session are killed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import Any

import ray

from orchestrator.driver.local_ray import kill_session


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever Ray prints
    # Ray quotes commands as Windows reads them, and reads them as a shell does: with this Python's
    # path in them, which may hold quotes
    subprocess.list2cmdline = lambda seq: shlex.join(map(os.fsdecode, seq))
    answer = _start(json.loads(sys.stdin.readline()))
    print(json.dumps(answer), file=answers, flush=True)
    sys.stdin.read()
    kill_session(os.getsid(0))


def _start(settings: dict[str, Any]) -> dict[str, str]:
    try:
        started = ray.init("local", **settings).address_info
    except Exception as error:  # noqa: BLE001 - the process's boundary: the driver tells the person
        return {"error": str(error) or type(error).__name__}
    return {"address": started["gcs_address"], "session_dir": started["session_dir"]}


if __name__ == "__main__":
    main()
