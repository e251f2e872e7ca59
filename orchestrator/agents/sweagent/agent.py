"""`sweagent`: SWE-agent in a process of its own, on our sandbox, client and limits.

Its own are the agent loop, history, parsers and state. The sandbox is ours: SWE-ReX's server is
started in it from a mounted folder, and reached through a tunnel. So are the limits and the client:
SWE-agent's process asks for each answer here.
"""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from typing import Any, Self

from orchestrator.agents.base import TOOLS_MOUNT, AgentContext
from orchestrator.agents.budget import LimitReached
from orchestrator.agents.steps import Step, Trajectory, read_sweagent, sweagent_last_patch
from orchestrator.agents.sweagent.installation import (
    SANDBOX_PYTHON,
    Installation,
    require_installation,
)
from orchestrator.agents.sweagent.outcomes import outcome_of
from orchestrator.agents.sweagent.runner_process import Runner, give_back, take_runner, warm_up
from orchestrator.backends import Sandbox
from orchestrator.backends.tunnel import HOST, Tunnel
from orchestrator.config.schema import AgentSettings as AgentConfig
from orchestrator.endpoint.client import ChatClient, ContextOverflow
from orchestrator.errors import (
    AgentCrashed,
    ConfigError,
    ImageUnavailable,
    PrerequisiteError,
    SandboxUnavailable,
)
from orchestrator.types import Outcome

RUNTIME_PATH = "/opt/swe-orchestrator/runtime"
OUR_BUNDLES = Path(__file__).with_name("bundles")
SERVER = (
    "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('swerex.server', run_name='__main__')"
)
"""Not by PYTHONPATH, which every command of the agent would inherit."""
MOST_TRIES = 5
"""To start another server, where an agent may just have killed one."""
MOST_COMMAND_S = 240.0
"""SWE-ReX's client gives up on an answer after five minutes."""
FIND_PYTHON = f"""
for python in /opt/miniconda3/bin/python /usr/local/bin/python{SANDBOX_PYTHON} \
    /usr/bin/python{SANDBOX_PYTHON}; do
  "$python" -I -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "{SANDBOX_PYTHON}")' \
    2>/dev/null && echo "$python" && exit 0
done
exit 1
"""


