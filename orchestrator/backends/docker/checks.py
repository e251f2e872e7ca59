"""What a session needs of the engine, of its images and of registries, tried before the night."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence

import docker
import docker.errors

from orchestrator.backends.docker.builds import BUILDX
from orchestrator.backends.docker.credentials import Login, find_login
from orchestrator.backends.docker.engine import ENGINE_ERRORS, error_words, with_cure
from orchestrator.backends.docker.images import (
    build_of,
    find_image,
    find_images,
    listed,
    names_of,
    platform_of,
)
from orchestrator.backends.docker.programs import run_program
from orchestrator.backends.docker.sandbox import bind_mounts, container_limits
from orchestrator.backends.docker.trial import (
    CAN_NOT_RUN,
    built_image,
    loaded_image,
    run_trial,
    try_mounts,
)
from orchestrator.backends.host import Host, Place
from orchestrator.backends.images import is_built_here
from orchestrator.config.cluster import Cluster
from orchestrator.errors import ImageUnavailable, PrerequisiteError
from orchestrator.images.names import registry_of
from orchestrator.types import Instance

REFUSED = ("unauthorized", "denied", "authentication required", "no basic auth")
EMULATION = {
    "OrbStack": "Switch Rosetta on: `orb config set rosetta true`.",
    "Docker Desktop": "Switch Rosetta on: Settings, General, Use Rosetta for x86_64/amd64.",
    "Colima": "Start it with `colima start --vm-type vz --vz-rosetta`.",
}
"""By the engine's name; for any other `_binfmt` has the cure."""
CLIENT_VERSION = ("docker", "version", "--format", "{{.Client.DefaultAPIVersion}}")
"""The newest that it speaks, whatever it has agreed on with the engine."""
CLIENT_TIMEOUT_S = 15.0
TRY_HELLO = "See what `docker run --rm hello-world` says."


def check_session(
    client: docker.DockerClient, instances: Sequence[Instance], cluster: Cluster, host: Host
) -> Iterator[str]:
    """Try what a session on these instances needs; gives warnings.

    Raises:
        PrerequisiteError: every rollout would fail, or every one of a registry's images.
        ENGINE_ERRORS: the engine does not answer.
    """
    platform = cluster.sandbox.platform
    here = find_images(client, names_of(instances), platform)
    missing = [instance for instance in instances if instance.image not in here]
    built = [instance for instance in missing if is_built_here(instance)]
    pulled = names_of(instance for instance in missing if not is_built_here(instance))
    yield from _try_containers(client, cluster, host)
    if built and host.emulated:
        _require_built_platform(client, platform)
    yield from _of_other_platforms(client, names_of(missing), platform)
    yield from _check_logins(client, (*pulled, *missing_bases(client, built, cluster)))


def missing_bases(
    client: docker.DockerClient, built: Sequence[Instance], cluster: Cluster
) -> tuple[str, ...]:
    """What builds of these instances' images start from, and is not here. Raises ENGINE_ERRORS."""
    platform = cluster.sandbox.platform
    bases = {base for i in built for base in build_of(i, cluster.images, platform).bases}
    return tuple(sorted(bases - find_images(client, bases, platform).keys()))


def _try_containers(client: docker.DockerClient, cluster: Cluster, host: Host) -> Iterator[str]:
    """Run one of the platform where it is emulated, and show the engine the mounts where it has
    other files than this system."""
    platform, mounts = cluster.sandbox.platform, cluster.sandbox.mounts
    has_other_files = bool(mounts) and host.place is not Place.HERE
    if not host.emulated and not has_other_files:
        return
    with loaded_image(client, platform) as image:
        if image is None:
            return
        if has_other_files and (
            problem := try_mounts(client, image, platform, bind_mounts(mounts))
        ):
            raise PrerequisiteError(
                f"the Docker engine can't take cluster.sandbox.mounts ({problem}).",
                "Its virtual machine, or host, sees only folders that are shared with it: your "
                "home, mostly. Put the file there, or share its folder.",
            )
        problem = run_trial(client, image, platform) if host.emulated else ""
    if CAN_NOT_RUN.search(problem):
        raise _no_container(platform, host, problem)
    if problem:
        yield f"a container of {platform} that only ends did not, as it should: {problem}"


