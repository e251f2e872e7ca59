"""Everything that is checked before a run starts, each with the step that mends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import psutil

from orchestrator.agents import AgentKind
from orchestrator.config.schema import Model, RunConfig
from orchestrator.dataset import Dataset
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.types import Instance


@dataclass(frozen=True)
class Host:
    """What the sandboxes' host offers."""

    sandbox_kind: str
    memory_gb: float
    cpus: int
    engine_version: str = ""
    isolates: bool = True
    """False: what an agent does in a sandbox, it does on the host."""
    platform: str = "linux/amd64"
    """Of the images that its sandboxes are started from."""


def resolve_host(config: RunConfig, instances: Sequence[Instance]) -> Host:
    """Choose the sandbox: Docker where an engine answers, processes for task repos where not.

    Raises:
        PrerequisiteError: the run needs Docker and there is none.
        ConfigError: process sandboxes were asked for instances that can't have them.
    """
    wanted = config.cluster.sandbox.kind
    can_be_process = all(
        instance.task_dir and (Path(instance.task_dir) / "build.sh").is_file()
        for instance in instances
    )
    if wanted == "process" and not can_be_process:
        raise ConfigError(
            f"benchmark {config.benchmark.name!r} can't run in process sandboxes: its instances "
            "come from images; use --sandbox docker"
        )
    if wanted != "process":
        try:
            return replace(_docker_host(), platform=config.cluster.sandbox.platform)
        except PrerequisiteError:
            may_fall_back = wanted == "auto" and config.benchmark.is_bundled
            if not may_fall_back:
                raise
    _require_tools("bash", "git", "patch")
    return Host("process", psutil.virtual_memory().total / 1e9, os.cpu_count() or 1, isolates=False)


def require_disk(config: RunConfig, runs_dir: Path) -> None:
    """Raises PrerequisiteError where the runs' disk has less free than the run wants to start."""
    folder = _existing(runs_dir)
    free_gb = free_disk_gb(folder)
    if free_gb < config.cluster.min_free_disk_gb:
        raise PrerequisiteError(
            f"{folder} has {free_gb:.2f} GB free, less than "
            f"{config.cluster.min_free_disk_gb:g} (cluster.min_free_disk_gb).",
            "Free some space, or choose another --runs-dir.",
        )
    if not os.access(folder, os.W_OK):
        raise PrerequisiteError(f"{folder} can't be written.", "Choose another --runs-dir.")


def free_disk_gb(folder: Path) -> float:
    """Of the disk that a folder lies on, or would lie on."""
    return shutil.disk_usage(_existing(folder)).free / 1e9


def missing_images(host: Host, instances: Sequence[Instance]) -> tuple[str, ...]:
    """Images that are not on the sandboxes' host yet, in the run's order."""
    client = docker_client(host)
    if client is None:
        return ()
    here = {tag for image in client.images.list() for tag in image.tags}
    wanted = dict.fromkeys(instance.image for instance in instances)
    return tuple(image for image in wanted if image not in here)


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder


def api_key(config: RunConfig) -> str:
    """The endpoint's key from the environment; empty where the profile names none."""
    name = config.model.endpoint.api_key_env if config.model else None
    if not name:
        return ""
    key = os.environ.get(name)
    if not key:
        raise PrerequisiteError(f"${name} is not set.", "Put the endpoint's key there.")
    return key


def require_personas(config: RunConfig) -> None:
    """Raises ConfigError where the scripted endpoint knows no such persona."""
    from orchestrator.scripted.personas import parse_persona

    for instance_id, name in config.model.personas.items() if config.model else ():
        try:
            parse_persona(name)
        except ValueError as error:
            raise ConfigError(f"model.personas.{instance_id}: {error}") from None


@dataclass(frozen=True)
class Serving:
    """What a model server says and shows of itself."""

    base_url: str
    facts: dict[str, Any] = field(default_factory=dict)
    """Version, its entry in /v1/models, cache settings, and what a canary's answer showed."""
    warnings: tuple[str, ...] = ()


