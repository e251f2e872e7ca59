"""`mini`: mini-swe-agent as a library, in its text protocol, in our sandboxes and on our client.

Its loop, its templates' language and its trajectory format are kept; its limits, its container and
its LLM client are replaced by ours (litellm takes 190 MB, httpx 10).
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from orchestrator.agents.base import TOOLS_PATH, SimpleAgent, tools_mount
from orchestrator.agents.context import AgentContext, LimitReached
from orchestrator.agents.steps import shorten
from orchestrator.agents.templates import TemplateSettings
from orchestrator.errors import SandboxUnavailable
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
CUT_HINT = "; ask for less with grep, head or sed -n"
_QUIET = "export PAGER=cat MANPAGER=cat GIT_PAGER=cat PIP_PROGRESS_BAR=off TQDM_DISABLE=1; "

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

    def __init__(self, settings: TemplateSettings) -> None:
        self._settings = settings

    def prepare(self, platform: str) -> tuple[str, ...]:
        return (tools_mount(),) if self._settings.bundles else ()

    def run(self, context: AgentContext) -> Outcome:
        settings = self._settings
        agent = DefaultAgent(
            _TextModel(context, settings),
            _SandboxEnvironment(context, settings),
            system_template=settings.system_template,
            instance_template=settings.instance_template,
            max_consecutive_format_errors=settings.max_format_errors,
            step_limit=0,
            cost_limit=0,
            output_path=context.output_dir / TRAJECTORY,
        )
        end = agent.run(task=context.instance.problem_statement, max_steps=context.max_steps)
        return _outcome(str(end["exit_status"]))


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
    """mini-swe-agent's Model protocol on our context: every answer holds one fenced command."""

    def __init__(self, context: AgentContext, settings: TemplateSettings) -> None:
        self.config = settings
        self._context = context

    def query(self, messages: list[dict[str, Any]], **kwargs: Any) -> dict[str, Any]:
        plain = [{"role": m["role"], "content": m["content"]} for m in messages]
        try:
            completion = self._context.ask(plain)
        except LimitReached as limit:
            raise LimitsExceeded(_exit_message(limit.outcome)) from limit
        content, tokens = completion.content, completion.tokens
        answer: dict[str, Any] = {"role": "assistant", "content": content}
        answer["extra"] = {
            "timestamp": time.time(),
            "usage": {
                "prompt_tokens": tokens.prompt_tokens,
                "completion_tokens": tokens.completion_tokens,
            },
        }
        try:
            actions = parse_regex_actions(
                content,
                action_regex=ACTION_REGEX,
                format_error_template=self.config.format_error_template,
                template_kwargs={"finish_reason": completion.finish_reason},
            )
        except FormatError as error:
            shown = "\n".join(str(message["content"]) for message in error.messages)
            self._context.record(content.strip(), "", "", shown)
            # the model must see its own answer to mend it, and servers want turns to alternate
            raise FormatError(answer | {"content": content or " "}, *error.messages) from error
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
        """What the model is shown of the one command that its answer held."""
        context, limit = self._context, self.config.observation_chars
        steps = {"steps_left": context.steps_left, "max_steps": context.max_steps}
        (action,), (output,) = message["extra"]["actions"], outputs
        printed = str(output["output"])
        messages = format_observation_messages(
            [output | {"output": shorten(printed, limit, CUT_HINT)}],
            observation_template=self.config.observation_template or OBSERVATION_TEMPLATE,
            template_vars=(template_vars or {}) | steps,
        )
        context.record(action["thought"], action["command"], printed, messages[0]["content"])
        return list(messages)

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        return {}

    def serialize(self) -> dict[str, Any]:
        return {"info": {"config": {"model_type": f"{__name__}._TextModel"}}}


class _SandboxEnvironment:
    """mini-swe-agent's Environment protocol on our sandboxes."""

    def __init__(self, context: AgentContext, settings: TemplateSettings) -> None:
        self.config = settings
        self._context = context
        self._setup = _QUIET
        if settings.bundles:
            self._setup += f'export PATH="{context.sandbox.resolve(TOOLS_PATH)}:$PATH"; '

    def execute(self, action: dict[str, Any], cwd: str = "") -> dict[str, Any]:
        """Run the command. The model records what came of it, but for the last one."""
        context, thought, command = self._context, action["thought"], action["command"]
        context.activity = command
        timeout_s = context.command_timeout_s()
        try:
            result = context.sandbox.exec(self._setup + command, timeout_s)
        except SandboxUnavailable:
            context.record(thought, command, "")
            raise
        text = result.text
        first_line = text.lstrip().partition("\n")[0].strip()
        if first_line == SUBMIT and result.exit_code == 0:
            context.record(thought, command, text)
            raise Submitted(_exit_message("Submitted"))
        error = f"the command was killed after {timeout_s:.0f} s" if result.timed_out else ""
        return {"output": text, "returncode": result.exit_code, "exception_info": error}

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        return {"cwd": self._context.sandbox.workdir}

    def serialize(self) -> dict[str, Any]:
        return {"info": {"config": {"environment_type": f"{__name__}._SandboxEnvironment"}}}
