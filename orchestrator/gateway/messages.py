"""What passes between the driver and the gateway's process: settings in, a JSON line a message out.

Settings go through standard input, since they hold keys; its end tells the gateway that its driver
has gone.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, TypeAdapter

from orchestrator.config.schema import Model
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.types import ModelRequest


class GatewayStart(BaseModel):
    """Everything that a gateway is started with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Model
    api_key: str = ""
    token: str
    """What agents must show; one a run."""
    host: str = "127.0.0.1"
    port: int = 0
    sample_every_s: float = 10.0


class Listening(BaseModel):
    """The gateway listens."""

    port: int


class Requested(BaseModel):
    """A request has ended."""

    request: ModelRequest


class Availability(BaseModel):
    """Whether any server is up, sent whenever that changes for one of them."""

    down: bool
    notes: tuple[str, ...] = ()
    """One line a server that is away: where, and why."""


class Sampled(BaseModel):
    """What happened over one interval, at the gateway and at the servers."""

    at: float
    """Seconds since the epoch, at its end."""
    seconds: float
    answers: int
    grown_tokens: int
    """By how much conversations grew: work that counts, whatever a cache did."""
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    """Mean of the answers; 0 where there were none."""
    in_flight: int
    waiting: int
    """Requests that the gateway holds."""
    down_s: float
    """Of the interval: no server was up."""
    outages: int = 0
    """That began in it."""
    server: ServerMetrics | None
    """Counters as their growth over the interval; None where servers show no such metrics."""


Message = Listening | Requested | Availability | Sampled
MESSAGES: dict[str, TypeAdapter[Message]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Listening, Requested, Availability, Sampled)
}


def to_line(message: Message) -> str:
    """`Name {json}`, without a line break."""
    return f"{type(message).__name__} {message.model_dump_json()}"


def from_line(line: str) -> Message:
    """Raises ValueError for what is no message."""
    name, _, body = line.partition(" ")
    if name not in MESSAGES:
        raise ValueError(f"no message of the gateway: {line[:80]!r}")
    return MESSAGES[name].validate_json(body)


def rollout_key(instance_id: str, attempt: int) -> str:
    """The segment of the base URL that names a rollout."""
    return f"{quote(instance_id, safe='')}.{attempt}"


def parse_rollout_key(key: str) -> tuple[str, int]:
    """Raises ValueError where it is none."""
    name, _, attempt = key.rpartition(".")
    if not name:
        raise ValueError(f"{key!r} names no rollout")
    return unquote(name), int(attempt)
