"""What takes long to start, begun in a session's first second: while it is still read and checked.

Nothing of it is waited for, and nothing that goes wrong is told here: who needs it starts it again
then, if it has to, and tells. So a check that fails ends a session with its own line, as if nothing
had been begun.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import Self

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.driver.local_ray import LocalRay
from orchestrator.driver.process_limits import allow_open_files
from orchestrator.errors import OrchestratorError
from orchestrator.paths import RunPaths


def begun_for(request: RunRequest) -> Begun:
    """Of a run that is to start; nothing is begun where one of its id exists. Raises ConfigError.

    To be asked before the rest of the program is imported, which takes half a second.
    """
    config = load_config(request)
    if RunPaths.of(config.runs_dir, config.run_id).journal.exists():
        return Begun()
    return Begun().begin(config)


class Begun:
    """Use it as a context manager: at its end nothing is left of what nobody took."""

    def __init__(self) -> None:
        self._ray: LocalRay | None = None
        self._held = ExitStack()

    def begin(self, *configs: RunConfig) -> Self:
        """What the runs of these configurations need, which share one cluster's settings."""
        allow_open_files()
        cluster = configs[0].cluster
        if cluster.ray_address is None and self._ray is None:
            with suppress(OrchestratorError, OSError):
                self._ray = LocalRay()
        for config in configs:
            if config.agent is not None:
                with suppress(OrchestratorError, OSError):
                    agent = load_agent_kind(config.agent, {})
                    self._held.enter_context(agent.hold(cluster.sandbox.platform))
        return self

    def take_ray(self) -> LocalRay:
        """The one that was begun, to be closed by who takes it; another where none was, or where
        it is taken. Raises PrerequisiteError."""
        ray, self._ray = self._ray, None
        return ray or LocalRay()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        if self._ray is not None:
            self._ray.close()
