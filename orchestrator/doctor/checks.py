"""All checks, in the order in which they are made: what others build on comes first."""

from __future__ import annotations

from orchestrator.doctor.agent_checks import AgentReady, Personas
from orchestrator.doctor.check import Check
from orchestrator.doctor.dataset_checks import Rows, TaskFolders
from orchestrator.doctor.engine_checks import (
    Addresses,
    Engine,
    EngineTrial,
    Limits,
    SlotCount,
    TinySandbox,
)
from orchestrator.doctor.host_checks import (
    DeadRuns,
    HostName,
    Mounts,
    RayCluster,
    RunsDisk,
    SharedMemory,
)
from orchestrator.doctor.image_checks import EngineDiskRoom, ImagesRoom, Registries
from orchestrator.doctor.installation_checks import Packages, Python
from orchestrator.doctor.limit_checks import OpenFiles, Processes
from orchestrator.doctor.model_checks import (
    ContextLength,
    GatewayReach,
    Key,
    KnownFaults,
    ModelAddress,
    ModelServers,
    Thinking,
)
from orchestrator.doctor.network_checks import Connection, Proxies, Tailnet
from orchestrator.doctor.power_checks import PowerSettings
from orchestrator.doctor.secret_checks import Secrets
from orchestrator.doctor.trial_checks import Clock, GenerationSpeed, PrefixCache, WholePrompts

CHECKS: tuple[Check, ...] = (
    Python(),
    Packages(),
    ModelAddress(),
    Rows(),
    TaskFolders(),
    Engine(),
    EngineDiskRoom(),
    RunsDisk(),
    Limits(),
    SlotCount(),
    RayCluster(),
    SharedMemory(),
    OpenFiles(),
    Processes(),
    HostName(),
    Mounts(),
    Personas(),
    AgentReady(),
    GatewayReach(),
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
    TinySandbox(),
    EngineTrial(),
    Addresses(),
    Registries(),
    ImagesRoom(),
    PowerSettings(),
    Secrets(),
    DeadRuns(),
)
