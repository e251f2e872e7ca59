"""The shape of a run's configuration. Every flag of the command line has a field here.

Units stand in the names: `_s` seconds, `_gb` gigabytes (10^9 bytes), everything else counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import idna
from pydantic import (
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from orchestrator.config.cluster import Cluster
from orchestrator.config.sections import Name, Section
from orchestrator.errors import ConfigError
from orchestrator.plugins import AGENTS, find_class
from orchestrator.types import FailureKind

RUN_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""A folder's name, and part of a container's."""
SLICE = r"(-?\d+)?:(-?\d+)?"
"""Python's start:stop."""
SCRIPTED = "scripted"
"""As a base URL: the endpoint that ships."""


class Selection(Section):
    """Which instances of the benchmark the run covers, in which order."""

    instances: tuple[str, ...] = ()
    """Ids, regular expressions (full match) or @file with one of them a line; empty is all."""
    slice: str | None = None
    """Python's start:stop over what is left after `instances` and `shuffle`."""
    shuffle: bool = False
    seed: int = 0


class Benchmark(Section):
    name: Name
    description: str = ""
    source: str
    """`bundled:NAME` (demo, smoke), a hub dataset id, or a local .parquet, .jsonl, .json file or
    task repo folder. `bundled` alone is `bundled:demo`: older runs' run.yaml hold it."""
    split: str = "test"
    data_file: str | None = None
    """The file's name inside `dataset_dir` that stands for this benchmark offline."""
    dataset_dir: str | None = None
    """Where to look for `data_file` instead of asking the hub."""
    default_model: str | None = None
    default_agent: str = "mini"

    @property
    def is_bundled(self) -> bool:
        """Whether it ships with this project: small, and able to do without an engine."""
        return self.source.partition(":")[0] == "bundled"


class Endpoint(Section):
    base_url: str
    """OpenAI-compatible, ends in /v1. `scripted` starts the shipped scripted endpoint."""
    replicas: tuple[str, ...] = ()
    """Base URLs of further servers with the same model; a rollout stays with one of them."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; local servers mostly need none."""
    request_timeout_s: float = Field(default=900, gt=0)
    """One completion; a 26B model that shares its server may well take minutes."""
    max_outage_s: float = Field(default=8 * 3600, ge=0)
    """How long requests are held while no server answers, before their rollouts fail."""
    max_tries: int = Field(default=6, gt=0)
    """Attempts at one request that come to nothing at servers which are up, before it fails."""
    admission: Literal["auto", "fixed"] = "auto"
    """auto: as many rollouts at once, up to the slots, as the servers' metrics and the measured
    throughput say; fixed: always as many as there are slots."""

    @field_validator("base_url", "replicas")
    @classmethod
    def _are_urls_without_secrets(cls, urls: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(urls, str):
            return urls if urls == SCRIPTED else server_url(urls)
        return tuple(map(server_url, urls))

    @property
    def base_urls(self) -> tuple[str, ...]:
        """All servers of the model, without trailing slashes."""
        return tuple(dict.fromkeys(url.rstrip("/") for url in (self.base_url, *self.replicas)))


def server_url(text: str) -> str:
    """A server's base URL, without blanks around it. Raises ValueError where it can't be one."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:  # brackets that don't close, a port that is no number
        raise ValueError(f"is no URL ({error}): write http://HOST:PORT/v1") from None
    try:
        (host or "").encode("idna").decode("idna")
        if host and not host.isascii():
            idna.encode(host)  # stricter than Python's own, and what clients go by
    except UnicodeError:  # a label that is empty, over 63 letters, no Punycode, or holds an emoji
        raise ValueError(f"{host!r} can be no host's name") from None
    if "@" in parts.netloc:
        raise ValueError("URLs stand in logs: put a key into api_key_env's variable")
    if parts.scheme not in ("http", "https") or not host or port == 0 or re.search(r"\s", url):
        raise ValueError("is no URL of a server: write http://HOST:PORT/v1")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, /v1 mostly: no ? and no #")
    if parts.path.rstrip("/").endswith("/v1/v1"):
        raise ValueError("ends in /v1 twice")
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ValueError("is a page of the server: write what stands before it, up to /v1")
    return url


class Sampling(Section):
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    seed: int | None = None


class Speed(Section):
    """What somebody has measured of one request alone, on the machine that the recipe is for."""

    tokens_per_s: float = Field(gt=0)
    """Generated; of the slowest of the recipe's variants that was measured."""
    source: str


class Model(Section):
    name: Name
    description: str = ""
    served_name: str
    endpoint: Endpoint
    context_length: int | None = Field(default=None, gt=0)
    """Tokens. A rollout whose prompt has grown to this ends; a server that takes fewer refuses
    earlier, and the run says so at its start."""
    sampling: Sampling = Sampling()
    request_fields: dict[str, Any] = Field(default_factory=dict)
    """Added to the body of every request, such as chat_template_kwargs."""
    reasoning: Literal["keep", "strip"] = "keep"
    """strip: agents don't see the model's thoughts: reasoning fields, and what `endpoint.thoughts`
    finds at the start of an answer, opened there or in the prompt."""
    max_concurrency: int = Field(default=8, gt=0)
    """Rollouts at once that the server is worth; `workers: auto` stays at or under it."""
    seconds_per_rollout: float = Field(default=600, gt=0)
    """A guess for the plan; the run measures its own."""
    recipe: str | None = None
    """How its server is started: recipes/NAME.yaml (`config.recipe`), beside the profiles."""
    speed: Speed | None = None
    """Expected; one far below it tells of a server that is not well."""
    personas: dict[str, str] = Field(default_factory=dict)
    """Scripted endpoint only: instance id (or `default`) to persona."""


class AgentSettings(Section):
    """What every agent's section has. The kind's own class (`AgentKind.Settings`) adds its keys."""

    name: Name
    description: str = ""
    kind: str
    """A name of `plugins.AGENTS`, or package.module:Class of somebody else's agent."""


def find_agent_kind(kind: str) -> type[Any]:
    """The class that implements `agents.base.AgentKind`, by the `kind` of an agent's section.

    Raises:
        ConfigError: there is none of this name or import path.
    """
    found = find_class(AGENTS, kind)
    settings = getattr(found, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, AgentSettings)):
        raise ConfigError(f"kind {kind!r} is no agent: its Settings are no AgentSettings")
    return found


