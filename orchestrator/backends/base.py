"""What a sandbox technology gives us: hosts, images, sandboxes and grades, behind one protocol.

A backend is found by its name in `cluster.sandbox.kind`; `plugins.BACKENDS` lists ours. One suite
tests all of them.

A sandbox holds one instance's repository, checked out and installed as official images have it, and
runs commands in it. The orchestrator owns it: names it, limits it, and removes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Protocol, Self

from orchestrator.backends.host import Host, limits_on_host, patience
from orchestrator.backends.images import KeepsImages
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.config.schema import RolloutLimits, RunConfig
from orchestrator.errors import PrerequisiteError
from orchestrator.types import GradeResult, Instance, Prediction, RolloutKey, SealedAnswer

BEFORE_AND_AFTER_S = 1800.0
"""Of a rollout's sandbox: until its agent starts, and for its harvest."""
MAX_OUTPUT_BYTES = 2_000_000
"""Kept of one command's output: half of it from the start, half from the end."""


@dataclass(frozen=True)
class ExecResult:
    """A finished command. stdout and stderr are one stream, as a terminal would show them."""

    output: bytes
    exit_code: int
    timed_out: bool = False

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class Assignment:
    """What a worker needs for a rollout and for a grade alike."""

    config: RunConfig
    instance: Instance
    key: RolloutKey
    backend: str
    """The kind of its sandbox; never `auto`."""
    run_dir: str
    driver_host: str = ""
    """The driver's `host_id`: backends that label what they start write it there."""
    sealed_answer: SealedAnswer | None = None
    """The gold answer; only for grades, and for agents that need the gold patch."""
    emulated: bool = False
    """Its sandbox's platform is none of the host's own (`Host.emulated`): every program in it runs
    slower."""
    node: str = ""
    """Where it is done: a host's name in a Ray cluster; empty for any, or for the only one."""
    image_is_here: bool = False
    """The driver has seen the image there. Where it is gone meanwhile, the driver brings it again;
    otherwise who needs it brings it."""

    @property
    def tests_limit_s(self) -> int:
        """How long the tests may run in a grade."""
        return self.config.cluster.grading.limit_s(self.emulated)

    @property
    def limits(self) -> RolloutLimits:
        """The rollout's, as they hold on this host."""
        return limits_on_host(self.config.rollout, self.emulated)


@dataclass(frozen=True)
class GradeRequest:
    """Everything that a worker needs to grade one patch; it reads no other state."""

    assignment: Assignment
    patch: str

    @property
    def key(self) -> RolloutKey:
        return self.assignment.key

    @property
    def prediction(self) -> Prediction:
        name = self.assignment.config.model_name_or_path
        return Prediction(self.assignment.key.instance_id, name, self.patch)


@dataclass(frozen=True)
class SandboxSpec:
    """Which sandbox to start, for whom, and within which limits."""

    key: RolloutKey
    run_dir: str
    driver_host: str
    image: str
    task_dir: str | None
    base_commit: str
    platform: str
    memory_gb: float
    cpus: float
    """0: all of the host's."""
    pids: int
    network: bool
    lifetime_s: float
    """The sandbox ends by itself after this, even where nobody is left to remove it."""
    mounts: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    emulated: bool = False

    def patience(self, seconds: float) -> float:
        """`patience` in this sandbox."""
        return patience(seconds, self.emulated)

    @classmethod
    def of(cls, assignment: Assignment, mounts: tuple[str, ...] = ()) -> SandboxSpec:
        """The sandbox of a rollout, with an agent's mounts beside the configuration's."""
        config, instance = assignment.config, assignment.instance
        settings = config.cluster.sandbox
        max_outage_s = config.model.endpoint.max_outage_s if config.model else 0.0
        return cls(
            key=assignment.key,
            run_dir=assignment.run_dir,
            driver_host=assignment.driver_host,
            image=instance.image,
            task_dir=instance.task_dir,
            base_commit=instance.base_commit,
            platform=settings.platform,
            memory_gb=settings.memory_gb,
            cpus=settings.cpus,
            pids=settings.pids,
            network=settings.network,
            # an outage of the model server counts against no limit, and the sandbox outlives it
            lifetime_s=config.rollout.time_limit_s
            + max_outage_s
            + patience(BEFORE_AND_AFTER_S, assignment.emulated),
            mounts=(*settings.mounts, *mounts),
            env=settings.env,
            emulated=assignment.emulated,
        )

    @classmethod
    def of_grade(cls, assignment: Assignment) -> SandboxSpec:
        """The sandbox of a grade. What is no test in it gets an hour."""
        grading = assignment.config.cluster.grading
        return replace(
            cls.of(assignment),
            memory_gb=grading.memory_gb,
            cpus=grading.cpus,
            pids=grading.pids,
            network=grading.network,
            lifetime_s=assignment.tests_limit_s + patience(3600, assignment.emulated),
        )


class Stream(Protocol):
    """Both ends of a program in a sandbox. One thread may write while another reads."""

    def write(self, data: bytes) -> None:
        """Raises OSError when the program or the engine is gone."""
        ...

    def read(self) -> bytes:
        """What the program wrote, as it comes; empty at its end. Raises OSError."""
        ...

    def close(self) -> None:
        """End the program's input, and what waits in `read`."""
        ...


