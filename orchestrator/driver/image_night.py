"""What a session knows of its images before it starts: sizes, room, quotas; the order that follows,
and how its night would go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.backends import Host, find_backend
from orchestrator.backends.images import is_built_here
from orchestrator.config import RunConfig
from orchestrator.config.sections import AUTO
from orchestrator.driver.capacity import grading_s, rollout_s
from orchestrator.driver.plan import Plan
from orchestrator.images.decisions import StoreSettings
from orchestrator.images.forecast import Forecast, Night, Work, simulate
from orchestrator.images.layers import ImageSize, unique_bytes
from orchestrator.images.names import HUB, source_of
from orchestrator.images.node import EXPANSION
from orchestrator.images.order import plan_order
from orchestrator.images.pulls import Quota
from orchestrator.images.sizes import LIMIT_S, find_sizes
from orchestrator.images.table import estimate
from orchestrator.journal.past import PastRuns
from orchestrator.types import Instance, RolloutKey

HUB_WITH_LOGIN = 200
"""Pulls in a window, where Docker Hub's free login is used."""
GB = 10**9


@dataclass(frozen=True)
class ImageFacts:
    """What was asked of a host, of registries and of earlier runs."""

    missing: tuple[str, ...] = ()
    """Images that are to be brought, in the run's order; built ones too."""
    sizes: Mapping[str, ImageSize] = field(default_factory=dict)
    """Of images that are pulled; none where all are here."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of rollouts, by instance, as far as earlier runs say."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """Of registries that have one."""
    without_login: frozenset[str] = frozenset()
    """Those of them that are asked without a login."""
    free_gb: float | None = None
    """On the engine's disk; None where nobody can say."""
    past: PastRuns = field(default_factory=PastRuns)
    """What `seconds` are from."""


@dataclass(frozen=True)
class ImageNight:
    """How the images' night would go, and how it would with a login that is free."""

    to_get: int
    facts: ImageFacts
    forecast: Forecast
    with_login: Forecast | None = None
    """None where a login would change nothing."""


def find_missing_images(instances: Sequence[Instance], host: Host) -> frozenset[str]:
    """Names of those that are not on this host. Raises PrerequisiteError."""
    return frozenset(find_backend(host.kind).missing_images(instances, host.platform))


def guess_image_facts(instances: Sequence[Instance]) -> ImageFacts:
    """Where no engine can be asked: nothing is here, and all is as our table has it."""
    missing = tuple(dict.fromkeys(instance.image for instance in instances))
    pulled = [instance for instance in instances if not is_built_here(instance)]
    return ImageFacts(missing, {instance.image: estimate(instance) for instance in pulled})


def find_image_facts(
    config: RunConfig,
    instances: Sequence[Instance],
    host: Host,
    limit_s: float = LIMIT_S,
    known_quotas: Mapping[str, Quota | None] | None = None,
) -> ImageFacts:
    """Ask for all of it, of the instances that are left to do; for sizes no longer than a limit.
    Registries whose quota is known, also that they have none or are away, are not asked for it.

    Raises:
        PrerequisiteError: no engine answers.
    """
    past = PastRuns.read(Path(config.runs_dir))
    rolled = past.rollouts(config.model.name if config.model else "", config.agent_name)
    took = {instance.instance_id: rolled.seconds(instance) for instance in instances}
    seconds = {name: took_s for name, took_s in took.items() if took_s is not None}
    backend = find_backend(host.kind)
    missing = backend.missing_images(instances, host.platform)
    pulled = [i for i in instances if not is_built_here(i)]
    if not set(missing) & {instance.image for instance in pulled}:
        return ImageFacts(missing, seconds=seconds, past=past)
    images = config.cluster.images
    sizes = find_sizes(pulled, images, host.platform, backend.registry_login, limit_s=limit_s)
    registry = source_of(images)
    found = {registry(image) for image in missing if image in sizes}
    asked = dict(known_quotas or {})
    asked |= {name: backend.pull_quota(name) for name in sorted(found - asked.keys())}
    quotas = {registry: quota for registry, quota in asked.items() if quota is not None}
    return ImageFacts(
        missing,
        sizes,
        seconds,
        quotas,
        frozenset(registry for registry in quotas if not backend.registry_login(registry)),
        backend.free_for_images_gb(config.cluster),
        past,
    )


