"""What every sandbox can do. The backends are `docker` and `process`; one suite tests both.

A sandbox holds one instance's repository, checked out and installed as official images have it, and
runs commands in it. The orchestrator owns it: names it, limits it, and removes it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

MAX_OUTPUT_BYTES = 2_000_000
"""Of one command. What lies between the first and the last half of it is dropped."""


@dataclass(frozen=True)
class ExecResult:
    """A finished command. stdout and stderr are one stream, as a terminal would show them."""

    output: bytes
    exit_code: int
    timed_out: bool = False

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class SandboxSpec:
    """Which sandbox to start, for whom, and within which limits."""

    run_id: str
    run_dir: str
    driver_host: str
    instance_id: str
    attempt: int
    image: str
    task_dir: str | None
    base_commit: str
    platform: str
    memory_gb: float
    cpus: float
    pids: int
    network: bool
    lifetime_s: float
    """The sandbox ends by itself after this, even where nobody is left to remove it."""
    mounts: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """Both ends of a program in a sandbox. One thread may write while another reads."""

    def write(self, data: bytes) -> None:
        """Raises OSError when the program or the engine is gone."""
        ...

    def read(self) -> bytes:
        """What the program wrote, as it comes; empty at its end. Raises OSError."""
        ...

    def close(self) -> None:
        """End the program's input, and what waits in `read`."""
        ...


class Sandbox(Protocol):
    """One running sandbox. Use it as a context manager: leaving removes it."""

    workdir: str
    """Absolute path of the repository inside the sandbox."""

    def exec(
        self, command: str, timeout_s: float, *, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> ExecResult:
        """Run a bash command in `workdir`, inside the environment `testbed`.

        A command that runs longer than `timeout_s` is killed with all its children, and the result
        says so. Processes that it leaves behind in the background do not hold up the result.

        Raises:
            SandboxUnavailable: the sandbox is gone or its engine does not answer.
        """
        ...

    def resolve(self, path: str) -> str:
        """Where a path of the sandbox's mounts is for its commands: only containers have a file
        system of their own."""
        ...

    def attach(self, command: Sequence[str]) -> Stream:
        """Start a program whose standard input and output are ours to write and read.

        Raises:
            SandboxUnavailable: the sandbox is gone or its engine does not answer.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file; relative paths are below `workdir`. Raises SandboxUnavailable."""
        ...

    def close(self) -> None:
        """Remove the sandbox and all that runs in it. Safe to call twice; never raises."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ClosesOnExit:
    """The context-manager half of a sandbox."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class CappedOutput:
    """Bytes in order of arrival, of which at most `limit` are kept: the head and the tail."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if len(self._tail) > 2 * self._half:
            self._trim()

    def _trim(self) -> None:
        extra = len(self._tail) - self._half
        if extra > 0:
            self._dropped += extra
            del self._tail[:extra]

    def value(self) -> bytes:
        self._trim()
        if not self._dropped:
            return bytes(self._head + self._tail)
        gap = f"\n[... {self._dropped} bytes left out ...]\n".encode()
        return bytes(self._head) + gap + bytes(self._tail)


def drain(
    fd: int,
    read: Callable[[], bytes],
    sink: Callable[[bytes], None],
    is_running: Callable[[], bool],
    deadline: float,
) -> bool:
    """Read a command's output until it ends, or until the command has exited.

    Waiting for the end of the stream alone would wait for every background process that inherited
    it. Returns whether the command was over before `deadline` (time.monotonic()).
    """
    exited = False
    while time.monotonic() < deadline:
        readable, _, _ = select.select([fd], [], [], 0.05 if exited else 0.5)
        if readable:
            data = read()
            if not data:
                return True
            sink(data)
        elif exited:
            return True
        else:
            exited = not is_running()
    return exited
