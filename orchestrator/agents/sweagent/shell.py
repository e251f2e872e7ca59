"""SWE-agent's environment: a shell in our sandbox, whatever an agent does to it.

Like `runner.py`, which uses it, it runs in SWE-agent's Python and imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
from sweagent.environment.repo import PreExistingRepoConfig
from sweagent.environment.swe_env import SWEEnv
from swerex.deployment.remote import RemoteDeployment
from swerex.exceptions import SwerexException
from swerex.runtime.abstract import (
    CloseBashSessionRequest,
    CreateBashSessionRequest,
    IsAliveResponse,
    UploadRequest,
    UploadResponse,
    _ExceptionTransfer,
)
from swerex.runtime.remote import RemoteRuntime

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes one of SWE-ReX's verbs and what it is given; gives what SWE-ReX answers."""
SESSION_START_S = 60.0
COMMAND_S = 25.0
"""For what SWE-agent itself runs in the shell, unless it says more."""
MAX_TRIES = 3
RESTARTED = """
(the shell ended, and the last command may not have run to its end; this is a new one, in {cwd}: \
what `cd` and `export` did is gone)
"""
COMMAND_FILE = "/root/.swe-agent-command"
MAX_TYPED_BYTES = 50_000
"""SWE-ReX checks a command as an argument of a program, which may have 128 KiB at most."""
_KEYS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""What a terminal takes for a key, such as Ctrl-C, and not for itself."""
SESSION_ENVIRONMENT = "/root/.swe-agent-session"
# an interactive shell would complete words at tabs, and expand "!" in what it is given
CALM_SHELL = "set +H; bind 'TAB:self-insert' 2>/dev/null; bind 'set enable-bracketed-paste off'"


def can_be_typed(command: str) -> bool:
    """Whether it reaches a shell as it is where it is typed into its terminal."""
    return len(command.encode()) <= MAX_TYPED_BYTES and not _KEYS.search(command)


class ServerGone(SwerexException):
    """SWE-ReX's server, or all of the sandbox, does not answer."""


BROKEN = (SwerexException, pexpect.ExceptionPexpect, OSError)
"""What SWE-ReX raises of a shell, or of the server that holds it."""


