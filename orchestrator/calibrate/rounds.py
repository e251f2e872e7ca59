"""Gold patches graded on this host, in rounds: each is a run of the agent `gold` over the instances
that have too few trials, in a folder of its own in the user's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rich.console import Console

from orchestrator.backends import find_backend
from orchestrator.calibrate.target import left_to_try, trials_wanted
from orchestrator.config import RunConfig, RunRequest, load_config, load_run_config
from orchestrator.dataset import Dataset
from orchestrator.display.terminal import print_line, waiting
from orchestrator.doctor.case import Case
from orchestrator.errors import (
    EXIT_DONE,
    EXIT_FAILURES_LEFT,
    EXIT_INTERRUPTED,
    ConfigError,
    OrchestratorError,
)
from orchestrator.journal import read_journal
from orchestrator.paths import RunPaths
from orchestrator.report.calibration import GoldStanding, GoldTrial, standing_of
from orchestrator.report.words import counted
from orchestrator.run.calibrations import digests_of, file_of, keep_trials, read_trials, terms_of
from orchestrator.run.lock import RunLock, SandboxLock, versions
from orchestrator.run.session import launch
from orchestrator.user_paths import calibration_rounds

GOLD = "gold"
SELECTION = "selection."


@dataclass(frozen=True)
class Calibration:
    """What is known of a benchmark on this host."""

    benchmark: str
    platform: str
    """Of the images."""
    architecture: str
    """Of the processors; empty where there are no images."""
    kind: str
    """Of the sandboxes."""
    standings: Mapping[str, GoldStanding]
    untried: tuple[str, ...]
    """Instances that nothing is known of still: infrastructure failed, or somebody said stop."""
    exit_code: int
    graded_too_seldom: tuple[str, ...] = ()
    """Instances that were graded, but not as often as was asked for."""


@dataclass(frozen=True)
class Bench:
    """A benchmark on this host, as trials are looked up for it."""

    config: RunConfig
    dataset: Dataset
    sandbox: SandboxLock
    emulated: bool
    digests: Mapping[str, str]

    @classmethod
    def of(cls, request: RunRequest, console: Console) -> Bench:
        config = load_config(request)
        case = Case(config, RunPaths.of(config.runs_dir, config.run_id).root, request)
        with waiting(console, f"reading {config.benchmark.name}"):
            dataset, host = case.dataset, case.host
        sandbox = SandboxLock(
            kind=host.kind,
            platform=config.cluster.sandbox.platform,
            architecture=host.architecture,
        )
        return cls(config, dataset, sandbox, host.emulated, digests_of(dataset))

    def trials(self) -> dict[str, tuple[GoldTrial, ...]]:
        """By instance, those that hold for this host as it is. Where an image is not here, the last
        one that was tried stands for it."""
        backend, instances = find_backend(self.sandbox.kind), self.dataset.instances
        here = backend.image_ids(instances, self.sandbox.platform)
        terms = terms_of(self.config, versions()["swebench"], self.emulated)
        found = {}
        for instance in instances:
            instance_id = instance.instance_id
            kept = read_trials(file_of(instance_id, self.digests[instance_id], self.sandbox))
            image = here.get(instance.image, kept[-1].image if kept else "")
            found[instance_id] = tuple(trial for trial in kept if trial.holds_for(image, terms))
        return found


def calibrate(
    request: RunRequest, console: Console, *, grades: int = 1, again: bool = False
) -> Calibration:
    """Grade the gold patches that have fewer than `grades` trials; with `again`, `grades` more.

    A round that was killed is not lost: what it has graded is kept before anything else is done.

    Raises: as `launch`; ConfigError where a setting is of another agent, or of a model.
    """
    _require_gold(request)
    request = replace(request, agent=GOLD, model=None, runs_dir=str(calibration_rounds()))
    keep_all_rounds(console)
    bench = Bench.of(request, console)
    had = {instance_id: len(trials) for instance_id, trials in bench.trials().items()}
    wanted = trials_wanted(had, grades, again)
    exit_code = EXIT_DONE
    for number in range(1, wanted + 1):
        left = left_to_try(had, wanted)
        if not left or exit_code == EXIT_INTERRUPTED:
            break
        print_line(console, f"{counted(len(left), 'instance')} whose gold patch is to be graded")
        exit_code = _grade(request, bench.config.run_id, number, left, console)
        had = {instance_id: len(trials) for instance_id, trials in bench.trials().items()}
    return _result(bench, exit_code, wanted)


def _require_gold(request: RunRequest) -> None:
    for key in request.settings:
        if key.startswith(("agent.", "model.")):
            raise ConfigError(f"--set {key}: gold patches are graded, no agent or model is asked")


def keep_all_rounds(console: Console) -> None:
    """Keep what rounds have shown of which nobody took account: they were killed."""
    for journal in sorted(calibration_rounds().glob("*/journal.sqlite")):
        paths = RunPaths(journal.parent)
        try:
            _keep(paths)
        except OrchestratorError as error:  # one that can't be read must not hide the others
            print_line(console, f"the round {paths.root} is left out: {error}", "yellow")


def _keep(paths: RunPaths) -> None:
    state = read_journal(paths.journal)
    keep_trials(paths, load_run_config(paths.config), state, RunLock.read(paths))


def _grade(
    request: RunRequest, run_id: str, number: int, instance_ids: tuple[str, ...], console: Console
) -> int:
    """One round; its exit code."""
    settings = {k: v for k, v in request.settings.items() if not k.startswith(SELECTION)}
    settings |= {"selection.instances": list(instance_ids)}
    name = f"{run_id}-{os.getpid()}-{number}"
    finished = launch(replace(request, run_id=name, settings=settings), console)
    _keep(finished.paths)
    return finished.exit_code


def _result(bench: Bench, exit_code: int, wanted: int) -> Calibration:
    standings = {
        instance_id: standing
        for instance_id, trials in bench.trials().items()
        if (standing := standing_of(instance_id, trials)) is not None
    }
    ids = (instance.instance_id for instance in bench.dataset.instances)
    untried = tuple(instance_id for instance_id in ids if instance_id not in standings)
    seldom = tuple(i for i, standing in standings.items() if standing.trials < wanted)
    if exit_code != EXIT_INTERRUPTED:
        exit_code = EXIT_FAILURES_LEFT if untried or seldom else EXIT_DONE
    sandbox = bench.sandbox
    return Calibration(
        bench.config.benchmark.name,
        sandbox.platform,
        sandbox.architecture,
        sandbox.kind,
        standings,
        untried,
        exit_code,
        seldom,
    )
