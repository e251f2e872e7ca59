"""All servers of a model, each asked one real question before the night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.schema import Model
from orchestrator.endpoint.server_kind import find_context
from orchestrator.endpoint.serving import require_an_answer, require_endpoint, serving_facts
from orchestrator.errors import PrerequisiteError


@dataclass(frozen=True)
class Serving:
    """What a model server says and shows of itself."""

    base_url: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Kind, version, its entry in /v1/models, context, cache settings, whether it drafts, and what
    a canary's answer showed."""

    @property
    def kind(self) -> str:
        """As `server_kind` names it; empty for others."""
        return str(self.facts.get("server", ""))

    @property
    def context_length(self) -> int | None:
        """Tokens; None where the server does not say."""
        found = self.facts.get("context_length")
        return found if isinstance(found, int) else None


@dataclass(frozen=True)
class Servers:
    """Those that serve the model, and why others do not."""

    found: tuple[Serving, ...] = ()
    absent: tuple[PrerequisiteError, ...] = ()
    """Of replicas."""


def ask_servers(model: Model, key: str) -> Servers:
    """Ask every server of the model one real question.

    Raises:
        PrerequisiteError: none of them serves it.
    """
    found: list[Serving] = []
    absent: list[PrerequisiteError] = []
    for base_url in model.endpoint.base_urls:
        try:
            found.append(_ask(model, base_url, key))
        except PrerequisiteError as error:
            absent.append(error)
    if not found:
        raise absent[0]
    return Servers(tuple(found), tuple(absent))


def _ask(model: Model, base_url: str, key: str) -> Serving:
    entry = require_endpoint(model, base_url, key)
    facts = serving_facts(base_url, key)
    canary = require_an_answer(model, base_url, key, facts.get("server", ""))
    facts |= {"model": entry, "canary": canary}
    # after the answer: by then a server that loads its models when they are asked has loaded it
    context = find_context(model.served_name, entry, base_url, key)
    return Serving(base_url, facts if context is None else {**facts, "context_length": context})
