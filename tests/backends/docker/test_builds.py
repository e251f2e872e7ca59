"""Images are built by `docker build`; here by a script in its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.backends.docker.builds import Build, build_image
from orchestrator.errors import ImageUnavailable

Docker = Callable[[str], Path]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Puts a script in the place of `docker`; gives the file that it may write to, as $LOG."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text("{}")

    def write(script: str) -> Path:
        (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "docker").chmod(0o755)
        return log

    return write


@pytest.fixture
def build(tmp_path: Path) -> Build:
    folder = tmp_path / "a task"
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG BASE=python:3.11\nFROM ${BASE}\nRUN true\n")
    return Build(folder, "a/tag:v1", "linux/amd64", {"BASE": "my-base:1"})


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("FROM a\n", {"a"}),
        ("ARG BASE=python:3.11\nFROM ${BASE}\n", {"my-base:1"}),
        ("ARG BASE\nARG NONE\nFROM $BASE\nFROM $NONE\n", {"my-base:1"}),
        ("ARG OTHER=b:1\nfrom $OTHER as x\nFROM x\n", {"b:1"}),
        ("FROM --platform=linux/amd64 c AS y\nFROM y", {"c"}),
        ("FROM scratch\nCOPY --from=x a b\n", set()),
        ("FROM $NONE\n", set()),
        ("", set()),
        ("FROM a:1\nRUN python3 - <<EOF\nfrom pathlib import Path\nEOF\n", {"a:1"}),
        ("FROM a:1\nCOPY <<'ONE' <<-TWO /x/\nFROM b\nONE\nFROM c\n\tTWO\nFROM d\n", {"a:1", "d"}),
        ('FROM a:1\nRUN echo "select x \\\nfrom users"\n', {"a:1"}),
        ("FROM a:1 AS Build\nFROM build\n", {"a:1"}),
        ("# FROM b\nFROM a:1\n", {"a:1"}),
    ],
)
def test_the_images_that_a_dockerfile_begins_with_are_known(
    text: str, bases: set[str], build: Build
) -> None:
    (build.folder / "Dockerfile").write_text(text)

    assert build.bases == bases


def test_the_platform_the_name_and_the_arguments_are_given(build: Build, docker: Docker) -> None:
    log = docker('printf "%s\\n" "$@" "$BUILDX_NO_DEFAULT_ATTESTATIONS" > $LOG')
    build_image(build, 60)

    given = log.read_text().splitlines()
    assert given[:5] == ["build", "--platform", "linux/amd64", "--tag", "a/tag:v1"]
    assert "BASE=my-base:1" in given
    assert given[-2:] == [str(build.folder), "1"]


def test_what_a_build_says_is_in_its_failure(build: Build, docker: Docker) -> None:
    docker("echo first; echo 'COPY failed: absent' >&2; exit 1")

    with pytest.raises(ImageUnavailable, match=r"^a/tag:v1: COPY failed: absent$"):
        build_image(build, 60)


@pytest.mark.slow
def test_a_build_that_hangs_ends_with_what_it_started(build: Build, docker: Docker) -> None:
    docker("sleep 60 & sleep 60")

    with pytest.raises(ImageUnavailable, match=r"not built in 0\.3 s"):
        build_image(build, 0.3)


def test_a_helper_that_fails_does_not_keep_a_public_base_from_being_pulled(
    build: Build, docker: Docker, tmp_path: Path
) -> None:
    """BuildKit gives up there, so it is shown settings that name no helper."""
    (tmp_path / "config" / "config.json").write_text(json.dumps({"credsStore": "not-there"}))
    log = docker("cat $DOCKER_CONFIG/config.json > $LOG; exit 1")

    with pytest.raises(ImageUnavailable, match=r"without login: docker-credential-not-there"):
        build_image(build, 60)

    assert json.loads(log.read_text()) == {}
