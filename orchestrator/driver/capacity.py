"""What the host is worth: rollouts at once, limits that it can keep, and room for images. Pure.

Where sandboxes are in a virtual machine, there are two budgets of memory. The machine's holds the
sandboxes. This host's holds Ray, the driver and the workers too, and what the machine takes of it.
Under Linux with an engine of its own, both are one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.backends.host import Host, Place
from orchestrator.config.cluster import Cluster
from orchestrator.config.schema import Model, RunConfig
from orchestrator.config.sections import AUTO
from orchestrator.driver.grading_slots import (
    ROLLOUTS_PER_CORE,
    GradingSlots,
    Load,
    MemoryBudget,
    grades_beside,
)
from orchestrator.driver.lanes import Lane
from orchestrator.driver.plan import Plan

SYSTEM_GB = 2.0
"""Stays with this host's system."""
DRIVER_GB = 0.6
"""Ray, the driver, the gateway, and the one process of rollouts and that of grades: 0.45 with eight
slots, and room for large trajectories."""
WORKER_GB = 0.06
"""What a rollout takes beside its sandbox: an agent's own process, forked from one that has its
imports, and its share of the others."""
ENGINE_GB = 0.5
"""Stays with the system and the engine of a virtual machine."""
NODES = "; what the cluster's nodes have is not known here: --workers N says it"
EMULATION_SLOWDOWN = 4
"""Times that tests take where processors are emulated; a guess, and for the estimate only."""


@dataclass(frozen=True)
class Memory:
    """This host's."""

    total_gb: float
    available_gb: float
    """What nobody uses: a model server on this host may have taken most of it."""


@dataclass(frozen=True)
class Slots:
    """How many rollouts run at once, and why not more."""

    count: int
    bound: str
    """What binds, and what would loosen it: the end of a sentence."""


@dataclass(frozen=True)
class Capacity:
    """What a session can do at once on its host, and how long that takes."""

    slots: Slots
    grading: GradingSlots
    wall_s: float
    """A rough guess."""

    @property
    def grade_slots(self) -> int:
        """How many grades at once, at most."""
        return self.grading.most


@dataclass(frozen=True)
class RunWork:
    """What one run of a session has to do."""

    config: RunConfig
    plan: Plan
    lane: Lane | None = None
    """Of its model's server, where the session knows it from others."""

    @property
    def rolling_s(self) -> float:
        """Of all its rollouts, one after the other: a guess."""
        return len(self.plan.rollouts) * rollout_s(self.config)

    def grading_s(self, host: Host) -> float:
        """Of all its grades, one after the other: a guess."""
        graded = len(self.plan.rollouts) + len(self.plan.grades)
        return graded * grading_s(self.config, host)


def make_capacity(config: RunConfig, plan: Plan, host: Host, here: Memory) -> Capacity:
    """The capacity of a session of one run."""
    return share_capacity([RunWork(config, plan)], host, here)


def share_capacity(work: Sequence[RunWork], host: Host, here: Memory) -> Capacity:
    """The capacity of a session of several runs, which have one cluster's settings."""
    rolling = [run for run in work if run.plan.rollouts] or work
    of_lanes = {run.lane or run.config.run_id: run.config.model for run in rolling}
    rollouts = sum(len(run.plan.rollouts) for run in work)
    graded = rollouts + sum(len(run.plan.grades) for run in work)
    cluster, models = work[0].config.cluster, tuple(of_lanes.values())
    slots = choose_slots(cluster, models, host, here, rollouts)
    grading = choose_grading(cluster, models, host, here, slots.count if rollouts else 0, graded)
    return Capacity(slots, grading, estimate_wall_s(work, slots.count, grading, host))


def estimate_wall_s(
    work: Sequence[RunWork], slots: int, grading: GradingSlots, host: Host
) -> float:
    """Rollouts and grades beside each other, then the grades that are left: a guess, from the
    models' profiles."""
    of_lanes: defaultdict[Lane, float] = defaultdict(float)
    for run in work:
        if run.lane is not None:
            of_lanes[run.lane] += run.rolling_s
    slowest_s = max((s / lane.admitted(slots) for lane, s in of_lanes.items()), default=0.0)
    rolling_s = max(sum(run.rolling_s for run in work) / slots, slowest_s)
    graded_s = sum(run.grading_s(host) for run in work)
    meanwhile_s = rolling_s * grading.at_once(Load(rollouts=slots))
    return rolling_s + max(0.0, graded_s - meanwhile_s) / grading.most


