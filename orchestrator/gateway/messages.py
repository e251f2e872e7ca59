"""What passes between the driver and the gateway's process: settings in, a JSON line a message out.

Settings go through standard input, since they hold keys. Its end means that the driver has gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from orchestrator.config.schema import Model
from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.types import ModelRequest, RolloutKey


class GatewayStart(BaseModel):
    """Everything that a gateway is started with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Model
    """Its endpoint holds for all."""
    profiles: Mapping[str, Model] = Field(default_factory=dict)
    """By run id, where several runs ask the server: what each adds to its requests."""
    api_key: str = ""
    token: str
    """What agents must show; one a gateway."""
    host: str = "127.0.0.1"
    port: int = 0
    sample_every_s: float = 10.0

    def profile_of(self, run_id: str) -> Model:
        return self.profiles.get(run_id, self.model)


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

    @property
    def away(self) -> dict[str, str]:
        """Base URL of each server that is away, and why."""
        parts = (note.partition(": ") for note in self.notes)
        return {url: why for url, _, why in parts}


class Sampled(BaseModel):
    """An interval has ended."""

    sample: LoadSample


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


ANEW = "+anew"
"""Stands behind a segment."""


def rollout_segment(key: RolloutKey) -> str:
    """The segment of the base URL that names a rollout: `<run>:<instance>:<attempt>`."""
    return f"{key.run_id}:{quote(key.instance_id, safe='')}:{key.attempt}"


def begun_anew(base_url: str) -> str:
    """The base URL of a rollout whose agent begins anew: what the first one asked was dropped, and
    what it still asks is. All of it counts as this rollout's."""
    front, slash, version = base_url.rpartition("/")
    return f"{front}{ANEW}{slash}{version}"


def parse_rollout_segment(segment: str) -> RolloutKey:
    """Raises ValueError where it names no rollout."""
    run_id, _, rest = segment.removesuffix(ANEW).partition(":")
    name, _, attempt = rest.rpartition(":")
    if not (run_id and name and attempt.isdecimal() and int(attempt) > 0):
        raise ValueError(f"{segment!r} names no rollout")
    return RolloutKey(run_id, unquote(name), int(attempt))
