from __future__ import annotations

import re

import pytest

from orchestrator.config.recipe import Recipe
from orchestrator.config.schema import Model
from orchestrator.errors import ConfigError
from orchestrator.serving.docker_command import command_of, container_name, make_run


def test_the_profile_names_the_model_and_its_context(recipe: Recipe, model: Model) -> None:
    words = make_run(model, recipe).words()

    assert words[words.index("--served-model-name") + 1] == model.served_name
    assert [words[at + 1] for at, word in enumerate(words) if word == "--max-model-len"] == ["4096"]


def test_a_context_that_the_profile_leaves_open_is_the_recipes(recipe: Recipe) -> None:
    assert command_of(recipe, None, "m", None).value("--max-model-len") == "1"


def test_a_container_listens_where_the_hosts_port_leads(recipe: Recipe, model: Model) -> None:
    words = make_run(model, recipe, port=9000).words()

    assert words[words.index("--publish") + 1] == "9000:8000"
    assert "--port" not in words
    assert "--host" not in words


def test_a_server_comes_back_by_itself_and_finds_its_weights(recipe: Recipe, model: Model) -> None:
    words = make_run(model, recipe).words()

    assert words[words.index("--restart") + 1] == "unless-stopped"
    assert "$hub_cache:/huggingface" in words
    assert words[words.index("--entrypoint") + 1] == "vllm"
    assert words[words.index(recipe.image) : words.index(recipe.image) + 3] == (
        *(recipe.image, "serve", "org/model-FP8"),
    )


def test_a_token_is_passed_by_its_name(recipe: Recipe, model: Model) -> None:
    words = make_run(model, recipe).words()

    assert words[words.index("HF_TOKEN") - 1] == "--env"
    assert not any(word.startswith("HF_TOKEN=") for word in words)


def test_a_variant_has_its_own_weights_image_and_flags(recipe: Recipe, model: Model) -> None:
    run = make_run(model, recipe, "nvfp4")

    assert run.image == "registry:5000/team/vllm:v0.33.0"
    assert run.command[0].words == ("org/model-NVFP4",)
    assert "--flag-0" not in run.words()
    with pytest.raises(ConfigError, match="no variant"):
        make_run(model, recipe, "fp4")


def test_what_the_lint_reads_is_what_is_started(
    recipe: Recipe, model: Model, odd: tuple[str, ...]
) -> None:
    command = command_of(recipe, None, model.served_name, model.context_length)

    assert command.weights == "org/model-FP8"
    assert tuple(command.value(f"--flag-{n}") for n in range(len(odd))) == odd
    assert command.has("--enable-prefix-caching")
    assert command.value("--enable-prefix-caching") is None
    template = command.value("--chat-template")
    assert any(f":{template}:ro" in mount for mount in command.mounts)
    assert command.env == {"ODD": odd[5]}


@pytest.mark.parametrize("change", ["variant", "port", "context", "template"])
def test_another_command_has_another_digest(recipe: Recipe, model: Model, change: str) -> None:
    run = make_run(model, recipe)
    template = recipe.chat_template
    assert template is not None
    other_template = template.model_copy(update={"sha256": "1" * 64})
    others = {
        "variant": make_run(model, recipe, "nvfp4"),
        "port": make_run(model, recipe, port=1),
        "context": make_run(model.model_copy(update={"context_length": 5}), recipe),
        "template": make_run(model, recipe.model_copy(update={"chat_template": other_template})),
    }

    assert make_run(model, recipe).digest() == run.digest()
    assert others[change].digest() != run.digest()


@pytest.mark.parametrize("name", ["it's", "a b", "Ä", "a/b", "$(x)", "x" * 300, "."])
def test_a_containers_name_is_one_that_docker_takes(name: str) -> None:
    found = container_name(name)

    assert re.fullmatch("[a-zA-Z0-9][a-zA-Z0-9_.-]+", found)
    assert len(found) < 150
    assert found == container_name(name)


def test_two_models_never_share_a_container() -> None:
    assert container_name("a b") != container_name("a-b") != container_name("a'b")
