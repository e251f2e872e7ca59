"""Which images a person means, and the engine that is to have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console

from orchestrator.backends import Backend, find_backend
from orchestrator.backends.imageless import NeedsNoImages
from orchestrator.backends.images import is_built_here
from orchestrator.config import RunRequest, load_config
from orchestrator.config.cluster import Cluster
from orchestrator.config.sections import AUTO
from orchestrator.dataset import load_dataset
from orchestrator.display.terminal import waiting
from orchestrator.errors import ConfigError
from orchestrator.images.layers import ImageSize
from orchestrator.images.names import source_of
from orchestrator.images.sizes import find_sizes
from orchestrator.plugins import BACKENDS
from orchestrator.types import Instance

NO_AUTHOR = {"name": "images"}
"""Stands for an agent and its model, which no image depends on."""


@dataclass(frozen=True)
class Wanted:
    """Images of a benchmark, or of what was selected from it."""

    benchmark: str
    runs_dir: Path
    cluster: Cluster
    backend: Backend
    instances: tuple[Instance, ...]

    @property
    def platform(self) -> str:
        return self.cluster.sandbox.platform

    @cached_property
    def users(self) -> Mapping[str, frozenset[str]]:
        """Ids of the instances that use each image, in the benchmark's order."""
        return users_of(self.instances)

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(self.users)

    def registry_of(self, image: str) -> str:
        """Who is asked for an image, at first."""
        return source_of(self.cluster.images)(image)

    @cached_property
    def missing(self) -> frozenset[str]:
        """Images that are not here for the platform, whoever brings them. Raises
        PrerequisiteError."""
        return frozenset(self.backend.missing_images(self.instances, self.platform))

    @cached_property
    def of_registries(self) -> Mapping[str, frozenset[str]]:
        """`users`, without the images that rollouts build from a Dockerfile."""
        return users_of([i for i in self.instances if not is_built_here(i)])

    @property
    def to_pull(self) -> tuple[str, ...]:
        """The missing ones that a registry has. Raises PrerequisiteError."""
        return tuple(image for image in self.of_registries if image in self.missing)

    @property
    def to_build(self) -> tuple[str, ...]:
        """The missing ones that are built, when a rollout needs them. Raises PrerequisiteError."""
        return tuple(i for i in self.missing if i not in self.of_registries)

    @property
    def without_mirror(self) -> Wanted:
        images = self.cluster.images.model_copy(update={"mirror": None})
        return replace(self, cluster=self.cluster.model_copy(update={"images": images}))

    def sizes_of(self, images: Iterable[str], console: Console) -> dict[str, ImageSize]:
        """What images weigh, as registries say it at no cost, or as our table guesses it."""
        chosen = set(images)
        instances = [i for i in self.instances if i.image in chosen]
        with waiting(console, "asking what the images weigh"):
            return find_sizes(
                instances, self.cluster.images, self.platform, self.backend.registry_login
            )


def users_of(instances: Sequence[Instance]) -> dict[str, frozenset[str]]:
    """Ids of the instances that use each image, in the instances' order."""
    found: dict[str, set[str]] = {}
    for instance in instances:
        found.setdefault(instance.image, set()).add(instance.instance_id)
    return {image: frozenset(ids) for image, ids in found.items()}


def find_wanted(request: RunRequest, console: Console, *, engine: bool = True) -> Wanted:
    """Read the benchmark, and find the engine unless none is needed.

    Raises:
        ConfigError: the request is wrong, or such sandboxes need no images.
        PrerequisiteError: the engine does not answer, or the benchmark can't be read.
    """
    config = load_config(replace(request, predictions=NO_AUTHOR))
    kind = config.cluster.sandbox.kind
    kind = next(iter(BACKENDS)) if kind == AUTO else kind
    backend = find_backend(kind)
    if isinstance(backend, NeedsNoImages):
        raise ConfigError(f"sandboxes of kind {kind!r} need no images: docker's do")
    with waiting(console, f"reading {config.benchmark.name}"):
        dataset = load_dataset(config.benchmark, config.selection)
    if engine:
        backend.host(config.cluster.sandbox.model_copy(update={"kind": kind}))
    if not dataset.instances:
        raise ConfigError(f"nothing is selected of {config.benchmark.name!r}")
    return Wanted(
        config.benchmark.name,
        Path(config.runs_dir),
        config.cluster,
        backend,
        dataset.instances,
    )
