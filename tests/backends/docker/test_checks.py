"""What is tried before the night: emulation, builds, platforms, mounts, logins, the hub's limit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from orchestrator.backends.docker import checks
from orchestrator.backends.docker.checks import check_session, require_client, try_sandbox
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.host import Host, Place
from orchestrator.config.cluster import Cluster, SandboxSettings
from orchestrator.errors import ImageUnavailable, PrerequisiteError
from orchestrator.types import Instance

HERE = Host("docker", 8.0, 2, architecture="linux/amd64")
ON_A_MAC = replace(HERE, architecture="linux/arm64", place=Place.VIRTUAL_MACHINE)
Check = Callable[..., list[str]]


class Engine:
    """As much of an engine's client as the checks ask, with these images by name."""

    def __init__(self, images: dict[str, str], refuses: str = "") -> None:
        self.platforms = images
        self.refuses = refuses
        self.images = self
        self.asked: list[str] = []

    def get_registry_data(self, image: str, auth_config: dict[str, Any]) -> None:
        assert auth_config == {}
        self.asked.append(image)
        if self.refuses:
            raise docker.errors.APIError(self.refuses)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, instance: Instance, tmp_path: Path) -> Check:
    """Warnings for images by name, of which the engine has some: `check(["a"], {"a": PLATFORM})`.

    Images that are named `built…` are of a task repo.
    """

    def find(client: Engine, name: str, platform: str) -> str | None:
        return name if client.platforms.get(name) == platform else None

    def find_many(client: Engine, names: Iterable[str], platform: str) -> dict[str, str]:
        return {name: name for name in names if find(client, name, platform)}

    monkeypatch.setattr(checks, "find_image", find)
    monkeypatch.setattr(checks, "find_images", find_many)
    monkeypatch.setattr(checks, "listed", lambda c, names: [n for n in names if n in c.platforms])
    monkeypatch.setattr(checks, "platform_of", lambda c, name: c.platforms.get(name, ""))
    (tmp_path / "Dockerfile").write_text("FROM ghcr.io/a/base:1\n")

    def run(
        names: list[str], has: dict[str, str] | None = None, host: Host = HERE, refuses: str = ""
    ) -> list[str]:
        given = [
            replace(instance, image=n, task_dir=str(tmp_path) if n.startswith("built") else None)
            for n in names
        ]
        client: Any = Engine(has or {}, refuses)
        return list(check_session(client, given, Cluster(name="c"), host))

    return run


@pytest.mark.parametrize(
    ("image", "logins"),
    [
        ("a/i{}:1", {"https://index.docker.io/v1/": {"auth": "YTpi"}}),
        ("a/i{}:1", {"docker.io": {"auth": "YTpi"}}),
        ("ghcr.io/a/i{}:1", {}),
        ("localhost:5000/i{}", {}),
    ],
)
def test_who_is_logged_in_or_takes_images_from_elsewhere_hears_nothing_of_the_hubs_limit(
    check: Check,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    image: str,
    logins: dict[str, Any],
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"auths": logins}))

    assert check([image.format(n) for n in range(300)]) == []


def test_images_of_that_name_for_another_platform_are_told_of(check: Check) -> None:
    (warning,) = check(["a", "b", "c"], {"a": "linux/arm64", "b": "linux/amd64"})

    assert warning.startswith("a is here for linux/arm64 and not linux/amd64: ")
    assert warning.endswith("-linux-arm64")
    (warning,) = check(["a", "b"], {"a": "linux/arm64", "b": "linux/arm64"})
    assert warning.startswith("a is here for linux/arm64 and not linux/amd64, and 1 more are for")


@pytest.fixture
def broken_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "osxkeychain"}')
    helper = tmp_path / "docker-credential-osxkeychain"
    helper.write_text("#!/bin/sh\necho 'User interaction is not allowed.'; exit 1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_a_locked_keychain_is_told_once_a_registry_with_the_cure(
    check: Check, broken_helper: None
) -> None:
    hub, ghcr = check(["a", "b", "built"])

    assert {hub.split()[2], ghcr.split()[2]} == {"docker.io", "ghcr.io"}
    assert "User interaction is not allowed" in hub
    assert "security unlock-keychain" in hub


def test_a_locked_keychain_bothers_nobody_whose_images_are_there(
    check: Check, broken_helper: None
) -> None:
    has = {"a": "linux/amd64", "ghcr.io/a/base:1": "linux/amd64"}

    assert check(["a", "built"], has) == []


def test_a_locked_keychain_ends_a_session_whose_images_are_private(
    check: Check, broken_helper: None
) -> None:
    with pytest.raises(PrerequisiteError, match=r"docker\.io refuses a without login") as caught:
        check(["a"], refuses="pull access denied for a")

    assert "security unlock-keychain" in caught.value.cure


@pytest.mark.parametrize("words", ["dial tcp: lookup registry-1.docker.io: no such host", "500"])
def test_a_registry_that_can_not_be_asked_now_is_no_reason_to_stop(
    check: Check, broken_helper: None, words: str
) -> None:
    (warning,) = check(["a"], refuses=words)

    assert "without login" in warning


@contextmanager
def an_image(*_: object) -> Iterator[str]:
    yield "trial"


