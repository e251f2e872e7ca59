"""A check that is made of each server of the model: a replica may be another than the first one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import WORST_FIRST, Check, CheckFinding, failed, passed, warned
from orchestrator.doctor.trials import ANSWER_TIMEOUT_S, ServerBusy, ServerSlow
from orchestrator.endpoint.servers import Serving
from orchestrator.errors import PrerequisiteError


class ServerCheck(Check):
    """Where there are several, each finding names its server."""

    def applies(self, case: Case) -> bool:
        return case.asks_server

    def look(self, case: Case) -> Iterator[CheckFinding]:
        found: list[CheckFinding] = []
        several = len(case.addresses) > 1
        for server in case.servers.found:
            name = f"{server.base_url}: " if several else ""
            found += (replace(one, what=f"{name}{one.what}") for one in self._look(case, server))
        yield from sorted(found, key=lambda one: WORST_FIRST.index(one.level))

    def _look(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        try:
            yield from self.look_at(case, server)
        except PrerequisiteError as error:
            yield failed(error.what, error.cure)
        except ServerSlow:
            yield warned(
                f"no answer within {ANSWER_TIMEOUT_S:.0f} s.",
                "Look at the server's log, and at its GPU (`nvidia-smi`).",
            )
        except ServerBusy:
            yield passed("too busy to be measured, by others that it answers: nothing is judged")

    @abstractmethod
    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        """What is found of one server that answers.

        Raises:
            PrerequisiteError: it fails.
            ServerBusy, ServerSlow: it lets nobody in just now, or takes too long.
        """
        ...
