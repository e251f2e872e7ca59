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
    Slots,
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
from orchestrator.doctor.image_checks import EngineDisk, ImagesRoom, Registries
from orchestrator.doctor.installation_checks import Packages, Python
from orchestrator.doctor.limit_checks import OpenFiles, Processes
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
    EngineDisk(),
    RunsDisk(),
    Limits(),
    Slots(),
    RayCluster(),
    SharedMemory(),
    OpenFiles(),
    Processes(),
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
    TinySandbox(),
    EngineTrial(),
    Addresses(),
    Registries(),
    ImagesRoom(),
    PowerSettings(),
    Secrets(),
    DeadRuns(),
)