class Predictions(Section):
    """Whose predictions a run grades that starts no agent of its own."""

    name: Name
    description: str = ""


def _default_retries() -> dict[FailureKind, int]:
    return {
        FailureKind.ENDPOINT_UNAVAILABLE: 5,
        FailureKind.REQUEST_REFUSED: 1,
        FailureKind.SANDBOX_UNAVAILABLE: 2,
        FailureKind.SANDBOX_BROKEN: 2,
        FailureKind.IMAGE_UNAVAILABLE: 2,
        FailureKind.WORKER_LOST: 2,
        FailureKind.SHARED_WORKER_LOST: 5,
        FailureKind.HARNESS_UNAVAILABLE: 2,
        FailureKind.TESTS_TOO_SLOW: 0,
        FailureKind.AGENT_CRASHED: 1,
        FailureKind.INTERRUPTED: 0,
        FailureKind.INTERNAL_ERROR: 1,
    }


class RolloutLimits(Section):
    """Limits of one rollout, the same for every agent, and how often failures are redone."""

    max_steps: int = Field(default=75, gt=0)
    max_tokens: int = Field(default=6_000_000, gt=0)
    """Prompt and completion tokens together, over all calls."""
    time_limit_s: float = Field(default=3600, gt=0)
    """Wall clock from the first step; time held while the server is away does not count."""
    command_timeout_s: float = Field(default=120, gt=0)
    loop_limit: int = Field(default=0, ge=0)
    """The same action with the same observation, so often in a row, ends the rollout as
    step_limit; 0: never."""
    integrity: Literal["fix", "warn", "fail"] = "fix"
    """Where an image's repository holds anything after the base commit: drop it before the agent
    sees it, note it, or fail the rollout."""
    show_steps: bool = False
    """Print every step of every rollout as it happens."""
    retries: dict[FailureKind, int] = Field(default_factory=_default_retries)
    retry_delay_s: float = Field(default=10, ge=0)
    """Before the first retry; doubles with each further one, to 10 minutes at most."""

    @field_validator("retries")
    @classmethod
    def _every_kind_has_a_budget(cls, retries: dict[FailureKind, int]) -> dict[FailureKind, int]:
        return _default_retries() | retries


class ReportSettings(Section):
    """When a report calls its number quarantined (`report.validity`)."""

    quarantine_share: float = Field(default=0.5, gt=0, le=1)
    """More than such a share of rollouts that ended alike in a way that smells of infrastructure,
    of verdicts without test results, or of unresolved instances whose gold patches are not
    resolved on the host either."""
    quarantine_least: int = Field(default=5, gt=0)
    """Of fewer rollouts, or verdicts, a share says nothing."""
    quarantine_stretch: int = Field(default=5, gt=0)
    """So many that ended so one after the other, and hardly one elsewhere."""


class RunConfig(Section):
    """Everything that a run depends on, merged and frozen; written to run.yaml."""

    run_id: str = Field(pattern=f"^{RUN_ID}$")
    runs_dir: str
    benchmark: Benchmark
    model: Model | None
    """None for agents that ask no model (gold, nop)."""
    agent: SerializeAsAny[AgentSettings] | None = None
    """The section of its kind. None where predictions are graded that were made elsewhere."""
    predictions: Predictions | None = None
    cluster: Cluster
    rollout: RolloutLimits = RolloutLimits()
    report: ReportSettings = ReportSettings()
    selection: Selection = Selection()

    @field_validator("agent", mode="before")
    @classmethod
    def _agent_of_its_kind(cls, given: Any) -> Any:
        kind = given.get("kind") if isinstance(given, Mapping) else None
        if not isinstance(kind, str):
            return given  # it is one already, or not even that
        try:
            section = find_agent_kind(kind).Settings
        except ConfigError as error:
            unknown = PydanticCustomError("unknown_kind", "{problem}", {"problem": str(error)})
            raise ValidationError.from_exception_data(
                "agent", [{"type": unknown, "loc": ("kind",), "input": kind}]
            ) from None
        return section.model_validate(given)

    @model_validator(mode="after")
    def _an_agent_or_predictions(self) -> Self:
        if (self.agent is None) == (self.predictions is None):
            raise PydanticCustomError("author", "a run has either an agent or predictions")
        return self

    @property
    def agent_name(self) -> str:
        """Who makes, or has made, the predictions."""
        author = self.agent or self.predictions
        assert author is not None, "a run has either an agent or predictions"
        return author.name

    @property
    def model_name_or_path(self) -> str:
        """The name under which predictions are made; model and agent together make the number."""
        return f"{self.model.name}__{self.agent_name}" if self.model else self.agent_name

    @property
    def scripted(self) -> bool:
        return self.model is not None and self.model.endpoint.base_url == SCRIPTED