@pytest.mark.parametrize(
    ("engine", "cure"),
    [
        ("OrbStack", "orb config set rosetta true"),
        ("Docker Desktop", "Use Rosetta"),
        ("Colima", "--vz-rosetta"),
        ("Docker", "tonistiigi/binfmt --install amd64"),
        ("", "qemu-user-static"),
    ],
)
@pytest.mark.parametrize(
    "words", ["exit 1 exec /trial: exec format error", "exec /trial: no such file or directory"]
)
def test_a_host_that_emulates_nothing_is_refused_with_the_engines_own_cure(
    check: Check, monkeypatch: pytest.MonkeyPatch, engine: str, cure: str, words: str
) -> None:
    monkeypatch.setattr(checks, "loaded_image", an_image)
    monkeypatch.setattr(checks, "run_trial", lambda *_: words)

    with pytest.raises(PrerequisiteError, match="no containers of linux/amd64 on linux/arm64") as e:
        check(["a"], host=replace(ON_A_MAC, engine_name=engine))

    assert cure in e.value.cure


def test_a_trial_that_ends_oddly_is_a_warning(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rosetta may not like a program so small."""
    monkeypatch.setattr(checks, "loaded_image", an_image)
    monkeypatch.setattr(checks, "run_trial", lambda *_: "exit 133 rosetta error")

    (warning,) = check(["a"], host=ON_A_MAC)

    assert "rosetta error" in warning


def test_a_host_of_the_platform_is_not_tried(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was tried")

    for name in ("loaded_image", "built_image", "run_trial"):
        monkeypatch.setattr(checks, name, never)

    assert check(["a", "built"]) == []


def test_a_builder_that_loses_the_platform_is_refused_before_the_night(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "loaded_image", an_image)
    monkeypatch.setattr(checks, "run_trial", lambda *_: "")
    monkeypatch.setattr(checks, "built_image", an_image)
    lost, kept = {"trial": "linux/arm64"}, {"trial": "linux/amd64"}

    with pytest.raises(PrerequisiteError, match="made one of linux/arm64") as caught:
        check(["built"], lost, ON_A_MAC)
    assert "docker-buildx-plugin" in caught.value.cure
    assert check(["built"], kept, ON_A_MAC) == []
    assert check(["a"], lost, ON_A_MAC) == [], "nothing is built"

    @contextmanager
    def fails(*_: object) -> Iterator[str]:
        raise ImageUnavailable("no match for platform in manifest")
        yield ""

    monkeypatch.setattr(checks, "built_image", fails)
    with pytest.raises(PrerequisiteError, match="no match for platform in manifest"):
        check(["built"], kept, ON_A_MAC)


@pytest.mark.docker
@pytest.mark.parametrize("place", [Place.VIRTUAL_MACHINE, Place.ELSEWHERE])
def test_a_mount_that_the_engine_does_not_see_is_refused_before_the_night(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "here.crt").write_text("a certificate")

    def check_mount(source: Path) -> list[str]:
        sandbox = SandboxSettings(mounts=(f"{source}:/a.crt:ro",))
        with closing(connect()) as client:
            cluster = Cluster(name="c", sandbox=sandbox)
            return list(check_session(client, [], cluster, replace(HERE, place=place)))

    assert check_mount(tmp_path / "here.crt") == []
    with pytest.raises(PrerequisiteError, match=r"cluster\.sandbox\.mounts .*not-shared\.crt"):
        check_mount(tmp_path / "not-shared.crt")
    assert not (tmp_path / "not-shared.crt").exists()


@pytest.mark.docker
def test_an_engine_that_emulates_nothing_of_the_kind_is_refused_before_the_night() -> None:
    """For real: nobody has registered riscv64 here."""
    cluster = Cluster(name="c", sandbox=SandboxSettings(platform="linux/riscv64"))
    host = replace(HERE, platform="linux/riscv64")

    with (
        closing(connect()) as client,
        pytest.raises(PrerequisiteError, match="exec format error") as caught,
    ):
        list(check_session(client, [], cluster, host))

    assert "--install riscv64" in caught.value.cure


@pytest.mark.parametrize(
    ("client", "engine", "is_too_old"),
    [
        ("1.41", "1.44", True),
        ("1.9", "1.24", True),
        ("1.44", "1.44", False),
        ("1.54", "1.44", False),
        ("1.41", "", False),
        ("podman has none", "1.44", False),
        ("", "1.44", False),
    ],
)
def test_an_engine_too_new_for_the_command_line_client_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, engine: str, is_too_old: bool
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\necho '{client}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    class Answers:
        def version(self) -> dict[str, str]:
            return {"ApiVersion": "1.52", "MinAPIVersion": engine}

    asked: Any = Answers()
    if not is_too_old:
        require_client(asked)
        return
    with pytest.raises(PrerequisiteError, match=rf"version {client} .* at most, and the engine"):
        require_client(asked)


@pytest.mark.docker
def test_a_tiny_sandbox_of_a_platform_that_nobody_emulates_is_told_with_the_cure() -> None:
    cluster = Cluster(name="c", sandbox=SandboxSettings(kind="docker", platform="linux/riscv64"))
    host = replace(HERE, platform="linux/riscv64")

    with closing(connect()) as client, pytest.raises(PrerequisiteError) as caught:
        try_sandbox(client, cluster, host)

    assert "runs no containers of linux/riscv64 on linux/amd64" in caught.value.what
    assert "binfmt" in caught.value.cure
