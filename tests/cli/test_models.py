"""`models`, `models list` and `models show` as people meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Ended

from orchestrator.config import list_profiles
from orchestrator.config.recipe import load_recipe

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]
WITH_RECIPE = list(list_profiles("recipes"))


@pytest.fixture
def mine(folders: dict[str, str]) -> Callable[[str, str], None]:
    """Writes a profile or recipe of one's own into {tmp}/mine."""

    def write(name: str, text: str) -> None:
        path = Path(folders["tmp"], "mine", f"{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return write


@pytest.mark.parametrize("command", ["models", "models list"])
def test_the_models_are_listed(command: str, say: Say) -> None:
    names = {row["name"] for row in json.loads(say(f"{command} --json").succeeded())}

    assert {"scripted", "gemma-4-26b", "gemma-4-31b", "gemma-4-e4b", "qwen3.6-35b"} <= names
    assert "qwen3.5-35b" in say(command).succeeded()


@pytest.mark.parametrize("name", list_profiles("models"))
def test_every_shipped_model_is_shown(name: str, say: Say) -> None:
    assert name in say(f"models show {name}").succeeded()
    assert json.loads(say(f"models show {name} --json").succeeded())["name"] == name


@pytest.mark.parametrize("name", WITH_RECIPE)
def test_all_of_a_profile_and_its_recipe_is_shown_at_100_columns(
    name: str, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    recipe = load_recipe(name)

    shown = say(f"models show {name}").succeeded()

    assert max(map(len, shown.splitlines())) <= 100
    lines = " ".join(shown.split())
    for part in (recipe, *recipe.variants.values()):
        for reasoned in (*part.flags, *part.env):
            assert reasoned.name in lines
    for variant in recipe.variants.values():
        assert variant.weights in lines
        assert variant.description in lines
    assert f"variant {recipe.default} (default)" in lines
    for note in recipe.notes:
        assert " ".join(note.split()) in lines
    assert recipe.image in lines
    assert recipe.machine in lines
    assert "131,072 tokens" in lines
    assert "top_p" in lines
    assert "top_k" in lines
    assert "a placeholder: write your server's" in lines


@pytest.mark.parametrize("name", WITH_RECIPE)
def test_no_flag_is_broken_within_a_word_at_80_columns(
    name: str, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    recipe = load_recipe(name)

    words = set(say(f"models show {name}").succeeded().split())

    for part in (recipe, *recipe.variants.values()):
        assert {word for flag in part.flags for word in str(flag.value or "").split()} <= words
        assert {f"{variable.name}={variable.value}" for variable in part.env} <= words


def test_a_flags_reason_and_source_stand_beside_it(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")

    lines = say("models show gemma-4-26b").succeeded().splitlines()

    line = next(line for line in lines if "--enable-auto-tool-choice" in line)
    assert "without it the server refuses requests with tools [users' report, 2026-04]" in line
    line = next(line for line in lines if line.strip().startswith("speed"))
    assert "29.5 tokens/s alone; one person's bench, 2026-08" in line


def test_json_has_each_variant_whole(say: Say) -> None:
    shown = json.loads(say("models show gemma-4-26b --json").succeeded())

    assert shown["served_name"] == "gemma-4-26b"
    assert shown["file"].endswith("configs/models/gemma-4-26b.yaml")
    assert shown["speed"]["tokens_per_s"] == 29.5
    recipe = shown["recipe"]
    assert (recipe["default"], recipe["port"]) == ("nvfp4", 8000)
    assert len(recipe["chat_template"]["sha256"]) == 64
    draft = recipe["variants"]["fp8-draft"]
    assert draft["image"] == "vllm/vllm-openai:v0.30.0"
    flags = {flag["name"]: flag for flag in draft["flags"]}
    assert flags["--tool-call-parser"]["value"] == "gemma4"
    assert json.loads(flags["--speculative-config"]["value"])["num_speculative_tokens"] == 4
    assert all(flag["why"] for flag in flags.values())
    assert {"VLLM_USE_DEEP_GEMM", "RAY_memory_monitor_refresh_ms"} <= {
        one["name"] for one in draft["env"]
    }


def test_a_model_without_a_recipe_says_so(say: Say, mine: Callable[[str, str], None]) -> None:
    mine("models/own", "served_name: x\nendpoint: {base_url: 'http://h:1/v1', max_tries: 3}")

    shown = " ".join(say("models show own --config-dir {tmp}/mine").succeeded().split())

    assert "own names no recipe" in shown
    assert "context not said" in shown
    assert "speed not known" in shown
    assert "max_tries 3" in shown
    assert "placeholder" not in shown
    whole = json.loads(say("models show own --json --config-dir {tmp}/mine").succeeded())
    assert whole["recipe"] is None


def test_a_recipe_of_ones_own_is_shown_as_it_is(say: Say, mine: Callable[[str, str], None]) -> None:
    mine("models/own", "served_name: x\nendpoint: {base_url: 'http://h:1/v1'}\nrecipe: own")
    mine(
        "recipes/own",
        "machine: '[bold]my box[/x] :smile:'\nimage: x/y:1\ndefault: a b\n"
        "variants: {a b: {description: größer 🦉, weights: '/my models/x'}}\nnotes: ['[/]']",
    )

    shown = say("models show own --config-dir {tmp}/mine").succeeded()

    assert "[bold]my box[/x] :smile:" in shown
    assert "variant a b (default)" in shown
    assert "größer 🦉" in shown
    assert "- [/]" in shown


@pytest.mark.parametrize(
    ("name", "profile", "recipe", "says"),
    [
        ("gemma-4-26", "", "", "did you mean 'gemma-4-26b'"),
        ("own", "served_name: x", "", "endpoint"),
        ("own", "recipe: there_is_none", "", "unknown recipe 'there_is_none'"),
        ("own", "recipe: own", "a: [", "own.yaml"),
        ("own", "recipe: own", "image: x", "machine"),
        ("own", "recipe: own", "- a", "is not a mapping"),
    ],
)
def test_what_can_not_be_shown_is_one_clear_line(
    name: str, profile: str, recipe: str, says: str, say: Say, mine: Callable[[str, str], None]
) -> None:
    whole = "served_name: x\nendpoint: {base_url: 'http://h:1/v1'}\n" + profile
    mine("models/own", whole if profile.startswith("recipe") else profile)
    mine("recipes/own", recipe)

    ended = say(f"models show {name} --config-dir {{tmp}}/mine")

    ended.assert_one_line(2, says)
