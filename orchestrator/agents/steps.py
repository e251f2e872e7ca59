"""One form for what an agent thought, did and saw, whatever the agent wrote itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "swe-orchestrator-1"


@dataclass(frozen=True)
class Step:
    """One answer of the model, and what came of it."""

    thought: str
    action: str
    observation: str
    time: float | None = None
    """When the answer arrived, in seconds since the epoch."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True)
class Trajectory:
    steps: tuple[Step, ...]

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1)


class _MiniUsage(BaseModel):
    model_config = ConfigDict(extra="ignore")
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _MiniExtra(BaseModel):
    model_config = ConfigDict(extra="ignore")
    actions: list[dict[str, str]] = Field(default_factory=list)
    timestamp: float | None = None
    usage: _MiniUsage = _MiniUsage()


class _MiniMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: str
    content: str | None = None
    extra: _MiniExtra = _MiniExtra()


class _MiniFile(BaseModel):
    model_config = ConfigDict(extra="ignore")
    messages: list[_MiniMessage] = Field(default_factory=list)


class _SweAgentUsage(_MiniUsage):
    time: float | None = None


class _SweAgentExtra(BaseModel):
    model_config = ConfigDict(extra="ignore")
    usage: _SweAgentUsage = _SweAgentUsage()


class _SweAgentState(BaseModel):
    model_config = ConfigDict(extra="ignore")
    diff: str | None = None


class _SweAgentStep(BaseModel):
    model_config = ConfigDict(extra="ignore")
    thought: str = ""
    action: str = ""
    observation: str = ""
    response: str = ""
    state: _SweAgentState = _SweAgentState()
    extra_info: _SweAgentExtra = _SweAgentExtra()


class _SweAgentFile(BaseModel):
    model_config = ConfigDict(extra="ignore")
    trajectory: list[_SweAgentStep] = Field(default_factory=list)


def read_sweagent(path: Path) -> Trajectory:
    """SWE-agent's .traj; times and tokens are there where our runner wrote it.

    An absent or cut-off file is a trajectory of no steps.
    """
    file = _read_sweagent_file(path)
    return Trajectory(
        tuple(
            Step(
                thought=step.thought.strip(),
                action=step.action.strip(),
                observation=step.observation,
                time=step.extra_info.usage.time,
                prompt_tokens=step.extra_info.usage.prompt_tokens,
                completion_tokens=step.extra_info.usage.completion_tokens,
            )
            for step in file.trajectory
        )
    )


def sweagent_last_patch(path: Path) -> str:
    """What had changed after its last action; empty if that is not known."""
    actions = [step for step in _read_sweagent_file(path).trajectory if step.action.strip()]
    return (actions[-1].state.diff or "") if actions else ""


def _read_sweagent_file(path: Path) -> _SweAgentFile:
    try:
        return _SweAgentFile.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return _SweAgentFile()


def read_mini(path: Path) -> Trajectory:
    """mini-swe-agent's .traj.json. An absent or cut-off file is a trajectory of no steps."""
    try:
        file = _MiniFile.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return Trajectory(())
    return Trajectory(tuple(_mini_steps(file.messages)))


def _mini_steps(messages: list[_MiniMessage]) -> Iterable[Step]:
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        following = messages[index + 1] if index + 1 < len(messages) else None
        observed = following is not None and following.role != "assistant"
        action = "\n".join(call.get("command", "") for call in message.extra.actions)
        content = message.content or ""
        yield Step(
            thought=content.partition("```")[0].strip() if action else content.strip(),
            action=action,
            observation=(following.content or "") if following and observed else "",
            time=message.extra.timestamp,
            prompt_tokens=message.extra.usage.prompt_tokens,
            completion_tokens=message.extra.usage.completion_tokens,
        )
