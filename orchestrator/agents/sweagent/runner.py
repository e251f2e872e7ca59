"""SWE-agent at work: a process in SWE-agent's own environment, one for each rollout slot.

`runners/forkserver.py` forks it, so that a host pays SWE-agent's imports once. It takes one rollout
after another. It imports nothing of ours but what lies beside it, and `line`, as our package is not
in its environment.

Its worker asks the model for it, and SWE-ReX in the sandbox, keeps the limits, and may kill it at
any moment. They exchange messages; `agent.py` has the worker's end.

    worker sends   rollout; in answer to a query: answer, limit or overflow; to sandbox: sandbox;
                   to restart: server
    runner sends   query, sandbox, activity, step and restart; at the end: end or failed
"""

from __future__ import annotations

import json
import re
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from .litellm_later import import_litellm_later

import_litellm_later()

from sweagent.agent.agents import DefaultAgent, TemplateConfig
from sweagent.agent.history_processors import DefaultHistoryProcessor
from sweagent.agent.models import GenericAPIModelConfig, LiteLLMModel
from sweagent.agent.problem_statement import TextProblemStatement
from sweagent.exceptions import (
    ContextWindowExceededError,
    InstanceCallLimitExceededError,
)
from sweagent.tools.tools import ToolConfig, ToolHandler
from sweagent.types import StepOutput
from swerex.exceptions import CommandTimeoutError, SwerexException

from orchestrator.agents.runners.line import (
    MAX_SENT_CHARS,
    Worker,
    send,
    serve_rollouts,
    shorten,
)

from .shell import SandboxEnvironment

UNLIMITED = 10**7
INSTALL_S = 300
"""SWE-agent's own limit on setting up one bundle of tools."""
STRINGS_ONLY = ("bash", "edit")
SUBMISSION = re.compile(r"^<<SWE_AGENT_SUBMISSION>>\s*$", re.MULTILINE)
INTERACTIVE = ("vim", "vi", "emacs", "nano", "less", "more", "gdb")


def ask_sandbox(worker: Worker, verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """What SWE-ReX in the sandbox answers, as `Runtime` takes it."""
    send("sandbox", verb=verb, request=request)
    reply: dict[str, Any] = worker.receive()["reply"]
    return reply


def start_another_server(worker: Worker) -> None:
    """Where the worker can't, it ends this process."""
    send("restart")
    worker.receive()


class WorkerModel(LiteLLMModel):
    """Asks the worker, whose client knows outages, limits and the server's own token counts."""

    def __init__(self, worker: Worker, tools: ToolConfig, max_steps: int) -> None:
        super().__init__(
            GenericAPIModelConfig(name="worker", per_instance_cost_limit=0, total_cost_limit=0),
            tools,
        )
        self.steps_left = max_steps
        self.finish_reason = ""
        """Of the last answer; `length` where it was cut off."""
        self._worker = worker

    def query(self, history: Any, n: int = 1, temperature: float | None = None) -> dict[str, Any]:
        messages = self._history_to_messages(history)
        for message in messages:
            if message["role"] == "assistant" and not message.get("tool_calls"):
                message.pop("tool_calls", None)
                message["content"] = message["content"] or " "  # servers refuse empty answers
        calls = self.tools.use_function_calling
        send("query", messages=messages, tools=self.tools.tools if calls else None)
        reply = self._worker.receive()
        if reply["kind"] == "overflow":
            raise ContextWindowExceededError
        if reply["kind"] == "limit":
            raise InstanceCallLimitExceededError(reply["outcome"])
        self.steps_left = reply["steps_left"]
        self.finish_reason = reply["finish_reason"]
        self.stats.api_calls += 1
        self.stats.tokens_sent += reply["usage"]["prompt_tokens"]
        self.stats.tokens_received += reply["usage"]["completion_tokens"]
        output: dict[str, Any] = {"message": reply["content"]}
        if calls:
            output["tool_calls"] = [plain_call(call) for call in reply["tool_calls"]]
        return output


def plain_call(call: dict[str, Any]) -> dict[str, Any]:
    """A call that SWE-agent's parser can read, or can complain about to the model.

    The parser crashes on JSON that is no object. For a null it would write "None" into a file.
    """
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    try:
        given = json.loads(arguments)
        values = {key: value for key, value in given.items() if value is not None}
        strings = all(isinstance(value, str) for value in values.values())
        usable = strings or name not in STRINGS_ONLY
        plain = json.dumps(values)
    except (ValueError, AttributeError, RecursionError):
        usable, plain = False, ""
    said = plain if usable else f"not strings by name: {arguments[:2000]}"
    return call | {"function": {"name": name, "arguments": said}}


class ReportingAgent(DefaultAgent):
    """SWE-agent's own agent, which sends its steps to the worker as they happen."""

    max_steps = 0
    observation_chars = 0
    printed: str | None = None
    """What the step's command printed, before it was cut for the model; None where none was run."""
    asked_again: StepOutput | None = None
    """The step whose answer the model is asked to mend."""

    def _get_format_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Adds the budget to what templates can name."""
        budget = {
            "max_steps": self.max_steps,
            "steps_left": self.model.steps_left,
            "command_timeout_s": self.tools.config.execution_timeout,
            "finish_reason": self.model.finish_reason,
        }
        return {**super()._get_format_dict(**kwargs), **budget}

    def handle_action(self, step: StepOutput) -> StepOutput:
        send("activity", text=(step.action.strip().splitlines() or ["(nothing)"])[0][:200])
        step = super().handle_action(step)
        step.observation += self._env.take_notice()
        return step

    def handle_submission(
        self, step: StepOutput, *, observation: str = "", force_submission: bool = False
    ) -> StepOutput:
        """Read no patch from the sandbox: it is harvested from outside.

        An agent that merely prints a file with the token, which is enough for SWE-agent, has not
        submitted.
        """
        step = step.model_copy(deep=True)
        said_so = SUBMISSION.search(observation or step.observation)
        if said_so and self.tools.config.submit_command in step.action.split():
            step.exit_status, step.done = "submitted", True
            step.observation = "Submitted."
        return step

    def attempt_autosubmission_after_error(self, step: StepOutput) -> StepOutput:
        """End without a submission; the exit status stays what it is."""
        step = step.model_copy(deep=True)
        step.done = True
        return step

    def add_step_to_history(self, step: StepOutput) -> None:
        self.printed = shorten(step.observation, MAX_SENT_CHARS)
        step.observation = shorten(step.observation, self.observation_chars)
        super().add_step_to_history(step)

    def add_step_to_trajectory(self, step: StepOutput) -> None:
        printed, self.printed = self.printed, None
        if step.done and not step.action:
            return  # SWE-agent's own remark on a limit, and no answer of the model
        step.query = []  # it is in the history too; written again for each step, files get huge
        super().add_step_to_trajectory(step)
        if printed is None:
            self.asked_again = step  # what the model is shown of it comes next
        else:
            self.send_step(step, printed, None if step.done else self.history[-1]["content"])

    def get_model_requery_history(self, *args: Any, **kwargs: Any) -> list[dict[str, str]]:
        """Called after `add_step_to_trajectory` for an answer that can't be used as it is."""
        history: list[dict[str, str]] = super().get_model_requery_history(*args, **kwargs)
        step, self.asked_again = self.asked_again, None
        if step is not None:
            self.send_step(step, step.observation, history[-1]["content"])
        return history

    def send_step(self, step: StepOutput, printed: str, shown: str | None) -> None:
        send(
            "step",
            thought=step.thought or step.output,
            action=step.action,
            observation=shorten(printed, MAX_SENT_CHARS),
            shown=shown,
            diff=step.state.get("diff") or "",
        )

    def save_trajectory(self) -> None:
        """Whole or not at all: we may be killed while it is written."""
        unfinished = self.traj_path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.get_trajectory_data(), indent=1))
        unfinished.replace(self.traj_path)