def rollout_s(config: RunConfig) -> float:
    """Of one rollout: a guess, from the model's profile."""
    return config.model.seconds_per_rollout if config.model else 5.0


def grading_s(config: RunConfig, host: Host) -> float:
    """Of one grade: a guess."""
    seconds = 3.0 if config.benchmark.is_bundled else 40.0
    return seconds * (EMULATION_SLOWDOWN if host.emulated else 1)


def choose_slots(
    cluster: Cluster, models: Sequence[Model | None], host: Host, here: Memory, rollouts: int
) -> Slots:
    """As many as configured, or as memory, cores, the models and the work allow; at least one.

    `models` are those of different servers, each with slots of its own; None: an agent asks none.
    `rollouts` is how many are left to do. Of a cluster's nodes nothing is known here: this host
    stands for them.
    """
    if isinstance(cluster.workers, int):
        bounds = [Slots(cluster.workers, "as cluster.workers (--workers) says")]
    else:
        of_nodes = "" if cluster.ray_address is None else NODES
        found = _bounds(cluster, models, host, here)
        bounds = [replace(bound, bound=bound.bound + of_nodes) for bound in found]
    bounds.append(Slots(rollouts, "no more are left to do"))
    least = min(bounds, key=lambda bound: bound.count)
    return Slots(max(1, least.count), least.bound)


def _bounds(
    cluster: Cluster, models: Sequence[Model | None], host: Host, here: Memory
) -> Iterator[Slots]:
    """What may bind, beside the grades that are to have their memory at all times."""
    grades = _reserved_grades(cluster)
    each = f"{cluster.sandbox.memory_request_gb:g} GB a rollout (cluster.sandbox.memory_request_gb)"
    if host.place is not Place.HERE:
        more = f"; more: {host.enlarge}" if host.enlarge else ""
        yield Slots(
            _engine_budget(cluster, host).rollouts_beside(grades),
            f"{_owner(host)} {host.memory_gb:.1f} GB of memory bind, at {each} and as much for "
            f"each of {_counted_grades(grades)}{more}",
        )
    yield Slots(
        _budget_here(cluster, host, here).rollouts_beside(grades),
        f"this host's memory binds ({here.total_gb:.1f} GB, {here.available_gb:.1f} of them "
        f"available), at {each}",
    )
    asked = [model for model in models if model is not None]
    if _all_ask(models):
        names = " and ".join(dict.fromkeys(model.name for model in asked))
        are = "is" if len(asked) == 1 else "are together"
        yield Slots(
            sum(model.max_concurrency for model in asked),
            f"what {names} {are} worth binds (model.max_concurrency; `bench` measures it)",
        )
    yield Slots(
        ROLLOUTS_PER_CORE * host.cpus if asked else host.cpus,
        f"{_owner(host)} {host.cpus} cores bind; --workers N takes more",
    )


def _reserved_grades(cluster: Cluster) -> int:
    """Those that run beside rollouts in all slots. Where their number is not said that is one: the
    memory of rollouts that have ended goes to grades."""
    return 1 if cluster.grading.slots == AUTO else cluster.grading.slots


def _all_ask(models: Sequence[Model | None]) -> bool:
    """Whether all rollouts ask a model, which they mostly wait for."""
    return bool(models) and None not in models


def _engine_budget(cluster: Cluster, host: Host) -> MemoryBudget:
    """Of a machine that is not this host's system."""
    request_gb = cluster.sandbox.memory_request_gb
    return MemoryBudget(host.memory_gb - ENGINE_GB, request_gb, request_gb)


def _budget_here(cluster: Cluster, host: Host, here: Memory) -> MemoryBudget:
    """Of this host's system."""
    room_gb, request_gb = here.total_gb - SYSTEM_GB, cluster.sandbox.memory_request_gb
    if host.place is not Place.VIRTUAL_MACHINE:  # whose memory is in use, and ours all the same
        room_gb = min(room_gb, here.available_gb)
    if host.place is Place.ELSEWHERE:
        request_gb = 0.0
    return MemoryBudget(room_gb - DRIVER_GB, WORKER_GB + request_gb, request_gb)


