"""The doctor's checks of a model's servers, made on a run of the demo, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Depth
from orchestrator.doctor.checks import CHECKS
from orchestrator.doctor.examine import Examined, examine
from orchestrator.driver.plan import Plan
from support.rows import key_of

ExamineServers = Callable[..., tuple[Examined, ...]]
MODULES = ("model_checks", "network_checks", "trial_checks")
ROLLOUTS = Plan((key_of("orchard__ledger-12"),), (), 0)


def examine_servers(
    make_config: Callable[..., RunConfig],
    *base_urls: str,
    settings: dict[str, Any] | None = None,
    agent: str = "mini",
    depth: Depth = Depth.DOCTOR,
) -> tuple[Examined, ...]:
    """Make the checks of a model's servers, in their order. The model is served as `m`."""
    given = {
        "model.endpoint.base_url": base_urls[0],
        "model.endpoint.replicas": list(base_urls[1:]),
        "model.served_name": "m",
        "cluster.sandbox.kind": "process",
        **(settings or {}),
    }
    config = make_config(agent, given)
    assert config.agent is not None
    kind = load_agent_kind(config.agent, {})
    case = Case(config, Path(config.runs_dir) / "a-run", plan=ROLLOUTS, agent=kind)
    checks = (
        check
        for check in CHECKS
        if type(check).__module__.rpartition(".")[2] in MODULES and check.depth <= depth
    )
    return tuple(examine(case, checks))


def said(examined: Sequence[Examined], level: str) -> list[str]:
    """`check: finding → cure`, of one level."""
    return [
        f"{one.check.name}: {found.what} → {found.cure}"
        for one in examined
        for found in one.findings
        if found.level == level
    ]
