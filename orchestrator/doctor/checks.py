"""All checks, in the order in which they are made: what others build on comes first."""

from __future__ import annotations

from orchestrator.doctor.agent_checks import AgentReady, Personas
from orchestrator.doctor.check import Check
from orchestrator.doctor.engine_checks import Engine, EngineTrial, Limits
from orchestrator.doctor.host_checks import HostName, Mounts, RayCluster, RunsDisk, TaskFolders
from orchestrator.doctor.model_checks import (
    ContextLength,
    GatewayAddress,
    Key,
    KnownFaults,
    ModelAddress,
    ModelServers,
    Thinking,
)
from orchestrator.doctor.network_checks import Connection, Proxies, Tailnet
from orchestrator.doctor.trial_checks import Clock, GenerationSpeed, PrefixCache, WholePrompts

CHECKS: tuple[Check, ...] = (
    ModelAddress(),
    TaskFolders(),
    Engine(),
    RunsDisk(),
    Limits(),
    RayCluster(),
    HostName(),
    Mounts(),
    Personas(),
    AgentReady(),
    GatewayAddress(),
    Key(),
    Proxies(),
    Tailnet(),
    ModelServers(),
    ContextLength(),
    Thinking(),
    KnownFaults(),
    Connection(),
    GenerationSpeed(),
    PrefixCache(),
    WholePrompts(),
    Clock(),
    EngineTrial(),
)
