"""The files of rollouts and grades in the run's folder, each written before its journal row."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.config.schema import RunConfig
from orchestrator.errors import JournalError, one_line
from orchestrator.journal import Journal, RunState
from orchestrator.paths import RunPaths, flush_to_drive, write_atomic
from orchestrator.types import GradeResult, Prediction, RolloutKey, RolloutResult, patch_sha256
from orchestrator.verdict import REPORT

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def save_rollout(paths: RunPaths, result: RolloutResult) -> None:
    """Write the rollout's folder; result.json comes last. A half-written one is written over."""
    record = result.record
    folder = paths.rollout(record.key)
    for name, data in result.files.items():
        write_atomic(folder / name, data)
    if result.partial_patch:
        write_atomic(folder / "partial.diff", result.partial_patch)
    if record.outcome is not None:
        write_atomic(paths.patch(record.key), result.patch)
    summary = {
        "instance_id": record.key.instance_id,
        "attempt": record.key.attempt,
        "outcome": record.outcome,
        "failure": vars(record.failure) if record.failure else None,
        "salvaged": record.salvaged,
        "usage": vars(record.usage),
        "calls": vars(record.calls) if record.calls else None,
        "unusable_answers": record.unusable_answers,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "phases_s": dict(record.phases_s),
        "notes": list(record.notes),
    }
    write_atomic(folder / "result.json", json.dumps(summary, indent=1, ensure_ascii=False))


def save_grade(config: RunConfig, paths: RunPaths, result: GradeResult) -> None:
    """Put the harness's files where it would have put them; those of an older patch go away.

    Its report of a grade without a verdict, such as of tests that were killed, gets another name:
    the harness's own final report would count it.
    """
    folder = paths.harness_log(config.model_name_or_path, result.key)
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in sorted(result.files.items(), key=lambda item: item[0] == REPORT):
        no_verdict = name == REPORT and result.failure is not None
        write_atomic(folder / (f"no-verdict.{name}" if no_verdict else name), data)


def append_prediction(config: RunConfig, paths: RunPaths, result: RolloutResult) -> None:
    with open(paths.predictions, "a", encoding="utf-8", newline="") as file:
        file.write(_prediction_line(config, result.key.instance_id, result.patch))
        file.flush()
        flush_to_drive(file.fileno())


def rewrite_predictions(config: RunConfig, paths: RunPaths, state: RunState) -> None:
    """predictions.jsonl as the journal and the patches stand; a kill may have cut it short."""
    patches = read_patches(paths, state)
    lines = [_prediction_line(config, key, patch) for key, patch in patches.items()]
    write_atomic(paths.predictions, "".join(lines))


def read_patch(paths: RunPaths, key: RolloutKey) -> str:
    """Raises JournalError where the file that the journal knows of is gone."""
    path = paths.patch(key)
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JournalError(
            f"the patch {path} can't be read ({one_line(error)}): restore it, as text in UTF-8"
        ) from error


def read_patches(paths: RunPaths, state: RunState) -> dict[str, str]:
    """The patch of every rollout that counts, as it lies there now, by instance id."""
    return {instance_id: read_patch(paths, row.key) for instance_id, row in state.outcomes.items()}


def follow_changed_patches(paths: RunPaths, journal: Journal) -> None:
    """Record the patch files that a person has changed, so that they are graded again."""
    state = journal.state()
    for instance_id, patch in read_patches(paths, state).items():
        row = state.outcomes[instance_id]
        if patch_sha256(patch) != row.patch_sha256:
            journal.replace_patch(row.key, patch)


@contextmanager
def disk_errors_as_journal_errors(paths: RunPaths) -> Iterator[None]:
    """Turn a disk that takes no more into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS and error.filename is None:
            raise  # not of a file
        raise JournalError(
            f"{error.filename2 or error.filename or paths.root}: {error.strerror or error}. "
            "Nothing recorded is lost: mend it and resume."
        ) from error


def _prediction_line(config: RunConfig, instance_id: str, patch: str) -> str:
    prediction = Prediction(instance_id, config.model_name_or_path, patch)
    # in ASCII: readers that split at every line break of Unicode find none but ours
    return json.dumps(prediction.as_dict()) + "\n"
