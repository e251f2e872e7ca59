"""The host of the sandboxes: its engine, what that may use, and whether it runs what it should."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.backends import find_backend
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, Depth, Finding, passed, warned
from orchestrator.driver.capacity import limit_problem
from orchestrator.errors import PrerequisiteError


class Engine(Check):
    """There is a host for the sandboxes that were asked for."""

    name = "sandboxes"
    depth = Depth.PLAN

    def look(self, case: Case) -> Iterator[Finding]:
        host = case.host
        engine = f"{host.engine_name or host.kind} {host.engine_version}".strip()
        platform = f", {host.architecture}" if host.architecture else ""
        yield passed(f"{engine}{platform}, {host.cpus} cores, {host.memory_gb:.1f} GB")


class Limits(Check):
    """The engine would refuse every sandbox, or every grade."""

    name = "limits"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[Finding]:
        cluster, host = case.config.cluster, case.host
        problem = limit_problem(cluster, host)
        if problem is not None:
            more = f", or give it more: {host.enlarge}" if host.enlarge else ""
            raise PrerequisiteError(problem, f"Set it to {host.cpus}{more}.")
        yield passed(f"{cluster.sandbox.cpus:g} cores, {cluster.sandbox.memory_gb:g} GB a sandbox")


class EngineTrial(Check):
    """What a session needs of engine, images and registries, tried by the backend itself."""

    name = "sandbox trial"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[Finding]:
        host, planned = case.host, case.planned
        warnings = find_backend(host.kind).check(planned, case.config.cluster, host)
        yield from map(warned, warnings)
        if not warnings:
            emulation = f"{host.emulation} run" if host.emulated else f"{host.kind} is ready"
            yield passed(emulation)
