"""What an agent is given for one rollout: with it, it asks its model and records its steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.agents.budget import Budget, LimitReached
from orchestrator.agents.steps import MAX_OBSERVATION_CHARS, Step, shorten
from orchestrator.backends import Sandbox
from orchestrator.endpoint.client import ChatClient, Completion, ContextOverflow
from orchestrator.endpoint.tool_calls import MAX_DETAIL, CallProblem, check_answer
from orchestrator.errors import one_line
from orchestrator.text import printable, writable
from orchestrator.types import Instance, Outcome, SealedAnswer

MAX_ACTIVITY_CHARS = 200
__all__ = ["AgentContext", "Completion", "LimitReached"]


class AgentContext:
    """All that an agent is given. One thread uses it."""

    def __init__(
        self,
        instance: Instance,
        sandbox: Sandbox,
        diff_command: str,
        output_dir: Path,
        budget: Budget,
        client: ChatClient,
        sealed_answer: SealedAnswer | None = None,
        require_sandbox: Callable[[], object] = lambda: None,
    ) -> None:
        """`require_sandbox` returns once what a model says may be done in the sandbox, or raises
        InfraError."""
        self.instance = instance
        self.sandbox = sandbox
        self.diff_command = diff_command
        """For the sandbox's shell, to know the patch of now: `Baseline.diff_command` has its form.
        The patch of the rollout is harvested anyhow."""
        self.output_dir = output_dir
        """Files written here are kept in the rollout's folder, on every way out."""
        self.sealed_answer = sealed_answer
        """None, unless the kind needs the gold patch."""
        self._budget = budget
        self._client = client
        self._require_sandbox = require_sandbox
        self._answer_stamp: dict[str, Any] = {}
        """Its time and tokens, for the step that it leads to."""

    def begin_step(self) -> None:
        """Take one step from the limits, for agents that ask no model; `ask` does it itself.

        Raises:
            LimitReached: nothing is left of some limit.
        """
        self._budget.begin_step()

    def ask(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None
    ) -> Completion:
        """Begin a step: ask the run's model, and wait for its answer, which may take hours.

        Messages and `tools` (functions that the model may call) are those of a chat completion.
        Where there are tools, the answer's calls are counted, and in which way they are broken.

        Raises:
            LimitReached: nothing is left of some limit, or the messages do not fit into the model's
                context. The agent ends with the outcome that it carries.
            InfraError: no server answers, they refuse the request, or the sandbox is none to work
                in. The agent lets it pass.
        """
        self._budget.begin_step()
        self._budget.activity = "asks the model"
        try:
            completion = self._client.complete(messages, tools)
        except ContextOverflow as error:
            raise LimitReached(Outcome.CONTEXT_OVERFLOW) from error
        tokens = completion.tokens
        self._budget.add_answer(tokens.prompt_tokens, tokens.completion_tokens, completion.seconds)
        with self._budget.uncounted():
            self._require_sandbox()
        self._answer_stamp = {
            "time": time.time(),
            "prompt_tokens": tokens.prompt_tokens,
            "completion_tokens": tokens.completion_tokens,
        }
        if tools:
            reason = completion.finish_reason
            for problem, detail in check_answer(completion.tool_calls, reason, tools):
                self._budget.add_call(problem, detail)
        return completion

    def note_call(self, problem: CallProblem | None, detail: str = "") -> None:
        """Count one call, for agents that tell of functions in the prompt and read calls from
        text. Those that `ask` is given `tools` for are counted by it.

        `problem` is None where the call is well formed, and NO_CALL for an answer that holds none;
        `detail` says in words what was wrong.
        """
        self._budget.add_call(problem, printable(one_line(detail, MAX_DETAIL)))

    def note_fault(self, problem: CallProblem, detail: str = "") -> None:
        """Say that a call which is counted as well formed is broken after all: its function found
        something wrong that no schema tells of, such as what one of its commands requires."""
        self._budget.add_fault(problem, printable(one_line(detail, MAX_DETAIL)))

    def record(self, thought: str, action: str, observation: str, shown: str | None = None) -> None:
        """End a step: what the last answer led to, in the words of `Step`.

        The step gets the last answer's time and tokens. A step that is not recorded is neither in
        the trajectory nor on the display.
        """
        stamp, self._answer_stamp = self._answer_stamp, {}
        kept = shorten(observation, MAX_OBSERVATION_CHARS)
        differs = None if shown is None or shown == observation else writable(shown)
        step = Step(writable(thought), writable(action), writable(kept), differs, **stamp)
        self._budget.end_step(step)

    @property
    def activity(self) -> str:
        """What the agent does at this moment, in one line for the display. Agents set it."""
        return self._budget.activity

    @activity.setter
    def activity(self, text: str) -> None:
        lines = printable(text.strip()[:MAX_ACTIVITY_CHARS]).splitlines()
        self._budget.activity = lines[0] if lines else "(nothing)"

    @property
    def max_steps(self) -> int:
        return self._budget.limits.max_steps

    @property
    def steps_left(self) -> int:
        return self._budget.steps_left

    @property
    def command_limit_s(self) -> float:
        """A command's own limit, for agents whose shell is told of it once."""
        return self._budget.limits.command_timeout_s

    def command_timeout_s(self) -> float:
        """For the next command: its own limit, or what is left of the rollout's."""
        return self._budget.command_timeout_s()
