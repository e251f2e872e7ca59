"""The host of sandboxes: what it offers, and what it takes to be patient with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.config.schema import RolloutLimits
from orchestrator.errors import PrerequisiteError
from orchestrator.images.platforms import same_platform

PATIENCE_EMULATED = 4.0
"""How many times as long all that runs in an emulated sandbox may take."""


class Place(StrEnum):
    """Whose memory and cores sandboxes take."""

    HERE = "here"
    """This system's, as everything else on it."""
    VIRTUAL_MACHINE = "virtual_machine"
    """A virtual machine's on this host, which has a part of its memory."""
    ELSEWHERE = "elsewhere"
    """Another host's."""


@dataclass(frozen=True)
class Host:
    """What the sandboxes' host offers."""

    kind: str
    """Of its sandboxes; `find_backend` takes it."""
    memory_gb: float
    """What all sandboxes may take together; of the virtual machine where they are in one."""
    cpus: int
    engine_version: str = ""
    isolates: bool = True
    """Whether its sandboxes do; the backend's own word."""
    platform: str = "linux/amd64"
    """Of the images that its sandboxes are started from."""
    engine_name: str = ""
    """For people, such as OrbStack; empty where there is no engine."""
    architecture: str = ""
    """The platform of its processors, such as linux/arm64; empty where images have none."""
    place: Place = Place.HERE
    images_dir: str = ""
    """On the disk that holds its images; empty where this system does not see that."""
    enlarge: str = ""
    """How it is given more memory and cores, for people; empty where that takes hardware."""
    api_version: str = ""
    """Of the engine, such as 1.47."""
    address: str = ""
    """Where the engine is, and who says so: `unix:///var/run/docker.sock (Docker's default)`."""

    @property
    def emulated(self) -> bool:
        """Whether images of `platform` are emulated (by Rosetta, qemu): several times slower."""
        return self.architecture != "" and not same_platform(self.architecture, self.platform)

    @property
    def emulation(self) -> str:
        """`linux/amd64 images on a linux/arm64 engine, OrbStack`; empty where they are native."""
        if not self.emulated:
            return ""
        name = f", {self.engine_name}" if self.engine_name else ""
        return f"{self.platform} images on a {self.architecture} engine{name}"


def patience(seconds: float, emulated: bool) -> float:
    """How long to wait in a sandbox for what takes `seconds` at most where nothing is emulated.

    Every limit on what runs in a sandbox is written for a host of the sandbox's own architecture,
    and goes through here. Emulated, the same commands take two to ten times as long, and a limit
    that is met is a failure, or an agent's command that is killed, for no doing of the agent's.
    """
    return seconds * PATIENCE_EMULATED if emulated else seconds


def limits_on_host(limits: RolloutLimits, emulated: bool) -> RolloutLimits:
    """A command's limit is stretched where sandboxes are emulated: it is a bound on what a program
    does, and a test suite that an agent could run natively must not be killed there. Steps and
    tokens are the same everywhere, and so is the wall clock of the whole rollout, which is the
    model's time for the most part."""
    command_s = patience(limits.command_timeout_s, emulated)
    return limits.model_copy(update={"command_timeout_s": command_s})


class NamedEngineAway(PrerequisiteError):
    """The engine that a person has named can't be used: nothing else is taken for it."""
