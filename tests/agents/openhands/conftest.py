"""The real OpenHands at work for a model that is played here, call by call."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.budget import Budget
from orchestrator.agents.context import AgentContext
from orchestrator.agents.openhands.agent import OpenHandsAgent
from orchestrator.backends import Sandbox
from orchestrator.config import RunConfig
from orchestrator.config.schema import RolloutLimits
from orchestrator.endpoint.client import Completion
from orchestrator.endpoint.fields import Tokens
from orchestrator.types import Instance, Outcome

Call = tuple[str, dict[str, Any] | str]
FINISH: Call = ("finish", {"message": "done"})


def terminal(command: str, **more: Any) -> Call:
    return "terminal", {"command": command, **more}


def editor(command: str, path: str, **more: Any) -> Call:
    return "file_editor", {"command": command, "path": path, **more}


@dataclass
class PlayedModel:
    """Answers with these calls, or texts, or what these functions give, one after another; then it
    finishes."""

    answers: list[Any]
    requests: list[tuple[list[dict[str, Any]], Any]] = field(default_factory=list)

    def complete(self, messages: list[dict[str, Any]], tools: Any = None) -> Completion:
        self.requests.append((messages, tools))
        answer = self.answers.pop(0) if self.answers else FINISH
        if callable(answer):
            answer = answer()
        if isinstance(answer, str):
            return Completion(answer, "stop", False, Tokens(100, 10), 0.0)
        calls = answer if isinstance(answer, list) else [answer]
        return Completion("", "tool_calls", False, Tokens(100, 10), 0.0, tuple(map(_sent, calls)))

    @property
    def told(self) -> str:
        """All that it was told, in all of its requests."""
        return json.dumps(self.requests, ensure_ascii=False)


def _sent(call: Call) -> dict[str, Any]:
    name, arguments = call
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": "same", "type": "function", "function": {"name": name, "arguments": text}}


@dataclass
class Rolled:
    """What came of a rollout."""

    outcome: Outcome
    model: PlayedModel
    budget: Budget
    output_dir: Path

    @property
    def observations(self) -> list[str]:
        return [step.observation for step in self.budget.steps]

    @property
    def shown(self) -> list[str]:
        """What the model was shown of each step."""
        return [step.shown or step.observation for step in self.budget.steps]


Roll = Callable[..., Rolled]


@pytest.fixture
def roll(
    instance: Instance,
    tmp_path: Path,
    make_config: Callable[..., RunConfig],
) -> Iterator[Roll]:
    """One rollout: `roll(sandbox, terminal("ls"), agent="openhands-text", max_steps=3)`."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def run(
            sandbox: Sandbox,
            *answers: Any,
            agent: str = "openhands",
            settings: dict[str, Any] | None = None,
            **limits: Any,
        ) -> Rolled:
            section: Any = make_config(agent, settings).agent
            worker = OpenHandsAgent(section)
            stack.callback(worker.close)
            output_dir = tmp_path / f"output{next(numbers)}"
            output_dir.mkdir()
            model = PlayedModel(list(answers))
            budget = Budget(RolloutLimits(**limits))
            client: Any = model
            context = AgentContext(instance, sandbox, "true", output_dir, budget, client)
            worker.prepare("linux/amd64")
            outcome = worker.run(context)
            worker.close()
            return Rolled(outcome, model, budget, output_dir)

        yield run
