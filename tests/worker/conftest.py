"""Rollouts in process sandboxes, and repositories to do things to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.repositories import MORE_FILES, Repository
from support.specs import sandbox_spec

from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.config import RunConfig
from orchestrator.types import Instance, RolloutResult


@pytest.fixture
def roll(
    play: Callable[..., RolloutResult], instance: Instance, tmp_path: Path
) -> Callable[..., RolloutResult]:
    """Runs one rollout to its result: `roll(config)`, with more as `play` takes it."""

    def run(config: RunConfig, *, of: Instance = instance, **more: Any) -> RolloutResult:
        result = play(config, of, "process", tmp_path, **more)
        assert list(tmp_path.glob("scratch/*")) == [], "the sandbox is removed on every way out"
        return result

    return run


@pytest.fixture(scope="session")
def template(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sandbox's folder that was laid out once, with a few more files in its repository."""
    with ProcessSandbox.start(sandbox_spec(instance, tmp_path_factory.mktemp("run"))) as sandbox:
        assert sandbox.exec(MORE_FILES, 60).exit_code == 0
        yield Path(sandbox.workdir).parent


@pytest.fixture(scope="session")
def inspected(template: Path, instance: Instance) -> Repository:
    return Repository.inspected(ProcessSandbox(template, 2, {}), instance)


@pytest.fixture(scope="session")
def make(
    inspected: Repository, instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Repository]:
    """Copies a sandbox that was laid out and inspected once, which takes ten times as long.

    With `make(env=...)` or `make(prepare=...)`, what its set-up did, it is inspected again.
    """
    template = Path(inspected.sandbox.workdir).parent

    def copy(env: dict[str, str] | None = None, prepare: str = "") -> Repository:
        root = tmp_path_factory.mktemp("copy") / "sandbox"
        shutil.copytree(template, root, symlinks=True, ignore=shutil.ignore_patterns("miniconda3"))
        sandbox = ProcessSandbox(root, 2, env or {})
        if env or prepare:
            return Repository.inspected(sandbox, instance, prepare)
        folder = str(root / Path(inspected.baseline.folder).name)
        return Repository(sandbox, replace(inspected.baseline, folder=folder))

    return copy


@pytest.fixture
def repository(make: Callable[..., Repository]) -> Repository:
    return make()
