"""A model's server, as the rollouts see it that wait for it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from orchestrator.config.schema import Model, RunConfig
from orchestrator.errors import ConfigError

ADDRESS = ("base_url", "replicas")
"""Keys of an endpoint by which its servers are found."""


@dataclass(eq=False)
class Lane:
    """Whether a model's server is up, and how many rollouts it is worth: shared by all runs that
    ask it.

    What runs ask of one server under one name is one lane: it goes away for all of them, and they
    fill its batches and its cache together. Two names at one address are two lanes: what stands
    behind them (two engines, or one that loads the other model first) is not seen from here, and
    each name is up, and worth so much, by itself.
    """

    name: str = ""
    """Of the model, for people; told where there are several lanes."""
    slots: int | None = None
    """Rollouts at once, at most; None: as many as the session has."""
    away: str = ""
    """Where the server is away, and why; empty while one is up."""
    limit: int | None = None
    """How many rollouts the server can serve at once just now; None: that is not measured."""
    has_given_up: bool = False
    """The server stayed away for too long: nothing more is asked of it in this session."""

    @property
    def is_open(self) -> bool:
        return not (self.away or self.has_given_up)

    def admitted(self, slots: int) -> int:
        """How many rollouts may be under way at once, of a session's so many slots."""
        return min(bound for bound in (slots, self.slots, self.limit) if bound is not None)


def make_lanes(configs: Sequence[RunConfig]) -> dict[str, Lane]:
    """The lanes of runs that are to roll out in one session, by run id; none for a run whose agent
    asks no model.

    A lane that has all rollouts takes all slots of the session, which are counted by what its
    server is worth or said by a person; any other takes as many as its server is worth.

    Raises:
        ConfigError: profiles of one server don't agree on what is the server's own.
    """
    first: dict[tuple[object, ...], RunConfig] = {}
    for config in configs:
        if config.model is not None:
            _require_one_server(first.setdefault(_server(config, config.model), config), config)
    for one, other in combinations(first.values(), 2):
        _require_no_shared_server(one, other)
    names = Counter(config.model.name for config in first.values() if config.model)
    has_all = len(first) == 1 and all(config.model for config in configs)
    lanes = {}
    for server, config in first.items():
        assert config.model is not None, "only those that have one were taken"
        model = config.model
        name = model.name if names[model.name] == 1 else f"{model.name} of {config.run_id}"
        lanes[server] = Lane(name, None if has_all else model.max_concurrency)
    return {c.run_id: lanes[_server(c, c.model)] for c in configs if c.model is not None}


def _server(config: RunConfig, model: Model) -> tuple[object, ...]:
    """What tells a model's server from others. A scripted model is one of its own for each run, as
    it remembers how far each instance has come."""
    if config.scripted:
        return (config.run_id,)
    return (frozenset(model.endpoint.base_urls), model.served_name)


def _require_one_server(one: RunConfig, other: RunConfig) -> None:
    """Raises ConfigError where two runs would treat one server differently."""
    assert one.model is not None
    assert other.model is not None
    mine, theirs = (
        {
            "max_concurrency": model.max_concurrency,
            **{f"endpoint.{key}": value for key, value in model.endpoint if key not in ADDRESS},
        }
        for model in (one.model, other.model)
    )
    for key, value in mine.items():
        if theirs[key] != value:
            raise ConfigError(
                f"{one.model.name} of run {one.run_id} and {other.model.name} of run "
                f"{other.run_id} ask one server, {one.model.endpoint.base_url}, and differ in "
                f"model.{key} ({value} and {theirs[key]}): who shares a server must agree on it"
            )


def _require_no_shared_server(one: RunConfig, other: RunConfig) -> None:
    """Raises ConfigError where two lanes would both fill a server, as if each had it alone."""
    assert one.model is not None
    assert other.model is not None
    if one.scripted or other.scripted or one.model.served_name != other.model.served_name:
        return
    mine, theirs = (model.endpoint.base_urls for model in (one.model, other.model))
    shared = next((url for url in mine if url in theirs), None)
    if shared is not None:
        raise ConfigError(
            f"{one.model.name} of run {one.run_id} and {other.model.name} of run {other.run_id} "
            f"both ask {shared} for {one.model.served_name}, and differ in their other servers "
            f"({', '.join(mine)} and {', '.join(theirs)}): give both the same "
            "model.endpoint.base_url and model.endpoint.replicas"
        )
