"""A sandbox of an image that was looked at before: no less is known of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from support.repositories import SOURCE, Repository, noted_and_kept
from support.specs import sandbox_spec

from orchestrator.backends import Sandbox, SandboxSpec
from orchestrator.errors import ImageUnavailable, SandboxUnavailable
from orchestrator.types import Future, Instance
from orchestrator.worker import future, images_seen
from orchestrator.worker.harvest import KeptFiles, kept_files
from orchestrator.worker.images_seen import ImageSeen
from orchestrator.worker.set_up import _key, look_at

pytestmark = pytest.mark.slow

Make = Callable[..., Repository]
Look = Callable[..., Repository]

IMAGE = f"example.org/image@sha256:{'1' * 64}"
PRUNE = "git reflog expire --expire=now --all && git prune --expire=now"
"""The template's own commit was amended."""
EDIT = f"echo '# x' >> {SOURCE}; echo new > new.txt"
SET_UP = "echo '# set up' >> README.md; echo 1 > set-up.txt; chmod 755 set-up.txt"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images-seen"


@pytest.fixture
def spec(instance: Instance, tmp_path: Path) -> SandboxSpec:
    return sandbox_spec(instance, tmp_path)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images of sandboxes in which the future was looked for."""
    images: list[str] = []
    find = future.find_future

    def find_and_note(sandbox: Sandbox, instance: Instance) -> Future:
        images.append(sandbox.image)
        return find(sandbox, instance)

    monkeypatch.setattr(future, "find_future", find_and_note)
    return images


@pytest.fixture
def look(make: Make, spec: SandboxSpec, instance: Instance) -> Look:
    """Starts a sandbox of an image and looks at it: `look(prepare=...)`, what made its image."""

    def start(image: str = IMAGE, prepare: str = SET_UP, **settings: Any) -> Repository:
        sandbox = make().sandbox
        sandbox.image = image
        assert sandbox.exec(f"{PRUNE}; {prepare}", 60).exit_code == 0
        baseline, search = look_at(sandbox, replace(spec, **settings), instance)
        assert not search.wait().is_leak
        return Repository(sandbox, baseline)

    return start


@pytest.fixture(scope="module")
def first(make: Make, instance: Instance) -> tuple[KeptFiles, str]:
    """What is kept of one sandbox of the image, and the patch of the edit there."""
    sandbox = make().sandbox
    assert sandbox.exec(f"{PRUNE}; {SET_UP}", 60).exit_code == 0
    baseline = noted_and_kept(sandbox, instance)
    kept = kept_files(sandbox, baseline, 10**7)
    assert kept is not None
    patch, remarks = Repository(sandbox, baseline).harvest(EDIT)
    assert remarks == ()
    assert patch.count("diff --git") == 2
    return kept, patch


@pytest.fixture
def plain(first: tuple[KeptFiles, str]) -> str:
    return first[1]


@pytest.mark.parametrize("then", ["true", "rm -rf .git", "rm -rf .git; git init -q"])
def test_the_second_sandbox_of_an_image_is_not_searched_and_gives_the_same_patch(
    then: str, look: Look, searched: list[str], plain: str
) -> None:
    first = look()

    second = look()

    assert searched == [IMAGE]
    assert second.baseline.tree == first.baseline.tree
    assert second.harvest(f"{EDIT}; {then}") == (plain, ())


def test_what_the_agent_asks_for_meanwhile_is_right_too(look: Look, plain: str) -> None:
    look()
    second = look()
    second.run(f"{EDIT}; rm -rf .git")

    told = second.run(second.baseline.diff_command(second.sandbox.workdir))

    assert told.partition("SNAPSHOT\n")[2] == f"{len(plain.encode())}\n{plain}"


def test_nothing_of_it_lies_beside_the_repository(look: Look) -> None:
    look()
    second = look()

    found = second.run("ls -A .. | grep '^.swe-orchestrator-.*tar$' || true")

    assert found == ""


def archive_without(kept: KeptFiles, pattern: str) -> bytes:
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(kept.archive)) as old,
        tarfile.open(fileobj=out, mode="w") as new,
    ):
        for entry in old:
            if pattern not in entry.name:
                new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
    return out.getvalue()


WRONG: dict[str, Callable[[KeptFiles], KeptFiles]] = {
    "another tree": lambda kept: replace(kept, tree="1" * 40),
    "no tree": lambda kept: replace(kept, tree=""),
    "a tree that is no name": lambda kept: replace(kept, tree="$(exit 1)"),
    "no archive": lambda kept: replace(kept, archive=b""),
    "noise": lambda kept: replace(kept, archive=b"noise" * 1000),
    "half of it": lambda kept: replace(kept, archive=kept.archive[: len(kept.archive) // 2]),
    "no objects": lambda kept: replace(kept, archive=archive_without(kept, "objects/")),
    "no packs": lambda kept: replace(kept, archive=archive_without(kept, ".pack")),
    "no index": lambda kept: replace(kept, archive=archive_without(kept, "repository/index")),
    "no HEAD": lambda kept: replace(kept, archive=archive_without(kept, "repository/HEAD")),
    "no settings": lambda kept: replace(kept, archive=archive_without(kept, "repository/config")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_was_kept_wrongly_never_makes_a_wrong_patch(
    wrong: str,
    look: Look,
    first: tuple[KeptFiles, str],
    searched: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, plain = first
    wrongly = WRONG[wrong](kept)
    seen = ImageSeen(wrongly.tree, Future({}), wrongly.archive)
    monkeypatch.setattr(images_seen, "recall", lambda key: seen)

    sandbox = look()

    assert sandbox.harvest(f"{EDIT}; rm -rf .git") == (plain, ())
    assert sandbox.baseline.tree == kept.tree


def test_a_file_that_is_damaged_is_none(
    look: Look, cache: Path, searched: list[str], plain: str
) -> None:
    look()
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-1000])

    assert look().harvest(EDIT) == (plain, ())
    assert searched == [IMAGE, IMAGE]


def test_a_sandbox_that_holds_other_files_than_its_image_did_is_looked_at_anew(
    look: Look, searched: list[str], cache: Path
) -> None:
    first = look()

    second = look(prepare=f"{SET_UP}; echo more >> set-up.txt")

    assert second.baseline.tree != first.baseline.tree
    assert second.harvest("true") == ("", ())
    assert searched == [IMAGE, IMAGE]
    assert list(cache.iterdir()) == [], "which of both is the image's?"


DIFFERS: dict[str, dict[str, Any]] = {
    "another image": {"image": f"example.org/image@sha256:{'5' * 64}"},
    "another platform": {"platform": "linux/arm64"},
    "an environment": {"env": {"HOME": "/elsewhere"}},
    "a mount": {"mounts": ("/srv:/srv:ro",)},
    "another mount": {"mounts": ("/srv:/testbed-2",)},
    "an image that says no digest": {"image": ""},
    "an image that says a name, and no digest": {"image": "example.org/image:latest"},
    "a mount in the work tree": {"mounts": ("/srv:/testbed/data:ro",)},
    "a mount over the work tree": {"mounts": ("/srv:/testbed",)},
    "a mount over all": {"mounts": ("/srv:/",)},
}


@dataclass
class Box:
    image: str
    workdir: str = "/testbed"


@pytest.mark.parametrize("what", DIFFERS)
def test_where_it_may_differ_what_was_seen_does_not_count(
    what: str, spec: SandboxSpec, instance: Instance
) -> None:
    more = dict(DIFFERS[what])
    other = Box(more.pop("image", IMAGE))
    known = key_of(Box(IMAGE), spec, instance)

    key = key_of(other, replace(spec, **more), instance)

    assert known
    assert key != known
    assert (key == "") == (" work tree" in what or what.endswith(("over all", "no digest")))


def key_of(box: Box, spec: SandboxSpec, instance: Instance) -> str:
    return _key(cast(Sandbox, box), spec, instance)


def test_of_an_image_that_holds_its_future_that_is_known_next_time(
    make: Make, spec: SandboxSpec, instance: Instance, searched: list[str]
) -> None:
    for _ in range(2):
        sandbox = make().sandbox
        sandbox.image = IMAGE
        assert (
            sandbox.exec(f"{PRUNE}; echo of-the-future | git hash-object -w --stdin", 60).exit_code
            == 0
        )

        _, search = look_at(sandbox, spec, instance)

        assert search.wait().found == {"blobs": 1}
    assert search.is_over
    assert searched == [IMAGE]


def test_what_could_not_be_searched_is_searched_again(
    make: Make,
    spec: SandboxSpec,
    instance: Instance,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(future, "TIMEOUT_S", 0.001)
    sandbox = make().sandbox
    sandbox.image = IMAGE

    _, search = look_at(sandbox, spec, instance)

    assert search.wait().found == {future.NOT_SEARCHED: 1}
    assert not cache.exists()


def test_a_search_in_a_sandbox_that_goes_away_says_so(
    make: Make, spec: SandboxSpec, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: object) -> Future:
        raise SandboxUnavailable("it is gone")

    monkeypatch.setattr(future, "find_future", find)
    sandbox = make().sandbox
    sandbox.image = IMAGE

    _, search = look_at(sandbox, spec, instance)

    with pytest.raises(SandboxUnavailable, match="it is gone"):
        search.wait()


def test_addresses_that_were_noted_are_told_of_each_sandbox(
    make: Make, spec: SandboxSpec, instance: Instance
) -> None:
    for _ in range(2):
        sandbox = make().sandbox
        sandbox.image = IMAGE
        assert (
            sandbox.exec(f"{PRUNE}; git remote add origin https://example.org/a", 60).exit_code == 0
        )

        _, search = look_at(sandbox, spec, instance)

        assert search.wait() == Future({"remotes": 1}, ("origin",))


def test_another_instances_image_is_a_wrong_one_each_time(
    make: Make, spec: SandboxSpec, instance: Instance, look: Look
) -> None:
    look()
    sandbox = make().sandbox
    sandbox.image = IMAGE

    with pytest.raises(ImageUnavailable, match="not at the base commit"):
        look_at(sandbox, spec, replace(instance, base_commit="1234567890123"))


def test_of_a_repository_that_is_too_large_to_be_kept_only_the_search_is_spared(
    look: Look, searched: list[str], plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_seen, "MOST_BYTES_OF_ONE", 1000)
    look()

    assert look().harvest(f"{EDIT}; rm -rf .git") == (plain, ())
    assert len(searched) == 1


@pytest.mark.docker
def test_the_second_container_of_an_image_is_started_with_one_command_and_gives_the_same_patch(
    open_sandbox: Callable[..., Sandbox], spec: SandboxSpec, instance: Instance, searched: list[str]
) -> None:
    patches = []
    for _ in range(2):
        sandbox = open_sandbox("docker")
        baseline, search = look_at(sandbox, spec, instance)
        search.wait()
        patches.append(Repository(sandbox, baseline).harvest(f"{EDIT}; rm -rf .git"))
        assert sandbox.exec("echo $CONDA_DEFAULT_ENV $HOSTNAME; hostname", 10).text.split() == [
            "testbed",
            *[sandbox.exec("hostname", 10).text.strip()] * 2,
        ]

    assert patches[0] == patches[1]
    assert patches[0][0].count("diff --git") == 2
    assert len(searched) == 1
