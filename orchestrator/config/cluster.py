"""The section of a cluster: where sandboxes and grades run, how many, within which limits."""

from __future__ import annotations

import re
import shlex
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from orchestrator.config.image_names import mirror_host, mirror_namespace, mirror_tag
from orchestrator.config.sections import AUTO, Name, Section
from orchestrator.plugins import BACKENDS

VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
"""The name of an environment variable."""
IMPORT_PATH = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


def at_least_one(count: int | str) -> int | str:
    """A number of slots. Raises ValueError where it is none."""
    if isinstance(count, int) and count < 1:
        raise ValueError("must be 1 or more, or auto")
    return count


class SandboxSettings(Section):
    kind: str = AUTO
    """auto, a name of `plugins.BACKENDS`, or somebody else's as package.module:Class."""
    platform: str = "linux/amd64"
    memory_gb: float = Field(default=4, gt=0)
    memory_request_gb: float = Field(default=1.2, gt=0)
    """What a sandbox takes on an ordinary day, a grade's too: `workers: auto` and
    `grading.slots: auto` divide the memory by it."""
    cpus: float = Field(default=2, gt=0)
    pids: int = Field(default=1024, gt=0)
    network: bool = False
    """False: no route out."""
    mounts: tuple[str, ...] = ()
    """host_path:sandbox_path[:ro|rw], also for grading: a proxy's CA bundle, say."""
    env: dict[str, str] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in (AUTO, *BACKENDS) and not re.fullmatch(IMPORT_PATH, kind):
            known = ", ".join((AUTO, *BACKENDS))
            raise ValueError(f"must be one of {known}, or package.module:Class")
        return kind

    @field_validator("mounts")
    @classmethod
    def _mounts_have_two_paths(cls, mounts: tuple[str, ...]) -> tuple[str, ...]:
        for mount in mounts:
            parts = mount.split(":")
            mode_ok = len(parts) == 2 or (len(parts) == 3 and parts[2] in ("ro", "rw"))
            if not mode_ok or not all(part.startswith("/") for part in parts[:2]):
                raise ValueError(f"{mount!r} is not /host/path:/sandbox/path[:ro|rw]")
        return mounts


class Grading(Section):
    slots: int | Literal["auto"] = AUTO
    """At once. auto: by cores and memory, and fewer while rollouts want the cores; of a Ray
    cluster, as many as its nodes offer."""
    timeout_s: int = Field(default=1800, gt=0)
    """Of the tests of one instance; the official default."""
    emulated_timeout_s: int = Field(default=7200, gt=0)
    """Of the tests where the sandboxes' processors are emulated; never less than `timeout_s`."""
    network: bool = True
    """The official harness grades with a network; eval scripts may reinstall the package."""
    memory_gb: float = Field(default=8, gt=0)
    cpus: float = Field(default=0, ge=0)
    """0: all of the host's, as the harness gives them. Tests with fewer may reach `timeout_s`."""
    pids: int = Field(default=4096, gt=0)

    @field_validator("slots")
    @classmethod
    def _at_least_one(cls, slots: int | str) -> int | str:
        return at_least_one(slots)

    def limit_s(self, emulated: bool) -> int:
        """How long the tests of one instance may run, in seconds."""
        return max(self.timeout_s, self.emulated_timeout_s) if emulated else self.timeout_s


class Images(Section):
    base: str | None = None
    """Base image for task repos whose Dockerfile has `ARG BASE`; None: the Dockerfile's own."""
    keep: bool | Literal["auto"] = AUTO
    """False: an image that this run pulled is removed once its instance is over. auto: only where
    room is short."""
    reserve_gb: float = Field(default=5, ge=0)
    """Stays free on the engine's disk: under it nothing starts, and what may go is evicted."""
    budget_gb: float | None = Field(default=None, gt=0)
    """What the images of a run may take on the engine's disk at once; None: all but the reserve."""
    pulls: int = Field(default=2, gt=0)
    """At once, on one node."""
    order: Literal["auto", "dataset"] = AUTO
    """auto: the longest rollouts first; where images have to come that disk or quota do not hold,
    those near each other that share layers. A shuffled run keeps its own."""
    mirror: str | None = None
    """host[:port] of a registry of one's own, which is asked first; images keep their names."""
    namespace: str | None = None
    """Under which the mirror has the images; None: their own."""
    tag: str = "{tag}"
    """Of an image in the mirror: a pattern of {tag}, {name} and {instance}. With one of the last
    two, and a namespace, that is the repository of all images."""
    pull_timeout_s: float = Field(default=1800, gt=0)
    """Without a byte: the pull has stalled, and is tried again."""

    @field_validator("mirror")
    @classmethod
    def _mirror_is_a_host(cls, mirror: str | None) -> str | None:
        return None if mirror is None else mirror_host(mirror)

    @field_validator("namespace")
    @classmethod
    def _namespace_is_a_path(cls, namespace: str | None) -> str | None:
        return None if namespace is None else mirror_namespace(namespace)

    @field_validator("tag")
    @classmethod
    def _tag_is_a_pattern(cls, tag: str) -> str:
        return mirror_tag(tag)


class GatewayAddress(Section):
    """Where the gateway listens. Workers on other hosts need an address that they can reach."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0: one that is free."""

    @field_validator("host")
    @classmethod
    def _can_be_reached(cls, host: str) -> str:
        if host in ("0.0.0.0", "::", ""):
            raise ValueError("must be an address of this host that workers can reach")
        return host


class Notify(Section):
    """Who is told when a session of a run has ended; nobody unless one of these is set."""

    url: str | None = None
    """One line of text is POSTed there: a topic of ntfy, or a webhook. It stands in run.yaml."""
    url_env: str | None = None
    """Name of the environment variable that holds the URL instead, where it is a secret."""
    command: tuple[str, ...] = ()
    """A program and its arguments; the text is one more. A text is split as a shell does it."""

    @field_validator("url")
    @classmethod
    def _url_holds_no_login(cls, url: str | None) -> str | None:
        return None if url is None else notify_url(url)

    @field_validator("url_env")
    @classmethod
    def _is_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(VARIABLE, name):
            raise ValueError("is the name of an environment variable, such as NOTIFY_URL")
        return name

    @field_validator("command", mode="before")
    @classmethod
    def _split_as_a_shell_does(cls, command: object) -> object:
        return tuple(shlex.split(command)) if isinstance(command, str) else command


def notify_url(text: str) -> str:
    """A URL that messages are POSTed to. Raises ValueError where it can't be one."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:  # brackets that don't close, a port that is no number
        raise ValueError(f"is no URL ({error})") from None
    if not is_url or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError("is no URL: write https://HOST/TOPIC")
    if "@" in parts.netloc:
        raise ValueError("URLs stand in logs: put one with a login into url_env's variable")
    return text


class Cluster(Section):
    name: Name
    description: str = ""
    because: str = ""
    """Why it was chosen, where nobody named one."""
    workers: int | Literal["auto"] = "auto"
    ray_address: str | None = None
    min_free_disk_gb: float = Field(default=2, ge=0)
    """The run does not start, and admits nothing more, with less than this on the runs' disk."""
    sandbox: SandboxSettings = SandboxSettings()
    grading: Grading = Grading()
    images: Images = Images()
    gateway: GatewayAddress = GatewayAddress()
    notify: Notify = Notify()

    @field_validator("workers")
    @classmethod
    def _at_least_one(cls, workers: int | str) -> int | str:
        return at_least_one(workers)
