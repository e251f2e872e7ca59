"""A tiny program of a platform is run in a container of its own image, and leaves nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.images import find_image, platform_of
from orchestrator.backends.docker.sandbox import bind_mounts
from orchestrator.backends.docker.trial import (
    CAN_NOT_RUN,
    EXIT_CODE,
    NAME,
    built_image,
    loaded_image,
    run_trial,
    tiny_program,
    try_mounts,
)

HERE = "linux/amd64"
NOT_EMULATED = "linux/riscv64"
"""On the hosts of these tests."""


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    with closing(connect()) as connected:
        yield connected
        assert connected.images.list(NAME) == [], "nothing is left"


@pytest.mark.parametrize("platform", [HERE, "linux/arm64", "linux/arm64/v8", NOT_EMULATED])
def test_a_program_is_an_elf_of_its_machine_and_ends_within_its_file(platform: str) -> None:
    program = tiny_program(platform)

    assert program is not None
    assert program[:4] == b"\x7fELF"
    assert int.from_bytes(program[96:104], "little") == len(program), "its one segment is the file"


def test_the_program_of_this_host_ends_with_its_code(tmp_path: Path) -> None:
    program = tiny_program(HERE)
    assert program is not None
    path = tmp_path / "trial"
    path.write_bytes(program)
    path.chmod(0o755)

    assert subprocess.run([path]).returncode == EXIT_CODE


@pytest.mark.parametrize("platform", ["linux/s390x", "windows/amd64", "linux", ""])
def test_there_are_platforms_without_one(platform: str) -> None:
    assert tiny_program(platform) is None


@pytest.mark.docker
@pytest.mark.parametrize("make", [loaded_image, built_image])
def test_a_container_of_the_platform_runs(client: docker.DockerClient, make: type) -> None:
    with make(client, HERE) as image:
        assert find_image(client, image, HERE) is not None
        assert run_trial(client, image, HERE) == ""


@pytest.mark.docker
@pytest.mark.parametrize("make", [loaded_image, built_image])
def test_a_platform_that_nobody_emulates_is_found_by_running_it(
    client: docker.DockerClient, make: type
) -> None:
    with make(client, NOT_EMULATED) as image:
        assert platform_of(client, image) == NOT_EMULATED
        assert CAN_NOT_RUN.search(run_trial(client, image, NOT_EMULATED))


@pytest.mark.docker
def test_a_mount_of_what_is_not_there_is_refused_and_no_folder_is_made(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    """As the engine sees it: in a virtual machine it has other files than this system."""
    absent, present = tmp_path / "absent.crt", tmp_path / "present.crt"
    present.write_text("a certificate")
    with loaded_image(client, HERE) as image:
        assert image is not None
        assert try_mounts(client, image, HERE, bind_mounts([f"{present}:/a.crt:ro"])) == ""
        refused = try_mounts(client, image, HERE, bind_mounts([f"{absent}:/a.crt:ro"]))

    assert str(absent) in refused
    assert not absent.exists()
