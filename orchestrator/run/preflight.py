"""Everything that is checked before a run starts, each with the step that mends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from orchestrator.agents import AgentKind
from orchestrator.backends import Host, Place, find_backend
from orchestrator.config.cluster import Cluster
from orchestrator.config.schema import Model, RunConfig
from orchestrator.driver.capacity import Memory, limit_problem
from orchestrator.driver.local_ray import require_ray
from orchestrator.driver.plan import Plan
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.host_id import host_id
from orchestrator.network.connections import require_way
from orchestrator.types import Instance

CA_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where systems have the certificates that they trust: macOS first, then Linux's families."""


FILE_SUFFIXES = (
    *(".cer", ".crt", ".key", ".pem"),
    *(".cfg", ".conf", ".env", ".ini", ".json", ".toml", ".txt", ".yaml", ".yml"),
    *(".py", ".sh"),
)
"""Of what people mount that is a file. Folders have dots in their names too, such as v1.2."""


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


def require_mounts(config: RunConfig, host: Host) -> None:
    """Raises ConfigError where a source of `cluster.sandbox.mounts` is not on this system.

    An engine elsewhere has other files: there `Backend.check` asks it.
    """
    if host.place is Place.ELSEWHERE:
        return
    for mount in config.cluster.sandbox.mounts:
        source = Path(mount.split(":")[0])
        if not os.path.exists(source):
            raise ConfigError(
                f"cluster.sandbox.mounts: there is no {source} on this host.{_bundle_here(source)}"
            )
        if source.suffix in FILE_SUFFIXES and _is_empty_folder(source):
            raise ConfigError(
                f"cluster.sandbox.mounts: {source} is an empty folder, and by its name a file was "
                "meant: Docker makes such folders where there is no file. Remove it, and name the "
                f"file that you mean.{_bundle_here(source)}"
            )


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not os.listdir(path)
    except PermissionError:  # its engine may see more
        return False


def _bundle_here(source: Path) -> str:
    """Where this system has its certificates, for who has named those of another."""
    if source.suffix not in (".crt", ".pem"):
        return ""
    found = [bundle for bundle in CA_BUNDLES if os.path.isfile(bundle)]
    return f" The certificates of this system are in {found[0]}." if found else ""


def require_task_folders(instances: Sequence[Instance]) -> None:
    """Raises PrerequisiteError where a run has kept a task's row, and the task's folder is gone."""
    for instance in instances:
        if instance.task_dir is not None and not os.path.isdir(instance.task_dir):
            raise PrerequisiteError(
                f"{instance.task_dir} is gone, from which {instance.instance_id}'s image is made.",
                "Bring it back.",
            )


def free_disk_gb(folder: Path) -> float:
    """Of the disk that a folder lies on, or would lie on."""
    return shutil.disk_usage(_existing(folder)).free / 1e9


def free_for_images_gb(host: Host, runs_dir: Path) -> float:
    """Of the disk that the images lie on; of the runs' disk where this system does not see that."""
    return free_disk_gb(Path(host.images_dir) if host.images_dir else runs_dir)


def find_missing_images(instances: Sequence[Instance], host: Host) -> frozenset[str]:
    """Names of those that are not on this host. Raises PrerequisiteError."""
    return frozenset(find_backend(host.kind).missing_images(instances, host.platform))


def memory_here() -> Memory:
    memory = psutil.virtual_memory()
    return Memory(memory.total / 1e9, memory.available / 1e9)


def require_limits(cluster: Cluster, host: Host) -> None:
    """Raises PrerequisiteError where the engine would refuse every sandbox, or every grade."""
    problem = limit_problem(cluster, host)
    if problem is not None:
        more = f", or give it more: {host.enlarge}" if host.enlarge else ""
        raise PrerequisiteError(problem, f"Set it to {host.cpus}{more}.")


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    while not os.path.exists(folder):
        folder = folder.parent
    return folder


def api_key(config: RunConfig) -> str:
    """The endpoint's key from the environment; empty where the profile names none."""
    name = config.model.endpoint.api_key_env if config.model else None
    if not name:
        return ""
    key = os.environ.get(name, "").strip()  # a file's line break comes along easily
    if not key:
        raise PrerequisiteError(f"${name} is not set.", "Put the endpoint's key there.")
    if not (key.isascii() and key.isprintable()):
        raise PrerequisiteError(f"${name} holds what no header of HTTP can.", "Copy the key anew.")
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
        PrerequisiteError: none of them serves it, or the environment's proxy or certificates for
            one can't be used. A replica that does not serve it is a warning.
    """
    assert config.model is not None
    for base_url in config.model.endpoint.base_urls:
        require_way(base_url)
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
class Checked:
    """What the checks before a session found."""

    host: Host
    key: str = ""
    """The endpoint's key."""
    serving: tuple[Serving, ...] = ()
    """Empty where no model server is asked."""
    cluster_warnings: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        of_servers = tuple(warning for server in self.serving for warning in server.warnings)
        return self.cluster_warnings + of_servers


def check_prerequisites(
    config: RunConfig, host: Host, plan: Plan, agent: AgentKind | None, run_dir: Path
) -> Checked:
    """Everything that a plan needs, checked once, in one order for new runs and for old ones.

    `run_dir` need not exist yet.

    Raises:
        ConfigError: the request can't be met.
        PrerequisiteError: something is missing.
    """
    if plan.is_empty:
        return Checked(host)
    require_disk(config, run_dir)
    require_limits(config.cluster, host)
    require_ray(config.cluster.ray_address)
    host_id()
    require_mounts(config, host)
    if not plan.rollouts:
        return Checked(host)
    assert agent is not None, "who plans rollouts has an agent"
    require_personas(config)
    agent.check(host)
    if config.model is None:
        return Checked(host)
    warnings = tuple(_gateway_warnings(config))
    if config.scripted:
        return Checked(host, cluster_warnings=warnings)
    key = api_key(config)
    return Checked(host, key, require_serving(config, key), warnings)


def _gateway_warnings(config: RunConfig) -> Iterator[str]:
    host = config.cluster.gateway.host
    if config.cluster.ray_address is not None and host in ("127.0.0.1", "localhost", "::1"):
        yield (
            f"workers on other nodes can't reach the gateway at {host}: "
            "--set cluster.gateway.host=ADDRESS, of this host"
        )