def choose_grading(
    cluster: Cluster,
    models: Sequence[Model | None],
    host: Host,
    here: Memory,
    slots: int,
    graded: int,
) -> GradingSlots:
    """As many grades as configured, or as memory and cores allow when no rollout runs, and no more
    than there are to do; at least one. `slots` is how many rollouts run at once, of `models` as in
    `choose_slots`; `graded` is how many grades are to be done."""
    if isinstance(cluster.grading.slots, int):
        return GradingSlots.said(cluster.grading.slots)
    if cluster.ray_address is not None:
        said = GradingSlots.said(1, "as many as the cluster's nodes offer (grade_slot)")
        return replace(said, is_of_nodes=True)
    budgets = [_budget_here(cluster, host, here)]
    if host.place is not Place.HERE:
        budgets.append(_engine_budget(cluster, host))
    bounds = {
        f"{_owner(host)} {host.cpus} {_cores(host.cpus)} bind; cluster.grading.slots takes more": (
            host.cpus
        ),
        f"memory binds, at {cluster.sandbox.memory_request_gb:g} GB a grade "
        "(cluster.sandbox.memory_request_gb)": grades_beside(budgets, 0),
        "no more are left to do": graded,
    }
    bound = min(bounds, key=lambda words: bounds[words])
    return GradingSlots(
        max(1, round(bounds[bound])),
        bound,
        host.cpus,
        1 / ROLLOUTS_PER_CORE if _all_ask(models) else 1.0,
        tuple(budgets),
        reserved=max(1, round(min(graded, grades_beside(budgets, slots)))),
    )


def grades(grading: GradingSlots) -> str:
    """How many at once, for people: `1 grade`, `up to 4 grades`."""
    if grading.is_of_nodes:
        return "grades"
    up_to = "up to " if grading.is_auto and grading.most > 1 else ""
    return up_to + _counted_grades(grading.most)


def grading_line(grading: GradingSlots) -> str:
    """How many at once and why, for people."""
    if not grading.is_auto:
        return f"{grades(grading)} at once, {grading.bound}"
    fewer = ", fewer while rollouts need the cores" if grading.most > 1 else ""
    return f"{grades(grading)} at once{fewer}: {grading.bound}"


def _counted_grades(count: int) -> str:
    return f"{count} grade{'' if count == 1 else 's'}"


def _cores(count: int) -> str:
    return "core" if count == 1 else "cores"


def _owner(host: Host) -> str:
    return f"{host.engine_name}'s" if host.engine_name else "the host's"


def limit_problem(cluster: Cluster, host: Host) -> str | None:
    """Why the engine would refuse every sandbox or grade; None where it would not."""
    if not host.engine_name:
        return None
    asked = {
        "cluster.sandbox.cpus": cluster.sandbox.cpus,
        "cluster.grading.cpus": cluster.grading.cpus,
    }
    for key, cpus in asked.items():
        if cpus > host.cpus:
            return (
                f"{key} is {cpus:g}, and {host.engine_name} has {host.cpus} "
                f"{_cores(host.cpus)}: it would refuse them all."
            )
    return None


def limit_warnings(cluster: Cluster, host: Host) -> Iterator[str]:
    """Limits of memory that the engine can't keep, as it has less: one line at most."""
    if not host.engine_name:
        return
    asked = {
        "a rollout may take {:g} GB (cluster.sandbox.memory_gb)": cluster.sandbox.memory_gb,
        "a grade may take {:g} GB (cluster.grading.memory_gb)": cluster.grading.memory_gb,
    }
    if host.place is not Place.HERE:
        beside = _reserved_grades(cluster)
        smallest = ENGINE_GB + (1 + beside) * cluster.sandbox.memory_request_gb
        asked[f"one rollout and {_counted_grades(beside)} beside it want {{:.1f}} GB"] = smallest
    wants = [words.format(gb) for words, gb in asked.items() if gb > host.memory_gb]
    if wants:
        more = f" More: {host.enlarge}." if host.enlarge else ""
        yield (
            f"{', '.join(wants)}, and {host.engine_name} has {host.memory_gb:.1f} in all: what "
            f"needs more ends as a failure there.{more}"
        )