class Runtime(RemoteRuntime):
    """SWE-ReX's client; it raises ServerGone where its server does not answer.

    `patience` is how many times as long everything may take as on a host that emulates nothing.
    """

    def __init__(self, ask: Ask, patience: float, logger: logging.Logger) -> None:
        super().__init__(logger=logger, auth_token="")
        self._ask = ask
        self._patience = patience

    async def _request(self, endpoint: str, payload: Any, output_class: Any, *_: Any) -> Any:
        return output_class(**self._answer(endpoint, payload.model_dump()))

    def _answer(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        found = self._ask(verb, request)
        if "gone" in found:
            raise ServerGone(f"the sandbox does not answer: {found['gone']}")
        if "swerexception" in found:
            self._handle_transfer_exception(_ExceptionTransfer(**found["swerexception"]))
        answer: dict[str, Any] = found["answer"]
        return answer

    async def create_session(self, request: CreateBashSessionRequest) -> Any:
        """The default, one second, is little for a shell that activates Conda on a busy host."""
        request.startup_timeout = SESSION_START_S * self._patience
        return await super().create_session(request)

    async def upload(self, request: UploadRequest) -> UploadResponse:
        """A folder, with all files in it."""
        source, target = Path(request.source_path), Path(request.target_path)
        files = {
            str(target / path.relative_to(source)): path.read_bytes().decode("latin-1")
            for path in source.rglob("*")
            if path.is_file()
        }
        return UploadResponse(**self._answer("upload", files))

    async def is_alive(self, *, timeout: float | None = None) -> IsAliveResponse:
        """What is gone is noticed by who asks it for something."""
        return IsAliveResponse(is_alive=True)


class SandboxDeployment(RemoteDeployment):
    """SWE-ReX where the worker has started it, who also ends it."""

    def __init__(self, ask: Ask, patience: float) -> None:
        super().__init__(auth_token="")
        self._runtime = Runtime(ask, patience, self.logger)

    async def start(self) -> None:
        """It is up."""

    async def stop(self) -> None:
        """SWE-ReX calls this whenever it lets go of a deployment, at the end of a rollout too."""

    async def is_alive(self, *, timeout: float | None = None) -> IsAliveResponse:
        """SWE-agent gives a timeout, which SWE-ReX 1.4's own method does not take."""
        return await self.runtime.is_alive(timeout=timeout)


class SandboxEnvironment(SWEEnv):
    """A sandbox that was started for this rollout alone.

    Whatever an agent does to its shell, or to the server that holds it, it goes on in a new one.
    """

    def __init__(
        self,
        workdir: str,
        diff_command: str,
        ask: Ask,
        start_another_server: Callable[[], None],
        patience: float = 1.0,
    ) -> None:
        """`diff_command` is for the sandbox's shell, and prints the patch of now. `ask` asks the
        server in the sandbox, and `start_another_server` starts another one there."""
        self._start_another_server = start_another_server
        self._patience = patience
        self._cwd = workdir
        super().__init__(
            deployment=SandboxDeployment(ask, patience),
            repo=PreExistingRepoConfig(repo_name=workdir.strip("/")),
            post_startup_commands=[],
        )
        self.is_kept = False
        """Whether a shell that ends can be followed by another: it was set up whole."""
        self._diff_command = diff_command
        self._notice = ""

    def take_notice(self) -> str:
        """What to add to the agent's next observation; given once."""
        notice, self._notice = self._notice, ""
        return notice

    def _reset_repository(self) -> None:
        """Nothing to reset: it is as its image has it, at HEAD, with what the set-up changed.

        SWE-agent's own method would check a commit out and delete files that git does not know.
        """
        state = f"ROOT=$(pwd -P) SWE_AGENT_DIFF={shlex.quote(self._diff_command)}"
        self.communicate(f"{CALM_SHELL}; cd {self._cwd}; export {state}")

    def set_env_variables(self, env_variables: dict[str, str]) -> None:
        """Leave out the issue's text: no tool reads it, and it may be too long for a shell."""
        kept = {k: v for k, v in env_variables.items() if k != "PROBLEM_STATEMENT"}
        super().set_env_variables(kept)

    def keep_session(self) -> None:
        """Remember the shell's environment, for when the agent ends its shell."""
        self.communicate(f"export -p > {SESSION_ENVIRONMENT}", check="raise")
        self.is_kept = True

    def interrupt_session(self) -> None:
        """A command that can't be interrupted ends with its shell."""
        try:
            super().interrupt_session()
        except BROKEN as error:
            self.restart_session(error)

    def communicate(self, input: str, *args: Any, **kwargs: Any) -> str:
        """Go on in a new shell where a command ended this one (`exit`) or its server (`pkill`).

        SWE-ReX types a command into a terminal; one that can't be typed is read from a file.
        """
        if not args:
            kwargs.setdefault("timeout", COMMAND_S * self._patience)
        try:
            if not can_be_typed(input):
                self.write_file(COMMAND_FILE, input)
                input = f". {COMMAND_FILE}"
            return str(super().communicate(input, *args, **kwargs))
        except ServerGone as error:
            self.restart_server(error)
        except SwerexException:
            raise
        except (pexpect.EOF, OSError) as error:
            self.restart_session(error)
        return ""

    def read_file(self, *args: Any, **kwargs: Any) -> str:
        try:
            return str(super().read_file(*args, **kwargs))
        except ServerGone as error:
            self.restart_server(error)
            return str(super().read_file(*args, **kwargs))

    def restart_session(self, why: Exception) -> None:
        """A new shell, by another server where this one can't give it. Raises `why` in set-up."""
        if not self.is_kept:
            raise why
        try:
            asyncio.run(self.deployment.runtime.close_session(CloseBashSessionRequest()))
            self._open_session()
        except BROKEN as error:
            self.restart_server(error)

    def restart_server(self, why: Exception) -> None:
        """Another server from the worker, who ends the rollout where the sandbox is gone too."""
        if not self.is_kept:
            raise why
        for tries in range(MAX_TRIES):
            time.sleep(tries)  # what kills servers may be about to end
            self._start_another_server()
            try:
                if tries:  # every shell reads it, and the agent may have broken it
                    self.execute_command("mv -f /root/.bashrc /root/.bashrc.broken")
                self._open_session()
                return
            except BROKEN as error:
                why = error
        raise why

    def _open_session(self) -> None:
        """Open an interactive shell, which reads .bashrc, and load the kept environment into it."""
        files = [SESSION_ENVIRONMENT]
        asyncio.run(
            self.deployment.runtime.create_session(CreateBashSessionRequest(startup_source=files))
        )
        limit_s = COMMAND_S * self._patience
        super().communicate(f"{CALM_SHELL}; cd {self._cwd}", limit_s)
        self._notice = RESTARTED.format(cwd=self._cwd)