class Sandbox(Protocol):
    """One running sandbox. Use it as a context manager: leaving removes it."""

    workdir: str
    """Absolute path of the repository inside the sandbox."""
    image: str
    """What it was started from: its repository and digest (`name@sha256:…`) where it came from a
    registry, else its id; empty where there is none."""

    def patience(self, seconds: float) -> float:
        """How long to wait here for what takes `seconds` at most where nothing is emulated."""
        ...

    def exec(
        self, command: str, timeout_s: float, *, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> ExecResult:
        """Run a bash command in `workdir`, inside the environment `testbed`.

        A command that runs longer than `timeout_s` is killed with all its children, and the result
        says so. Processes that it leaves behind in the background do not hold up the result. It may
        be of any length; of what no shell can be given (NUL), the result says so (`commands`).

        Raises:
            SandboxUnavailable: the sandbox is gone or its engine does not answer.
        """
        ...

    def resolve(self, path: str) -> str:
        """Where a path of the sandbox's mounts is for its commands: not every sandbox has a file
        system of its own."""
        ...

    def attach(self, command: Sequence[str]) -> Stream:
        """Start a program whose standard input and output are ours to write and read.

        Raises:
            SandboxUnavailable: the sandbox is gone or its engine does not answer.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file; relative paths are below `workdir`. Raises SandboxUnavailable."""
        ...

    def renew(self, keep: Sequence[str] = ()) -> None:
        """Make it work again where its commands fail: end all that runs in it, and bring back the
        tools that it was started with. `workdir` and the absolute paths in `keep` stay as they are,
        where they are there; whatever else was changed may be lost.

        Raises:
            SandboxUnavailable: the sandbox is gone, or its engine can't do that.
            SandboxBroken: it can't be done for what lies in there.
        """
        ...

    def close(self) -> None:
        """Remove the sandbox and all that runs in it. Safe to call twice; never raises."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ClosesOnExit:
    """A context manager that closes what it is when it is left."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Cleaned:
    """How much was removed, by kind of thing, such as {"containers": 2}."""

    counts: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """Why something could not be looked for."""

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __add__(self, other: Cleaned) -> Cleaned:
        names = dict.fromkeys((*self.counts, *other.counts))
        return Cleaned(
            {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in names},
            (*self.problems, *other.problems),
        )

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items())


class Backend(KeepsImages, Protocol):
    """One sandbox technology. It is made without arguments, and holds no state.

    Where an engine is needed and does not answer, methods that are called before a run or beside it
    raise PrerequisiteError, and those that workers call raise an InfraError.
    """

    isolates: ClassVar[bool]
    """False: what an agent does in a sandbox, it does on the host."""
    leftovers: ClassVar[tuple[str, ...]]
    """What a killed run may leave behind, as `clean` counts it, such as containers."""

    def host(self, settings: SandboxSettings) -> Host:
        """What this host offers to the sandboxes of these settings, whose kind is this backend's.

        Raises:
            PrerequisiteError: there is no such engine, or a tool is missing.
        """
        ...

    def require_runnable(self, instances: Sequence[Instance]) -> None:
        """Raises ConfigError where these instances can't be run in such sandboxes."""
        ...

    def check(self, instances: Sequence[Instance], cluster: Cluster, host: Host) -> tuple[str, ...]:
        """Before the night: try what a session on these instances needs of this host.

        Returns what may go wrong at night, and the cure, a line each.

        Raises:
            PrerequisiteError: what will go wrong.
        """
        ...

    def try_sandbox(self, cluster: Cluster, host: Host) -> str:
        """Run the smallest sandbox there is, with a sandbox's limits and one of the networks that
        rollouts and grades have.

        Returns what ran, for people; empty where nothing small can be run.

        Raises:
            PrerequisiteError: it did not run.
        """
        ...

    def free_addresses(self, cluster: Cluster) -> int | None:
        """How many more sandboxes and grades may run at once, by the addresses that the engine has
        for those with a network; None where none has one, or nobody can say.

        Raises:
            PrerequisiteError: the engine has no network for them.
        """
        ...

    def secret_files(self) -> tuple[Path, ...]:
        """Files in which this user's logins at registries stand as they are."""
        ...

    def start(self, spec: SandboxSpec) -> Sandbox:
        """Start a sandbox from an image that is present. Raises SandboxUnavailable."""
        ...

    def grade(self, request: GradeRequest) -> GradeResult:
        """Grade one patch in a sandbox of its own, which is removed.

        `grading.grade_in_sandbox` does it with any sandbox. Never raises for what the world does:
        that is in the result.
        """
        ...

    def find_run_dirs(self, runs_dir: Path) -> Iterable[Path]:
        """Folders of the runs, live ones too, that have something on this host.

        A backend that labels what it starts finds all runs, the others those in `runs_dir`.
        Raises PrerequisiteError.
        """
        ...

    def clean(self, run_dir: Path, key: RolloutKey | None = None) -> Cleaned:
        """Remove what a run, or one rollout or grade of it, left on this host.

        The caller knows that nobody works in it any more. Raises PrerequisiteError.
        """
        ...


def require_tools(*names: str) -> None:
    """Raises PrerequisiteError where a program is not on PATH."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise PrerequisiteError(f"{', '.join(missing)} is not on PATH.", "Install it.")
