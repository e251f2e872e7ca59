"""A runner for one rollout, which may be ended from another thread."""

from __future__ import annotations

import threading

from orchestrator.agents.runners.process import Runner, RunnerProgram, give_back, take_runner
from orchestrator.errors import AgentCrashed


class RunnerLease:
    """What an agent has of a runner: it is given back where its rollout came to an end, and killed
    where it did not. One thread takes and finishes; `close` may come from another."""

    def __init__(self, agent: str) -> None:
        """`agent` is its name for people."""
        self._agent = agent
        self._runner: Runner | None = None
        self._is_at_work = False
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self, program: RunnerProgram) -> Runner:
        """Raises AgentCrashed where it does not start, or was closed meanwhile."""
        runner = take_runner(program)
        with self._lock:
            self._runner, self._is_at_work = runner, True
            if self._is_closed:
                runner.kill()
                raise AgentCrashed(f"the rollout ended before {self._agent} had started")
        return runner

    def finish(self) -> None:
        """The rollout is over, and the runner's last message was received."""
        with self._lock:
            self._is_at_work = False

    def close(self) -> None:
        """Safe to call twice; never raises."""
        with self._lock:
            self._is_closed = True
            runner, self._runner = self._runner, None
            if runner is None:
                return
            if self._is_at_work:
                runner.kill()
            else:
                give_back(runner)
