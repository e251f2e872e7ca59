"""A submission to the official leaderboard: a folder for SWE-bench/experiments, and what it lacks.

After https://github.com/SWE-bench/experiments and its checklist.md (July 2025): all_preds.jsonl,
metadata.yaml, README.md, trajs/ with one reasoning trace an instance, logs/ with the harness's
files of each. What only the person can say is left blank, and told.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.config.yaml_files import dump_yaml
from orchestrator.exports.base import Exported, RunToExport, shortened
from orchestrator.exports.predictions import predictions_text
from orchestrator.paths import folder_name, write_atomic
from orchestrator.report.words import counted, interval_words
from orchestrator.types import GradeReason
from orchestrator.verdict import INSTANCE_LOG, REPORT, TEST_OUTPUT

SPLITS: Mapping[tuple[str, str], tuple[str, int]] = {
    ("swe-bench_lite", "test"): ("lite", 300),
    ("swe-bench_verified", "test"): ("verified", 500),
    ("swe-bench", "test"): ("test", 2294),
    ("swe-bench_multilingual", "test"): ("multilingual", 300),
}
"""Of the leaderboard, with how many instances each has, by the data set's name and split."""
PATCH, SCRIPT = "patch.diff", "eval.sh"
LOGS: Mapping[GradeReason, tuple[str, ...]] = {
    GradeReason.TESTS: (PATCH, SCRIPT, INSTANCE_LOG, TEST_OUTPUT, REPORT),
    GradeReason.NO_TEST_RESULTS: (PATCH, SCRIPT, INSTANCE_LOG, TEST_OUTPUT, REPORT),
    GradeReason.TESTS_TIMED_OUT: (PATCH, SCRIPT, INSTANCE_LOG, TEST_OUTPUT),
    GradeReason.PATCH_DOES_NOT_APPLY: (PATCH, INSTANCE_LOG),
}
"""What the harness leaves of a grade, by what its verdict rests on."""
CHECKLIST = (
    "Is a pass@1 submission (does not attempt the same task instance more than once)",
    "Does not use SWE-bench test knowledge (`PASS_TO_PASS`, `FAIL_TO_PASS`)",
    "Does not use the `hints` field in SWE-bench",
    "Does not have web-browsing OR has taken steps to prevent lookup of SWE-bench solutions via "
    "web-browsing",
)


@dataclass(frozen=True)
class Submitter:
    """What only the person who submits can say; empty: not said."""

    name: str = ""
    """Of the entry."""
    authors: str = ""
    site: str = ""
    report: str = ""
    """URL of the technical report, which the leaderboard demands."""
    org: str = ""
    model_is_open: bool | None = None
    system_is_open: bool | None = None


WANTED: Mapping[str, tuple[str, str]] = {
    "authors": ("--authors", "who submits it"),
    "site": ("--site", "a page about the system"),
    "report": ("--technical-report", "the address of a technical report"),
    "org": ("--org", "the organization"),
    "model_is_open": ("--open-model or --closed-model", "whether the model is open"),
    "system_is_open": ("--open-system or --closed-system", "whether the system is open"),
}
"""What is missing where the submitter has not said it: the option, and what it is."""


def export_submission(run: RunToExport, folder: Path, submitter: Submitter) -> Exported:
    """Lay out `<date>_<agent>_<model>` in the folder."""
    target = folder / _folder(run)
    write_atomic(target / "all_preds.jsonl", predictions_text(run))
    write_atomic(target / "metadata.yaml", dump_yaml(_metadata(run, submitter)))
    write_atomic(target / "README.md", _readme(run, submitter))
    split, size = _split(run)
    remarks = [f"it belongs into evaluation/{split}/ of SWE-bench/experiments"] if size else []
    missing = (
        *_not_fit(run),
        *shortened(list(_copy_trajectories(run, target / "trajs"))),
        *shortened(list(_copy_logs(run, target / "logs"))),
        *(
            f"metadata.yaml: {what} ({option})"
            for name, (option, what) in WANTED.items()
            if getattr(submitter, name) in ("", None)
        ),
        "README.md: a description of the system (replace the line that says so)",
    )
    count = counted(len(run.patches), "prediction")
    return Exported(target, count, tuple(remarks), missing)


def _split(run: RunToExport) -> tuple[str, int]:
    """The leaderboard's split, and its size; 0 where it has none of this benchmark."""
    benchmark = run.reader.config.benchmark
    name = benchmark.source.rpartition("/")[2].lower()
    return SPLITS.get((name, benchmark.split), ("", 0))


