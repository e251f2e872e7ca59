"""What is examined: a configuration, and what is found of its parts when somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from orchestrator.agents import AgentKind, load_agent_kind
from orchestrator.backends import Host, choose_host, find_backend
from orchestrator.config import RunConfig, RunRequest
from orchestrator.config.address import require_address
from orchestrator.config.schema import Model
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.doctor.trials import LongPrompt, ask_long_prompts
from orchestrator.driver.capacity import Capacity, make_capacity
from orchestrator.driver.image_night import (
    ImageNight,
    find_image_facts,
    foresee_images,
    order_plan,
)
from orchestrator.driver.plan import Plan, make_plan
from orchestrator.driver.this_host import memory_here
from orchestrator.endpoint.key import require_key
from orchestrator.endpoint.servers import Servers, ask_servers
from orchestrator.errors import OrchestratorError, PrerequisiteError
from orchestrator.images.pulls import Quota
from orchestrator.journal import RunState
from orchestrator.network.connections import Way, require_way, way_to
from orchestrator.network.tailnet import ClientSays, ask_client
from orchestrator.types import Instance

T = TypeVar("T")
FULL_GB = 0.05
"""With less than this on its disk an engine starts no container that is to be trusted."""
SIZES_LIMIT_S = 6.0
"""For asking how large images are."""


class fact(Generic[T]):
    """An attribute of a case that is found out when it is asked for the first time.

    Where that ends in an OrchestratorError, each further asking raises the same one.
    """

    def __init__(self, find: Callable[[Case], T]) -> None:
        self._find = find
        self._name = find.__name__
        self.__doc__ = find.__doc__

    @overload
    def __get__(self, case: None, owner: type) -> fact[T]: ...

    @overload
    def __get__(self, case: Case, owner: type) -> T: ...

    def __get__(self, case: Case | None, owner: type) -> fact[T] | T:
        if case is None:
            return self
        begun = case.known.get(self._name)
        if self._name not in case.known or isinstance(begun, Future):
            try:
                found = begun.result() if isinstance(begun, Future) else self._find(case)
                case.known[self._name] = found
            except OrchestratorError as error:
                case.known[self._name] = _Missing(error)
        found = case.known[self._name]
        if isinstance(found, _Missing):
            raise found.error.with_traceback(None)
        return found  # type: ignore[no-any-return]

    def begin(self, case: Case) -> None:
        """Have it found in a thread, unless it is known: who asks for it waits for that. What it is
        found from must be known, or found in a moment. Nobody who ends the session waits."""
        if self._name in case.known:
            return
        found: Future[T] = Future()

        def find() -> None:
            try:
                found.set_result(self._find(case))
            except BaseException as error:  # noqa: BLE001 - raised again where it is asked for
                found.set_exception(error)

        case.known[self._name] = found
        threading.Thread(target=find, daemon=True).start()


class _Missing:
    """In place of a fact that can't be found."""

    def __init__(self, error: OrchestratorError) -> None:
        self.error = error


