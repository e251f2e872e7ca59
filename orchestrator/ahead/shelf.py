"""`images list` and `images prune`: a benchmark's images that are here, and those that may go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.ahead.wanted import Wanted, find_wanted
from orchestrator.backends.images import ImageHere
from orchestrator.config import RunRequest
from orchestrator.display.terminal import waiting
from orchestrator.driver.leftovers import is_live
from orchestrator.errors import ConfigError, JournalError
from orchestrator.images.platforms import same_platform
from orchestrator.journal import read_journal
from orchestrator.journal.store import read_pulled
from orchestrator.paths import RunPaths


@dataclass(frozen=True)
class Shelf:
    """The images of a benchmark that are on the engine's disk, in the benchmark's order."""

    wanted: Wanted
    here: Mapping[str, ImageHere]
    pulled_by: Mapping[str, tuple[str, ...]]
    """Ids of the runs that pulled an image and may remove it, by image."""

    @property
    def bytes(self) -> int:
        """What they take, shared layers counted once."""
        return sum(layer_sizes(self.here.values()).values())

    @property
    def freed_bytes(self) -> int:
        """What would be free if all of them went: without layers that other images have."""
        return freed_bytes(self.here, self.here)

    def own_bytes(self, image: str) -> int:
        """What would be free if this one went."""
        return freed_bytes(self.here, [image])

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "benchmark": self.wanted.benchmark,
            "images": len(self.wanted.images),
            "here": [self._row(image) for image in self.here],
            "bytes": self.bytes,
            "freed_bytes": self.freed_bytes,
        }

    def _row(self, image: str) -> dict[str, Any]:
        found = self.here[image]
        return {
            "image": image,
            "bytes": found.bytes,
            "own_bytes": self.own_bytes(image),
            "shared_bytes": found.bytes - self.own_bytes(image),
            "platform": found.platform,
            "is_for_platform": same_platform(found.platform, self.wanted.platform),
            "digest": found.digest,
            "pulled_by": list(self.pulled_by.get(image, ())),
            "containers": list(found.containers),
        }


@dataclass(frozen=True)
class Pruning:
    """What a prune removes, and what it leaves alone."""

    shelf: Shelf
    going: tuple[str, ...]
    kept: Mapping[str, str]
    """Why an image stays."""

    @property
    def freed_bytes(self) -> int:
        return freed_bytes(self.shelf.here, self.going)


@dataclass(frozen=True)
class Pruned:
    """What was removed."""

    images: tuple[str, ...]
    freed_bytes: int
    left: tuple[str, ...]
    """Ones that the engine did not let go."""


def read_shelf(request: RunRequest, console: Console) -> Shelf:
    """Look at what is here.

    Raises:
        ConfigError: the request is wrong.
        PrerequisiteError: the engine does not answer, or the benchmark can't be read.
    """
    wanted = find_wanted(request, console)
    with waiting(console, "looking at the engine's images"):
        found = wanted.backend.images_here(wanted.images)
    here = {image: found[image] for image in wanted.images if image in found}
    return Shelf(wanted, here, find_pullers(wanted.runs_dir))


def plan_prune(request: RunRequest, graded: Path | None, console: Console) -> Pruning:
    """Decide which images may go: of the benchmark and its platform, used by no container and by no
    live run; with `graded`, a run's folder, only those whose instances it is through with.

    Raises: as `read_shelf`; JournalError where `graded` can't be read.
    """
    shelf = read_shelf(request, console)
    users = shelf.wanted.users
    needed = needed_by_live_runs(shelf.wanted.runs_dir, users)
    unfinished = set() if graded is None else _unfinished_images(graded, users)
    kept: dict[str, str] = {}
    for image, found in shelf.here.items():
        if not same_platform(found.platform, shelf.wanted.platform):
            kept[image] = f"it is for {found.platform or 'no platform'}"
        elif found.containers:
            kept[image] = f"the container {found.containers[0]} uses it"
        elif image in needed:
            kept[image] = f"the run {needed[image]}, which is live, needs it"
        elif image in unfinished:
            kept[image] = f"the run {graded.name if graded else ''} is not through with it"
    return Pruning(shelf, tuple(image for image in shelf.here if image not in kept), kept)


def prune(pruning: Pruning) -> Pruned:
    """Remove what is going. What somebody has begun to use meanwhile, the engine keeps."""
    backend = pruning.shelf.wanted.backend
    gone = tuple(image for image in pruning.going if backend.evict_image(image))
    left = tuple(image for image in pruning.going if image not in gone)
    return Pruned(gone, freed_bytes(pruning.shelf.here, gone), left)


def layer_sizes(images: Iterable[ImageHere]) -> dict[str, int]:
    return {layer: size for image in images for layer, size in image.layers.items()}


def freed_bytes(here: Mapping[str, ImageHere], going: Collection[str]) -> int:
    """What is free when some of the images go: layers that no other image has."""
    gone = set(going)
    stays = {layer for image, found in here.items() if image not in gone for layer in found.layers}
    stays |= {layer for found in here.values() for layer in found.others}
    layers = layer_sizes(here[image] for image in gone)
    return sum(size for layer, size in layers.items() if layer not in stays)


def find_pullers(runs_dir: Path) -> dict[str, tuple[str, ...]]:
    """Ids of the runs in a folder that pulled an image onto this host, by image. A journal that
    can't be read says nothing."""
    found: dict[str, list[str]] = defaultdict(list)
    for paths in _runs_in(runs_dir):
        try:
            pulled = read_pulled(paths.journal)
        except JournalError:
            continue
        for image in pulled:
            if not image.node:
                found[image.name].append(paths.run_id)
    return {image: tuple(run_ids) for image, run_ids in found.items()}


def needed_by_live_runs(runs_dir: Path, users: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """The live run that has something left to do on an image, by image. One whose journal can't be
    read may need them all."""
    found: dict[str, str] = {}
    for paths in _runs_in(runs_dir):
        if not is_live(paths.root):
            continue
        try:
            images: Collection[str] = _unfinished_images(paths.root, users)
        except JournalError:
            images = users
        found |= dict.fromkeys(images, paths.run_id)
    return found


def _unfinished_images(run_dir: Path, users: Mapping[str, frozenset[str]]) -> set[str]:
    """Images with an instance that a run covers and is not through with. Raises JournalError."""
    unfinished = read_journal(RunPaths(run_dir).journal).unfinished
    return {image for image, ids in users.items() if ids & unfinished}


def _runs_in(runs_dir: Path) -> Sequence[RunPaths]:
    return [RunPaths(path.parent) for path in sorted(runs_dir.glob("*/journal.sqlite"))]


def require_consent(pruning: Pruning, *, yes: bool, is_terminal: bool) -> None:
    """Raises ConfigError where nobody can be asked and nobody has said so."""
    if pruning.going and not yes and not is_terminal:
        raise ConfigError(
            f"prune would remove {len(pruning.going)} images, and there is no terminal to ask at: "
            "say --yes"
        )
