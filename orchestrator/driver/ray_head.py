"""Ray on this host for one driver: a process in a session of its own, which Ray's are children of.

So nothing that a terminal sends to the driver's process group reaches Ray, and Ray, which makes
whoever starts it the leader of a process group where the system has no prctl (macOS), leaves the
driver in the terminal's foreground.

    python -m orchestrator.driver.ray_head BYTES_OF_SHARED_MEMORY

One line of standard output answers: Ray's address and the folder of its session, or why it does not
start. Then `ray_watch` takes this process's place: it ends Ray when standard input ends.

Ray is started by the class by which `ray.init` starts it, without what no run has a use for, which
was four fifths of Ray's memory and of its time: the dashboard's server, the autoscaler, the reader
of logs, and on the node the dashboard's agent (metrics, pages of logs) and the agent for
`runtime_env` (environments, for which nobody asks). The raylet can't be without these two: it has
each started, waits until its ports are written down, and ends when it ends. A shell does that.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from typing import Any

import ray
from ray import _raylet
from ray._private import node, parameter, ray_constants, services
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled

from orchestrator.driver.ray_watch import kill_session

WATCH = ("-m", "orchestrator.driver.ray_watch")
NEEDED = (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET)
FIRST_WORKERS = 1
"""That start when the driver connects, before it asks for one: the node's worker."""
NO_SERVICE = -1
"""Ray's own word for an agent that has no such port."""
NOBODY_LISTENS = 1
"""The raylet wants a port of the agent for `runtime_env`, which it asks nothing."""
PORTS_OF_AGENTS = {
    _raylet.METRICS_AGENT_PORT_NAME: NO_SERVICE,  # type: ignore[attr-defined]  # compiled
    _raylet.METRICS_EXPORT_PORT_NAME: NO_SERVICE,  # type: ignore[attr-defined]
    _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME: NO_SERVICE,  # type: ignore[attr-defined]
    _raylet.RUNTIME_ENV_AGENT_PORT_NAME: NOBODY_LISTENS,  # type: ignore[attr-defined]
}
"""That the raylet waits for, by the names under which agents write them down."""
AGENTS = ("--dashboard_agent_command=", "--runtime_env_agent_command=")
"""The raylet's options that say how its agents are started."""


class LeanNode(node.Node):  # type: ignore[misc]  # Ray has no types
    """A head node without the dashboard's server, which `ray.init` always starts, and without
    agents."""

    def start_api_server(self, **_: Any) -> None:
        pass

    def start_raylet(self, *args: Any, **kwargs: Any) -> None:
        session_dir = self.get_session_dir_path()
        for name, port in PORTS_OF_AGENTS.items():
            _raylet.persist_port(session_dir, self.node_id, name, port)  # type: ignore[attr-defined]

        def start(command: list[str], *more: Any, **settings: Any) -> Any:
            return as_it_is(without_agents(command, session_dir), *more, **settings)

        as_it_is = services.start_ray_process
        services.start_ray_process = start
        try:
            super().start_raylet(*args, **kwargs)
        finally:
            services.start_ray_process = as_it_is


def without_agents(command: list[str], session_dir: str) -> list[str]:
    """The raylet's command line with shells in the place of its agents, which end with this
    process's standard input. The folder is there for who looks for processes of this Ray."""
    shell = shlex.join(["/bin/sh", "-c", "read -r _", session_dir])
    return [
        next((f"{option}{shell}" for option in AGENTS if word.startswith(option)), word)
        for word in command
    ]


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever Ray prints
    # Ray quotes commands as Windows reads them, and reads them as a shell does: with this Python's
    # path in them, which may hold quotes
    subprocess.list2cmdline = lambda seq: shlex.join(map(os.fsdecode, seq))
    try:
        started = _start(int(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - the process's boundary: the driver tells the person
        _answer(answers, {"error": str(error) or type(error).__name__})
        kill_session(os.getsid(0))
        return
    addresses = started.address_info
    session_dir = addresses["session_dir"]
    _answer(answers, {"address": addresses["gcs_address"], "session_dir": session_dir})
    needed = [str(started.all_processes[name][0].process.pid) for name in NEEDED]
    os.execv(sys.executable, [sys.executable, *WATCH, session_dir, *needed])


def _answer(answers: int, answer: dict[str, str]) -> None:
    """A driver that has ended meanwhile has no use for it; `ray_watch` sees that."""
    with contextlib.suppress(BrokenPipeError):
        os.write(answers, json.dumps(answer).encode() + b"\n")


def _start(object_store_bytes: int) -> LeanNode:
    """As `ray.init` does, but that this process does not join it as a driver."""
    ensure_token_if_auth_enabled({}, create_token_if_missing=True)
    settings = node_settings(object_store_bytes)
    # without a reaper: where Ray has one (macOS), it would end all when this program is another
    return LeanNode(settings, head=True, shutdown_at_exit=False, spawn_reaper=_is_fate_shared())


def node_settings(object_store_bytes: int) -> parameter.RayParams:
    """Those of `ray.init`, less the autoscaler and the reader of logs."""
    return parameter.RayParams(
        num_cpus=FIRST_WORKERS,
        object_store_memory=object_store_bytes,
        include_dashboard=False,
        huge_pages=None,
        no_monitor=True,
        include_log_monitor=False,
    )


def _is_fate_shared() -> bool:
    """Whether the system ends Ray's processes with their parent."""
    return bool(ray._private.utils.detect_fate_sharing_support())


if __name__ == "__main__":
    main()