class Case:
    """A run that is to be, or to go on; each fact of it is found once."""

    def __init__(
        self, config: RunConfig, run_dir: Path, request: RunRequest | None = None, **known: Any
    ) -> None:
        """`run_dir` need not exist. `request` is what the configuration was made from; None where
        that is a run's own. `known` are facts that the caller has found already, by name."""
        self.config = config
        self.run_dir = run_dir
        self.request = request
        self.known: dict[str, Any] = known
        self.quotas: dict[str, Quota | None] = {}
        """Of the registries that were asked; None for one that has none, or is away."""

    @property
    def model(self) -> Model:
        """Of a case that has one (`asks_model`)."""
        assert self.config.model is not None, "this case asks no model"
        return self.config.model

    @fact
    def dataset(self) -> Dataset:
        """Raises ConfigError, PrerequisiteError."""
        return load_dataset(self.config.benchmark, self.config.selection)

    @fact
    def agent(self) -> AgentKind | None:
        """None where predictions are graded that somebody else has made."""
        return load_agent_kind(self.config.agent, {}) if self.config.agent else None

    @fact
    def plan(self) -> Plan:
        """What is left to do; of a run that is to be, all."""
        instances = self.dataset.instances
        plan = make_plan(instances, RunState.of_new(self.config.run_id, instances))
        return plan if self.config.agent else plan.without_rollouts

    @fact
    def host(self) -> Host:
        """Of the sandboxes. Raises ConfigError, PrerequisiteError."""
        agent = self.agent if self.has_rollouts else None
        return choose_host(self.config, self.planned, agent.check if agent else None)

    @fact
    def capacity(self) -> Capacity:
        """How much goes on at once. Raises ConfigError, PrerequisiteError."""
        return make_capacity(self.config, self.plan, self.host, memory_here())

    @fact
    def engine_free_gb(self) -> float | None:
        """On the disk of the engine's images; None where nobody can say, or no image is needed.

        Raises PrerequisiteError: it is full, and nothing runs.
        """
        free_gb = find_backend(self.host.kind).free_for_images_gb(self.config.cluster)
        full_gb = min(FULL_GB, self.config.cluster.images.reserve_gb)
        if free_gb is not None and free_gb < full_gb:
            raise PrerequisiteError(
                f"the disk of {self.host.engine_name or self.host.kind}'s images is full: "
                f"{free_gb:.2f} GB are free.",
                self.make_room,
            )
        return free_gb

    @fact
    def missing_images(self) -> tuple[str, ...]:
        """That are to be pulled or built. Raises PrerequisiteError."""
        return find_backend(self.host.kind).missing_images(self.planned, self.host.platform)

    @fact
    def missing_bases(self) -> tuple[str, ...]:
        """That are to be pulled for those that are built. Raises PrerequisiteError."""
        return find_backend(self.host.kind).missing_bases(self.planned, self.config.cluster)

    @fact
    def image_night(self) -> ImageNight:
        """How the images' night would go. Raises ConfigError, PrerequisiteError."""
        facts = find_image_facts(self.config, self.planned, self.host, SIZES_LIMIT_S, self.quotas)
        slots, grade_slots = self.capacity.slots.count, self.capacity.grade_slots
        plan = order_plan(self.config, self.planned, self.plan, facts, slots)
        return foresee_images(
            [self.config], self.planned, plan, facts, slots, grade_slots, self.host
        )

    def require_room(self) -> None:
        """An engine whose disk is full fails at everything. Raises PrerequisiteError."""
        _ = self.engine_free_gb

    @property
    def make_room(self) -> str:
        """What makes room on the disk of the engine's images."""
        more = f" Or give the engine more: {self.host.enlarge}." if self.host.enlarge else ""
        return (
            "`python -m orchestrator images prune` removes what runs have pulled; what else lies "
            f"there, the engine's own tool.{more}"
        )

    @fact
    def addresses(self) -> tuple[str, ...]:
        """Of the model's servers. Raises PrerequisiteError: nobody has written them down yet."""
        if self.request is not None:
            require_address(self.config, self.request)
        return self.model.endpoint.base_urls

    @fact
    def key(self) -> str:
        """Of the model's server. Raises PrerequisiteError."""
        return require_key(self.config.model.endpoint) if self.config.model else ""

    @fact
    def ways(self) -> tuple[Way, ...]:
        """To the model's servers. Raises PrerequisiteError: a proxy or certificates can't be
        used."""
        for address in self.addresses:
            require_way(address)
        return tuple(map(way_to, self.addresses))

    @fact
    def servers(self) -> Servers:
        """Of the model; none where no server is asked. Raises PrerequisiteError."""
        if not self.asks_server:
            return Servers()
        assert self.ways, "it raises where there are none"
        return ask_servers(self.model, self.key)

    @fact
    def long_prompts(self) -> dict[str, LongPrompt | Exception]:
        """As `ask_long_prompts`, of the servers that answer. Raises PrerequisiteError."""
        return ask_long_prompts(self.model, self.servers.found, self.key)

    @fact
    def tailnet(self) -> ClientSays:
        """What Tailscale's client on this host says."""
        return ask_client()

    @property
    def planned(self) -> tuple[Instance, ...]:
        """The instances on which something is left to do; none where the dataset can't be read."""
        try:
            left = {key.instance_id for key in (*self.plan.rollouts, *self.plan.grades)}
        except OrchestratorError:
            return ()
        return tuple(i for i in self.dataset.instances if i.instance_id in left)

    @property
    def has_work(self) -> bool:
        """Whether anything is left to do, as far as the dataset can be read."""
        try:
            return not self.plan.is_empty
        except OrchestratorError:
            return True

    @property
    def has_rollouts(self) -> bool:
        """Whether an agent is to work."""
        try:
            return bool(self.plan.rollouts)
        except OrchestratorError:
            return self.config.agent is not None

    @property
    def asks_model(self) -> bool:
        """Whether rollouts ask a model, be it the scripted one."""
        return self.has_rollouts and self.config.model is not None

    @property
    def asks_server(self) -> bool:
        """Whether rollouts ask a real model server."""
        return self.asks_model and not self.config.scripted
