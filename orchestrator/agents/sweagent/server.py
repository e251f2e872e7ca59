"""SWE-ReX's server in the sandbox: SWE-agent's process works through it."""

from __future__ import annotations

import secrets
import shlex
from typing import Any, Self

from orchestrator.agents.sandbox_servers import start_again
from orchestrator.agents.sweagent.bytecode import SANDBOX_PYTHON
from orchestrator.backends import Sandbox
from orchestrator.backends.tunnel import HOST, Tunnel
from orchestrator.errors import ImageUnavailable, SandboxUnavailable

RUNTIME_PATH = "/opt/swe-orchestrator/runtime"
SERVER = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
least_s = float(sys.argv.pop(1))
from pexpect.spawnbase import SpawnBase
expect = SpawnBase.expect
def expect_patiently(self, pattern, timeout=-1, **more):
    if timeout is not None and 0 <= timeout < least_s:
        timeout = least_s
    return expect(self, pattern, timeout, **more)
SpawnBase.expect = expect_patiently
runpy.run_module("swerex.server", run_name="__main__")
"""
"""Takes the folder of its packages: not by PYTHONPATH, which every command of the agent would
inherit. And the seconds that a shell has at least to answer: SWE-ReX itself gives it one for its
exit code and a tenth for its prompt, which is too little for an emulated one."""
SHELL_S = 1.0
START_S = 60.0
"""The server takes a second, and several where the host is busy."""
LOOK_S = 60.0
SIGN_OF_LIFE_S = 10.0
NO_RUNTIME = 3
FIND_PYTHON = f"""
test -e {{runtime}}/swerex || exit {NO_RUNTIME}
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
        self._runtime = sandbox.resolve(RUNTIME_PATH)
        self._python = _find_python(sandbox, self._runtime)
        self._tunnel = self._start()

    @property
    def address(self) -> dict[str, Any]:
        """Where it is, in the words of SWE-ReX's client."""
        token, port = self._token, self._tunnel.port
        timeout_s = self._sandbox.patience(SIGN_OF_LIFE_S)
        return {"host": f"http://{HOST}", "port": port, "auth_token": token, "timeout": timeout_s}

    def restart(self) -> None:
        """Start another one: an agent may have killed it.

        Raises:
            SandboxUnavailable: the sandbox is gone.
            SandboxBroken: it runs commands, and no server stays up in it.
        """
        self._tunnel.close()
        self._tunnel = start_again(self._sandbox, self._start)

    def _start(self) -> Tunnel:
        patience = self._sandbox.patience(SHELL_S)
        least_s = patience if patience > SHELL_S else 0.0
        where = [self._runtime, str(least_s), "--host", "127.0.0.1", "--port", "{port}"]
        command = [self._python, "-I", "-c", SERVER, *where, "--auth-token", self._token]
        return Tunnel(self._sandbox, self._python, command, START_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tunnel.close()


def _find_python(sandbox: Sandbox, runtime: str) -> str:
    """Raises SandboxUnavailable or ImageUnavailable where SWE-ReX's server can't be started."""
    limit_s = sandbox.patience(LOOK_S)
    found = sandbox.exec(FIND_PYTHON.format(runtime=shlex.quote(runtime)), limit_s)
    if found.timed_out:
        raise SandboxUnavailable(f"the sandbox does not answer in {limit_s:.0f} s")
    if found.exit_code == NO_RUNTIME:
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