def is_ordered_by_us(config: RunConfig) -> bool:
    """Whether rollouts may start in another order than the run's own."""
    return config.cluster.images.order == AUTO and not config.selection.shuffle


def images_bind(config: RunConfig, facts: ImageFacts) -> bool:
    """Whether images have to come that disk or quotas have not enough for, so that the order says
    how often a layer comes."""
    coming = [name for name in facts.missing if name in facts.sizes]
    images = config.cluster.images
    if not coming:
        return False
    registry_of, settings = source_of(images), StoreSettings.of(images)
    wanted = Counter(map(registry_of, coming))
    if settings.keep is False or any(
        quota.remaining < wanted[registry] for registry, quota in facts.quotas.items()
    ):
        return True
    takes = EXPANSION * unique_bytes(facts.sizes[name] for name in coming)
    free = 0.0 if facts.free_gb is None else facts.free_gb * GB - settings.reserve
    return takes > (free if settings.budget is None else min(free, settings.budget))


def order_plan(
    config: RunConfig, instances: Sequence[Instance], plan: Plan, facts: ImageFacts, slots: int
) -> Plan:
    """The plan with its rollouts and grades in the order in which they are to start: the run's own
    where it is shuffled, or where `cluster.images.order` says so. Several runs of an instance stay
    side by side. `config` is that of any of the runs, as they share these settings."""
    if not is_ordered_by_us(config):
        return plan
    left = {key.instance_id for key in (*plan.rollouts, *plan.grades)}
    planned = [instance for instance in instances if instance.instance_id in left]
    order = plan_order(
        planned,
        facts.sizes,
        facts.seconds,
        slots,
        config.selection.seed,
        images_bind=images_bind(config, facts),
    )
    rank = {instance_id: number for number, instance_id in enumerate(order)}

    def turn(key: RolloutKey) -> int:
        return rank[key.instance_id]

    rollouts, grades = sorted(plan.rollouts, key=turn), sorted(plan.grades, key=turn)
    return replace(plan, rollouts=tuple(rollouts), grades=tuple(grades))


def foresee_images(
    configs: Sequence[RunConfig],
    instances: Sequence[Instance],
    plan: Plan,
    facts: ImageFacts,
    slots: int,
    grade_slots: int,
    host: Host,
) -> ImageNight:
    """Simulate the night of a plan that is in its order; `configs` are those of its runs, which
    share the cluster's settings."""
    image_of = {instance.instance_id: instance.image for instance in instances}
    of_run = {config.run_id: config for config in configs}

    def work_of(key: RolloutKey, is_rolled_out: bool) -> Work:
        config = of_run.get(key.run_id, configs[0])
        left_s = facts.seconds.get(key.instance_id, rollout_s(config))
        name, image = f"{key.run_id} {key.instance_id}", image_of[key.instance_id]
        return Work(name, image, 0.0 if is_rolled_out else left_s, grading_s(config, host))

    work = [work_of(key, True) for key in plan.grades]
    work += [work_of(key, False) for key in plan.rollouts]
    config = configs[0]
    images, wanted = config.cluster.images, {item.image for item in work}
    settings = StoreSettings.of(images)
    night = Night(
        work,
        facts.sizes,
        source_of(images),
        settings,
        None if facts.free_gb is None else round(facts.free_gb * GB) - settings.reserve,
        slots,
        grade_slots,
        resident=frozenset(wanted.difference(facts.missing)),
        quotas=facts.quotas,
    )
    forecast = simulate(night)
    to_get = len(wanted.intersection(facts.missing))
    hub = facts.quotas.get(HUB)
    if not forecast.waits_for_quota or hub is None or HUB not in facts.without_login:
        return ImageNight(to_get, facts, forecast)
    logged_in = Quota(HUB_WITH_LOGIN, HUB_WITH_LOGIN, hub.window_s)
    better = simulate(replace(night, quotas={**facts.quotas, HUB: logged_in}))
    return ImageNight(
        to_get, facts, forecast, better if better.seconds < forecast.seconds else None
    )