class Tools(ToolHandler):
    def get_state(self, env: SandboxEnvironment) -> dict[str, str]:
        """Go on where the repository's diff takes too long, or the agent broke the file that it is
        written to; SWE-agent would end the rollout.

        Not during set-up: a sandbox that was not set up whole is not worked in.
        """
        try:
            return dict(super().get_state(env))
        except (ValueError, OSError):
            if not env.is_kept:
                raise
            return {}
        except CommandTimeoutError:
            if not env.is_kept:
                raise
            env.interrupt_session()
            return {}

    def should_block_action(self, action: str) -> bool:
        """Block interactive programs, whatever their arguments."""
        words = action.split()
        alone = self.config.filter.blocklist_standalone
        return bool(words) and (words[0] in INTERACTIVE or action.strip() in alone)


def serve_rollout(worker: Worker, request: dict[str, Any]) -> None:
    """One rollout, to its `end` or `failed`."""
    config = request["config"]
    tools = ToolConfig(
        bundles=[{"path": path} for path in config["bundles"]],
        parse_function={"type": config["protocol"]},
        format_error_template=config["format_error_template"],
        execution_timeout=config["command_timeout_s"],
        install_timeout=int(INSTALL_S * request["patience"]),
        # the worker's limits hold
        total_execution_timeout=UNLIMITED,
        max_consecutive_execution_timeouts=UNLIMITED,
        env_variables={
            "PAGER": "cat",
            "MANPAGER": "cat",
            "GIT_PAGER": "cat",
            "PIP_PROGRESS_BAR": "off",
            "TQDM_DISABLE": "1",
        },
    )
    agent = ReportingAgent(
        templates=TemplateConfig(
            system_template=config["system_template"],
            instance_template=config["instance_template"],
            next_step_template=config["observation_template"],
            max_observation_length=UNLIMITED,  # it would cut off the end
        ),
        tools=Tools(tools),
        history_processors=[DefaultHistoryProcessor()],
        model=WorkerModel(worker, tools, request["max_steps"]),
        max_requeries=config["max_format_errors"],
    )
    agent.max_steps = request["max_steps"]
    agent.observation_chars = config["observation_chars"]
    environment = SandboxEnvironment(
        request["workdir"],
        request["diff_command"],
        partial(ask_sandbox, worker),
        partial(start_another_server, worker),
        request["patience"],
    )
    try:
        environment.start()
        statement = TextProblemStatement(
            text=request["problem_statement"], id=request["instance_id"]
        )
        output_dir = Path(request["output_dir"])
        agent.setup(environment, statement, output_dir)
        environment.keep_session()
        step = StepOutput()
        while not step.done:
            step = agent.step()
            agent.save_trajectory()
    except Exception as error:  # noqa: BLE001 - the boundary to SWE-agent's code
        # the worker records it as a failure
        send(
            "failed",
            is_sandbox=isinstance(error, SwerexException),
            detail=" ".join(f"{type(error).__name__}: {error}".split())[:500],
            traceback=traceback.format_exc(),
        )
    else:
        send("end", exit_status=step.exit_status or "", detail=step.thought[:500])


def main() -> None:
    serve_rollouts(serve_rollout, "sweagent.log")