def _not_fit(run: RunToExport) -> Iterator[str]:
    """Why the leaderboard would not take the run itself."""
    report, config = run.report, run.reader.config
    split, size = _split(run)
    if not size:
        yield f"the leaderboard has no split for {config.benchmark.source} {config.benchmark.split}"
    elif report.instances < size:
        yield f"{report.instances} of the {size} instances of {split}: the run covers no more"
    if not report.validity.is_valid:
        yield f"the run is {report.validity.words}"
    yield from shortened(
        [
            f"all_preds.jsonl: no prediction for {instance_id}"
            for instance_id in run.reader.state.instances
            if instance_id not in run.patches
        ]
    )
    yield from shortened(
        [f"no verdict on {i}" for i in report.failure_ids if i in run.patches]
        + [f"{i} was counted as unresolved by a person, without a verdict" for i in report.decided]
    )


def _copy_trajectories(run: RunToExport, folder: Path) -> Iterator[str]:
    """One an instance, its id in the file's name; yields a line for each that is not there."""
    folder.mkdir(parents=True)
    for instance_id, rollout in run.reader.state.outcomes.items():
        source = run.reader.paths.trajectory(rollout.key)
        if not _copy(source, folder / f"{folder_name(instance_id)}.json"):
            yield f"trajs/: none of {instance_id}"


def _copy_logs(run: RunToExport, folder: Path) -> Iterator[str]:
    """The harness's files; yields a line for each that its verdict should have left and has not."""
    folder.mkdir(parents=True)
    for grade in run.reader.state.verdicts.values():
        source = run.reader.harness_log(grade)
        target = folder / folder_name(grade.instance_id)
        target.mkdir()
        for name in LOGS[grade.reason or GradeReason.TESTS]:
            if not _copy(source / name, target / name):
                yield f"logs/{grade.instance_id}/{name}: not in the run's folder any more"


def _copy(source: Path, target: Path) -> bool:
    """False where there is nothing that can be read. Raises OSError where it can't be written."""
    try:
        file = source.open("rb")
    except OSError:
        return False
    with file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    return True


def _folder(run: RunToExport) -> str:
    config = run.reader.config
    name = "_".join(
        part for part in (config.agent_name, config.model and config.model.name) if part
    )
    return f"{_date(run)}_{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}"


def _date(run: RunToExport) -> str:
    return datetime.fromtimestamp(run.started_at, UTC).strftime("%Y%m%d")


def _name(run: RunToExport, submitter: Submitter) -> str:
    config = run.reader.config
    model = f" + {config.model.name}" if config.model else ""
    return submitter.name or f"{config.agent_name}{model}"


def _metadata(run: RunToExport, submitter: Submitter) -> dict[str, Any]:
    config = run.reader.config
    return {
        "info": {
            "name": _name(run, submitter),
            "authors": submitter.authors,
            "logo": "",
            "report": submitter.report,
            "site": submitter.site,
        },
        "tags": {
            "checked": False,
            "model": [config.model.served_name] if config.model else [],
            "org": submitter.org,
            "os_model": submitter.model_is_open,
            "os_system": submitter.system_is_open,
            "system": {"attempts": "1"},
        },
    }


def _readme(run: RunToExport, submitter: Submitter) -> str:
    report = run.report
    rows = "".join(
        f"| {repo} | {row['resolved']} | {row['instances']} |\n"
        for repo, row in report.by_repo.items()
    )
    versions = "".join(f"- {name} {version}\n" for name, version in report.versions.items())
    warnings = "".join(f"- {warning}\n" for warning in report.warnings) or "- none\n"
    # ours keeps tests, hints and the network from agents; whoever has changed that knows it
    checklist = "".join(f"- [ ] {line}\n" for line in CHECKLIST)
    return (
        f"# {_name(run, submitter)}\n\n"
        "TODO: describe the system, or link to its technical report.\n\n"
        f"**{report.resolved} of {report.instances} resolved ({report.resolve_rate:.1%}, "
        f"95% interval {interval_words(report.ci95)})**, one attempt an instance. "
        f"The run is {report.validity.words}.\n\n"
        f"{_redone(run)}"
        f"Authors: {submitter.authors or 'TODO'}\n\n"
        f"## Checklist\n\n{checklist}\n"
        f"## By repository\n\n| repository | resolved | instances |\n|---|---:|---:|\n{rows}\n"
        f"## Remarks of the run's report\n\n{warnings}\n"
        f"## Versions\n\n{versions}"
    )


def _redone(run: RunToExport) -> str:
    """Which rollouts had a second try: those that never came to an end of their own."""
    redone = run.report.retries.rollouts
    if not redone:
        return ""
    kinds = ", ".join(f"{kind}: {count}" for kind, count in redone.items())
    return (
        f"{counted(sum(redone.values()), 'rollout')} failed by no doing of the agent's, left no "
        f"prediction, and had another try ({kinds}).\n\n"
    )
