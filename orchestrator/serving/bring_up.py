"""A server is brought up on its host, and watched until it is healthy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as replace_in
from typing import Any, Protocol

from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.serving.docker_command import LABEL_OPTIONS, DockerRun
from orchestrator.serving.problems import Circumstances, script_problem, ssh_problem, why_it_died
from orchestrator.serving.scripts import DIED, DIFFERS, MARK, up_script
from orchestrator.serving.server import KEPT_LINES, json_object, labels_of
from orchestrator.serving.shell import Shell
from orchestrator.serving.view import differences
from orchestrator.text import printable

RETRY_S = 5.0
"""Before the connection is made anew that broke off while a server came up."""


class Watcher(Protocol):
    """Who watches a server come up."""

    def say(self, text: str) -> None:
        """A line that stays."""
        ...

    def show(self, text: str) -> None:
        """How it stands now; the next one takes its place."""
        ...


@dataclass
class _Watched:
    """What a script has told so far of a server that comes up."""

    progress: Watcher
    place: Circumstances
    wanted: tuple[str, ...]
    """The command, an option a line."""
    phase: str = "connecting"
    words: list[str] = field(default_factory=list)
    """Docker's own, since the last step."""
    deaths: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    """What docker knew of the container that was there."""
    was_there: bool = False
    is_stopped: bool = False
    """Whether the script has stopped it, for it died."""
    is_heard: bool = False
    """Whether the present connection has told anything."""
    holders: list[str] = field(default_factory=list)
    layers: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    @property
    def is_started(self) -> bool:
        return self.phase not in ("connecting", "pull")

    def take(self, line: str) -> None:
        self.is_heard = True
        name, _, value = line.removeprefix(MARK).partition(" ")
        if line.startswith(MARK) and name in _TOLD:
            _TOLD[name](self, value)
            return
        self.words = [*self.words[1 - KEPT_LINES :], line]
        if self.phase == "pull":
            self._pulled(line)

    def _step(self, value: str) -> None:
        if self.phase == "connecting":
            self.was_there = value == "already"
        self.phase, self.words = value, []
        self.progress.say(_STEPS[value].format(**vars(self.place)))

    def _pulled(self, line: str) -> None:
        """Docker tells without a terminal when a layer begins and ends, and nothing between."""
        layer, _, state = line.partition(": ")
        if state.startswith(("Pulling fs layer", "Already exists")):
            self.layers.add(layer)
        if state.startswith(("Pull complete", "Already exists")):
            self.done.add(layer)
            self.layers.add(layer)
        if self.layers:
            self.progress.show(f"image: {len(self.done)} of {len(self.layers)} layers")

    def _log(self, value: str) -> None:
        if value.strip():
            self.progress.show(printable(value).strip())

    def _death(self, value: str) -> None:
        self.deaths.append(printable(value))

    def _find(self, value: str) -> None:
        self.found = json_object(value)

    def _stopped(self, _value: str) -> None:
        self.is_stopped = True

    def _holder(self, value: str) -> None:
        self.holders.append(value)


_TOLD: dict[str, Callable[[_Watched, str], None]] = {
    "step": _Watched._step,
    "log": _Watched._log,
    "death": _Watched._death,
    "found": _Watched._find,
    "holder": _Watched._holder,
    "stopped": _Watched._stopped,
}
"""By the name that a script gives a line."""
_STEPS = {
    "pull": "{host} pulls {image}",
    "start": "{host} starts {name}",
    "again": "{host} has {name}, which was stopped, and starts it again",
    "already": "{host} has {name} already, with this very command",
}


def bring_up(
    shell: Shell,
    run: DockerRun,
    template_text: str | None,
    progress: Watcher,
    *,
    replace: bool = False,
    limit_s: float = 7200,
) -> bool:
    """Start the server unless it runs already; wait until it is healthy. Whether it ran before.

    The server goes on where this is interrupted, or a connection breaks off.

    Raises:
        ConfigError: it runs with another command, and `replace` was not asked for.
        PrerequisiteError: ssh, docker or the server fails, or it takes longer than `limit_s`.
    """
    place = Circumstances(str(shell), run.name, run.image, run.port)
    watched = _Watched(progress, place, run.lines())
    until = time.monotonic() + limit_s
    try:
        while not _watch(shell, up_script(run, template_text, replace=replace), watched, until):
            tell = progress.say if watched.is_heard else progress.show
            tell(f"the connection to {shell} broke off; looking again")
            time.sleep(min(RETRY_S, max(until - time.monotonic(), 0)))
    except KeyboardInterrupt:
        progress.say(_left_behind(watched))
        raise
    except TimeoutError:
        raise PrerequisiteError(
            f"{run.name} on {shell} is not healthy after {limit_s / 60:g} minutes.",
            _left_behind(watched),
        ) from None
    return watched.was_there


def _watch(shell: Shell, script: str, watched: _Watched, until: float) -> bool:
    """Follow the script to its end; False where the connection broke off on the way.

    Raises:
        ConfigError, PrerequisiteError: as `bring_up`.
        TimeoutError: it is `until`.
    """
    watched.is_heard = False
    with shell.start(script) as running:
        for line in running.lines(until):
            watched.take(line)
        if running.exit_code == 0:
            return True
        if shell.has_failed(running.exit_code):
            if watched.phase != "connecting":
                return False
            raise ssh_problem(running.said_by_ssh, watched.place)
        raise _problem(running.exit_code or 0, watched)


def _problem(exit_code: int, watched: _Watched) -> ConfigError | PrerequisiteError:
    place = watched.place
    if exit_code == DIFFERS:
        for line in differences(_options(watched.found), watched.wanted):
            watched.progress.say(f"  {line}")
        return ConfigError(
            f"{place.host} has {place.name} with another command, as above (- there, + wanted): "
            "--replace takes its place"
        )
    if exit_code == DIED:
        for line in watched.deaths:
            watched.progress.say(f"  {line}")
        meaning = why_it_died(watched.deaths, place)
        stopped = "It is stopped, so that it does not go on trying." * watched.is_stopped
        return PrerequisiteError(
            f"{place.name} on {place.host} has died; above are its last lines, --logs shows more.",
            " ".join(filter(None, (stopped, meaning))),
        )
    holder = f", container {', '.join(watched.holders)}" if watched.holders else ""
    return script_problem(exit_code, watched.words, replace_in(place, holder=holder))


def _left_behind(watched: _Watched) -> str:
    """What goes on there without us."""
    if not watched.is_started:
        return "Nothing was started yet; the same command goes on from here."
    return "It goes on there: --status and --logs show how far it is, --down ends it."


def _options(found: dict[str, Any]) -> list[str]:
    """Those that a container of ours was started with."""
    try:
        options = json.loads(labels_of(found).get(LABEL_OPTIONS, ""))
    except ValueError:
        return []
    return [str(option) for option in options] if isinstance(options, list) else []
