"""`init` from its first question to the doctor, by flags and by answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_servers import OLLAMA, VLLM, ModelServer, Pages
from support.person import Person

from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import RunConfig
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.setup import discover
from orchestrator.setup import init as module
from orchestrator.setup.given import Given
from orchestrator.setup.init import init

FLAGS = {"sandboxes": "process", "notify": "none"}


@pytest.fixture(autouse=True)
def examined(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """What the doctor was asked to look at: it is well."""
    seen: list[RunConfig] = []
    monkeypatch.setattr(
        module, "examine_request", lambda request, _: seen.append(load_config(request))
    )
    monkeypatch.setattr(module, "exit_code", lambda _: 0)
    return seen


def test_by_flags_everything_is_ready_for_the_first_run(
    folder: Path, examined: list[RunConfig]
) -> None:
    person = Person()
    with ModelServer(VLLM) as server:
        given = Given(base_url=server.base_url, model="mine", **FLAGS)
        assert init(given, person.asker(at_terminal=False)) == 0

    assert person.asked == []
    config = load_config(RunRequest("demo", model="mine"))
    assert config.model is not None
    assert (config.model.served_name, config.cluster.name) == ("gemma-4-26b", "home")
    assert config.cluster.because == f"{folder}/clusters/home.yaml is there"
    assert [(c.benchmark.name, c.cluster.name) for c in examined] == [("demo", "home")]
    for words in ("doctor demo", "launch smoke --agent mini", "launch demo"):
        assert f"  python -m orchestrator {words} --model mine\n" in person.saw


@pytest.mark.parametrize(
    ("kept", "benchmark"),
    [("sandbox: {kind: process}", "demo"), ("sandbox: {kind: docker}", "lite")],
)
def test_a_machine_whose_profile_stays_is_examined_as_it_is(
    kept: str, benchmark: str, folder: Path, examined: list[RunConfig]
) -> None:
    (folder / "clusters").mkdir(parents=True)
    (folder / "clusters" / "home.yaml").write_text(kept)
    with ModelServer(VLLM) as server:
        given = Given(base_url=server.base_url, model="mine")
        init(given, Person().asker(at_terminal=False, takes_defaults=True))

    assert [config.benchmark.name for config in examined] == [benchmark]
    assert (folder / "clusters" / "home.yaml").read_text() == kept


def test_a_profile_that_stays_and_can_not_be_read_is_told_before_anything_is_written(
    folder: Path,
) -> None:
    (folder / "clusters").mkdir(parents=True)
    (folder / "clusters" / "home.yaml").write_text("worker: 3")
    asker = Person().asker(at_terminal=False, takes_defaults=True)
    with ModelServer(VLLM) as server, pytest.raises(ConfigError, match="did you mean 'workers'"):
        init(Given(base_url=server.base_url, model="mine"), asker)
    assert not (folder / "models").exists()


@pytest.mark.slow
def test_by_answers_too_and_what_is_found_is_offered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(["1", "2", "", "process", "none"])
    with ModelServer(OLLAMA) as server:
        monkeypatch.setattr(discover, "PORTS", (server.port,))
        init(Given(), person.asker())
        assert f"  1  http://localhost:{server.port}/v1: gemma4:26b, qwen3.5:35b\n" in person.saw

    model = load_config(RunRequest("demo", model="qwen3.5-35b")).model
    assert model is not None
    assert model.served_name == "qwen3.5:35b"
    assert "2. A name for its profile [qwen3.5-35b]: " in person.asked


def test_yes_asks_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person()
    with ModelServer(VLLM) as server:
        monkeypatch.setattr(discover, "PORTS", (server.port,))
        given = Given(sandboxes="process")
        init(given, person.asker(at_terminal=False, takes_defaults=True))

    assert person.asked == []
    assert (folder / "models" / "gemma-4-26b.yaml").is_file()


def test_where_no_server_is_found_a_person_is_told_how_one_is_started() -> None:
    person = Person(gives_up=True)
    with pytest.raises(KeyboardInterrupt):
        init(Given(), person.asker())

    assert "serve qwen3.5-35b --host HOST --up` starts one\n" in person.saw
    assert person.asked == ["1. Where is the model server? (a URL or a host): "]


@pytest.mark.slow
def test_a_scripted_models_name_is_not_what_is_offered(folder: Path) -> None:
    with ScriptedEndpoint((), {}) as server:
        given = Given(base_url=server.base_url, **FLAGS)
        init(given, Person().asker(at_terminal=False, takes_defaults=True))

    assert (folder / "models" / "my-scripted.yaml").is_file()


@pytest.mark.parametrize("takes_defaults", [False, True])
def test_without_a_server_that_is_found_its_flag_is_named(takes_defaults: bool) -> None:
    asker = Person().asker(at_terminal=False, takes_defaults=takes_defaults)

    with pytest.raises(ConfigError, match=r"^--base-url is missing"):
        init(Given(), asker)


def test_several_models_are_listed_where_nobody_can_be_asked(folder: Path) -> None:
    with (
        ModelServer(OLLAMA) as server,
        pytest.raises(ConfigError, match=r"gemma4:26b, qwen3\.5:35b: name one with --served-name"),
    ):
        init(Given(base_url=server.base_url, model="m", **FLAGS), Person().asker(at_terminal=False))
    assert not folder.exists()


@pytest.mark.slow
def test_a_key_that_the_server_wants_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with ModelServer(VLLM, key="secret") as server:
        person = Person([server.base_url, "sk-secret", "$MY_KEY", "", "process", "none"])
        init(Given(), person.asker())
        assert "an environment variable that holds the key, and not the key itself" in person.saw
        with pytest.raises(PrerequisiteError, match="HTTP 401"):
            init(Given(base_url=server.base_url), Person().asker(at_terminal=False))

    model = load_config(RunRequest("demo", model="gemma-4-26b")).model
    assert model is not None
    assert model.endpoint.api_key_env == "MY_KEY"


ANSWERS = ["URL", "m", "process", "none"]


@pytest.mark.parametrize("answered", range(len(ANSWERS)))
def test_who_stops_at_any_question_has_nothing_written(answered: int, folder: Path) -> None:
    with ModelServer(VLLM) as server:
        answers = [server.base_url if said == "URL" else said for said in ANSWERS[:answered]]
        person = Person(answers, gives_up=True)
        with pytest.raises(KeyboardInterrupt):
            init(Given(), person.asker())

    assert "nothing was written" in person.saw
    assert not folder.exists()


@pytest.mark.slow
def test_a_name_that_is_taken_is_asked_about(folder: Path) -> None:
    with ModelServer(VLLM) as server:
        given = Given(base_url=server.base_url, **FLAGS)
        init(given, Person(["mine"]).asker())
        own = folder / "models" / "mine.yaml"
        own.write_text("served_name: x\nendpoint: {base_url: http://x/v1}\n")
        init(given, Person(["mine", "n", "other", "n"]).asker())
        assert "served_name: x" in own.read_text()
        assert (folder / "models" / "other.yaml").is_file()
        with pytest.raises(ConfigError, match=r"mine\.yaml is there already"):
            init(Given(base_url=server.base_url, model="mine"), Person().asker(at_terminal=False))
        forced = Given(base_url=server.base_url, model="mine", force=True, **FLAGS)
        init(forced, Person().asker(at_terminal=False))
        assert "served_name: gemma-4-26b" in own.read_text()


@pytest.mark.parametrize(
    ("served", "name"),
    [
        ("acme/Novel-9B", "Novel-9B"),
        ("/models/novel.Q4.gguf", "novel.Q4"),
        ("novel:9b", "novel-9b"),
        ("über/größe", "gr--e"),
        ("...", "model"),
        ("/", "model"),
        ("novel.yaml", "novel"),
    ],
)
def test_a_name_is_offered_for_any_model(served: str, name: str) -> None:
    page = {"data": [{"id": served}]}
    person = Person(gives_up=True)
    with ModelServer(Pages({"/v1/models": page})) as server, pytest.raises(KeyboardInterrupt):
        init(Given(base_url=server.base_url), person.asker())

    assert person.asked == [f"2. A name for its profile [{name}]: "]


def test_folders_of_ones_own_are_named_in_the_commands(tmp_path: Path, folder: Path) -> None:
    person = Person()
    with ModelServer(VLLM) as server:
        given = Given(base_url=server.base_url, model="mine", **FLAGS)
        init(given, person.asker(at_terminal=False), (tmp_path / "a folder",), with_doctor=False)

    assert f"launch demo --model mine --config-dir '{tmp_path}/a folder'" in person.saw
    assert not folder.exists()


def test_the_doctors_exit_code_is_inits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "exit_code", lambda _: 3)
    with ModelServer(VLLM) as server:
        given = Given(base_url=server.base_url, model="mine", **FLAGS)
        assert init(given, Person().asker(at_terminal=False)) == 3
