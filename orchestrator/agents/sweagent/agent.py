"""`sweagent`: SWE-agent in a process of its own, on our sandbox, client and limits.

Its own are the agent loop, history, parsers and state. The sandbox is ours: SWE-ReX's server is
started in it from a mounted folder. So are the limits and the client. SWE-agent's process asks here
for each answer of the model, and for all that it does in the sandbox.
"""

from __future__ import annotations

from typing import Any

from orchestrator.agents.base import read_only_mount, tools_mount
from orchestrator.agents.context import AgentContext, LimitReached
from orchestrator.agents.runners.lease import RunnerLease
from orchestrator.agents.runners.process import Runner, warm_up
from orchestrator.agents.sweagent.bundles import find_bundle
from orchestrator.agents.sweagent.installation import SweAgentInstallation, require_installation
from orchestrator.agents.sweagent.outcomes import outcome_of
from orchestrator.agents.sweagent.program import runner_program
from orchestrator.agents.sweagent.server import RUNTIME_PATH, SandboxServer
from orchestrator.agents.sweagent.settings import SweAgentSettings
from orchestrator.errors import AgentCrashed, PrerequisiteError, SandboxUnavailable
from orchestrator.text import writable
from orchestrator.types import Outcome

MAX_COMMAND_S = 240.0
"""SWE-ReX's server has five minutes for an answer (`server.ANSWER_S`), four times as many where the
sandbox is emulated."""


class SweAgent:
    """SWE-agent under our limits, for one rollout."""

    def __init__(self, settings: SweAgentSettings, commit: str = "") -> None:
        """`commit` is what the run began with, and must be installed; empty for any."""
        self._settings = settings
        self._commit = commit
        self._installation: SweAgentInstallation | None = None
        self._lease = RunnerLease("SWE-agent")
        self._server: SandboxServer | None = None
        self._limit: Outcome | None = None
        self._last_patch = ""

    def prepare(self, platform: str) -> tuple[str, ...]:
        try:
            self._installation = require_installation(platform, self._commit)
        except PrerequisiteError as error:  # of a worker's host; the driver's was checked before
            raise AgentCrashed(str(error)) from error
        warm_up(runner_program(self._installation))
        runtime = self._installation.paths.runtime(platform)
        return (read_only_mount(runtime, RUNTIME_PATH), tools_mount())

    def run(self, context: AgentContext) -> Outcome:
        assert self._installation is not None, "prepare comes first"
        context.activity = "starts SWE-agent's server"
        with SandboxServer(context.sandbox) as server:
            self._server = server
            # it starts while SWE-agent gets its tools ready
            runner = self._lease.take(runner_program(self._installation))
            runner.send("rollout", **self._request(context))
            end = self._converse(runner, context, server)
        self._lease.finish()
        if end["kind"] == "failed":
            kind = SandboxUnavailable if end["is_sandbox"] else AgentCrashed
            traceback = writable(end["traceback"]).encode()
            (context.output_dir / "sweagent.traceback.txt").write_bytes(traceback)
            raise kind(f"SWE-agent: {end['detail']}")
        return outcome_of(end["exit_status"], self._limit, end["detail"])

    def close(self) -> None:
        self._lease.close()
        if self._server is not None:
            self._server.close()

    def last_patch(self) -> str:
        return self._last_patch

    def _request(self, context: AgentContext) -> dict[str, Any]:
        assert self._installation is not None
        tools, settings = self._installation.paths.tools, self._settings
        most_s = context.sandbox.patience(MAX_COMMAND_S)
        config = settings.model_dump(mode="json") | {
            "bundles": [str(find_bundle(name, tools)) for name in settings.bundles],
            "command_timeout_s": int(min(context.command_limit_s, most_s)),
        }
        return {
            "instance_id": context.instance.instance_id,
            "problem_statement": context.instance.problem_statement,
            "output_dir": str(context.output_dir),
            "workdir": context.sandbox.workdir,
            "diff_command": context.diff_command,
            "max_steps": context.max_steps,
            "patience": context.sandbox.patience(1.0),
            "config": config,
        }

    def _converse(
        self, runner: Runner, context: AgentContext, server: SandboxServer
    ) -> dict[str, Any]:
        """Serve the runner until its rollout is over; its last message.

        Raises:
            InfraError: the model, the sandbox or the runner's process is gone.
        """
        while True:
            message = runner.receive()
            match message["kind"]:
                case "query":
                    self._answer(runner, message, context)
                case "sandbox":
                    reply = server.ask(message["verb"], message["request"])
                    runner.send("sandbox", reply=reply)
                case "activity":
                    context.activity = message["text"]
                case "step":
                    self._record(message, context)
                case "restart":
                    server.restart()
                    runner.send("server")
                case "end" | "failed":
                    return message

    def _record(self, step: dict[str, Any], context: AgentContext) -> None:
        action = step["action"].strip()
        if action:
            self._last_patch = writable(step["diff"])
        context.record(step["thought"].strip(), action, step["observation"], step["shown"])

    def _answer(self, runner: Runner, query: dict[str, Any], context: AgentContext) -> None:
        try:
            completion = context.ask(query["messages"], query["tools"])
        except LimitReached as limit:
            self._limit = limit.outcome
            is_too_long = limit.outcome is Outcome.CONTEXT_OVERFLOW
            runner.send("overflow" if is_too_long else "limit", outcome=limit.outcome)
            return
        tokens = completion.tokens
        runner.send(
            "answer",
            content=completion.content,
            tool_calls=completion.tool_calls,
            finish_reason=completion.finish_reason,
            steps_left=context.steps_left,
            usage={
                "prompt_tokens": tokens.prompt_tokens,
                "completion_tokens": tokens.completion_tokens,
            },
        )
