"""A person's decision about instances that no harness reaches a verdict on."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.config import load_run_config
from orchestrator.config.keys import nearest
from orchestrator.errors import ConfigError, one_line
from orchestrator.journal import Journal, RunState
from orchestrator.paths import RunPaths
from orchestrator.run.cleanup import hold_driver_lock
from orchestrator.run.folder import evidence_of, write_our_reports
from orchestrator.run.lock import RunLock
from orchestrator.text import printable
from orchestrator.types import Choice, Decision


def decide(
    run_dir: Path, instance_ids: Sequence[str], choice: Choice, because: str
) -> tuple[str, ...]:
    """Record the decision on each instance, and write our reports anew; the ids that it is about.

    Without ids it is about all that are set aside. A decision holds for what lies there now:
    another patch, or a verdict of the harness, ends it.

    Raises:
        ConfigError: no reason, or an instance that there is nothing to decide on.
        PrerequisiteError: the run is live.
        JournalError: the journal can't be read or written.
    """
    paths = RunPaths(run_dir.resolve())
    config, lock = load_run_config(paths.config), RunLock.read(paths)
    because = reason(because)
    with hold_driver_lock(paths), Journal.open(paths.journal) as journal:
        state = journal.state()
        chosen = tuple(dict.fromkeys(instance_ids)) or tuple(state.set_aside)
        if not chosen:
            raise ConfigError(f"no instance of {state.run_id} is set aside: name those you mean")
        for instance_id in chosen:
            _require_undecided(state, instance_id, config.agent is not None)
        for instance_id in chosen:
            journal.append_decision(
                Decision(
                    instance_id,
                    choice,
                    because,
                    _who(),
                    time.time(),
                    state.patch_sha256(instance_id),
                    state.failure_counts[instance_id],
                )
            )
        write_our_reports(evidence_of(paths, config, journal.state(), lock), lock)
    return chosen


def reason(because: str) -> str:
    """A reason as it is recorded, in one line. Raises ConfigError where there is none.

    A word of the command line may hold bytes that are no text.
    """
    said = one_line(printable(because.encode("utf-8", "replace").decode()))
    if not said:
        raise ConfigError("--because: say why, for those who read the report")
    return said


def _require_undecided(state: RunState, instance_id: str, has_agent: bool) -> None:
    """Raises ConfigError where a person has nothing to decide."""
    if instance_id not in state.instances:
        hint = nearest(instance_id, list(state.instances))
        raise ConfigError(f"{state.run_id} has no instance {instance_id!r}{hint}")
    verdict = state.verdicts.get(instance_id)
    if verdict is not None:
        word = "resolved" if verdict.resolved else "unresolved"
        raise ConfigError(f"{instance_id} is {word} by the harness: nobody decides otherwise")
    if instance_id not in state.without_verdict:
        raise ConfigError(f"{instance_id} is unresolved: its rollout left no patch")
    if instance_id not in state.failures and not has_agent:
        raise ConfigError(
            f"{instance_id}: no prediction was given; grade again with a file that has one"
        )
    if instance_id not in state.failures:
        raise ConfigError(f"{instance_id} has not failed yet: `resume {state.run_id}` first")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"user {os.getuid()}"
