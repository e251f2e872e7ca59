"""`mini`: mini-swe-agent as a library, in its text protocol, in our sandboxes and on our client.

Its loop, its templates' language and its trajectory format are kept; its limits, its container and
its LLM client are replaced by ours (litellm takes 190 MB, httpx 10).
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestrator.agents.base import TOOLS_MOUNT, TOOLS_PATH, AgentContext, SimpleAgent
from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.agents.steps import Step, Trajectory, read_mini
from orchestrator.backends import Sandbox
from orchestrator.config.schema import AgentSettings as AgentConfig
from orchestrator.endpoint.client import ChatClient, ContextOverflow
from orchestrator.types import Outcome

# mini-swe-agent greets on stdout and makes a settings folder when it is imported
os.environ.setdefault("MSWEA_SILENT_STARTUP", "1")
os.environ.setdefault(
    "MSWEA_GLOBAL_CONFIG_DIR", os.path.join(tempfile.gettempdir(), "mswea-config")
)

from minisweagent.agents.default import DefaultAgent
from minisweagent.exceptions import FormatError, LimitsExceeded, Submitted
from minisweagent.models.utils.actions_text import (
    format_observation_messages,
    parse_regex_actions,
)

TRAJECTORY = "mini.traj.json"
SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
ACTION_REGEX = r"```mswea_bash_command\s*\n(.*?)\n```"

OBSERVATION_TEMPLATE = """\
{%- if output.exception_info %}<error>{{ output.exception_info }}</error>
{% endif -%}
<returncode>{{ output.returncode }}</returncode>
<output>
{{ output.output }}
</output>"""
"""Of profiles that have none of their own."""


class MiniAgent(SimpleAgent):
    """mini-swe-agent's default agent under our limits."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config

    def prepare(self, platform: str) -> tuple[str, ...]:
        return (TOOLS_MOUNT,) if self._config.bundles else ()

    def run(self, context: AgentContext) -> Outcome:
        config = self._config
        client = ChatClient(context.base_url, context.api_key)
        agent = DefaultAgent(
            _TextModel(client, context.budget, config),
            _SandboxEnvironment(context.sandbox, context.budget, config),
            system_template=config.system_template,
            instance_template=config.instance_template,
            max_consecutive_format_errors=config.max_format_errors,
            step_limit=0,
            cost_limit=0,
            output_path=context.output_dir / TRAJECTORY,
        )
        try:
            end = agent.run(
                task=context.instance.problem_statement,
                max_steps=context.budget.limits.max_steps,
            )
        finally:
            client.close()
        return _outcome(str(end["exit_status"]))

    def trajectory(self, output_dir: Path) -> Trajectory:
        return read_mini(output_dir / TRAJECTORY)


def _outcome(exit_status: str) -> Outcome:
    if exit_status == "Submitted":
        return Outcome.SUBMITTED
    if exit_status == "RepeatedFormatError":
        return Outcome.FORMAT_ERRORS
    return Outcome(exit_status)


def _exit_message(exit_status: str) -> dict[str, Any]:
    """The message with which mini-swe-agent's loop ends."""
    extra = {"exit_status": exit_status, "submission": ""}
    return {"role": "exit", "content": exit_status, "extra": extra}


class _TextModel:
    """mini-swe-agent's Model protocol on our client: every answer holds one fenced command."""

    def __init__(self, client: ChatClient, budget: Budget, config: AgentConfig) -> None:
        self.config = config
        self._client = client
        self._budget = budget

    def query(self, messages: list[dict[str, Any]], **kwargs: Any) -> dict[str, Any]:
        try:
            self._budget.begin_step()
        except LimitReached as limit:
            raise LimitsExceeded(_exit_message(limit.outcome)) from limit
        self._budget.activity = "asks the model"
        plain = [{"role": m["role"], "content": m["content"]} for m in messages]
        try:
            completion = self._client.complete(plain)
        except ContextOverflow as error:
            raise LimitsExceeded(_exit_message(Outcome.CONTEXT_OVERFLOW)) from error
        tokens = completion.tokens
        self._budget.add_call(tokens.prompt_tokens, tokens.completion_tokens, completion.seconds)
        answer: dict[str, Any] = {"role": "assistant", "content": completion.content}
        answer["extra"] = {
            "timestamp": time.time(),
            "usage": {
                "prompt_tokens": tokens.prompt_tokens,
                "completion_tokens": tokens.completion_tokens,
            },
        }
        content = completion.content
        try:
            actions = parse_regex_actions(
                content,
                action_regex=ACTION_REGEX,
                format_error_template=self.config.format_error_template,
                template_kwargs={"finish_reason": completion.finish_reason},
            )
        except FormatError as error:
            self._budget.end_step(Step(content, "", "(not one command in the asked form)"))
            # the model must see its own answer to mend it, and servers want turns to alternate
            raise FormatError(
                answer | {"content": answer["content"] or " "}, *error.messages
            ) from error
        thought = content.partition("```")[0].strip()
        answer["extra"]["actions"] = [action | {"thought": thought} for action in actions]
        return answer

    def format_message(self, **kwargs: Any) -> dict[str, Any]:
        return kwargs

    def format_observation_messages(
        self,
        message: dict[str, Any],
        outputs: list[dict[str, Any]],
        template_vars: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        steps = {
            "steps_left": self._budget.steps_left,
            "max_steps": self._budget.limits.max_steps,
        }
        return list(
            format_observation_messages(
                outputs,
                observation_template=self.config.observation_template or OBSERVATION_TEMPLATE,
                template_vars=(template_vars or {}) | steps,
            )
        )

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        return {}

    def serialize(self) -> dict[str, Any]:
        return {"info": {"config": {"model_type": f"{__name__}._TextModel"}}}


class _SandboxEnvironment:
    """mini-swe-agent's Environment protocol on our sandboxes."""

    def __init__(self, sandbox: Sandbox, budget: Budget, config: AgentConfig) -> None:
        self.config = config
        self._sandbox = sandbox
        self._budget = budget
        self._setup = _QUIET
        if config.bundles:
            self._setup += f'export PATH="{sandbox.resolve(TOOLS_PATH)}:$PATH"; '

    def execute(self, action: dict[str, Any], cwd: str = "") -> dict[str, Any]:
        command = str(action.get("command", ""))
        self._budget.activity = command.strip().splitlines()[0] if command.strip() else "(nothing)"
        timeout_s = self._budget.command_timeout_s()
        result = self._sandbox.exec(self._setup + command, timeout_s)
        text = result.text
        self._budget.end_step(Step(str(action.get("thought", "")), command, text))
        first_line = text.lstrip().partition("\n")[0].strip()
        if first_line == SUBMIT and result.exit_code == 0:
            raise Submitted(_exit_message("Submitted"))
        error = f"the command was killed after {timeout_s:.0f} s" if result.timed_out else ""
        return {
            "output": shorten(text, self.config.observation_chars),
            "returncode": result.exit_code,
            "exception_info": error,
        }

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        return {"cwd": self._sandbox.workdir}

    def serialize(self) -> dict[str, Any]:
        return {"info": {"config": {"environment_type": f"{__name__}._SandboxEnvironment"}}}


_QUIET = "export PAGER=cat MANPAGER=cat GIT_PAGER=cat PIP_PROGRESS_BAR=off TQDM_DISABLE=1; "


def shorten(text: str, limit: int) -> str:
    """Cut `text` in the middle to about `limit` characters, saying how many were left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    return (
        f"{text[:half]}\n[... {left_out} characters left out; ask for less with grep, head or "
        f"sed -n ...]\n{text[-half:]}"
    )
