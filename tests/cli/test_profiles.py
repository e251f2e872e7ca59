"""`config show`, `benchmarks`, `models` and `clusters` as people meet them."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Ended

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]


def test_the_configuration_is_shown_with_where_it_comes_from(say: Say) -> None:
    shown = json.loads(say("config show demo --json --set rollout.max_steps=7").succeeded())

    assert shown["rollout.max_steps"] == {"value": 7, "from": "--set rollout.max_steps"}
    assert shown["rollout.time_limit_s"]["from"].endswith("benchmarks/demo.yaml")


def test_the_configuration_is_a_table_for_people(say: Say) -> None:
    assert say("config show demo").succeeded()


@pytest.mark.parametrize(
    ("kind", "name"), [("models", "scripted"), ("benchmarks", "lite"), ("clusters", "mac-mini")]
)
def test_profiles_are_listed(kind: str, name: str, say: Say) -> None:
    assert name in [row["name"] for row in json.loads(say(f"{kind} --json").succeeded())]
    assert name in say(kind).succeeded()


def test_clusters_are_listed_with_what_they_differ_in_and_which_one_suits(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    rows = {row["name"]: row for row in json.loads(say("clusters --json").succeeded())}

    assert (rows["mac-mini"]["images.budget_gb"], rows["mac-mini"]["auto"]) == (60, True)
    assert (rows["local"]["images.budget_gb"], rows["local"]["auto"]) == (None, False)
    said = " ".join(say("clusters").succeeded().split())
    assert "--cluster auto takes mac-mini here, as this is macOS" in said


@pytest.mark.parametrize("text", ["a: [", "- a", "kind: x\nkind: y", "[/x] :smile:", "name: [/x]"])
def test_a_profile_that_can_not_be_read_hides_no_other(
    text: str, say: Say, folders: dict[str, str]
) -> None:
    folder = Path(folders["tmp"], "mine", "models")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "odd.yaml").write_text(text, encoding="utf-8")

    found = json.loads(say("models --json --config-dir {tmp}/mine").succeeded())

    assert {"odd", "scripted"} <= {row["name"] for row in found}
    assert "odd" in say("models --config-dir {tmp}/mine").succeeded()
