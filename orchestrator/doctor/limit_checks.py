"""What the system lets this user have at once, against the run's slots."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.driver.process_limits import (
    OPEN_FILES,
    Limit,
    files_wanted,
    open_files,
    processes,
    processes_running,
    processes_wanted,
)
from orchestrator.report.words import counted


class OpenFiles(Check):
    """Too few files may be open. A launch raises the limit by itself, as far as it may."""

    name = "open files"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        slots = case.capacity.slots.count
        yield judge_files(open_files(), slots)


class Processes(Check):
    """This user may start too few processes, or has nearly as many as that."""

    name = "processes"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        yield judge_processes(processes(), processes_running(), case.capacity.slots.count)


def judge_files(limit: Limit, slots: int) -> CheckFinding:
    """Whether a run of so many slots may open what it wants. Pure."""
    wanted = files_wanted(slots)
    wants = f"{wanted} are wanted for {counted(slots, 'slot')}"
    if limit.highest is not None and limit.highest < wanted:
        return warned(
            f"a process may open {limit.highest} files, and {wants}",
            f"`ulimit -n {OPEN_FILES}` as root, in /etc/security/limits.conf (`* hard nofile "
            f"{OPEN_FILES}`) or by `launchctl limit maxfiles {OPEN_FILES}`; or fewer --workers.",
        )
    if limit.now is None:
        return passed(f"as many as there are; {wants}")
    if limit.now < OPEN_FILES and limit.now != limit.highest:
        highest = min(OPEN_FILES, limit.highest or OPEN_FILES)
        return passed(f"{limit.now} for now, and a launch takes {highest}; {wants}")
    return passed(f"{limit.now}; {wants}")


def judge_processes(limit: Limit, running: int, slots: int) -> CheckFinding:
    """Whether a run of so many slots may start what it wants. Pure."""
    wanted = processes_wanted(slots)
    wants = f"{wanted} more are wanted for {counted(slots, 'slot')}"
    if limit.now is None:
        return passed(f"{running} run, and there is no limit")
    if limit.now - running < wanted:
        may_raise = limit.highest is None or limit.highest - running >= wanted
        raised = f"`ulimit -u {limit.highest or 'unlimited'}` in the shell that starts the run"
        return warned(
            f"this user may have {limit.now} processes, {running} run, and {wants}",
            f"{raised if may_raise else 'Raise nproc in /etc/security/limits.conf'}, or take fewer "
            "--workers.",
        )
    return passed(f"{running} of {limit.now}; {wants}")
