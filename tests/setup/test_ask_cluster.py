"""Where sandboxes run, disk and nights: the questions about this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.person import Person

from orchestrator.backends import Host, Place
from orchestrator.config.cluster import Cluster
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.setup import ask_cluster as module
from orchestrator.setup.ask_cluster import ask_cluster
from orchestrator.setup.given import Given
from orchestrator.setup.profiles import cluster_text
from orchestrator.setup.write import Profile, checked_config

ENGINE = Host(
    "docker",
    memory_gb=12,
    cpus=8,
    engine_version="28.1",
    engine_name="OrbStack",
    architecture="linux/arm64",
    place=Place.VIRTUAL_MACHINE,
)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_engine", lambda cluster: ENGINE)


def no_engine(cluster: Cluster) -> Host:
    raise PrerequisiteError("no Docker engine answers.", "Start one.")


def cluster_of(given: Given, person: Person, **more: Any) -> Cluster:
    """What comes of the answers, as a run has it."""
    found = ask_cluster(given, person.asker(**more), ())
    assert found is not None
    text = cluster_text(found.answers, "init")
    return checked_config((Profile("clusters", "home", text),), ()).cluster


def test_a_person_answers_and_the_machine_has_a_profile() -> None:
    person = Person(["here", "40", "n", "8", "none"])

    cluster = cluster_of(Given(), person)

    assert (cluster.name, cluster.sandbox.kind) == ("home", "docker")
    assert (cluster.images.budget_gb, cluster.images.keep) == (40, False)
    assert cluster.notify.url is None
    assert "  here: OrbStack 28.1, 8 cores, 12.0 GB of memory; linux/amd64 images" in person.saw
    assert "are emulated" in person.saw


def test_who_only_presses_enter_gets_what_suits_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = Person([""] * 5)
    monkeypatch.setattr("platform.system", lambda: "Darwin")

    cluster = cluster_of(Given(), person)

    assert (cluster.images.budget_gb, cluster.images.keep) == (60, "auto")
    assert (cluster.sandbox.memory_gb, cluster.grading.slots) == (3, "auto"), "as mac-mini has it"
    assert person.answers == []


def test_flags_answer_everything_where_there_is_no_terminal() -> None:
    given = Given(sandboxes="here", images_gb="all", keep_images=True, notify="true x")
    person = Person()

    cluster = cluster_of(given, person, at_terminal=False)

    assert (cluster.images.budget_gb, cluster.images.keep) == (None, "auto")
    assert cluster.notify.command == ("true", "x")
    assert person.asked == []


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        (Given(), "--sandboxes"),
        (Given(sandboxes="here"), "--images-gb"),
        (Given(sandboxes="here", images_gb="9"), "--notify"),
        (Given(sandboxes="process"), "--notify"),
    ],
)
def test_without_a_terminal_what_is_missing_is_named(given: Given, flag: str) -> None:
    with pytest.raises(ConfigError, match=f"^{flag} is missing"):
        cluster_of(given, Person(), at_terminal=False)
    assert cluster_of(given, Person(), at_terminal=False, takes_defaults=True).name == "home"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Given(sandboxes="there"), "--sandboxes: 'there': here, process, or HOST:PORT"),
        (Given(sandboxes="head:99999"), "--sandboxes: "),
        (Given(sandboxes="here", images_gb="some"), "--images-gb: 'some' is no number"),
        (Given(sandboxes="here", images_gb="0"), "--images-gb: '0' must be over 0"),
        (Given(sandboxes="here", images_gb="9", night_hours="nan"), "--night-hours: 'nan'"),
        (Given(sandboxes="here", images_gb="9", night_hours="long"), "--night-hours: 'long'"),
        (Given(sandboxes="process", notify="no-such-program"), "--notify: "),
        (Given(sandboxes="process", notify="https://a:b@ntfy.sh/x"), "--notify: "),
        (Given(sandboxes="process", notify="say 'half"), "--notify: "),
        (Given(sandboxes="process", notify=""), "--notify: "),
    ],
)
def test_a_flag_that_is_wrong_is_named(given: Given, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cluster_of(given, Person(), at_terminal=False)
    assert str(caught.value).startswith(says)
    assert "a:b" not in str(caught.value)


def test_where_no_engine_answers_the_person_is_told_and_may_start_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "find_engine", no_engine)
    person = Person(["here", "process", "none"])

    cluster = cluster_of(Given(), person)

    assert cluster.sandbox.kind == "process"
    assert "  here: not yet: no Docker engine answers. Start one." in person.saw
    assert person.asked[0] == "3. Where do the sandboxes run? [process]: "
    assert not any("GB that images" in question for question in person.asked)
    with pytest.raises(PrerequisiteError, match="no Docker engine answers"):
        cluster_of(Given(sandboxes="here"), Person(), at_terminal=False)


def test_a_ray_clusters_head_makes_this_host_one_of_its_nodes() -> None:
    given = Given(sandboxes="127.0.0.1:6379", images_gb="all", notify="none")

    cluster = cluster_of(given, Person(), at_terminal=False)

    assert cluster.ray_address == "127.0.0.1:6379"
    assert cluster.gateway.host == "127.0.0.1"
    with pytest.raises(PrerequisiteError, match=r"no way leads to no-such-host\.invalid"):
        cluster_of(Given(sandboxes="no-such-host.invalid:6379"), Person(), at_terminal=False)


@pytest.mark.parametrize(("answer", "is_new"), [("n", False), ("", False), ("y", True)])
def test_the_profile_that_is_there_is_written_anew_only_on_wish(
    answer: str, is_new: bool, folder: Path
) -> None:
    own = folder / "clusters" / "home.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("workers: 3\n")

    found = ask_cluster(Given(), Person([answer, "process", "none"]).asker(), ())

    assert (found is not None) == is_new
    assert ask_cluster(Given(), Person().asker(at_terminal=False, takes_defaults=True), ()) is None
    with pytest.raises(ConfigError, match=r"--force writes it anew, --yes keeps it"):
        ask_cluster(Given(sandboxes="process"), Person().asker(at_terminal=False), ())
    forced = Given(sandboxes="process", notify="none", force=True)
    assert ask_cluster(forced, Person().asker(at_terminal=False), ()) is not None
