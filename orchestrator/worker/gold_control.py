"""Whether tests that failed under emulation show what the patch does, or what the host does.

Emulated processors are several times slower, and emulators have bugs: there a time-out alone is no
verdict, nor is a program that the emulator ended. The gold patch of the instance is graded in the
same place with the same limit: where that is resolved, any other patch could have been. What was
found is kept in the user's cache, so that the next doubt about the instance on this host costs no
second grade. A file there that can't be read counts as none, and one that can't be written is done
without.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.backends import Backend, GradeRequest, Host
from orchestrator.backends.grading import failed_grade, of_gold_patch, row_sha256
from orchestrator.errors import HarnessUnavailable, InfraError, TestsTooSlow, one_line
from orchestrator.paths import write_atomic
from orchestrator.types import Failure, GradeReason, GradeResult
from orchestrator.user_paths import gold_control_file
from orchestrator.verdict import TEST_OUTPUT

RECORD = "gold_control.json"
"""Among a grade's files: what the verdict, or the failure, rests on."""
OUTPUT = f"gold_control.{TEST_OUTPUT}"
PHASE = "gold_control"


class End(StrEnum):
    """How the gold patch's grade ended."""

    RESOLVED = "resolved"
    TIMED_OUT = "timed_out"
    UNRESOLVED = "unresolved"


NO_BETTER = "its gold patch does not resolve it here"
CRASH = re.compile(
    rb"^(?:qemu: (?:uncaught target signal|unhandled|fatal)|rosetta error:).*", re.MULTILINE
)
"""What emulators print where a program has ended by a signal, or they could not go on."""
_INDEX = re.compile(r"^index [0-9a-f]+\.\.[0-9a-f]+.*\n?", re.MULTILINE)


@dataclass(frozen=True)
class Doubt:
    """Why a verdict may be the host's doing, and what the grade is where it seems to be."""

    words: str
    error: type[InfraError]
    gold: Mapping[End, str]
    """The same of the gold patch."""
    cure: str


def doubt_about(result: GradeResult, limit_s: int) -> Doubt | None:
    """None where the verdict stands, or there is none."""
    if result.record.reason is GradeReason.TESTS_TIMED_OUT:
        return Doubt(
            f"its tests ran past {limit_s} s",
            TestsTooSlow,
            {End.TIMED_OUT: "so did its gold patch's", End.UNRESOLVED: NO_BETTER},
            "Raise cluster.grading.emulated_timeout_s (`resume --set`), or",
        )
    crash = CRASH.search(result.files.get(TEST_OUTPUT, b""))
    if result.resolved is not False or crash is None:
        return None
    said = one_line(crash.group().decode(errors="replace"), 100)
    return Doubt(
        f"the emulator ended a program in its tests ({said})",
        HarnessUnavailable,
        {End.TIMED_OUT: "its gold patch's tests ran too long", End.UNRESOLVED: NO_BETTER},
        "Try",
    )


class GoldControl(BaseModel):
    """What the gold patch of an instance has shown on this host."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    instance_id: str
    row_sha256: str
    """Of the instance's row, tests and all: another benchmark may have an instance of that name."""
    platform: str
    """Of the images."""
    architecture: str
    """Of the processors."""
    end: End
    seconds: float
    limit_s: int
    at: str
    """Local time, ISO 8601."""

    def holds_for(self, limit_s: int) -> bool:
        """Whether nothing else is to be expected with another limit. Tests that fail may pass the
        next time, so that is never taken for granted."""
        if self.end is End.RESOLVED:
            return limit_s >= min(self.seconds, self.limit_s)
        return self.end is End.TIMED_OUT and limit_s <= self.limit_s


@dataclass(frozen=True)
class ControlledGrade:
    """A grade on a host whose sandboxes are emulated, and the gold control of its instance."""

    request: GradeRequest
    host: Host

    @property
    def limit_s(self) -> int:
        return self.request.assignment.tests_limit_s

    def learn_from(self, result: GradeResult) -> None:
        """A patch that resolves the instance shows what the gold patch would."""
        if result.resolved:
            self._keep(self._control_of(result))

    def judge(self, backend: Backend, result: GradeResult) -> GradeResult:
        """The same result, or a failure instead of a verdict that nobody could have passed."""
        doubt = doubt_about(result, self.limit_s)
        if doubt is None:
            return result
        gold, files, phases_s = of_gold_patch(self.request), dict(result.files), {}
        is_gold = _changes(gold.patch) == _changes(self.request.patch)
        control = None if is_gold else self._known()  # what it has just shown is newer
        if control is None:
            graded = result if is_gold else backend.grade(gold)
            if graded.failure is not None:
                return _without_control(result, graded.failure, graded.files)
            control = self._control_of(graded)
            self._keep(control)
            if not is_gold:
                files[OUTPUT] = graded.files.get(TEST_OUTPUT, b"")
                phases_s[PHASE] = control.seconds
        files[RECORD] = control.model_dump_json(indent=1).encode()
        record = replace(
            result.record, phases_s={**result.record.phases_s, **phases_s}, ended_at=time.time()
        )
        result = replace(result, record=record, files=files)
        if control.end is End.RESOLVED:
            return result
        return failed_grade(result, doubt.error(self._words(doubt, control)).failure)

    def _words(self, doubt: Doubt, control: GoldControl) -> str:
        return (
            f"{doubt.words} under emulation ({self.host.emulation}), and "
            f"{doubt.gold[control.end]}: not gradable on this host. {doubt.cure} `grade RUN` where "
            f"processors are {self.host.platform}"
        )

    def _control_of(self, graded: GradeResult) -> GoldControl:
        timed_out = graded.record.reason is GradeReason.TESTS_TIMED_OUT
        end = End.RESOLVED if graded.resolved else End.TIMED_OUT if timed_out else End.UNRESOLVED
        return GoldControl(
            instance_id=graded.record.instance_id,
            row_sha256=row_sha256(self.request),
            platform=self.host.platform,
            architecture=self.host.architecture,
            end=end,
            seconds=round(graded.record.phases_s.get("harness", 0.0), 1),
            limit_s=self.limit_s,
            at=time.strftime("%Y-%m-%d %H:%M:%S"),
        )

    def _known(self) -> GoldControl | None:
        """What was found earlier, where that answers for this limit."""
        try:
            found = GoldControl.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None
        is_ours = found.row_sha256 == row_sha256(self.request)
        return found if is_ours and found.holds_for(self.limit_s) else None

    def _keep(self, control: GoldControl) -> None:
        with contextlib.suppress(OSError):
            write_atomic(self._file, control.model_dump_json(indent=1))

    @property
    def _file(self) -> Path:
        ids = (self.request.key.instance_id, self.host.platform, self.host.architecture)
        return gold_control_file(*ids)


def _changes(patch: str) -> str:
    """A patch without its blobs' names: rows have them shortened, harvests whole."""
    return _INDEX.sub("", patch)


def _without_control(
    result: GradeResult, failure: Failure, files: Mapping[str, bytes]
) -> GradeResult:
    """The failure of the gold patch's grade is the whole grade's."""
    detail = f"of the gold patch's grade, as the patch's own was in doubt: {failure.detail}"
    named = {f"{PHASE}.{name}": data for name, data in files.items()}
    return failed_grade(result, replace(failure, detail=detail), named)