def try_sandbox(client: docker.DockerClient, cluster: Cluster, host: Host) -> str:
    """`Backend.try_sandbox`. Raises PrerequisiteError, ENGINE_ERRORS."""
    sandbox, grading = cluster.sandbox, cluster.grading
    has_network = sandbox.network or grading.network
    limits = container_limits(sandbox.memory_gb, sandbox.cpus, sandbox.pids)
    started = time.monotonic()
    with loaded_image(client, sandbox.platform) as image:
        if image is None:
            return ""
        network = "bridge" if has_network else "none"
        problem = run_trial(client, image, sandbox.platform, network_mode=network, **limits)
    if problem:
        raise _no_container(sandbox.platform, host, problem)
    with_network = " with a network" if has_network else ""
    return (
        f"a tiny container of {sandbox.platform}{with_network} ran in "
        f"{time.monotonic() - started:.1f} s"
    )


def _no_container(platform: str, host: Host, problem: str) -> PrerequisiteError:
    """No container of the platform runs, and why."""
    what = f"the Docker engine runs no containers of {platform} on {host.architecture}: {problem}."
    if CAN_NOT_RUN.search(problem):
        return PrerequisiteError(what, EMULATION.get(host.engine_name, _binfmt(platform)))
    return PrerequisiteError(what, "" if with_cure(problem) != problem else TRY_HELLO)


def require_client(client: docker.DockerClient) -> None:
    """Raises PrerequisiteError where the engine is too new for the command line client, by which
    the harness stops its containers and images are built."""
    oldest = str(client.version().get("MinAPIVersion") or "")
    with contextlib.suppress(OSError):  # `host` tells that it is not there
        done = run_program(CLIENT_VERSION, CLIENT_TIMEOUT_S)
        own = done.output.strip()
        if _version(own) and _version(own) < _version(oldest):
            raise PrerequisiteError(
                f"`docker` on this host speaks version {own} of Docker's API at most, and the "
                f"engine {oldest} at least.",
                "Update Docker's command line client (`brew upgrade docker`, `apt install "
                "--only-upgrade docker-ce-cli`).",
            )


def _version(text: str) -> tuple[int, ...]:
    """Empty for what is none."""
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+(\.\d+)*", text) else ()


def _binfmt(platform: str) -> str:
    architecture = platform.split("/")[1]
    return (
        "Have it emulated on the engine's host: `sudo apt install qemu-user-static`, or `docker "
        f"run --privileged --rm tonistiigi/binfmt --install {architecture}` (until it reboots)."
    )


def _require_built_platform(client: docker.DockerClient, platform: str) -> None:
    """Raises PrerequisiteError where images that are built are not of the platform."""
    try:
        with built_image(client, platform) as image:
            if image is None or find_image(client, image, platform) is not None:
                return
            found = platform_of(client, image)
    except ImageUnavailable as error:
        raise PrerequisiteError(f"no image of {platform} can be built: {error}.", BUILDX) from error
    raise PrerequisiteError(f"`docker build --platform {platform}` made one of {found}.", BUILDX)


def _of_other_platforms(
    client: docker.DockerClient, missing: Sequence[str], platform: str
) -> Iterator[str]:
    others = {name: platform_of(client, name) for name in listed(client, missing)}
    others = {name: found for name, found in others.items() if found}
    for name, found in list(others.items())[:1]:
        more = f", and {len(others) - 1} more are for another" if len(others) > 1 else ""
        yield (
            f"{name} is here for {found} and not {platform}{more}: what is wanted is brought, and "
            f"what is here keeps a name that ends in -{found.replace('/', '-')}"
        )


def _check_logins(client: docker.DockerClient, images: Sequence[str]) -> Iterator[str]:
    """Ask for the login of every registry as pulling does, and once whether it does without."""
    first_of = {registry_of(image): image for image in reversed(images)}
    for registry, image in first_of.items():
        login = find_login(registry)
        if not login.problem:
            continue
        refusal = _refusal(client, image)
        if refusal:
            raise PrerequisiteError(
                f"{registry} refuses {image} without login ({refusal}), and {login.problem}.",
                login.cure,
            )
        yield _without_login(registry, login)


def _refusal(client: docker.DockerClient, image: str) -> str:
    """Why a registry does not give an image to who is not logged in; empty where it does, or can't
    be asked now."""
    try:
        client.images.get_registry_data(image, auth_config={})
    except docker.errors.APIError as error:
        said = error_words(error)
        return said if any(word in said.lower() for word in REFUSED) else ""
    except ENGINE_ERRORS:
        return ""
    return ""


def _without_login(registry: str, login: Login) -> str:
    return f"images of {registry} are pulled without login: {login.problem}. {login.cure}"
