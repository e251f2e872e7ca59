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
