"""The host of the sandboxes: its engine, what that may use, and whether it runs what it should."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.backends import find_backend
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.driver.capacity import grades, limit_problem, limit_warnings
from orchestrator.driver.this_host import memory_here
from orchestrator.errors import PrerequisiteError
from orchestrator.report.words import counted


class Engine(Check):
    """There is a host for the sandboxes that were asked for."""

    name = "sandboxes"
    depth = Depth.PLAN

    def look(self, case: Case) -> Iterator[CheckFinding]:
        host = case.host
        facts = [
            f"{host.engine_name or host.kind} {host.engine_version}".strip(),
            f"API {host.api_version}" if host.api_version else "",
            f"at {host.address}" if host.address else "",
            host.architecture,
            f"{host.cpus} cores, {host.memory_gb:.1f} GB",
            f"more: {host.enlarge}" if host.enlarge else "",
        ]
        yield passed(", ".join(filter(None, facts)))


class Limits(Check):
    """The engine would refuse every sandbox, or every grade, or can't give what they may take."""

    name = "limits"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        cluster, host = case.config.cluster, case.host
        problem = limit_problem(cluster, host)
        if problem is not None:
            more = f", or give it more: {host.enlarge}" if host.enlarge else ""
            raise PrerequisiteError(problem, f"Set it to {host.cpus}{more}.")
        # bundled tasks need little memory
        warnings = () if case.config.benchmark.is_bundled else limit_warnings(cluster, host)
        found = [warned(warning) for warning in warnings]
        sandbox, grading = cluster.sandbox, cluster.grading
        yield from found or [
            passed(
                f"{sandbox.cpus:g} cores and {sandbox.memory_gb:g} GB a sandbox, "
                f"{grading.memory_gb:g} GB a grade"
            )
        ]


class SlotCount(Check):
    """How much goes on at once, and what binds it."""

    name = "slots"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_rollouts

    def look(self, case: Case) -> Iterator[CheckFinding]:
        slots, here = case.capacity.slots, memory_here()
        yield passed(
            f"{counted(slots.count, 'rollout')} at once, and {grades(case.capacity.grading)}: "
            f"{slots.bound}; this host has "
            f"{here.available_gb:.1f} of {here.total_gb:.1f} GB available"
        )


class Addresses(Check):
    """The engine has fewer addresses than there may be containers with a network."""

    name = "addresses"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        cluster = case.config.cluster
        free = find_backend(case.host.kind).free_addresses(cluster)
        wanted = case.capacity.grade_slots if cluster.grading.network else 0
        wanted += case.capacity.slots.count if cluster.sandbox.network else 0
        if free is None or not wanted:
            yield passed("no sandbox and no grade takes one of the engine's")
        elif free < wanted:
            yield warned(
                f"the engine's network has {free} addresses left, and {wanted} are wanted at once",
                "Remove containers that nobody uses, or give the engine a larger network (`bip` "
                "in its daemon.json).",
            )
        else:
            yield passed(f"{free} are left in the engine's one network, {wanted} wanted at once")


class TinySandbox(Check):
    """The engine runs no sandbox of the platform, or none within a sandbox's limits."""

    name = "tiny sandbox"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        case.require_room()
        host = case.host
        ran = find_backend(host.kind).try_sandbox(case.config.cluster, host)
        emulated = f" ({host.emulation})" if host.emulated else ""
        yield passed(f"{ran}{emulated}" if ran else "there is none to be tried")


class EngineTrial(Check):
    """What a session needs of engine, images and registries, tried by the backend itself."""

    name = "sandbox trial"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        case.require_room()
        host, planned = case.host, case.planned
        warnings = find_backend(host.kind).check(planned, case.config.cluster, host)
        yield from map(warned, warnings)
        if not warnings:
            yield passed(host.emulation or f"{host.kind} is ready")
