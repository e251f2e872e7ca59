"""Names of images are read as Docker reads them, and a mirror's are made from them."""

from __future__ import annotations

import pytest

from orchestrator.config.cluster import Images
from orchestrator.errors import ConfigError
from orchestrator.images.names import ImageName, parse_name, registry_of, sources

OFFICIAL = "swebench/sweb.eval.x86_64.astropy_1776_astropy-12907:latest"
NAME = "sweb.eval.x86_64.astropy_1776_astropy-12907"
DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("python", "docker.io/library/python:latest"),
        ("library/python", "docker.io/library/python:latest"),
        (OFFICIAL, f"docker.io/{OFFICIAL}"),
        (f"docker.io/{OFFICIAL}", f"docker.io/{OFFICIAL}"),
        (f"index.docker.io/{OFFICIAL}", f"docker.io/{OFFICIAL}"),
        ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("spark:5000/a:b", "spark:5000/a:b"),
        ("[::1]:5000/a:b", "[::1]:5000/a:b"),
        ("Spark/a", "Spark/a:latest"),
        (f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        (f"a/b:v1@{DIGEST}", f"docker.io/a/b@{DIGEST}"),
    ],
)
def test_a_name_is_read_as_docker_reads_it(image: str, whole: str) -> None:
    name = parse_name(image)

    assert str(name) == whole
    assert parse_name(whole) == name or name.digest
    assert registry_of(image) == name.registry


@pytest.mark.parametrize(
    "image",
    [
        "",
        "a/B",
        "a//b",
        "a:b:c",
        "a b",
        "a/b:",
        "a@sha256:1",
        "http://a/b",
        "a" * 256,
        "a/b\n",
        "-a",
    ],
)
def test_what_is_no_name_is_one_line(image: str) -> None:
    with pytest.raises(ConfigError, match="is no name of an image") as caught:
        parse_name(image)

    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
    assert registry_of(image)


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("python:3.11-slim", "docker.io"),
        ("swebench/sweb.eval.x86_64.a_1776_b-1:latest", "docker.io"),
        ("ghcr.io/a/b:v1", "ghcr.io"),
        ("localhost:5000/a", "localhost:5000"),
        ("1.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:1", "1.dkr.ecr.eu-west-1.amazonaws.com"),
    ],
)
def test_an_images_registry_is_in_its_name(image: str, registry: str) -> None:
    assert registry_of(image) == registry


@pytest.mark.parametrize(
    ("settings", "mirrored"),
    [
        ({}, f"spark:5000/swebench/{NAME}:latest"),
        ({"namespace": "team/x"}, f"spark:5000/team/x/{NAME}:latest"),
        ({"tag": "2026-{tag}"}, f"spark:5000/swebench/{NAME}:2026-latest"),
        ({"tag": "v1"}, f"spark:5000/swebench/{NAME}:v1"),
        ({"namespace": "all", "tag": "{instance}"}, "spark:5000/all:astropy__astropy-12907"),
        ({"namespace": "all", "tag": "{name}-{tag}"}, f"spark:5000/all:{NAME}-latest"),
        ({"tag": "{instance}"}, f"spark:5000/swebench/{NAME}:astropy__astropy-12907"),
    ],
)
def test_the_mirror_is_asked_first_and_the_images_own_registry_at_last(
    settings: dict[str, str], mirrored: str
) -> None:
    found = sources(OFFICIAL, Images(mirror="spark:5000", **settings))

    assert found == (mirrored, OFFICIAL)


def test_without_a_mirror_an_image_has_its_own_name_alone() -> None:
    assert sources(OFFICIAL, Images(namespace="team", tag="{instance}")) == (OFFICIAL,)


def test_an_image_that_is_named_at_the_mirror_has_one_name() -> None:
    image = "spark:5000/team/a:latest"

    assert sources(image, Images(mirror="spark:5000")) == (image,)


def test_an_image_by_digest_has_a_tag_of_it_in_the_mirror() -> None:
    """A digest may be of a list of platforms, of which the mirror has one."""
    found = sources(f"ghcr.io/a/b@{DIGEST}", Images(mirror="spark:5000"))

    assert found == (f"spark:5000/a/b:sha256-{'ab' * 32}", f"ghcr.io/a/b@{DIGEST}")


def test_two_images_never_share_a_tag_however_long_their_names_are() -> None:
    settings = Images(mirror="spark:5000", namespace="all", tag="{name}")
    tags = {sources(f"x/{'a' * 150}{end}", settings)[0] for end in "bc"}

    assert len(tags) == 2
    assert all(len(parse_name(tag).tag) <= 128 for tag in tags)


@pytest.mark.parametrize(
    ("repository", "instance"),
    [
        (f"swebench/{NAME}", "astropy__astropy-12907"),
        ("epoch/swe-bench.eval.x86_64.a__b-1", "swe-bench.eval.x86_64.a__b-1"),
        ("x/sweb.eval.arm64.a__b.c-1", "a__b.c-1"),
        ("x/my-image", "my-image"),
    ],
)
def test_an_official_name_tells_its_instance(repository: str, instance: str) -> None:
    assert ImageName("docker.io", repository).instance == instance


def test_no_image_is_asked_for_by_what_is_no_name() -> None:
    with pytest.raises(ConfigError):
        sources("no image", Images(mirror="spark:5000"))
