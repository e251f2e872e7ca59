"""Questions three and four of `init`: where sandboxes run, disk and nights."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.backends import Host
from orchestrator.config import RunRequest, list_profiles, load_config
from orchestrator.config.cluster import Cluster
from orchestrator.config.cluster_choice import OWN, choose_by_system
from orchestrator.config.yaml_files import read_yaml
from orchestrator.display.terminal import waiting
from orchestrator.driver.this_host import free_for_images_gb
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.setup.ask_notify import ask_notify
from orchestrator.setup.discover import find_bare_host, find_engine
from orchestrator.setup.given import Given
from orchestrator.setup.profiles import ClusterAnswers, KnownProfile
from orchestrator.setup.questions import Asker, FlagQuestion, read_number, yes_or_no
from orchestrator.setup.write import profile_path

HERE, BARE, ALL = "here", "process", "all"
NIGHT_HOURS = 9.0
LITE_GB = 150
"""About what the images of `lite` take together."""


@dataclass(frozen=True)
class Sandboxes:
    kind: str
    host: Host
    ray_address: str | None = None
    gateway_host: str | None = None


@dataclass(frozen=True)
class ClusterFound:
    """What was answered of this machine."""

    answers: ClusterAnswers
    host: Host
    night_hours: float


def ask_cluster(given: Given, asker: Asker, config_dirs: tuple[Path, ...]) -> ClusterFound | None:
    """None where the profile that is there stays as it is. Raises as `init`."""
    if not _is_new(given, asker, profile_path("clusters", OWN, config_dirs)):
        return None
    shipped = choose_by_system().name
    file = list_profiles("clusters", config_dirs)[shipped]
    request = RunRequest("demo", agent="nop", cluster=shipped, config_dirs=config_dirs)
    cluster = load_config(request).cluster
    sandboxes = _ask_sandboxes(given, asker, cluster)
    images, hours = None, NIGHT_HOURS
    if sandboxes.kind != BARE:
        images = _ask_images(given, asker, cluster, sandboxes.host)
        hours = _ask_night(given, asker)
    answers = ClusterAnswers(
        KnownProfile(shipped, read_yaml(file, f"cluster profile {file}")),
        sandbox=sandboxes.kind,
        ray_address=sandboxes.ray_address,
        gateway_host=sandboxes.gateway_host,
        images=images,
        notify=ask_notify(given, asker),
    )
    return ClusterFound(answers, sandboxes.host, hours)


def _is_new(given: Given, asker: Asker, path: Path) -> bool:
    if given.force or not os.path.lexists(path):
        return True
    if not asker.at_terminal and not asker.takes_defaults:
        raise ConfigError(f"{path} is there already: --force writes it anew, --yes keeps it")
    return asker.ask(yes_or_no("--force", f"{path} is there. Write it anew?", default=False))


def _ask_sandboxes(given: Given, asker: Asker, cluster: Cluster) -> Sandboxes:
    default, here = BARE, "not looked for"
    if given.sandboxes is None:
        with waiting(asker.console, "looking for an engine"):
            try:
                default, here = HERE, _engine_words(find_engine(cluster))
            except PrerequisiteError as error:
                default, here = BARE, f"not yet: {error}"
    question = FlagQuestion(
        "--sandboxes",
        "3. Where do the sandboxes run?",
        lambda text: _read_sandboxes(text, cluster),
        default,
        choices=(
            f"  {HERE}: {here}",
            f"  {BARE}: this machine without an engine; isolates nothing, and runs the demo only",
            "  HOST:PORT: a Ray cluster that this machine is a node of, by its head's address",
        ),
    )
    return asker.ask(question, given.sandboxes)


def _engine_words(host: Host) -> str:
    name = f"{host.engine_name} {host.engine_version}".strip()
    emulated = f"; {host.emulation} are emulated" if host.emulated else ""
    return f"{name}, {host.cpus} cores, {host.memory_gb:.1f} GB of memory{emulated}"


def _read_sandboxes(text: str, cluster: Cluster) -> Sandboxes:
    answer = text.strip()
    if answer == BARE:
        return Sandboxes(BARE, find_bare_host(cluster))
    if answer == HERE:
        return Sandboxes("docker", find_engine(cluster))
    host, _, port = answer.rpartition(":")
    if not re.fullmatch(r"[\w.:\[\]-]+", host) or not port.isdecimal() or int(port[:9]) > 65535:
        raise ConfigError(f"{answer!r}: {HERE}, {BARE}, or HOST:PORT of a Ray cluster's head")
    address = _own_address(host.strip("[]"), int(port))
    return Sandboxes("docker", find_engine(cluster), answer, address)


def _own_address(host: str, port: int) -> str:
    """The address of this machine on the way to another. Nothing is sent.

    Raises:
        PrerequisiteError: there is no way.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as way:
            way.connect(address)
            return str(way.getsockname()[0])
    except (OSError, UnicodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "that can be no host's name"
        raise PrerequisiteError(f"no way leads to {host} ({words}).") from None


def _ask_images(given: Given, asker: Asker, cluster: Cluster, host: Host) -> dict[str, Any]:
    free_gb = free_for_images_gb(host, Path.cwd())
    budget = cluster.images.budget_gb
    question = FlagQuestion(
        "--images-gb",
        f"4. GB that images may take at once, or {ALL} that is free",
        _read_budget,
        default=f"{budget:g}" if budget else ALL,
        choices=(f"  {free_gb:.0f} GB are free; the images of lite take about {LITE_GB}",),
    )
    budget_gb = asker.ask(question, given.images_gb)
    keep = given.keep_images
    if keep is None and asker.asks:
        words = "   May they stay for the next night, where there is room?"
        keep = asker.ask(yes_or_no("--keep-images", words, default=True))
    return {"keep": False if keep is False else "auto", "budget_gb": budget_gb}


def _ask_night(given: Given, asker: Asker) -> float:
    default = f"{NIGHT_HOURS:g}"
    question = FlagQuestion("--night-hours", "   Hours of a night", read_number(0), default)
    unasked = None if asker.asks else default  # it is for a guess only: no flag is missing
    return asker.ask(question, given.night_hours or unasked)


def _read_budget(text: str) -> float | None:
    if text.strip().lower() == ALL:
        return None
    number = read_number(0)(text)
    return int(number) if number.is_integer() else number
