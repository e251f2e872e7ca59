"""Recipes: what the shipped ones hold to, and what is wrong in one is one clear line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orchestrator.config import RunRequest, list_profiles, load_config
from orchestrator.config.recipe import Reasoned, Recipe, Variant, load_recipe
from orchestrator.errors import ConfigError

MODELS = ("gemma-4-26b", "gemma-4-31b", "gemma-4-e4b", "qwen3.5-35b", "qwen3.6-35b")
RECIPES = {name: load_recipe(name) for name in list_profiles("recipes")}
VARIANTS = [(r, name) for r in RECIPES.values() for name in r.variants]
GIVEN_BY_SERVE = {"--host", "--port", "--served-model-name", "--chat-template", "--model"}


def parts_of(recipe: Recipe) -> Iterator[Reasoned]:
    for part in (recipe, *recipe.variants.values()):
        yield from (*part.flags, *part.env)


def value_of(recipe: Recipe, variant: Variant, flag: str) -> object:
    return {f.name: f.value for f in recipe.flags_of(variant)}.get(flag)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_was_promised_has_a_profile_and_a_recipe(name: str) -> None:
    model = load_config(RunRequest("demo", name, "mini")).model

    assert model is not None
    assert model.recipe == name
    assert model.served_name == name
    assert (model.sampling.temperature, model.sampling.top_p) != (None, None)
    assert "top_k" in model.request_fields
    assert "odel card" in list_profiles("models")[name].read_text(encoding="utf-8")


@pytest.mark.parametrize(("recipe", "name"), VARIANTS)
def test_every_variant_says_memory_cache_concurrency_and_how_tools_are_read(
    recipe: Recipe, name: str
) -> None:
    variant = recipe.variant(name)
    flags = {flag.name for flag in recipe.flags_of(variant)}

    assert {"--enable-prefix-caching", "--enable-auto-tool-choice", "--tool-call-parser"} <= flags
    assert 0.8 <= float(str(value_of(recipe, variant, "--gpu-memory-utilization"))) <= 0.85
    model = load_config(RunRequest("demo", recipe.name, "mini")).model
    assert model is not None
    assert value_of(recipe, variant, "--max-num-seqs") == model.max_concurrency
    assert {one.name: one.value for one in recipe.env_of(variant)}[
        "RAY_memory_monitor_refresh_ms"
    ] == 0
    assert not flags & (GIVEN_BY_SERVE | {"--max-model-len"})


@pytest.mark.parametrize(
    ("recipe", "name"), [pair for pair in VARIANTS if pair[0].name.startswith("qwen")]
)
def test_qwen_keeps_its_answers_and_its_tool_calls(recipe: Recipe, name: str) -> None:
    flags = {flag.name for flag in recipe.flags_of(recipe.variant(name))}

    assert not flags & {"--reasoning-parser", "--speculative-config"}
    assert "--default-chat-template-kwargs" in flags


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_flag_says_why_and_who_says_so_or_that_nobody_does(recipe: Recipe) -> None:
    for part in parts_of(recipe):
        assert part.why
        assert re.search(r"20\d\d", part.source) or "our own choice" in part.why, part.name


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_gemma_has_its_template_of_the_very_version_that_its_image_is(recipe: Recipe) -> None:
    template = recipe.chat_template
    assert (template is not None) == recipe.name.startswith("gemma")
    if template is not None:
        tag = recipe.image.rpartition(":")[2]
        assert template.url.endswith(f"/vllm/{tag}/examples/tool_chat_template_gemma4.jinja")
        assert template.file_name == "tool_chat_template_gemma4.jinja"


@pytest.mark.parametrize("name", MODELS)
def test_a_speed_is_given_where_somebody_measured_it(name: str) -> None:
    model = load_config(RunRequest("demo", name, "mini")).model

    assert model is not None
    assert (model.speed is None) == (name in ("gemma-4-31b", "gemma-4-e4b"))
    if model.speed:
        assert re.search(r"20\d\d", model.speed.source)


GOOD = {
    "machine": "a box",
    "image": "vllm/vllm-openai:v0.30.0",
    "default": "one",
    "flags": [{"name": "--a", "why": "because"}],
    "variants": {"one": {"description": "x", "weights": "a/b"}},
}


def write(folder: Path, changes: dict[str, object]) -> str:
    (folder / "mine.yaml").write_text(yaml.safe_dump(GOOD | changes), encoding="utf-8")
    return str(folder / "mine.yaml")


def variant(**more: object) -> dict[str, object]:
    return {"variants": {"one": {"description": "x", "weights": "a/b", **more}}}


def template(url: str) -> dict[str, object]:
    return {"chat_template": {"url": url, "sha256": "a" * 64, "why": "x"}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": "vllm/vllm-openai"}, "image: 'vllm/vllm-openai' names no exact tag"),
        ({"image": "vllm/vllm-openai:latest"}, "names no exact tag"),
        ({"image": "vllm/vllm-openai:latest-cu130"}, "names no exact tag"),
        ({"image": "vllm/vllm-openai:nightly"}, "names no exact tag"),
        ({"image": "spark:5000/vllm-openai"}, "names no exact tag"),
        ({"image": "vllm openai:v1"}, "is no name of an image"),
        ({"image": ""}, "is no name of an image"),
        (variant(image="vllm/vllm-openai:latest"), "variants.one.image"),
        (variant(without=["--b"]), "variants.one.without: the recipe has no --b"),
        (variant(flags=[{"name": "b", "why": "x"}]), "variants.one.flags.0.name"),
        (variant(flags=[{"name": "--b"}]), "variants.one.flags.0.why"),
        ({"default": "two"}, "there is no variant 'two'"),
        ({"variants": {}}, "variants"),
        ({"server": "ollama"}, "server"),
        ({"port": 0}, "port"),
        ({"port": "many"}, "port: write a whole number"),
        ({"prot": 1}, "prot"),
        (template("https://host/vllm/main/t.jinja"), "names a branch"),
        (template("https://host/vllm/v0.30.0/"), "chat_template.url"),
        (template("t.jinja"), "chat_template.url"),
        (template("file:///etc/t.jinja"), "chat_template.url"),
        ({"chat_template": {"url": "https://h/t", "sha256": "A", "why": "x"}}, "sha256"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_one_clear_line(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(write(tmp_path, changes))

    assert says in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        "vllm/vllm-openai:gemma4-cu130",
        "nvcr.io/nvidia/vllm:26.06-py3",
        "spark:5000/vllm/vllm-openai:v0.30.0",
        f"vllm/vllm-openai@sha256:{'a' * 64}",
        f"vllm/vllm-openai:latest@sha256:{'a' * 64}",
        f"vllm/vllm-openai:nightly-{'a' * 40}",
    ],
)
def test_an_image_that_stays_what_it_is_is_taken(image: str, tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, {"image": image})).image == image


def test_a_variant_adds_to_the_recipe_replaces_and_leaves_out(tmp_path: Path) -> None:
    flags = [{"name": name, "value": 1, "why": "x"} for name in ("--a", "--b", "--c")]
    own = [{"name": name, "value": 2, "why": "x"} for name in ("--b", "--d")]
    more = variant(flags=own, without=["--c"], image="x/y:2")

    recipe = load_recipe(write(tmp_path, {"flags": flags} | more))

    assert [(f.name, f.value) for f in recipe.flags_of(recipe.variant())] == [
        *(("--a", 1), ("--b", 2), ("--d", 2)),
    ]
    assert recipe.image_of(recipe.variant("one")) == "x/y:2"


@pytest.mark.parametrize(
    ("name", "says"),
    [("gemma-4-26", "did you mean 'gemma-4-26b'"), ("/nowhere/x.yaml", "x.yaml")],
)
def test_a_recipe_that_is_not_there_is_said(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        load_recipe(name)


def test_a_variant_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match="no variant 'nvfp5'; did you mean 'nvfp4'"):
        RECIPES["gemma-4-26b"].variant("nvfp5")
