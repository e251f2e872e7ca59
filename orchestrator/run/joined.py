"""Several sessions as one: what they have to do together, and whether they can share what they
have to.

Pure but for the journals that it passes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.config.load import flatten
from orchestrator.driver.lanes import Lane, make_lanes
from orchestrator.driver.plan import Plan, join_plans
from orchestrator.errors import ConfigError
from orchestrator.journal import Journal
from orchestrator.run.ready import Session
from orchestrator.types import Instance

LAST_PORT = 65535
OF_NO_MATTER = ("name", "description", "because")
"""Keys of a cluster that say nothing of what is shared."""


@dataclass(frozen=True)
class Joined:
    """The sessions that have something to do, as the one session that is driven."""

    sessions: tuple[Session, ...]
    journals: Mapping[str, Journal]
    """By run id; also of runs that have nothing left to do, but have pulled images."""
    lanes: Mapping[str, Lane]
    """By run id; of those that ask a model."""
    instances: tuple[Instance, ...]
    """All of the runs', each once."""
    plan: Plan

    @classmethod
    def of(cls, sessions: Sequence[Session]) -> Joined:
        """Raises ConfigError where they can't be driven together."""
        names = [session.config.run_id for session in sessions]
        twice = next((run_id for run_id in names if names.count(run_id) > 1), None)
        if twice is not None:
            raise ConfigError(f"run {twice} is to be run twice at once")
        working = tuple(session for session in sessions if not session.plan.is_empty)
        require_one_cluster([session.config for session in working])
        _require_one_kind(working)
        instances = _join_instances(working)
        lanes = make_lanes([session.config for session in working if session.plan.rollouts])
        _require_ports(working, len(set(lanes.values())))
        return cls(
            working,
            {session.config.run_id: session.journal for session in sessions},
            lanes,
            instances,
            join_plans([session.plan for session in working], instances),
        )

    @property
    def config(self) -> RunConfig:
        """For what all have in common."""
        return self.sessions[0].config

    @cached_property
    def configs(self) -> tuple[RunConfig, ...]:
        return tuple(session.config for session in self.sessions)

    @property
    def host(self) -> Host:
        return self.sessions[0].checked.host

    @property
    def planned(self) -> tuple[Instance, ...]:
        """Instances on which something is left to do."""
        left = {key.instance_id for key in (*self.plan.rollouts, *self.plan.grades)}
        return tuple(instance for instance in self.instances if instance.instance_id in left)


def require_one_cluster(configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError: they don't agree on what they would share."""
    if not configs:
        return
    first = flatten(configs[0].cluster.model_dump())
    for config in configs[1:]:
        other = flatten(config.cluster.model_dump())
        for key in dict.fromkeys((*first, *other)):
            if key not in OF_NO_MATTER and first.get(key) != other.get(key):
                raise ConfigError(
                    f"runs {configs[0].run_id} and {config.run_id} differ in cluster.{key} "
                    f"({first.get(key)} and {other.get(key)}): runs that go on together share "
                    "slots, disk and images, and must agree on them"
                )


def _require_one_kind(sessions: Sequence[Session]) -> None:
    """Raises ConfigError: their sandboxes are of different kinds."""
    for session in sessions[1:]:
        kinds = [one.checked.host.kind for one in (sessions[0], session)]
        if kinds[0] != kinds[1]:
            raise ConfigError(
                f"runs {sessions[0].config.run_id} and {session.config.run_id} have sandboxes of "
                f"different kinds ({kinds[0]} and {kinds[1]}): --sandbox KIND says one for both"
            )


def _require_ports(sessions: Sequence[Session], lanes: int) -> None:
    """Raises ConfigError: not each model's gateway has a port, from the one on that is said."""
    for session in sessions[:1]:
        port = session.config.cluster.gateway.port
        if port and port + lanes - 1 > LAST_PORT:
            raise ConfigError(
                f"cluster.gateway.port: each model's gateway has a port of its own, and from "
                f"{port} on there are not {lanes}"
            )


def _join_instances(sessions: Sequence[Session]) -> tuple[Instance, ...]:
    """Those of all runs, each once. Raises ConfigError: one id stands for two images."""
    joined: dict[str, Instance] = {}
    for session in sessions:
        for instance in session.dataset.instances:
            before = joined.setdefault(instance.instance_id, instance)
            if before.image != instance.image:
                raise ConfigError(
                    f"{instance.instance_id} is of another image in run {session.config.run_id} "
                    f"({instance.image}, before {before.image}): run these benchmarks one after "
                    "the other"
                )
    return tuple(joined.values())
