"""A server that is there: looked at, read, taken down, and asked from here.

One script does each of these, over one connection: a person who types a password types it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import PrerequisiteError
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import answer_words
from orchestrator.serving.docker_command import LABEL, LABEL_PORT, LABEL_VARIANT
from orchestrator.serving.problems import Circumstances, script_problem, ssh_problem
from orchestrator.serving.scripts import (
    MARK,
    command_script,
    down_script,
    logs_script,
    status_script,
)
from orchestrator.serving.shell import Shell
from orchestrator.text import printable

KEPT_LINES = 50
"""Of a script's words, for an error."""
REACH_S = 5.0
MIB = 2**20


@dataclass(frozen=True)
class Status:
    """How a server stands."""

    host: str
    name: str
    state: str = ""
    """As docker has it; empty where there is no such container."""
    since: str = ""
    restarts: int = 0
    variant: str = ""
    image: str = ""
    port: int = 0
    health: str = ""
    """HTTP status of /health, asked over there."""
    last_line: str = ""
    gpu: str = ""
    """Memory, used of all, where the driver tells; it does not where the system shares it."""

    @property
    def is_healthy(self) -> bool:
        return self.state == "running" and self.health == "200"


def look(shell: Shell, name: str, port: int) -> Status:
    """How the server stands. Raises PrerequisiteError where ssh or docker fails."""
    place = Circumstances(str(shell), name, port=port)
    facts: dict[str, Any] = {}
    told: dict[str, str] = {}
    for line in run_script(shell, status_script(name, port), place):
        key, _, value = line.removeprefix(MARK).partition(" ")
        told[key] = printable(value).strip()
        if key == "found":
            facts = json_object(value)
    labels = labels_of(facts)
    if LABEL not in labels:
        return Status(str(shell), name, port=port)
    told_state, told_port = facts.get("state"), labels.get(LABEL_PORT, "")
    state = told_state if isinstance(told_state, dict) else {}
    restarts = facts.get("restarts")
    return Status(
        host=str(shell),
        name=name,
        state=str(state.get("Status", "")),
        since=str(state.get("StartedAt", "")).partition(".")[0].replace("T", " "),
        restarts=restarts if isinstance(restarts, int) else 0,
        variant=labels.get(LABEL_VARIANT, ""),
        image=str(facts.get("image", "")),
        port=int(told_port) if told_port.isdecimal() else port,
        health=told.get("health", ""),
        last_line=told.get("log", ""),
        gpu=gpu_words(told.get("gpu", "")),
    )


def take_down(shell: Shell, name: str) -> bool:
    """Stop and remove the server's container; whether there was one.

    Raises:
        PrerequisiteError: ssh or docker fails, or the container is not ours.
    """
    lines = run_script(shell, down_script(name), Circumstances(str(shell), name))
    return f"{MARK}absent" not in map(str.strip, lines)


def read_logs(shell: Shell, name: str, *, follow: bool, lines: int) -> Iterator[str]:
    """The server's log, line by line.

    Raises:
        PrerequisiteError: ssh or docker fails, or there is no such container.
    """
    place = Circumstances(str(shell), name)
    last: list[str] = []
    with shell.start(logs_script(name, follow=follow, lines=lines)) as running:
        for line in running.lines():
            if not last and line.strip() == f"{MARK}absent":
                raise PrerequisiteError(f"there is no {name} on {shell}.", "--up starts it.")
            last = [*last[1 - KEPT_LINES :], line]
            yield printable(line)
        if shell.has_failed(running.exit_code):
            raise ssh_problem(running.said_by_ssh, place)
        if running.exit_code:
            raise script_problem(running.exit_code, last, place)


def read_started(shell: Shell, name: str) -> dict[str, Any]:
    """How a container was started: `path`, `args`, `image`, `env`, `mounts`, as docker has them.

    Raises:
        PrerequisiteError: ssh or docker fails, or there is no such container.
    """
    for line in run_script(shell, command_script(name), Circumstances(str(shell), name)):
        if line.startswith(f"{MARK}found "):
            return json_object(line.removeprefix(f"{MARK}found "))
    raise PrerequisiteError(
        f"there is no container {name} on {shell}.", "`docker ps` there lists them."
    )


def why_not_reached(base_url: str) -> str:
    """What keeps this host from the server, in words; empty where nothing does."""
    import httpx

    root = base_url.removesuffix("/v1")
    way = way_to(root)
    try:
        with open_client(root, timeout=REACH_S) as client:
            reply = client.get(f"{root}/health")
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # ssh knows it by a nickname
        return f"{way.problem(error).what}{way}"
    return "" if reply.status_code == 200 else f"{answer_words(reply.status_code)}{way}"


def run_script(shell: Shell, script: str, place: Circumstances) -> tuple[str, ...]:
    """The lines of a short script. Raises PrerequisiteError where ssh or docker fails."""
    try:
        ended = shell.run(script)
    except TimeoutError:
        raise PrerequisiteError(
            f"docker on {shell} does not answer.", "Is its engine hung? `docker ps` there."
        ) from None
    if shell.has_failed(ended.exit_code):
        raise ssh_problem(ended.said_by_ssh, place)
    if ended.exit_code:
        raise script_problem(ended.exit_code, ended.lines, place)
    return ended.lines


def json_object(text: str) -> dict[str, Any]:
    """What docker tells of a container; nothing where that is no object of JSON."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def labels_of(facts: dict[str, Any]) -> dict[str, str]:
    found = facts.get("labels")
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def gpu_words(told: str) -> str:
    """`61.2 of 119.7 GB` of nvidia-smi's MiB; it says [N/A] where memory is the system's."""
    used, _, total = told.splitlines()[0].partition(",") if told else ("", "", "")
    if not (used.strip().isdecimal() and total.strip().isdecimal()):
        return ""
    return f"{int(used) * MIB / 1e9:.1f} of {int(total) * MIB / 1e9:.1f} GB"
