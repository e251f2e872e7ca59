"""Which models of a matrix are served, asked before the night and at each turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.config.schema import Model
from orchestrator.endpoint.key import require_key
from orchestrator.endpoint.server_kind import LM_STUDIO, OLLAMA
from orchestrator.endpoint.servers import Servers, ask_servers
from orchestrator.errors import PrerequisiteError
from orchestrator.matrix.cells import CellRun
from orchestrator.network.connections import require_way

ASKED_EVERY_S = 5.0
LOAD_WHEN_ASKED = (OLLAMA, LM_STUDIO)
"""They list every model that lies on the disk, and put the one that is asked into the place of
another: models of one such server take turns."""


@dataclass(frozen=True)
class Answers:
    """What the servers of some runs' models said."""

    found: Mapping[str, Servers] = field(default_factory=dict)
    """By run, of those whose model is served."""
    absent: Mapping[str, PrerequisiteError] = field(default_factory=dict)
    """By model: why it is not served."""

    def taking_turns(self, runs: Sequence[CellRun]) -> set[str]:
        """Models that are served, but not at once with another one of the same server."""
        servers = {
            (run.model, server.base_url)
            for run in runs
            for server in self.found.get(run.run_id, Servers()).found
            if run.model and server.kind in LOAD_WHEN_ASKED
        }
        models_of = Counter(base_url for _, base_url in servers)
        return {model for model, base_url in servers if models_of[base_url] > 1}


def ask_models(runs: Sequence[CellRun]) -> Answers:
    """Ask every server of every model of these runs one real question, each once."""
    said: dict[str, Servers | PrerequisiteError] = {}
    found: dict[str, Servers] = {}
    absent: dict[str, PrerequisiteError] = {}
    for run in runs:
        if run.config.model is None or run.model is None or not run.asks_server:
            continue
        key = run.config.model.model_dump_json()
        if key not in said:
            said[key] = _ask(run.config.model)
        answer = said[key]
        if isinstance(answer, Servers):
            found[run.run_id] = answer
        else:
            absent.setdefault(run.model, answer)
    return Answers(found, absent)


def _ask(model: Model) -> Servers | PrerequisiteError:
    try:
        for address in model.endpoint.base_urls:
            require_way(address)
        return ask_servers(model, require_key(model.endpoint))
    except PrerequisiteError as error:
        return error


def wait_for(runs: Sequence[CellRun], limit_s: float) -> Answers:
    """Ask until all models of these runs are served, or the time is over; what was said last."""
    until = time.monotonic() + limit_s
    while True:
        answers = ask_models(runs)
        left = until - time.monotonic()
        if not answers.absent or left <= 0:
            return answers
        time.sleep(min(ASKED_EVERY_S, left))
