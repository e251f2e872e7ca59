"""`launch` and `resume` as people meet them: what is planned, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Ended

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]


def test_a_dry_run_tells_everything_and_writes_nothing(
    as_process: Say, folders: dict[str, str]
) -> None:
    before = sorted(Path(folders["tmp"]).rglob("*"))

    plan = json.loads(as_process("launch demo --dry-run --json").succeeded())

    assert len(plan["rollouts"]) == 12
    assert (plan["benchmark"], plan["model"], plan["agent"]) == ("demo", "scripted", "mini")
    assert plan["slots"]["rollout"] >= 1
    assert sorted(Path(folders["tmp"]).rglob("*")) == before


def test_a_dry_run_shows_the_selection(say: Say) -> None:
    args = "launch demo --dry-run --json --shuffle --seed 3 --slice 0:2 -a gold --sandbox process"

    plan = json.loads(say(args).succeeded())

    assert len(plan["rollouts"]) == 2
    assert plan["model"] is None


def test_a_dry_run_names_the_address_that_is_missing(say: Say) -> None:
    done = say("launch demo -m gemma-4-26b --dry-run --json --sandbox process")

    (problem,) = json.loads(done.succeeded())["problems"]
    assert "models/gemma-4-26b.yaml:4" in problem


def test_an_unknown_persona_is_refused_before_the_run_is_laid_out(
    say: Say, folders: dict[str, str]
) -> None:
    args = "launch demo --sandbox process --runs-dir {tmp}/new --set model.personas.default=sloves"

    say(args).assert_one_line(2, "sloves")

    assert not Path(folders["tmp"], "new").exists()


@pytest.mark.slow  # the hub's client takes four seconds to import
def test_without_a_network_a_hub_dataset_is_a_prerequisite(as_process: Say) -> None:
    done = as_process("launch lite -a gold --dry-run", HF_HUB_OFFLINE="1")

    done.assert_one_line(3, "--dataset-dir")
