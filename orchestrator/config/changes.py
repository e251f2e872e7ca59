"""What of a run's configuration may change on the way: keys on which no result depends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config.load import flatten, with_settings
from orchestrator.config.schema import RunConfig
from orchestrator.errors import ConfigError

FREE = (
    "benchmark.dataset_dir",
    *("model.endpoint", "model.max_concurrency", "model.seconds_per_rollout"),
    *("cluster.workers", "cluster.ray_address", "cluster.gateway", "cluster.min_free_disk_gb"),
    *("cluster.grading.slots", "cluster.grading.memory_gb", "cluster.grading.emulated_timeout_s"),
    *("cluster.images.keep", "cluster.images.reserve_gb", "cluster.images.budget_gb"),
    *("cluster.images.pulls", "cluster.images.pull_timeout_s", "cluster.images.order"),
    *("cluster.images.mirror", "cluster.images.namespace", "cluster.images.tag"),
    *("cluster.sandbox.memory_request_gb", "cluster.notify"),
    *("rollout.retries", "rollout.retry_delay_s", "rollout.show_steps"),
    "report",
)
"""Keys, and sections with all that is in them: where the same rows and the same model are found,
how much is done at once, how long is waited and how often tried. The rows' digest and the served
model's name are checked at every start. Tests that run out of memory have no result, nor have
emulated ones that run too long."""


@dataclass(frozen=True)
class Change:
    """A key of a run's configuration that got another value."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key} {self.before} → {self.after}"


def change(config: RunConfig, settings: Mapping[str, Any]) -> tuple[RunConfig, list[Change]]:
    """A run's configuration with settings of `--set` over it, and what is new in it.

    Raises:
        ConfigError: an unknown key or value, or results depend on one that would change.
    """
    changed = with_settings(config, settings)
    changes = list(_differences(config, changed))
    for found in changes:
        if not is_free(found.key) or config.scripted != changed.scripted:
            raise ConfigError(
                f"--set {found.key}: results depend on it, and this run has {found.before!r}; "
                "start a new run for another (docs/guide.md has what `resume` can change)"
            )
    return changed, changes


def find_other_run(planned: RunConfig, found: RunConfig) -> Change | None:
    """A key on which results depend and in which a run that is there is not as it was planned;
    None where it is that run, wherever its folder lies by now."""
    found = found.model_copy(update={"runs_dir": planned.runs_dir})
    differences = _differences(planned, found)
    return next((each for each in differences if not is_free(each.key)), None)


def is_free(key: str) -> bool:
    """Whether no result depends on a key."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def _differences(before: RunConfig, after: RunConfig) -> Iterator[Change]:
    old, new = (flatten(config.model_dump(mode="json")) for config in (before, after))
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield Change(key, old.get(key), new.get(key))
