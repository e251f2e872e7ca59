"""SWE-ReX's server in the sandbox: SWE-agent's process works through it."""

from __future__ import annotations

import secrets
import time
from typing import Any, Self

from orchestrator.agents.sweagent.installation import SANDBOX_PYTHON
from orchestrator.backends import Sandbox
from orchestrator.backends.tunnel import HOST, Tunnel
from orchestrator.errors import ImageUnavailable, SandboxBroken, SandboxUnavailable

RUNTIME_PATH = "/opt/swe-orchestrator/runtime"
SERVER = (
    "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('swerex.server', run_name='__main__')"
)
"""Not by PYTHONPATH, which every command of the agent would inherit."""
MAX_TRIES = 5
"""To start another server, where an agent may just have killed one."""
FIND_PYTHON = f"""
for python in /opt/miniconda3/bin/python /usr/local/bin/python{SANDBOX_PYTHON} \
    /usr/bin/python{SANDBOX_PYTHON}; do
  "$python" -I -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "{SANDBOX_PYTHON}")' \
    2>/dev/null && echo "$python" && exit 0
done
exit 1
"""


class SandboxServer:
    """SWE-ReX's server in the sandbox, by the image's own Python, from the mounted folder.

    Use it as a context manager: leaving ends it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Start it.

        Raises:
            SandboxUnavailable: the sandbox is gone, or the server did not start.
            ImageUnavailable: the image has no Python for it.
        """
        self._sandbox = sandbox
        self._token = secrets.token_hex(16)
        self._python, self._runtime = _find_python(sandbox), sandbox.resolve(RUNTIME_PATH)
        self._tunnel = self._start()

    @property
    def address(self) -> dict[str, Any]:
        """Where it is, in the words of SWE-ReX's client."""
        token, port = self._token, self._tunnel.port
        return {"host": f"http://{HOST}", "port": port, "auth_token": token, "timeout": 10}

    def restart(self) -> None:
        """Start another one: an agent may have killed it.

        Raises:
            SandboxUnavailable: the sandbox is gone.
            SandboxBroken: it runs commands, and no server stays up in it.
        """
        self._tunnel.close()
        for tries in range(1, MAX_TRIES + 1):
            try:
                self._tunnel = self._start()
                return
            except SandboxUnavailable as error:
                if tries == MAX_TRIES:
                    raise SandboxBroken(str(error)) from error
                self._sandbox.exec("true", timeout_s=60)  # is it there?
                time.sleep(tries)  # what kills servers may be about to end

    def _start(self) -> Tunnel:
        where = [self._runtime, "--host", "127.0.0.1", "--port", "{port}"]
        command = [self._python, "-I", "-c", SERVER, *where, "--auth-token", self._token]
        return Tunnel(self._sandbox, self._python, command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tunnel.close()


def _find_python(sandbox: Sandbox) -> str:
    """Raises SandboxUnavailable or ImageUnavailable where SWE-ReX's server can't be started."""
    found = sandbox.exec(FIND_PYTHON, timeout_s=60)
    if found.timed_out:
        raise SandboxUnavailable("the sandbox does not answer in a minute")
    runtime = sandbox.resolve(RUNTIME_PATH)
    if sandbox.exec(f"test -e {runtime}/swerex", timeout_s=60).exit_code != 0:
        raise SandboxUnavailable(
            "the Docker engine does not see this host's cache folder, which SWE-agent's server is "
            "mounted from: is it on another machine?"
        )
    if found.exit_code != 0:
        raise ImageUnavailable(
            f"the image has no Python {SANDBOX_PYTHON} under /opt/miniconda3 or in /usr, which "
            "SWE-agent's server in the sandbox needs; --agent mini needs none"
        )
    return found.text.strip()
