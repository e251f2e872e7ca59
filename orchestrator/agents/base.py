"""An agent's two protocols: `AgentKind`, one for a run, and `Agent`, one for a rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from orchestrator.backends.host import Host
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import PrerequisiteError
from orchestrator.types import Outcome

if TYPE_CHECKING:
    from orchestrator.agents.context import AgentContext

Say = Callable[[str], None]
"""Takes a line for people."""
TOOLS_PATH = "/opt/swe-orchestrator/tools"
"""Where our own tools are, in sandboxes whose agent asked for `tools_mount`."""
TOOLS = Path(__file__).parent / "tools"


def tools_mount() -> str:
    """Raises as `read_only_mount`."""
    return read_only_mount(TOOLS, TOOLS_PATH)


def read_only_mount(folder: Path, sandbox_path: str) -> str:
    """A mount as `Agent.prepare` names it.

    Raises:
        PrerequisiteError: the folder's name can't be written in one.
    """
    if ":" in str(folder):
        raise PrerequisiteError(
            f"{folder} can't be mounted into sandboxes, as its name holds a colon.",
            "Move it to a folder without one.",
        )
    return f"{folder}:{sandbox_path}:ro"


class Agent(Protocol):
    """One way of solving an instance. Made for one rollout."""

    def prepare(self, platform: str) -> tuple[str, ...]:
        """Before the sandbox: start what can start meanwhile, and name what it must hold, as
        host_path:sandbox_path:ro. `platform` is the sandbox's, such as linux/amd64.

        Raises:
            InfraError: what the agent needs is not on this host.
        """
        ...

    def run(self, context: AgentContext) -> Outcome:
        """Work until submission or a limit. The agent delivers no patch: the rollout harvests what
        changed in the sandbox. It writes no trajectory: `context.record` keeps each step.

        Raises:
            LimitReached: as `context` raised it; the rollout ends with its outcome.
            InfraError: the endpoint or the sandbox is gone; the rollout becomes a failure.
        """
        ...

    def close(self) -> None:
        """Let go of the sandbox, and of what `prepare` started. `run` may still be under way.

        Safe to call twice; never raises.
        """
        ...

    def last_patch(self) -> str:
        """The patch as the agent last saw it, for when its sandbox is gone; empty if unknown."""
        ...


class AgentKind(Protocol):
    """One agent as a run has it, found by the `kind` of its profile (`agents.load_agent_kind`).

    Frozen, and picklable: it travels to the workers. Every command that reads a profile imports its
    module, so heavy imports belong into `create`.
    """

    Settings: ClassVar[type[AgentSettings]]
    """The class of its section of the configuration."""
    asks_model: ClassVar[bool]
    """False: its runs need no model and no gateway."""
    needs_gold_patch: ClassVar[bool]
    """True: its rollouts get the gold answer. Only for agents that check a set-up."""
    leaves_repository_alone: ClassVar[bool]
    """True: before its model's first answer it changes nothing in the repository. So it may start
    while its sandbox is still searched for the fix."""

    def __init__(self, settings: Any, locked_versions: Mapping[str, str]) -> None:
        """`settings` are of the class Settings. `locked_versions` are those of the run's lock.json;
        empty for a new run."""

    @property
    def calls_functions(self) -> bool:
        """Whether its requests offer the model functions to call, rather than ask for text alone:
        then the server's parser of tool calls counts."""
        ...

    def check(self, host: Host) -> None:
        """Before the night: whether it can work in the sandboxes of this host.

        Raises:
            ConfigError: its settings can't be met.
            PrerequisiteError: something is missing, or not what the run began with.
        """
        ...

    def versions(self) -> dict[str, str]:
        """Versions that its results depend on, beside this project's packages; for lock.json."""
        ...

    def hold(self, platform: str) -> AbstractContextManager[None]:
        """A context that the driver holds while a run lasts: what the agent needs stays as it is.

        Raises:
            PrerequisiteError: as `check`; what was checked may have changed.
        """
        ...

    def create(self) -> Agent:
        """The agent, for one rollout, on the worker."""
        ...


class InstalledKind(Protocol):
    """What an `AgentKind` also has if `agents install` installs it."""

    @staticmethod
    def installed() -> dict[str, Any] | None:
        """Facts of what is installed, ready for JSON; None where nothing is."""
        ...

    @staticmethod
    def installed_line() -> str:
        """The same in a line for people; where nothing is installed, how to mend that."""
        ...

    @staticmethod
    def install(source: str, ref: str, platform: str, say: Say, detail: Say) -> str:
        """Install it; the line that says so. An empty `source` or `ref` is its own default.

        `say` gets each step, `detail` each line of what its tools print.

        Raises:
            ConfigError: no such source, ref or platform.
            PrerequisiteError: something that this needs is missing, or it is in use.
        """
        ...


S = TypeVar("S", bound=AgentSettings)


@dataclass(frozen=True)
class SimpleKind(Generic[S]):
    """An `AgentKind`, less `Settings` and `create`, that asks a model for text and needs nothing
    else."""

    asks_model: ClassVar[bool] = True
    needs_gold_patch: ClassVar[bool] = False
    leaves_repository_alone: ClassVar[bool] = False

    settings: S
    locked_versions: Mapping[str, str]

    @property
    def calls_functions(self) -> bool:
        return False

    def check(self, host: Host) -> None:
        """It works anywhere."""

    def versions(self) -> dict[str, str]:
        return {}

    def hold(self, platform: str) -> AbstractContextManager[None]:
        return nullcontext()


class SimpleAgent:
    """An `Agent`, less `run`, that needs nothing but its sandbox."""

    def prepare(self, platform: str) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """It works in the rollout's own process, and ends with its sandbox."""

    def last_patch(self) -> str:
        return ""
