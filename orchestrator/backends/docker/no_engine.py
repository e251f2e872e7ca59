"""Why no Docker engine answers at its address, and how the one that is meant is started. Pure.

Docker's SDK says `Error while fetching server API version` of everything; the system's own error is
looked for in what that was raised from.
"""

from __future__ import annotations

import errno
import os
import sys

from orchestrator.backends.docker.address import DEFAULT_SOCKET, EngineAddress
from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.problems import HUNG_UP, causes, explain, wants_https

ELSEWHERE = "`docker context ls` shows where else one may be; DOCKER_HOST names it."
STARTS = {
    "orbstack": "Start OrbStack: `orb start`, or `open -a OrbStack`.",
    "colima": "Start Colima: `colima start`.",
    "lima": "Start it: `limactl start`.",
    "rancher": "Start Rancher Desktop: `rdctl start`.",
    "/.rd/": "Start Rancher Desktop: `rdctl start`.",
    "podman": "Start it: `podman machine start`; on Linux, `systemctl --user start podman.socket`.",
    "rootless": "Start it: `systemctl --user start docker`.",
    "/run/user/": "Start it: `systemctl --user start docker`.",
}
"""By what stands in an engine's address, or in the name of its context; the first that does."""
DESKTOP = ("desktop", "/.docker/")
START_DESKTOP = {
    "darwin": "Start Docker Desktop: `open -a Docker`.",
    "linux": "Start Docker Desktop: `systemctl --user start docker-desktop`.",
}
START_DEFAULT = {
    "darwin": "Start the one that is installed: `orb start` (OrbStack), `open -a Docker` (Docker "
    "Desktop) or `colima start`.",
    "linux": "Start it: `sudo systemctl start docker`.",
}
IS_DOWN = {
    errno.ENOENT: "no engine has made this socket",
    errno.ENOTDIR: "no engine has made this socket",
    errno.ECONNREFUSED: "the engine that made this socket is gone",
    errno.ECONNRESET: "the engine broke off: it starts, or ends",
    errno.EPIPE: "the engine broke off: it starts, or ends",
    errno.ETIMEDOUT: "the engine hangs",
}
"""What the system says of a socket while its engine is not up."""
FORBIDDEN = (errno.EACCES, errno.EPERM)


def no_engine(
    error: Exception, engine: EngineAddress, *, target: str = "", system: str = sys.platform
) -> PrerequisiteError:
    """What to tell of an engine that was asked for a sign of life, and met with an error.

    `target` is where the path of its socket leads to by links, as `/var/run/docker.sock` of a Mac.
    """
    is_socket = engine.url.startswith("unix:")
    leads_to = f", which leads to {target}" if target else ""
    words, cure = (_of_socket if is_socket else _of_network)(error, engine, target, system)
    return PrerequisiteError(
        f"no Docker engine answers at {engine}{leads_to} ({words}).", f"{cure} {ELSEWHERE}"
    )


def how_to_start(engine: EngineAddress, target: str = "", system: str = sys.platform) -> str:
    """The command that starts the engine of an address, by what the address gives away."""
    signs = f"{engine.url} {engine.origin} {target}".lower()
    for sign, cure in STARTS.items():
        if sign in signs:
            return cure
    family = "darwin" if system == "darwin" else "linux"
    if any(sign in signs for sign in DESKTOP):
        return START_DESKTOP[family]
    if engine.url == DEFAULT_SOCKET:
        return START_DEFAULT[family]
    return "Start it."


def _of_socket(
    error: Exception, engine: EngineAddress, target: str, system: str
) -> tuple[str, str]:
    start = how_to_start(engine, target, system)
    for found in causes(error):
        number = found.errno if isinstance(found, OSError) else None
        if number in IS_DOWN:
            return f"{os.strerror(number)}: {IS_DOWN[number]}", start
        if number in FORBIDDEN:
            return f"{os.strerror(number)}: this user may not speak to it", _how_to_allow(system)
        if "path too long" in str(found):
            return "its path is too long for a socket", "Name it by a shorter one, or a link."
        if isinstance(found, TimeoutError) or "Timeout" in type(found).__name__:
            return "no answer in time: the engine hangs", f"Restart it. {start}"
    if any(sign in str(error) for sign in HUNG_UP):
        return IS_DOWN[errno.ECONNRESET], start
    return _said(error), start


def _of_network(
    error: Exception, engine: EngineAddress, _target: str, system: str
) -> tuple[str, str]:
    if wants_https(getattr(error, "status_code", None) or 0, str(error)):
        return "it speaks TLS", "Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to its keys."
    problem = explain(error, engine.url.replace("tcp://", "http://", 1), system=system)
    is_known = not problem.what.startswith(type(error).__name__)
    return problem.what if is_known else _said(error), problem.cure or "Is it up there?"


def _how_to_allow(system: str) -> str:
    if system == "darwin":
        return "Work as the user who has started it."
    return "`sudo usermod -aG docker $USER`, and log in anew."


def _said(error: Exception) -> str:
    """What an error says that is none of the system's, such as of an engine that is paused."""
    return one_line(getattr(error, "explanation", None) or error, 200) or type(error).__name__
