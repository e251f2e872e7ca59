"""What OpenHands' tools need of the sandbox: terminals, and its files.

Both are small programs (`in_sandbox/`) that the image's own Python runs: nothing is installed
there, and nothing is mounted.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
from pathlib import Path
from typing import Any

from orchestrator.agents.sandbox_servers import start_again
from orchestrator.backends import Sandbox
from orchestrator.backends.base import ClosesOnExit
from orchestrator.backends.tunnel import Tunnel
from orchestrator.errors import ImageUnavailable, SandboxUnavailable

PROGRAMS = Path(__file__).with_name("in_sandbox")
START_S = 60.0
LOOK_S = 60.0
MAX_BYTES = 10 * 1024 * 1024
"""Of a file that is looked at: the editor takes no larger ones."""
MAX_NAMES = 5_000
"""Of a folder: the model is shown 16,000 characters of them."""
MAX_OUTPUT_BYTES = 4 * MAX_BYTES
FIND_PYTHON = """
for python in /opt/miniconda3/bin/python "$(command -v python3)" /usr/local/bin/python3 \
    /usr/bin/python3 "$(command -v python)"; do
  "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null && break
  python=""
done
"""
NO_PYTHON = (
    "the image has no Python 3.7 or newer under /opt/miniconda3, in /usr or on PATH, which "
    "OpenHands' tools need in the sandbox; --agent mini needs none"
)


def source_of(program: str) -> str:
    return (PROGRAMS / f"{program}.py").read_text(encoding="utf-8")


class Terminals(ClosesOnExit):
    """The server of terminals in the sandbox, from when it is first asked for.

    Use it as a context manager: leaving ends it, and all shells.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._token = secrets.token_hex(16)
        self._tunnel: Tunnel | None = None

    def address(self, another: bool) -> dict[str, Any]:
        """Where it is reached from this host; `another` ends one that is up.

        Raises:
            SandboxUnavailable: the sandbox is gone, or the server did not start.
            SandboxBroken: it runs commands, and no server stays up in it.
            ImageUnavailable: the image has no Python for it.
        """
        if self._tunnel is None:
            self._tunnel = self._start()
        elif another:
            self._tunnel.close()
            self._tunnel = start_again(self._sandbox, self._start)
        return {"port": self._tunnel.port, "token": self._token}

    def _start(self) -> Tunnel:
        python = find_python(self._sandbox)
        digest = hashlib.sha256(self._token.encode()).hexdigest()
        command = [python, "-I", "-c", source_of("terminals"), "{port}", digest]
        return Tunnel(self._sandbox, python, command, START_S)

    def close(self) -> None:
        if self._tunnel is not None:
            self._tunnel.close()


def find_python(sandbox: Sandbox) -> str:
    """Raises SandboxUnavailable, or ImageUnavailable where there is none."""
    limit_s = sandbox.patience(LOOK_S)
    found = sandbox.exec(f'{FIND_PYTHON}echo "$python"', limit_s)
    if found.timed_out:
        raise SandboxUnavailable(f"the sandbox does not answer in {limit_s:.0f} s")
    if not found.text.strip():
        raise ImageUnavailable(NO_PYTHON)
    return found.text.strip()


class SandboxFiles:
    """Files of the sandbox, as `in_sandbox/files.py` tells of them. Methods raise
    SandboxUnavailable; what only a path or a disk is to blame for is of the kind `error`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def look(self, path: str) -> dict[str, Any]:
        return self._run(["look", path.encode().hex(), str(MAX_BYTES), str(MAX_NAMES)])

    def store(self, path: str, content: str) -> dict[str, Any]:
        """`content` is in base64."""
        return self._run(["store", path.encode().hex()], content)

    def keep_script(self, content: str) -> dict[str, Any]:
        """`content`, in base64, becomes a file for bash to source, at the `path` in the answer."""
        return self._run(["script"], content)

    def _run(self, arguments: list[str], content: str = "") -> dict[str, Any]:
        words = ["-I", "-c", source_of("files"), *arguments]
        command = (
            f"{FIND_PYTHON}\"${{python:-python3}}\" {shlex.join(words)} <<'END'\n{content}\nEND\n"
        )
        limit_s = self._sandbox.patience(LOOK_S)
        result = self._sandbox.exec(command, limit_s, max_bytes=MAX_OUTPUT_BYTES)
        try:
            found: dict[str, Any] = json.loads(result.text.strip().splitlines()[-1])
        except (ValueError, IndexError):
            why = (
                f"nothing after {limit_s:.0f} s" if result.timed_out else result.text.strip()[-300:]
            )
            return {"kind": "error", "problem": f"the sandbox's Python does not run: {why}"}
        return found
