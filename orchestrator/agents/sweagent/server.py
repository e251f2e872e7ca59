"""SWE-ReX in the sandbox: SWE-agent's process works through it, and we carry what it asks."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.agents.sandbox_servers import start_again
from orchestrator.agents.sweagent.bytecode import SANDBOX_PYTHON
from orchestrator.backends import Sandbox
from orchestrator.backends.base import ClosesOnExit, Stream
from orchestrator.errors import ImageUnavailable, SandboxUnavailable

RUNTIME_PATH = "/opt/swe-orchestrator/runtime"
PROGRAM = Path(__file__).parent / "in_sandbox" / "runtime.py"
READY = b"ready"
"""Its first line."""
NO_RUNTIME = b"there is no runtime"
NO_PYTHON = b"there is no Python"
SHELL_S = 1.0
START_S = 120.0
"""The server takes a moment, several seconds where the host is busy, and the engine its own."""
ANSWER_S = 300.0
"""What aiohttp gives an answer of SWE-ReX's own server by default, and with it every command."""
MAX_LINE_BYTES = 256_000_000
"""Of an answer; whoever says more is no server of ours."""
START = f"""
exec 2>&1
test -e "$1/swerex" || {{ echo {NO_RUNTIME.decode()}; exit 1; }}
for folder in /opt/miniconda3/bin /usr/local/bin /usr/bin; do
  test -x "$folder/python{SANDBOX_PYTHON}" &&
    exec "$folder/python{SANDBOX_PYTHON}" -I -c 'import json, sys; exec(json.loads(input()))' "$@"
done
echo {NO_PYTHON.decode()}
"""
"""Takes the program's arguments, of which the first is the folder of its packages: not by
PYTHONPATH, which every command of the agent would inherit. The program itself is its first line of
input: in a command line, its words would be what an agent's `pkill -f` looks for."""


class SandboxServer(ClosesOnExit):
    """`in_sandbox/runtime.py`, by the image's own Python, from the mounted folder.

    Use it as a context manager: leaving ends it, and all shells. One thread asks and restarts;
    `close` may come from another.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Start it. Raises SandboxUnavailable."""
        self._sandbox = sandbox
        self._is_ready = False
        self._arrived = bytearray()
        self._stream = self._attach()

    def wait(self) -> None:
        """Until it answers.

        Raises:
            SandboxUnavailable: the sandbox is gone, or the server did not start.
            ImageUnavailable: the image has no Python for it.
        """
        if self._is_ready:
            return
        said = []
        with self._closed_after(START_S), contextlib.suppress(OSError):
            while (line := self._read_line()) != READY:
                said.append(line)
            self._is_ready = True
        if not self._is_ready:
            self._stream.close()
            raise _why_not([*said, bytes(self._arrived)])

    def ask(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        """What SWE-ReX answers; where its server is gone, or says nothing in time, `gone` says so.

        Raises as `wait`.
        """
        self.wait()
        asked = json.dumps({"verb": verb, "request": request}).encode()
        try:
            with self._closed_after(ANSWER_S):
                self._stream.write(asked + b"\n")
                answer = json.loads(self._read_line())
            if not isinstance(answer, dict) or not {"answer", "swerexception"} & answer.keys():
                raise ValueError("it answers something else")
        except (OSError, ValueError, RecursionError) as error:
            self._stream.close()  # whatever it still says is no answer to what is asked next
            return {"gone": f"{type(error).__name__}: {error}"}
        return answer

    def restart(self) -> None:
        """Start another one: an agent may have killed it.

        Raises:
            SandboxUnavailable: the sandbox is gone.
            SandboxBroken: it runs commands, and no server stays up in it.
        """
        self.close()
        start_again(self._sandbox, self._start)

    def close(self) -> None:
        """Safe to call twice; never raises."""
        self._stream.close()

    def _start(self) -> None:
        self._is_ready, self._arrived = False, bytearray()
        self._stream = self._attach()
        self.wait()

    def _attach(self) -> Stream:
        patience = self._sandbox.patience(SHELL_S)
        least_s = patience if patience > SHELL_S else 0.0
        given = [self._sandbox.resolve(RUNTIME_PATH), str(least_s)]
        stream = self._sandbox.attach(["sh", "-c", START, "sh", *given])
        with contextlib.suppress(OSError):  # who waits for it will know
            stream.write(json.dumps(PROGRAM.read_text(encoding="utf-8")).encode() + b"\n")
        return stream

    @contextlib.contextmanager
    def _closed_after(self, seconds: float) -> Iterator[None]:
        """Who waits then meets the stream's end."""
        timer = threading.Timer(self._sandbox.patience(seconds), self._stream.close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _read_line(self) -> bytes:
        """Raises OSError at the stream's end."""
        end = self._arrived.find(b"\n")
        while end < 0:
            seen = len(self._arrived)
            data = self._stream.read()
            if not data:
                raise ConnectionResetError("SWE-ReX's server in the sandbox is gone")
            if seen > MAX_LINE_BYTES:
                raise OSError(f"it says over {MAX_LINE_BYTES // 1_000_000} MB in one line")
            self._arrived += data
            end = self._arrived.find(b"\n", seen)
        line = bytes(self._arrived[:end])
        del self._arrived[: end + 1]
        return line


def _why_not(said: list[bytes]) -> SandboxUnavailable | ImageUnavailable:
    if NO_RUNTIME in said:
        return SandboxUnavailable(
            "the Docker engine does not see this host's cache folder, which SWE-agent's server is "
            "mounted from: is it on another machine?"
        )
    if NO_PYTHON in said:
        return ImageUnavailable(
            f"the image has no Python {SANDBOX_PYTHON} under /opt/miniconda3 or in /usr, which "
            "SWE-agent's server in the sandbox needs; --agent mini needs none"
        )
    last = b"\n".join(said).decode("utf-8", errors="replace").strip()[-300:]
    return SandboxUnavailable(f"SWE-ReX's server in the sandbox did not start: {last}")
