"""--dry-run: what a launch would do, and what it would stop at. No engine is there."""

from __future__ import annotations

import io
import platform
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.backends.docker.backend import DockerBackend
from orchestrator.backends.host import Host, Place
from orchestrator.config import RunRequest
from orchestrator.driver.capacity import Memory
from orchestrator.errors import ConfigError
from orchestrator.run.preview import ROWS_SHOWN, Preview, make_preview, render_preview

pytestmark = pytest.mark.usefixtures("no_engine")


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def seen_of(runs_dir: Path, agent: str = "mini", **settings: Any) -> Preview:
    """Of the demo; settings as `cluster__workers=3`."""
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return make_preview(RunRequest("demo", agent=agent, runs_dir=str(runs_dir), settings=given))


def text_of(seen: Preview) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(render_preview(seen))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_plans_every_instance_and_writes_nothing(runs_dir: Path) -> None:
    seen = seen_of(runs_dir, cluster__workers=3)

    assert [key.attempt for key in seen.plan.rollouts] == [1] * 12
    assert (seen.host.kind, seen.capacity.slots.count, seen.problems) == ("process", 3, ())
    assert seen.missing_images == ()
    assert not runs_dir.exists()


def test_there_are_no_more_slots_than_rollouts(runs_dir: Path) -> None:
    assert seen_of(runs_dir, selection__slice="0:2", cluster__workers=8).capacity.slots.count == 2


def test_an_engine_that_is_missing_is_a_problem_and_the_plan_is_shown_all_the_same(
    runs_dir: Path,
) -> None:
    seen = seen_of(runs_dir, cluster__sandbox__kind="docker")

    (problem,) = seen.problems
    assert "no Docker engine answers" in problem
    assert seen.host.kind == "docker (not there)"
    assert len(seen.plan.rollouts) == len(seen.missing_images) == 12, "none of them is known here"
    assert "launch would stop: no Docker engine answers" in text_of(seen)
    assert not runs_dir.exists()


def test_an_address_that_nobody_wrote_down_is_a_problem_beside_others(runs_dir: Path) -> None:
    address = {"model__endpoint__base_url": "http://set-me.invalid/v1"}

    missing, engine = seen_of(runs_dir, **address, cluster__sandbox__kind="docker").problems

    assert "has no server yet" in missing
    assert "no Docker engine answers" in engine


def test_a_full_disk_and_a_missing_key_are_problems(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    wanted = {
        "cluster__min_free_disk_gb": 1e9,
        "model__endpoint__base_url": "http://127.0.0.1:9/v1",
        "model__endpoint__api_key_env": "SOME_KEY",
    }

    disk, key = seen_of(runs_dir, **wanted).problems

    assert "GB free" in disk
    assert "$SOME_KEY is not set" in key


def test_a_persona_that_nobody_knows_is_an_error(runs_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.personas"):
        seen_of(runs_dir, model__personas__default="nobody")


def test_what_can_not_be_met_is_an_error(runs_dir: Path) -> None:
    with pytest.raises(ConfigError, match="works in containers only"):
        seen_of(runs_dir, agent="sweagent", cluster__sandbox__kind="process")


def test_programs_get_every_rollout_with_its_image(runs_dir: Path) -> None:
    seen = seen_of(runs_dir, selection__shuffle=True, cluster__workers=2, cluster__grading__slots=3)
    found = seen.as_dict()

    images = {instance.instance_id: instance.image for instance in seen.dataset.instances}
    assert found["rollouts"] == [  # a shuffled run stays as it is
        {"instance_id": instance_id, "image": image} for instance_id, image in images.items()
    ]
    assert (found["benchmark"], found["model"], found["agent"]) == ("demo", "scripted", "mini")
    slots = {
        "rollout": 2,
        "bound": "as cluster.workers (--workers) says",
        "grade": 3,
        "grade_bound": "as cluster.grading.slots says",
    }
    assert (found["cluster"], found["sandbox"]) == ("local", "process")
    assert found["slots"] == slots
    assert found["images"]["bytes_to_pull"] == 0
    assert found["problems"] == []


def test_people_get_the_head_of_a_long_list(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_of(runs_dir)
    assert len(seen.plan.rollouts) == ROWS_SHOWN
    assert "more (--json names all" not in text_of(seen)

    monkeypatch.setattr("orchestrator.run.preview.ROWS_SHOWN", 10)

    said = text_of(seen)
    assert "and 2 more (--json names all, and their images)" in said
    assert seen.plan.rollouts[9].instance_id in said
    assert seen.plan.rollouts[10].instance_id not in said


@pytest.mark.slow
def test_people_see_which_images_are_to_be_fetched_and_what_becomes_of_them(runs_dir: Path) -> None:
    in_containers: dict[str, Any] = {
        "cluster__sandbox__kind": "docker",
        "cluster__images__keep": False,
    }

    assert "to get" not in text_of(seen_of(runs_dir))
    said = text_of(seen_of(runs_dir, **in_containers))
    assert said.count("to get") == 12, "one a row"
    assert "12 images to build" in said


def test_an_agent_without_a_model_is_shown_without_one(runs_dir: Path) -> None:
    seen = seen_of(runs_dir, agent="gold")

    assert seen.as_dict()["model"] is None
    assert "12 rollouts of demo by gold\n" in text_of(seen).replace(" \n", "\n")


def test_on_a_mac_mini_the_plan_says_which_profile_it_takes_and_what_binds(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS with 16 GiB, of which OrbStack's virtual machine has 8; nobody names a cluster."""
    orbstack = Host(
        "docker",
        memory_gb=8.6,
        cpus=10,
        engine_version="28.5.2",
        engine_name="OrbStack",
        architecture="linux/arm64",
        place=Place.VIRTUAL_MACHINE,
        enlarge="`orb config set memory_mib 12288`",
    )
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr("orchestrator.doctor.case.choose_host", lambda *_: orbstack)
    monkeypatch.setattr("orchestrator.run.preview.memory_here", lambda: Memory(17.2, 9.0))
    monkeypatch.setattr(
        DockerBackend, "missing_images", lambda _, of, platform: tuple(i.image for i in of)
    )

    seen = seen_of(runs_dir, model__endpoint__base_url="http://spark:8000/v1")

    assert (seen.config.cluster.name, seen.capacity.slots.count) == ("mac-mini", 4)
    said = " ".join(text_of(seen).split())
    assert "cluster mac-mini, as this is macOS" in said
    assert "docker sandboxes of OrbStack 28.5.2" in said
    assert "4 at once: OrbStack's 8.6 GB of memory bind" in said
    assert "more: `orb config set memory_mib 12288`" in said
    assert "12 images to build" in said


def test_emulated_sandboxes_are_told_of_before_the_night(runs_dir: Path) -> None:
    kind = "support.strangers_backend:EmulatedFolderBackend"

    seen = seen_of(runs_dir, agent="gold", cluster__sandbox__kind=kind)

    assert seen.as_dict()["emulation"] == "linux/amd64 images on a linux/riscv64 engine"
    assert "on a linux/riscv64 engine: emulated, several times slower" in text_of(seen)
    assert seen_of(runs_dir, agent="gold").as_dict()["emulation"] == ""
