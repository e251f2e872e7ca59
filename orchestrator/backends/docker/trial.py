"""Does a container of a platform run on this engine? Tried with a program of a few bytes.

It is an image of our own making: no registry is asked, and it is gone afterwards. An engine whose
processors are others emulates a platform by binfmt_misc and qemu, or by Rosetta, where somebody has
set that up; else every container ends at once.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container
from docker.types import Mount

from orchestrator.backends.docker.builds import Build, build_image
from orchestrator.backends.docker.engine import ENGINE_ERRORS, error_words
from orchestrator.backends.docker.tiny_images import image_archive, static_program

EXIT_CODE = 42
NAME = "swe-orchestrator-trial"
TIMEOUT_S = 60
CAN_NOT_RUN = re.compile(r"exec format error|exec \S+ no such file or directory", re.IGNORECASE)
"""The kernel knows no interpreter for such programs, or knows one that containers don't see."""
DOCKERFILE = 'FROM scratch\nCOPY trial /trial\nENTRYPOINT ["/trial"]\n'

_EXITS = {
    # mov edi, 42; mov eax, 60 (exit); syscall
    "amd64": "bf2a000000 b83c000000 0f05",
    # mov x0, #42; mov x8, #93 (exit); svc #0
    "arm64": "400580d2 a80b80d2 010000d4",
    # li a0, 42; li a7, 93 (exit); ecall
    "riscv64": "1305a002 9308d005 73000000",
}
"""Code that ends with EXIT_CODE on Linux."""


def tiny_program(platform: str) -> bytes | None:
    """A static program that only ends, with EXIT_CODE; None for platforms that we have none for."""
    return static_program(platform, _EXITS)


@contextmanager
def loaded_image(client: docker.DockerClient, platform: str) -> Iterator[str | None]:
    """An image of the platform with the tiny program, which is removed in the end; None for
    platforms that we have no program for.

    Raises one of ENGINE_ERRORS.
    """
    program = tiny_program(platform)
    if program is None:
        yield None
        return
    name = _new_name()
    client.images.load(image_archive(program, platform, name))
    with _removed_later(client, name):
        yield name


@contextmanager
def built_image(client: docker.DockerClient, platform: str) -> Iterator[str | None]:
    """The same, built as images of task repos are. Raises ImageUnavailable, ENGINE_ERRORS."""
    program = tiny_program(platform)
    if program is None:
        yield None
        return
    name = _new_name()
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        (Path(folder) / "trial").write_bytes(program)
        (Path(folder) / "trial").chmod(0o755)
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        build_image(Build(Path(folder), name, platform), TIMEOUT_S)
    with _removed_later(client, name):
        yield name


def run_trial(client: docker.DockerClient, image: str, platform: str, **settings: Any) -> str:
    """What went wrong when a container of the image was run; empty where nothing did.

    `settings` are the SDK's, such as limits.
    """
    try:
        with _container(client, image, platform, **settings) as container:
            container.start()
            code = int(container.wait(timeout=TIMEOUT_S)["StatusCode"])
            said = container.logs(tail=5).decode("utf-8", "replace")
    except ENGINE_ERRORS as error:
        return error_words(error)
    return "" if code == EXIT_CODE else f"exit {code} {said}".strip()


def try_mounts(
    client: docker.DockerClient, image: str, platform: str, mounts: Sequence[Mount]
) -> str:
    """What the engine has against mounts; empty where it takes them. None of them is opened."""
    try:
        with _container(client, image, platform, mounts=list(mounts)):
            return ""
    except docker.errors.APIError as error:
        return error_words(error)


@contextmanager
def _container(
    client: docker.DockerClient, image: str, platform: str, **settings: Any
) -> Iterator[Container]:
    given: dict[str, Any] = {"network_mode": "none", "use_config_proxy": False} | settings
    container = client.containers.create(image, platform=platform, **given)
    try:
        yield container
    finally:
        with contextlib.suppress(*ENGINE_ERRORS):
            container.remove(force=True, v=True)


@contextmanager
def _removed_later(client: docker.DockerClient, image: str) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(*ENGINE_ERRORS):
            client.images.remove(image, force=True)


def _new_name() -> str:
    return f"{NAME}:{secrets.token_hex(6)}"
