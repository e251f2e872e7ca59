"""`models add`: the profile that comes of what a server says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_servers import (
    LLAMA_CPP,
    LM_STUDIO,
    OLLAMA,
    SGLANG,
    VLLM,
    ModelServer,
    Pages,
    listed,
)

from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import Model
from orchestrator.config.yaml_files import read_yaml
from orchestrator.endpoint.server_kind import ServedModel
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.setup.add_model import add_model
from orchestrator.setup.profiles import find_known


def model_of(name: str, **request: object) -> Model:
    config = load_config(RunRequest("demo", model=name, **request))  # type: ignore[arg-type]
    assert config.model is not None
    return config.model


@pytest.mark.parametrize(
    ("pages", "served_name", "context_length", "recipe"),
    [
        (VLLM, "gemma-4-26b", 131072, "gemma-4-26b"),
        (SGLANG, "qwen3.5", 65536, None),
        (LLAMA_CPP, "local", 65536, None),
        (LM_STUDIO, "qwen/qwen3.5-35b", 40960, None),
        (OLLAMA, "gemma4:26b", 32768, None),
    ],
    ids=["vLLM", "SGLang", "llama.cpp", "LM Studio", "Ollama"],
)
def test_a_profile_has_what_the_server_says_and_what_is_known_of_its_model(
    pages: Pages, served_name: str, context_length: int, recipe: str | None, folder: Path
) -> None:
    with ModelServer(pages) as server:
        named = served_name if pages is OLLAMA else None
        added = add_model("mine", server.base_url, served_name=named)
        model = model_of("mine")

        assert added.path == folder / "models" / "mine.yaml"
        assert (model.name, model.served_name) == ("mine", served_name)
        assert model.endpoint.base_url == server.base_url
        assert (model.context_length, model.recipe) == (context_length, recipe)
    known = added.answers.known
    assert known is not None
    assert model.sampling.model_dump(exclude_none=True) == known.data["sampling"]
    assert model.request_fields == known.data.get("request_fields", {})


def test_a_model_that_nobody_knows_has_what_its_server_says() -> None:
    page = listed({"id": "acme/novel-9b", "max_model_len": 4096}, owner="vllm")
    with ModelServer(Pages({"/v1/models": page})) as server:
        added = add_model("novel", server.base_url)

    assert added.answers.known is None
    assert model_of("novel").context_length == 4096


def test_where_the_server_does_not_say_its_context_the_profile_says_what_to_write() -> None:
    with ModelServer(OLLAMA.without("/api/ps", "/api/show")) as server:
        added = add_model("mine", server.base_url, served_name="gemma4:26b")

    assert model_of("mine").context_length is None
    assert "# context_length: 131072\n" in added.path.read_text()


@pytest.mark.parametrize(
    ("served_name", "root", "known"),
    [
        ("gemma-4-26b", "", "gemma-4-26b"),
        ("m", "google/gemma-4-26B-A4B-it", "gemma-4-26b"),
        ("Qwen/Qwen3.5-35B-A3B-FP8", "", "qwen3.5-35b"),
        ("unsloth/gemma-4-26B-A4B-it-GGUF:Q4_K_M", "", "gemma-4-26b"),
        ("qwen3.5:35b-a3b", "", "qwen3.5-35b"),
        ("gemma-3-27b", "", None),
        ("gemma-4-2600b", "", None),
        ("qwen3-35b", "", None),
        ("scripted", "", None),
        ("", "", None),
    ],
)
def test_a_model_is_known_by_how_people_write_its_name(
    served_name: str, root: str, known: str | None
) -> None:
    found = find_known(ServedModel(served_name, root=root))

    assert (found.name if found else None) == known


ODD_NAMES = [
    "a: b",
    "- x",
    "yes",
    "1.5",
    "#x",
    "'",
    "[red]x",
    "über",
    "a\tb",
    "null",
    "{a}",
    "x\n#y",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_served_name_of_any_kind_is_the_same_again_in_the_profile(name: str) -> None:
    page = listed({"id": name, "root": f"/w/{name}", "max_model_len": 99}, owner="vllm")
    with ModelServer(Pages({"/v1/models": page})) as server:
        add_model("odd", server.base_url)

    assert (model_of("odd").served_name, model_of("odd").context_length) == (name, 99)


def test_a_profile_that_is_there_stays_unless_it_is_forced(folder: Path) -> None:
    with ModelServer(VLLM) as server:
        path = add_model("mine", server.base_url).path
        path.write_text(path.read_text() + "# my own words\n")
        with pytest.raises(ConfigError, match=r"mine\.yaml is there already: .* --force"):
            add_model("mine", server.base_url)
        assert "# my own words" in path.read_text()

        add_model("mine", server.base_url, force=True)
        assert "# my own words" not in path.read_text()


@pytest.mark.slow
def test_a_profile_written_anew_keeps_what_a_person_has_set_in_one_of_the_models_name() -> None:
    with ModelServer(VLLM) as server:
        path = add_model("gemma-4-26b", server.base_url).path
        path.write_text(path.read_text().replace("temperature: 1.0", "temperature: 0.3"))
        add_model("gemma-4-26b", server.base_url, force=True)

    assert model_of("gemma-4-26b").sampling.temperature == 0.3


def test_how_patient_one_is_with_a_model_is_known_of_it_too_and_its_key_is_not(
    tmp_path: Path,
) -> None:
    endpoint = "{base_url: http://x/v1, replicas: [http://y/v1], api_key_env: K, max_tries: 3}"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "gemma-4-26b-slow.yaml").write_text(
        f"served_name: x\nendpoint: {endpoint}\n"
    )
    page = listed({"id": "gemma-4-26b-slow"}, owner="vllm")
    with ModelServer(Pages({"/v1/models": page})) as server:
        add_model("mine", server.base_url, config_dirs=(tmp_path,))
        found = model_of("mine", config_dirs=(tmp_path,)).endpoint

        assert (found.base_urls, found.api_key_env) == ((server.base_url,), None)
    assert found.max_tries == 3


def test_a_folder_that_was_asked_for_gets_it(tmp_path: Path, folder: Path) -> None:
    dirs = (tmp_path / "mine", tmp_path / "other")
    with ModelServer(VLLM) as server:
        assert add_model("m", server.base_url, config_dirs=dirs).path.is_relative_to(dirs[0])

    assert model_of("m", config_dirs=dirs).context_length == 131072
    assert not folder.exists()


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "", ".hidden", "x.yaml", "ä", "a b", "-m", "x" * 200]
)
def test_a_name_that_no_file_can_have_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="can be no profile's name"):
        add_model(name, "http://127.0.0.1:9/v1")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["demo", "scripted"])
def test_the_demos_models_keep_their_names(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="is the name of a scripted model"):
        add_model(name, "http://127.0.0.1:9/v1", force=True)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, PrerequisiteError, "does not answer"),
        ({"base_url": "nonsense://"}, ConfigError, "is no URL"),
        ({"recipe": "gemma-4-26"}, ConfigError, "did you mean 'gemma-4-26b'"),
        ({"api_key_env": "sk-secret"}, ConfigError, "environment variable"),
        ({"served_name": "other"}, ConfigError, "does not serve 'other' but gemma-4-26b"),
    ],
)
def test_what_goes_wrong_is_a_line_and_writes_nothing(
    more: dict[str, str], error: type[Exception], says: str, folder: Path
) -> None:
    with ModelServer(VLLM) as server, pytest.raises(error, match=says):
        add_model("m", **({"base_url": server.base_url} | more))  # type: ignore[arg-type]
    assert not folder.exists()


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with ModelServer(VLLM) as server, pytest.raises(PrerequisiteError, match="can't be written"):
        add_model("m", server.base_url, config_dirs=(file,))


def test_a_recipe_that_was_asked_for_stands_in_the_profile() -> None:
    with ModelServer(SGLANG) as server:
        add_model("m", server.base_url, recipe="qwen3.5-35b")

    assert model_of("m").recipe == "qwen3.5-35b"


def test_the_profile_says_what_its_keys_mean(folder: Path) -> None:
    with ModelServer(VLLM) as server:
        text = add_model("m", server.base_url).path.read_text()

    assert "# Tokens: what vLLM says that it takes.\ncontext_length: 131072\n" in text
    assert "its weights: google/gemma-4-26B-A4B-it" in text
    assert all(len(line) <= 110 for line in text.splitlines())
    data = read_yaml(folder / "models" / "m.yaml", "m")
    assert "personas" not in data