class SweAgent:
    """SWE-agent under our limits, for one rollout."""

    def __init__(self, config: AgentConfig, commit: str = "") -> None:
        """`commit` is what the run began with, and must be installed; empty for any."""
        self._config = config
        self._commit = commit
        self._installation: Installation | None = None
        self._runner: Runner | None = None
        self._is_at_work = False
        self._is_closed = False
        self._lock = threading.Lock()  # `close` comes from the thread that watches `run`
        self._limit: Outcome | None = None

    def prepare(self, platform: str) -> tuple[str, ...]:
        try:
            self._installation = require_installation(platform, self._commit)
        except PrerequisiteError as error:  # of a worker's host; the driver's was checked before
            raise AgentCrashed(str(error)) from error
        warm_up(self._installation)
        runtime = self._installation.paths.runtime(platform)
        return (f"{runtime}:{RUNTIME_PATH}:ro", TOOLS_MOUNT)

    def run(self, context: AgentContext) -> Outcome:
        assert self._installation is not None, "prepare comes first"
        runner = take_runner(self._installation)
        with self._lock:
            self._runner, self._is_at_work = runner, True
            if self._is_closed:
                runner.kill()
                raise AgentCrashed("the rollout ended before SWE-agent had started")
        context.budget.activity = "starts SWE-agent's server"
        with (
            _SandboxServer(context.sandbox) as server,
            ChatClient(context.base_url, context.api_key) as client,
        ):
            runner.tell("rollout", **self._request(context, server))
            end = self._converse(runner, context, client, server)
        with self._lock:
            self._is_at_work = False
        if end["kind"] == "failed":
            kind = SandboxUnavailable if end["is_sandbox"] else AgentCrashed
            (context.output_dir / "sweagent.traceback.txt").write_text(end["traceback"])
            raise kind(f"SWE-agent: {end['detail']}")
        return outcome_of(end["exit_status"], self._limit, end["detail"])

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            runner, self._runner = self._runner, None
            if runner is None:
                return
            if self._is_at_work:
                runner.kill()
            else:
                give_back(runner)

    def last_patch(self, output_dir: Path) -> str:
        return sweagent_last_patch(_trajectory_file(output_dir))

    def trajectory(self, output_dir: Path) -> Trajectory:
        return read_sweagent(_trajectory_file(output_dir))

    def _request(self, context: AgentContext, server: _SandboxServer) -> dict[str, Any]:
        assert self._installation is not None
        limits, config = context.budget.limits, self._config
        tools = self._installation.paths.checkout / "tools"
        settings = config.model_dump(mode="json") | {
            "bundles": [str(find_bundle(name, tools)) for name in config.bundles],
            "command_timeout_s": int(min(limits.command_timeout_s, MOST_COMMAND_S)),
        }
        return {
            "instance_id": context.instance.instance_id,
            "problem_statement": context.instance.problem_statement,
            "output_dir": str(context.output_dir),
            "workdir": context.sandbox.workdir,
            "base_tree": context.base_tree,
            "max_steps": limits.max_steps,
            "address": server.address,
            "config": settings,
        }

    def _converse(
        self, runner: Runner, context: AgentContext, client: ChatClient, server: _SandboxServer
    ) -> dict[str, Any]:
        """Serve the runner until its rollout is over; its last message.

        Raises:
            InfraError: the model, the sandbox or the runner's process is gone.
        """
        budget = context.budget
        while True:
            message = runner.hear()
            match message["kind"]:
                case "query":
                    self._answer(runner, message, context, client)
                case "activity":
                    budget.activity = message["text"]
                case "step":
                    step = Step(message["thought"], message["action"], message["observation"])
                    budget.end_step(step)
                case "restart":
                    server.restart()
                    runner.tell("server", address=server.address)
                case "end" | "failed":
                    return message

    def _answer(
        self,
        runner: Runner,
        query: dict[str, Any],
        context: AgentContext,
        client: ChatClient,
    ) -> None:
        budget = context.budget
        try:
            budget.begin_step()
            budget.activity = "asks the model"
            completion = client.complete(query["messages"], query["tools"])
        except LimitReached as limit:
            self._limit = limit.outcome
            runner.tell("limit", outcome=limit.outcome)
            return
        except ContextOverflow:
            runner.tell("overflow")
            return
        tokens = completion.tokens
        budget.add_call(tokens.prompt_tokens, tokens.completion_tokens, completion.seconds)
        runner.tell(
            "answer",
            content=completion.content,
            tool_calls=completion.tool_calls,
            finish_reason=completion.finish_reason,
            steps_left=budget.steps_left,
            usage={
                "prompt_tokens": tokens.prompt_tokens,
                "completion_tokens": tokens.completion_tokens,
            },
        )


def find_bundle(name: str, tools: Path) -> Path:
    """The folder of a tool bundle: one of ours, or of SWE-agent's own in `tools`.

    Raises:
        ConfigError: there is none, or it would install packages in the sandbox.
    """
    for folder in (OUR_BUNDLES / name, tools / name):
        if not (folder / "config.yaml").is_file():
            continue
        script = folder / "install.sh"
        if script.is_file() and "pip install" in script.read_text(encoding="utf-8"):
            raise ConfigError(
                f"agent.bundles: {name} installs packages in the sandbox, which has no network; "
                "leave it out"
            )
        return folder
    known = sorted(path.name for path in OUR_BUNDLES.iterdir())
    raise ConfigError(
        f"agent.bundles: no bundle {name!r}; ours are {', '.join(known)}, SWE-agent's in {tools}"
    )


class _SandboxServer:
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
        """How SWE-ReX's client is told of it."""
        token, port = self._token, self._tunnel.port
        return {"host": f"http://{HOST}", "port": port, "auth_token": token, "timeout": 10}

    def restart(self) -> None:
        """Another one: an agent may kill it, as it is a process like others in there.

        Raises:
            SandboxUnavailable: the sandbox is gone, or no server stays up in it.
        """
        self._tunnel.close()
        for tries in range(1, MOST_TRIES + 1):
            try:
                self._tunnel = self._start()
                return
            except SandboxUnavailable:
                if tries == MOST_TRIES:
                    raise
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


def _trajectory_file(output_dir: Path) -> Path:
    """Named for the instance by SWE-agent."""
    return next(iter(output_dir.glob("*.traj")), output_dir / "none.traj")
