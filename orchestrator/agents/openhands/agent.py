"""`openhands`: OpenHands' agent SDK in a process of its own, on our sandbox, client and limits.

Its own are the agent, its prompts, its tools and their forms. Its terminals and files are those of
the sandbox, reached through the sandbox's exec channel (`sandbox`): its agent server would have to
be mounted with a Python of its own, for each platform, and would bring a second way of asking the
model. So are the limits and the client ours: OpenHands' process asks for each answer here.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from jinja2 import Template

from orchestrator.agents.context import AgentContext, LimitReached
from orchestrator.agents.openhands.installation import OpenHandsInstallation, require_installation
from orchestrator.agents.openhands.outcomes import outcome_of
from orchestrator.agents.openhands.program import runner_program
from orchestrator.agents.openhands.sandbox import SandboxFiles, Terminals
from orchestrator.agents.openhands.settings import OpenHandsSettings
from orchestrator.agents.runners.lease import RunnerLease
from orchestrator.agents.runners.process import Runner, warm_up
from orchestrator.endpoint.tool_calls import CallProblem, check_answer
from orchestrator.errors import AgentCrashed, PrerequisiteError
from orchestrator.text import writable
from orchestrator.types import Outcome

TRACEBACK = "openhands.traceback.txt"


class OpenHandsAgent:
    """OpenHands under our limits, for one rollout."""

    def __init__(self, settings: OpenHandsSettings, version: str = "") -> None:
        """`version` is what the run began with, and must be installed; empty for any."""
        self._settings = settings
        self._version = version
        self._installation: OpenHandsInstallation | None = None
        self._lease = RunnerLease("OpenHands")
        self._limit: Outcome | None = None
        self._has_fault = False
        """Whether a call of the last answer is counted as broken."""

    def prepare(self, platform: str) -> tuple[str, ...]:
        try:
            self._installation = require_installation(self._version)
        except PrerequisiteError as error:  # of a worker's host; the driver's was checked before
            raise AgentCrashed(str(error)) from error
        warm_up(runner_program(self._installation))
        return ()

    def run(self, context: AgentContext) -> Outcome:
        assert self._installation is not None, "prepare comes first"
        context.activity = "starts OpenHands"
        runner = self._lease.take(runner_program(self._installation))
        scratch = context.output_dir / "openhands.scratch"
        scratch.mkdir()
        try:
            with Terminals(context.sandbox) as terminals:
                runner.send("rollout", **self._request(context, scratch))
                end = self._converse(runner, context, terminals)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._lease.finish()
        if end["kind"] == "failed":
            (context.output_dir / TRACEBACK).write_bytes(writable(end["traceback"]).encode())
            raise AgentCrashed(f"OpenHands: {writable(end['detail'])}")
        return outcome_of(end["status"], self._limit)

    def close(self) -> None:
        self._lease.close()

    def last_patch(self) -> str:
        return ""

    def _request(self, context: AgentContext, scratch: Path) -> dict[str, Any]:
        settings = self._settings
        instruction = Template(settings.instance_template).render(
            problem_statement=context.instance.problem_statement,
            working_dir=context.sandbox.workdir,
            max_steps=context.max_steps,
            command_timeout_s=int(context.command_limit_s),
        )
        return {
            "instruction": instruction,
            "output_dir": str(context.output_dir),
            "scratch": str(scratch),
            "workdir": context.sandbox.workdir,
            "patience": context.sandbox.patience(1.0),
            "command_timeout_s": context.command_timeout_s(),
            "config": settings.model_dump(mode="json"),
        }

    def _converse(
        self, runner: Runner, context: AgentContext, terminals: Terminals
    ) -> dict[str, Any]:
        """Serve the runner until its rollout is over; its last message.

        Raises:
            InfraError: the model, the sandbox or the runner's process is gone.
        """
        files = SandboxFiles(context.sandbox)
        while True:
            message = runner.receive()
            match message["kind"]:
                case "query":
                    self._answer(runner, message, context)
                case "call":
                    problem = CallProblem(message["problem"]) if message["problem"] else None
                    self._has_fault = problem is not None
                    context.note_call(problem, message["detail"])
                case "fault":
                    context.note_fault(CallProblem(message["problem"]), message["detail"])
                case "activity":
                    context.activity = message["text"]
                case "step":
                    self._record(message, context)
                case "shell":
                    runner.send("address", **terminals.address(message["another"]))
                case "look":
                    runner.send("file", found=files.look(message["path"]))
                case "store":
                    found = files.store(message["path"], message["content"])
                    runner.send("file", found=found)
                case "script":
                    command = base64.b64encode(message["command"].encode()).decode()
                    runner.send("file", found=files.keep_script(command))
                case "end" | "failed":
                    return message

    def _record(self, step: dict[str, Any], context: AgentContext) -> None:
        """OpenHands refuses values that its schema lets pass, such as a timeout below zero."""
        if step["refused"] and not self._has_fault:
            context.note_fault(CallProblem.WRONG, step["refused"])
        action, thought = step["action"].strip(), step["thought"].strip()
        context.record(thought, action, step["observation"], step["shown"])

    def _answer(self, runner: Runner, query: dict[str, Any], context: AgentContext) -> None:
        try:
            completion = context.ask(query["messages"], query["tools"])
        except LimitReached as limit:
            self._limit = limit.outcome
            is_too_long = limit.outcome is Outcome.CONTEXT_OVERFLOW
            runner.send("overflow" if is_too_long else "limit")
            return
        found = check_answer(completion.tool_calls, completion.finish_reason, query["tools"] or [])
        self._has_fault = bool(query["tools"]) and any(problem for problem, _ in found)
        budget = {"steps_left": context.steps_left, "max_steps": context.max_steps}
        settings, tokens = self._settings, completion.tokens
        no_call = Template(settings.no_call_template)
        runner.send(
            "answer",
            content=completion.content,
            tool_calls=completion.tool_calls,
            finish_reason=completion.finish_reason,
            reminder=Template(settings.reminder_template).render(budget).strip(),
            go_on=no_call.render(budget, finish_reason=completion.finish_reason),
            command_timeout_s=context.command_timeout_s(),
            usage={
                "prompt_tokens": tokens.prompt_tokens,
                "completion_tokens": tokens.completion_tokens,
            },
        )
