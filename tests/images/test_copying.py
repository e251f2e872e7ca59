"""Images copied between two real registries, and what breaks on the way."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker.errors
import httpx
import pytest
from support.registries import (
    DOCKER_LIST,
    Asked,
    FakeServer,
    Reply,
    digest_of,
    manifest_of,
    push_image,
    push_manifest,
    random_layer,
    registry_server,
)

from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.trial import image_archive, tiny_program
from orchestrator.errors import ConfigError
from orchestrator.images.copying import Copier
from orchestrator.images.pulls import PullFailed, PullProblem

pytestmark = pytest.mark.slow

AMD = "linux/amd64"
BASE, ENV = random_layer(30_000, 1), random_layer(20_000, 2)
OWN = [random_layer(1_000 + number, 10 + number) for number in range(3)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_server(tmp_path_factory.mktemp("source")) as place:
        for number, own in enumerate(OWN):
            push_image(place, f"swebench/{number}", "latest", [BASE, ENV, own])
        yield place


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    with registry_server(tmp_path / "target") as place:
        yield place


@pytest.fixture
def copier() -> Iterator[Copier]:
    with Copier(no_login) as made:
        yield made


def no_login(registry: str) -> Mapping[str, Any]:
    return {}


def pulled(address: str, repository: str, tag: str) -> tuple[str, list[bytes]]:
    """An image as somebody gets it who pulls it: its digest and layers."""
    url = f"http://{address}/v2/{repository}"
    headers = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    found = httpx.get(f"{url}/manifests/{tag}", headers=headers, trust_env=False)
    found.raise_for_status()
    layers = [
        httpx.get(f"{url}/blobs/{layer['digest']}", trust_env=False).content
        for layer in found.json()["layers"]
    ]
    return digest_of(found.content), layers


def test_a_copy_is_the_image_byte_for_byte(source: str, target: str, copier: Copier) -> None:
    came: list[int] = []

    done = copier.copy_image(
        f"{source}/swebench/0:latest", f"{target}/team/all:zero", AMD, came.append
    )

    assert pulled(target, "team/all", "zero") == (done.digest, [BASE, ENV, OWN[0]])
    _, config = manifest_of([BASE, ENV, OWN[0]])
    assert sum(came) == done.sent == len(BASE) + len(ENV) + len(OWN[0]) + len(config)


def test_layers_that_are_there_are_not_sent_again(source: str, target: str, copier: Copier) -> None:
    """Also where each image has a repository of its own, as official ones have."""
    sent = [
        copier.copy_image(f"{source}/swebench/{n}", f"{target}/swebench/{n}", AMD).sent
        for n in range(3)
    ]

    assert sent[0] > len(BASE) + len(ENV)
    assert all(1_000 <= more < 2_000 for more in sent[1:])
    for number, own in enumerate(OWN):
        assert pulled(target, f"swebench/{number}", "latest")[1] == [BASE, ENV, own]


def test_a_second_copy_sends_nothing_and_knows_what_is_there(
    source: str, target: str, copier: Copier
) -> None:
    first = copier.copy_image(f"{source}/swebench/0", f"{target}/swebench/0", AMD)
    with Copier(no_login) as another:
        again = another.copy_image(f"{source}/swebench/0", f"{target}/swebench/0", AMD)
        more = another.copy_image(f"{source}/swebench/1", f"{target}/swebench/1", AMD)

    assert (again.sent, again.digest) == (0, first.digest)
    assert more.sent < 2_000


def test_a_copy_that_is_there_costs_no_pull(target: str) -> None:
    manifest, _ = manifest_of([b"layer"])
    push_image(target, "a/b", "latest", [b"layer"])

    def answer(asked: Asked) -> Reply:
        return Reply(body=manifest, headers={"Docker-Content-Digest": digest_of(manifest)})

    with FakeServer(answer) as server, Copier(no_login) as copier:
        assert copier.copy_image(f"{server.place}/a/b", f"{target}/a/b", AMD).sent == 0

    assert [path for path in server.paths() if "manifests" in path] == [
        "HEAD /v2/a/b/manifests/latest"
    ]


def test_a_copy_that_broke_off_goes_on_with_the_layer_it_was_at(target: str) -> None:
    layers = [BASE, ENV]
    manifest, config = manifest_of(layers)
    blobs = {digest_of(blob): blob for blob in (*layers, config)}
    broken = {digest_of(ENV)}
    asked_for: list[str] = []

    def answer(asked: Asked) -> Reply:
        if "/manifests/" in asked.path:
            headers = {"Docker-Content-Digest": digest_of(manifest)}
            return Reply(body=manifest, headers=headers)
        digest = asked.path.rpartition("/")[2]
        asked_for.append(digest)
        return Reply(body=blobs.get(digest, b""), cut_to=5_000 if digest in broken else None)

    with FakeServer(answer) as server, Copier(no_login) as copier:
        with pytest.raises(PullFailed) as caught:
            copier.copy_image(f"{server.place}/a/b", f"{target}/a/b", AMD)
        assert caught.value.failure.problem is PullProblem.AWAY
        assert httpx.get(f"http://{target}/v2/a/b/manifests/latest", trust_env=False).is_error
        broken.clear()
        asked_for.clear()
        done = copier.copy_image(f"{server.place}/a/b", f"{target}/a/b", AMD)

    assert digest_of(BASE) not in asked_for
    assert done.sent == len(ENV) + len(config)
    assert pulled(target, "a/b", "latest") == (digest_of(manifest), layers)


@pytest.mark.parametrize(
    "sent", [b"", ENV[:-1], ENV + b"x", ENV[:-1] + bytes([ENV[-1] ^ 1]), b"<html>"]
)
def test_a_layer_that_is_another_is_never_taken(sent: bytes, target: str) -> None:
    manifest, config = manifest_of([ENV])

    def answer(asked: Asked) -> Reply:
        if "/manifests/" in asked.path:
            return Reply(body=manifest, headers={"Docker-Content-Digest": digest_of(manifest)})
        return Reply(body=config if digest_of(config) in asked.path else sent)

    with (
        FakeServer(answer) as server,
        Copier(no_login) as copier,
        pytest.raises(PullFailed) as caught,
    ):
        copier.copy_image(f"{server.place}/a/b", f"{target}/a/b", AMD)

    assert caught.value.failure.problem is PullProblem.AWAY
    url = f"http://{target}/v2/a/b/blobs/{digest_of(ENV)}"
    assert httpx.head(url, trust_env=False).status_code == 404


def test_of_several_platforms_the_wanted_one_is_copied(
    source: str, target: str, copier: Copier
) -> None:
    digests = {
        architecture: push_image(
            source, "a/two", architecture, [architecture.encode()], f"linux/{architecture}"
        )
        for architecture in ("amd64", "arm64")
    }
    entries = [
        {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "size": len(manifest_of([architecture.encode()], f"linux/{architecture}")[0]),
            "digest": digest,
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, digest in digests.items()
    ]
    index = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries}
    push_manifest(source, "a/two", "latest", json.dumps(index).encode(), DOCKER_LIST)

    copier.copy_image(f"{source}/a/two", f"{target}/a/two", AMD)
    again = copier.copy_image(f"{source}/a/two", f"{target}/a/two", AMD)

    assert pulled(target, "a/two", "latest") == (digests["amd64"], [b"amd64"])
    assert again.sent == 0


def test_an_image_of_another_platform_is_not_copied(
    source: str, target: str, copier: Copier
) -> None:
    push_image(source, "a/arm", "latest", [b"arm"], "linux/arm64")

    with pytest.raises(PullFailed, match="but for: linux/arm64") as caught:
        copier.copy_image(f"{source}/a/arm", f"{target}/a/arm", AMD)

    assert caught.value.failure.problem is PullProblem.REFUSED


def test_what_the_source_does_not_have_is_refused(source: str, target: str, copier: Copier) -> None:
    with pytest.raises(PullFailed, match=source) as caught:
        copier.copy_image(f"{source}/no/such", f"{target}/no/such", AMD)

    assert caught.value.failure.problem is PullProblem.REFUSED


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (401, PullProblem.REFUSED),
        (405, PullProblem.REFUSED),
        (507, PullProblem.AWAY),
        (429, PullProblem.QUOTA),
    ],
)
def test_a_target_that_takes_nothing_is_named(
    status: int, problem: PullProblem, source: str, copier: Copier
) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(404 if asked.method == "HEAD" else status) if asked.path != "/v2/" else Reply()

    with FakeServer(answer) as server, pytest.raises(PullFailed, match=server.place) as caught:
        copier.copy_image(f"{source}/swebench/0", f"{server.place}/a/b", AMD)

    assert caught.value.failure.problem is problem


@pytest.mark.parametrize("location", ["", "ftp://x/y", "http://[bad"])
def test_a_target_that_names_no_place_for_an_upload_is_named(
    location: str, source: str, copier: Copier
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.method == "HEAD":
            return Reply(404)
        return Reply(202, headers={"Location": location} if location else {})

    with FakeServer(answer) as server, pytest.raises(PullFailed, match=server.place) as caught:
        copier.copy_image(f"{source}/swebench/0", f"{server.place}/a/b", AMD)

    assert caught.value.failure.problem is PullProblem.AWAY


PASSWORDS = "user:$2b$04$1.SQ.5LHQF8lGjnbVWiRZ.4TmZmupSOpgimHwKVyMMCrCPcX6d.Wa\n"
"""`user` with `secret`, as htpasswd writes it."""


@pytest.mark.parametrize(("password", "is_taken"), [("secret", True), ("wrong", False)])
def test_a_mirror_may_want_a_login(
    password: str, is_taken: bool, source: str, tmp_path: Path
) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(PASSWORDS)
    settings = f"auth: {{htpasswd: {{realm: home, path: {file}}}}}\n"
    with registry_server(tmp_path / "mirror", settings) as mirror:
        logins = {mirror: {"Username": "user", "Password": password}}
        with Copier(lambda registry: logins.get(registry, {})) as copier:
            if is_taken:
                assert copier.copy_image(f"{source}/swebench/0", f"{mirror}/a/b", AMD).sent
                assert not copier.copy_image(f"{source}/swebench/0", f"{mirror}/a/b", AMD).sent
            else:
                with pytest.raises(PullFailed, match=mirror) as caught:
                    copier.copy_image(f"{source}/swebench/0", f"{mirror}/a/b", AMD)
                assert caught.value.failure.problem is PullProblem.REFUSED


@pytest.mark.docker
def test_an_engine_starts_what_was_copied(tmp_path: Path, target: str, copier: Copier) -> None:
    program = tiny_program(AMD)
    assert program is not None
    client = connect()
    with registry_server(tmp_path / "source") as other:
        image, copied = f"{other}/a/tiny:v1", f"{target}/b/tiny:copied"
        client.images.load(image_archive(program, AMD, image))
        try:
            client.images.push(f"{other}/a/tiny", tag="v1")
            copier.copy_image(image, copied, AMD)
            client.images.remove(image, force=True)
            client.images.pull(f"{target}/b/tiny", tag="copied", platform=AMD)
            client.api.remove_container(client.api.create_container(copied, ["/trial"])["Id"])
        finally:
            for name in (image, copied):
                with contextlib.suppress(docker.errors.ImageNotFound):
                    client.images.remove(name, force=True)
            client.close()


def test_a_name_that_is_none_is_one_line(source: str, copier: Copier) -> None:
    with pytest.raises(ConfigError, match="no name of an image"):
        copier.copy_image(f"{source}/swebench/0", "not a name", AMD)


def test_a_target_is_told_how_much_will_come(source: str, copier: Copier) -> None:
    """Some registries take no upload of unknown length."""

    def answer(asked: Asked) -> Reply:
        if asked.method == "HEAD":
            return Reply(404)
        return Reply(202 if asked.method == "POST" else 201, headers={"Location": "/upload?id=1"})

    with FakeServer(answer) as server:
        done = copier.copy_image(f"{source}/swebench/0", f"{server.place}/a/b", AMD)

    uploads = [asked for asked in server.asked if asked.path.startswith("/upload?id=1&digest=")]
    assert sum(int(asked.headers["content-length"]) for asked in uploads) == done.sent
    assert all("transfer-encoding" not in asked.headers for asked in uploads)
    assert [digest_of(asked.body) for asked in uploads[:2]] == [digest_of(BASE), digest_of(ENV)]


def test_a_large_layer_passes_through_in_pieces(source: str, target: str, copier: Copier) -> None:
    large = random_layer(24 << 20, 99)
    push_image(source, "a/large", "latest", [large])

    tracemalloc.start()
    try:
        copier.copy_image(f"{source}/a/large", f"{target}/a/large", AMD)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 << 20
    assert pulled(target, "a/large", "latest")[1] == [large]