def require_serving(config: RunConfig, key: str) -> tuple[Serving, ...]:
    """Ask every server of the model one real question.

    Raises:
        PrerequisiteError: none of them serves it. A replica that does not is a warning.
    """
    assert config.model is not None
    found: list[Serving] = []
    problems: list[PrerequisiteError] = []
    for base_url in config.model.endpoint.base_urls:
        try:
            found.append(_serving(config.model, base_url, key))
        except PrerequisiteError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    absent = tuple(f"a replica is missing: {problem}" for problem in problems)
    return (replace(found[0], warnings=(*found[0].warnings, *absent)), *found[1:])


def _serving(model: Model, base_url: str, key: str) -> Serving:
    from orchestrator.endpoint.serving import require_an_answer, require_endpoint, serving_facts

    entry = require_endpoint(model, base_url, key)
    canary = require_an_answer(model, base_url, key)
    facts = {**serving_facts(base_url, key), "model": entry, "canary": canary}
    return Serving(base_url, facts, tuple(_serving_warnings(model, entry, canary)))


def _serving_warnings(model: Model, entry: dict[str, Any], canary: dict[str, Any]) -> Iterator[str]:
    served, expected = entry.get("max_model_len"), model.context_length
    if isinstance(served, int) and expected and served < expected:
        yield (
            f"the server's context is {served} tokens, the profile's {expected}: "
            "long rollouts will end as context_overflow earlier"
        )
    template = model.request_fields.get("chat_template_kwargs") or {}
    if canary["thinking"] == "on" and template.get("enable_thinking") is False:
        yield (
            "the model thinks although the profile turns thinking off: does its chat template know "
            "enable_thinking?"
        )


@dataclass(frozen=True)
class Ready:
    """What the checks before a run found."""

    host: Host
    key: str = ""
    """The endpoint's key."""
    serving: tuple[Serving, ...] = ()
    """Empty where no model server is asked."""
    worries: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        of_servers = tuple(warning for server in self.serving for warning in server.warnings)
        return self.worries + of_servers


def check_ready(
    config: RunConfig, dataset: Dataset, run_dir: Path, agent: AgentKind | None
) -> Ready:
    """Everything that a run needs, checked once. Without an agent nothing but grades is planned.

    Raises:
        ConfigError: the request can't be met.
        PrerequisiteError: something is missing.
    """
    require_disk(config, run_dir)
    host = resolve_host(config, dataset.instances)
    require_personas(config)
    if agent is not None:
        agent.check(host)
    if agent is None or config.model is None:
        return Ready(host)
    worries = tuple(_gateway_worries(config))
    if config.scripted:
        return Ready(host, worries=worries)
    key = api_key(config)
    return Ready(host, key, require_serving(config, key), worries)


def _gateway_worries(config: RunConfig) -> Iterator[str]:
    host = config.cluster.gateway.host
    if config.cluster.ray_address is not None and host in ("127.0.0.1", "localhost", "::1"):
        yield (
            f"workers on other nodes can't reach the gateway at {host}: "
            "--set cluster.gateway.host=ADDRESS, of this host"
        )


def docker_client(host: Host) -> docker.DockerClient | None:
    """A client of the host's engine; None where its sandboxes are processes."""
    if host.sandbox_kind != "docker":
        return None
    from orchestrator.backends.docker.sandbox import connect

    return connect()


def _docker_host() -> Host:
    from orchestrator.backends.docker.sandbox import connect

    info = connect(timeout_s=15).info()
    _require_tools("docker")  # the harness stops its containers with the command line client
    return Host("docker", info["MemTotal"] / 1e9, int(info["NCPU"]), str(info["ServerVersion"]))


def _require_tools(*names: str) -> None:
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise PrerequisiteError(f"{', '.join(missing)} is not on PATH.", "Install it.")
