"""Scripts on the GPU host: over the system's own ssh, or here where no host is named.

ssh joins its arguments and gives them to whatever shell the person there has (fish, csh). So it is
asked for `sh -s` alone, and the script goes to standard input: no other shell reads a word of it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from orchestrator.errors import ConfigError, PrerequisiteError, one_line
from orchestrator.text import printable

PROGRAM = "SWE_ORCHESTRATOR_SSH"
"""Environment variable with another command than `ssh`, such as `ssh -F FILE -p 2222`."""
CONNECT_S = 15
OPTIONS = (
    "-T",
    # what a person's ssh_config may say for a terminal would keep a script away
    *("-o", "RemoteCommand=none"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", f"ConnectTimeout={CONNECT_S}"),
    # a host that falls asleep is noticed within a minute
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=4"),
)
UNATTENDED = ("-o", "BatchMode=yes")
"""ssh asks for no password where nobody could type it."""
SSH_FAILED = 255
"""ssh's own exit code where it is not the script's."""
READY = "@@ready"
"""The first line that a script prints."""
KEPT_LINES = 20
"""Of what a login prints before it, for an error."""
_LINK = re.compile(r"https?://\S")

Say = Callable[[str], None]


@dataclass
class Script:
    """One that runs."""

    process: subprocess.Popen[str]
    _lines: queue.SimpleQueue[str | None]
    _said: list[str]
    _readers: tuple[threading.Thread, threading.Thread]
    _where: str
    exit_code: int | None = None

    def lines(self, until: float | None = None) -> Iterator[str]:
        """What it prints, as it comes, without line breaks; `exit_code` is set after the last one.

        What a login prints before it, with or without a line break, is left out.

        Raises:
            TimeoutError: it is `until`, by the monotonic clock.
            PrerequisiteError: something else ran in its place.
        """
        before: list[str] = []
        is_ready = False
        while True:
            left = None if until is None else max(until - time.monotonic(), 0)
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                raise TimeoutError from None
            if left == 0:
                raise TimeoutError
            if line is None:
                break
            if is_ready:
                yield line
            elif line == READY:
                is_ready = True
            elif line.strip():
                before = [*before[-KEPT_LINES:], line]
        self.exit_code = self.process.wait()
        # a connection that ssh shares and leaves open may hold its standard error for long
        self._readers[1].join(timeout=1)
        if not is_ready and not is_of_ssh(self.exit_code):
            raise _not_run(self._where, [*before, *self._said])

    @property
    def said_by_ssh(self) -> str:
        """Standard error: scripts themselves print to standard output alone."""
        return "\n".join(self._said)


@dataclass(frozen=True)
class Ended:
    """A script that has ended."""

    exit_code: int
    lines: tuple[str, ...]
    said_by_ssh: str


@dataclass(frozen=True)
class Shell:
    """Where scripts run."""

    destination: str = ""
    """As ssh takes it: [user@]host, or a Host of ssh_config; empty is this machine."""
    say: Say = field(default=lambda _: None, compare=False)
    """Gets lines in which ssh asks a person to open a link, as Tailscale SSH does."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a destination that ssh would take for something else."""
        if self.destination.startswith("-") or re.search(r"[\s\x00-\x1f\x7f]", self.destination):
            raise ConfigError(
                f"--host {self.destination!r} is no ssh destination: write [user@]host, or a Host "
                "of your ssh_config"
            )

    def __str__(self) -> str:
        return self.destination or "this machine"

    @contextmanager
    def start(self, script: str) -> Iterator[Script]:
        """A script of sh, which ends by `exit`; it is ended with the block where it has not ended
        by itself.

        Raises:
            PrerequisiteError: there is no ssh here.
        """
        if self.destination:
            # of our process group: it asks a person at the terminal
            process = _start([*self._ssh(), "--", self.destination, "sh -s"])
        else:
            process = _start(["sh", "-s"], process_group=0)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        said: list[str] = []
        readers = (
            threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True),
            threading.Thread(
                target=_read_words, args=(process.stderr, said, self.say), daemon=True
            ),
        )
        for reader in readers:
            reader.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"printf '\\n%s\\n' '{READY}'\n{script}\n")
                process.stdin.flush()
            # it stays open: a script sees by it that we are still there
            yield Script(process, lines, said, readers, str(self))
        finally:
            _end(process, with_group=not self.destination)
            for reader, stream in zip(readers, (process.stdout, process.stderr), strict=True):
                reader.join(timeout=1)
                # a connection that ssh shares may hold it open, and to close it would wait for that
                if not reader.is_alive():
                    stream.close()

    def run(self, script: str, timeout_s: float = 120) -> Ended:
        """A script from its start to its end. Raises PrerequisiteError as `start`; TimeoutError."""
        with self.start(script) as running:
            lines = tuple(running.lines(time.monotonic() + timeout_s))
            assert running.exit_code is not None
            return Ended(running.exit_code, lines, running.said_by_ssh)

    def has_failed(self, exit_code: int | None) -> bool:
        """Whether it is ssh's own exit code, and not the script's."""
        return bool(self.destination) and is_of_ssh(exit_code)

    def address(self) -> str:
        """The host's name or address for other programs, as ssh_config has it; 127.0.0.1 for this
        machine."""
        if not self.destination:
            return "127.0.0.1"
        try:
            asked = subprocess.run(
                [*self._ssh(), "-G", "--", self.destination],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=10,
                stdin=subprocess.DEVNULL,
                check=False,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            asked = ""  # a wrapper need not know the question
        names = (
            line.split(" ", 1)[1] for line in asked.splitlines() if line.startswith("hostname ")
        )
        found = next(names, self.destination.rpartition("@")[2]).strip("[]")
        return f"[{found}]" if ":" in found else found

    def _ssh(self) -> list[str]:
        given = os.environ.get(PROGRAM, "").strip() or "ssh"
        try:
            program = shlex.split(given)
        except ValueError as error:
            raise ConfigError(f"{PROGRAM} is {given!r}, which is no command: {error}") from None
        is_attended = sys.stdin is not None and sys.stdin.isatty()
        return [*program, *OPTIONS, *(() if is_attended else UNATTENDED)]


def is_of_ssh(exit_code: int | None) -> bool:
    return exit_code == SSH_FAILED or (exit_code or 0) < 0


def _not_run(where: str, said: list[str]) -> PrerequisiteError:
    """`said` are the words of what ran there."""
    last = one_line(printable(said[-1]), 200) if said else "it says nothing"
    return PrerequisiteError(
        f"{where} does not run what it is sent ({last}).",
        f"Does its login start another program, or read what is sent? `echo 'echo yes' | ssh "
        f"{where} sh -s` must say yes.",
    )


def _start(command: list[str], process_group: int | None = None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            process_group=process_group,
        )
    except OSError as error:
        raise PrerequisiteError(
            f"{command[0]} can't be run ({error.strerror}).",
            f"Install OpenSSH's client, or name another one in {PROGRAM}.",
        ) from None


def _read_lines(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(ValueError):  # closed by who ends it
        for line in stream:
            lines.put(line.rstrip("\r\n"))
    lines.put(None)


def _read_words(stream: IO[str], said: list[str], say: Say) -> None:
    with contextlib.suppress(ValueError):
        for line in stream:
            said.append(line.rstrip("\r\n"))
            if _LINK.search(line):
                say(said[-1])


def _end(process: subprocess.Popen[str], *, with_group: bool) -> None:
    """Close its input, by which the script sees that nobody listens; then end what is left."""
    with contextlib.suppress(BrokenPipeError):
        assert process.stdin
        process.stdin.close()
    for number, patience_s in ((None, 0.5), (signal.SIGTERM, 3.0), (signal.SIGKILL, None)):
        if number is not None and with_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
                os.killpg(process.pid, number)
        elif number is not None:
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
