"""Merging profiles and settings: who wins, what is refused, and what the message says."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from orchestrator.config import RunRequest, load_config, provenance
from orchestrator.config.load import load_run_config, parse_setting
from orchestrator.config.schema import AgentSettings
from orchestrator.errors import ConfigError


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A folder of profiles of one's own, each of which wants another step limit."""
    for kind, name, text in (
        ("clusters", "c", "overrides: {rollout: {max_steps: 1, max_tokens: 10}}\nworkers: 3"),
        ("benchmarks", "b", "source: bundled\noverrides: {rollout: {max_steps: 2}}"),
        ("agents", "a", "kind: mini\noverrides: {rollout: {max_steps: 3}, cluster: {workers: 9}}"),
        (
            "models",
            "m",
            "served_name: x\nendpoint: {base_url: scripted}\noverrides: {rollout: {max_steps: 4}}",
        ),
        ("models", "plain", "served_name: x\nendpoint: {base_url: scripted}"),
    ):
        write(tmp_path, kind, name, text)
    return tmp_path


def write(folder: Path, kind: str, name: str, text: str) -> None:
    (folder / kind).mkdir(parents=True, exist_ok=True)
    (folder / kind / f"{name}.yaml").write_text(text, encoding="utf-8")


def ask(profiles: Path, model: str = "m", **settings: Any) -> RunRequest:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return RunRequest(
        "b", model, "a", "c", run_id="r", settings=given, config_dirs=(profiles,), runs_dir="x"
    )


def error_of(request: RunRequest) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(request)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_later_layers_win(profiles: Path) -> None:
    assert load_config(ask(profiles)).rollout.max_steps == 4
    assert load_config(ask(profiles, "plain")).rollout.max_steps == 3
    assert load_config(ask(profiles, rollout__max_steps=5)).rollout.max_steps == 5


def test_layers_merge_key_by_key(profiles: Path) -> None:
    config = load_config(ask(profiles))

    assert config.rollout.max_tokens == 10
    assert config.cluster.workers == 9
    assert config.cluster.name == "c"


def test_every_value_says_where_it_came_from(profiles: Path) -> None:
    values = provenance(ask(profiles, rollout__time_limit_s=7))

    assert values["rollout.max_steps"] == (4, str(profiles / "models" / "m.yaml"))
    assert values["rollout.max_tokens"] == (10, str(profiles / "clusters" / "c.yaml"))
    assert values["rollout.time_limit_s"] == (7, "--set rollout.time_limit_s")
    assert values["rollout.command_timeout_s"] == (120, "default")
    assert values["run_id"] == ("r", "command line")


def test_a_profile_of_ones_own_is_taken_before_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, "agents", "mini", "kind: mini\ndescription: mine")

    config = load_config(RunRequest("demo", agent="mini", config_dirs=(tmp_path,)))

    assert config.agent.description == "mine"
    assert config.cluster.name == "local"


def test_a_profile_may_be_given_as_a_file(tmp_path: Path) -> None:
    write(tmp_path, "models", "here", "served_name: x\nendpoint: {base_url: 'http://h/v1'}")

    config = load_config(RunRequest("demo", model=str(tmp_path / "models" / "here.yaml")))

    assert config.model is not None
    assert (config.model.name, config.model.served_name) == ("here", "x")


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (RunRequest("dmo"), "'demo'"),
        (RunRequest("demo", agent="mni"), "'mini'"),
        (RunRequest("demo", model="scriptd"), "'scripted'"),
        (RunRequest("demo", cluster="locl"), "'local'"),
        (RunRequest("demo", settings={"rollout.max_step": 5}), "'max_steps'"),
        (RunRequest("demo", settings={"rolout.max_steps": 5}), "'rollout'"),
        (RunRequest("demo", settings={"model.endpoint.base_ur": "x"}), "'base_url'"),
        (RunRequest("demo", settings={"cluster.sandbox.memory": 3}), "'memory_gb'"),
    ],
)
def test_what_is_unknown_names_the_nearest(request_: RunRequest, word: str) -> None:
    assert f"did you mean {word}" in error_of(request_)


def test_an_unknown_key_names_the_profile_that_holds_it(profiles: Path) -> None:
    write(profiles, "agents", "a", "kind: mini\nmax_format_error: 3")

    text = error_of(ask(profiles))

    assert str(profiles / "agents" / "a.yaml") in text
    assert "'max_format_errors'" in text


def test_a_wrong_value_names_its_key_its_value_and_its_layer() -> None:
    text = error_of(RunRequest("demo", settings={"rollout.max_steps": -1}))

    assert text.startswith("rollout.max_steps:")
    assert "got -1" in text
    assert "--set rollout.max_steps" in text


def test_a_wrong_value_of_a_union_names_its_key_and_its_layer() -> None:
    text = error_of(RunRequest("demo", settings={"cluster.workers": "many"}))

    assert text.startswith("cluster.workers:")
    assert "--set cluster.workers" in text


def test_an_agent_that_asks_a_model_needs_one() -> None:
    text = error_of(RunRequest("lite", agent="mini"))

    assert "--model" in text
    assert "scripted" in text


def test_agents_that_ask_no_model_get_none() -> None:
    config = load_config(RunRequest("demo", agent="gold", model="scripted"))

    assert config.model is None
    assert config.model_name_or_path == "gold"


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 2",
        "just a word",
        "- a\n- list",
        "",
        "kind: mini\noverrides: 5",
        "kind: mini\noverrides: {agent: 5}",
        "kind: mini\noverrides: {rollout: 5}",
    ],
)
def test_a_profile_that_is_no_mapping_is_one_clear_line(profiles: Path, text: str) -> None:
    write(profiles, "agents", "a", text)

    assert "a.yaml" in error_of(ask(profiles, "plain"))


def test_a_profile_in_bytes_that_are_no_text_is_one_clear_line(profiles: Path) -> None:
    (profiles / "agents" / "a.yaml").write_bytes(b"\xff\xfe\x00kind")

    assert "a.yaml is UTF-16: write it as UTF-8" in error_of(ask(profiles))


def test_instance_ids_with_dots_may_be_keys(profiles: Path) -> None:
    write(
        profiles,
        "models",
        "m",
        "served_name: x\nendpoint: {base_url: scripted}\npersonas: {socketio__socket.io-1: wrong}",
    )
    model = load_config(ask(profiles)).model

    assert model is not None
    assert model.personas == {"socketio__socket.io-1": "wrong"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rollout.max_steps=50", ("rollout.max_steps", 50)),
        (" a.b =x", ("a.b", "x")),
        ("a=b=c", ("a", "b=c")),
        ("a=[1, 2]", ("a", [1, 2])),
        ("a=", ("a", None)),
        ("a=true", ("a", True)),
    ],
)
def test_a_setting_is_a_key_and_a_yaml_value(text: str, expected: tuple[str, Any]) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["", "rollout.max_steps", "=5", "a=[1, 2"])
def test_a_setting_that_can_not_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_setting(text)


@pytest.mark.parametrize("run_id", ["", "a b", "../up", ".hidden", "a/b", "x" * 101])
def test_a_run_id_that_is_no_folder_name_is_refused(run_id: str) -> None:
    assert "run id" in error_of(RunRequest("demo", run_id=run_id or " "))


@pytest.mark.parametrize("run_id", ["a b", "../up"])
def test_a_setting_can_not_smuggle_in_a_run_id(run_id: str) -> None:
    with pytest.raises(ConfigError):
        load_config(RunRequest("demo", settings={"run_id": run_id}))


def test_a_made_up_run_id_names_benchmark_and_model() -> None:
    assert load_config(RunRequest("demo")).run_id.startswith("demo-scripted-2")
    assert load_config(RunRequest("demo", agent="gold")).run_id.startswith("demo-gold-2")


def test_a_run_id_made_up_from_a_long_name_is_a_run_id(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 120}.jsonl"
    path.touch()

    assert len(load_config(RunRequest(str(path), agent="gold")).run_id) <= 100


def test_a_run_of_an_older_version_is_read_without_keys_that_are_gone(
    tmp_path: Path,
) -> None:
    config = load_config(RunRequest("demo", agent="mini"))
    data = config.model_dump(mode="json")
    data["model"]["endpoint"]["retry_s"] = 7200
    data["benchmark"]["image_gb"] = 0.45
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")

    assert load_run_config(tmp_path / "run.yaml") == config


def test_a_url_with_a_password_is_refused() -> None:
    secret = {"model.endpoint.base_url": "http://me:secret@gx10:8000/v1"}

    with pytest.raises(ConfigError, match="api_key_env"):
        load_config(RunRequest("lite", model="qwen3.5-35b", settings=secret))


OLDER_RUNS = Path(__file__).with_name("older_runs")
"""run.yaml as the version wrote them whose agents had the keys of all kinds."""


@pytest.mark.parametrize("name", ["gold", "mini", "sweagent"])
def test_an_older_runs_agent_keeps_what_its_kind_knows(name: str) -> None:
    path = OLDER_RUNS / f"{name}.yaml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))["agent"]

    config = load_run_config(path)

    assert config.agent is not None
    kept = config.agent.model_dump(mode="json")
    assert kept == {key: written[key] for key in kept}
    retired = {"gold": 8, "mini": 1, "sweagent": 0}
    assert len(written) - len(kept) == retired[name]


def test_an_older_run_of_predictions_is_one_without_an_agent() -> None:
    config = load_run_config(OLDER_RUNS / "predictions.yaml")

    assert config.agent is None
    assert config.predictions is not None
    assert config.predictions.description.startswith("Made elsewhere")
    assert config.agent_name == config.model_name_or_path == "demo__mini"


def test_predictions_take_the_place_of_an_agent_and_its_model() -> None:
    config = load_config(RunRequest("demo", predictions={"name": "somebody"}))

    assert (config.agent, config.model) == (None, None)
    assert config.model_name_or_path == "somebody"


def test_a_run_has_either_an_agent_or_predictions() -> None:
    text = error_of(RunRequest("demo", settings={"predictions.name": "somebody"}))

    assert text == "a run has either an agent or predictions, in the profiles"


def test_an_agents_section_is_that_of_its_kind_and_dumped_whole() -> None:
    config = load_config(RunRequest("demo", agent="sweagent-tools"))

    dumped = config.model_dump(mode="json")["agent"]
    assert dumped["protocol"] == "function_calling"
    assert "protocol" not in load_config(RunRequest("demo")).model_dump(mode="json")["agent"]
    assert set(load_config(RunRequest("demo", agent="nop")).model_dump()["agent"]) == {
        "name",
        "description",
        "kind",
    }


def test_a_profile_can_not_carry_the_keys_of_another_kind(profiles: Path) -> None:
    write(profiles, "agents", "a", "kind: mini\nprotocol: function_calling")

    text = error_of(ask(profiles))

    assert "unknown key 'agent.protocol'" in text
    assert str(profiles / "agents" / "a.yaml") in text


def test_a_wrong_value_of_an_agents_own_key_names_its_layer() -> None:
    text = error_of(RunRequest("demo", agent="sweagent", settings={"agent.protocol": "morse"}))

    assert text.startswith("agent.protocol:")
    assert "--set agent.protocol" in text


def test_an_unknown_kind_names_the_known_ones(profiles: Path) -> None:
    write(profiles, "agents", "a", "kind: mni")
    by_setting = error_of(RunRequest("demo", settings={"agent.kind": "mni"}))

    assert error_of(ask(profiles)) == (
        "agent.kind: unknown kind 'mni'; known: sweagent, openhands, mini, gold, nop, "
        f"or package.module:Class, in {profiles / 'agents' / 'a.yaml'}"
    )
    assert "unknown kind 'mni'" in by_setting
    assert "--set agent.kind" in by_setting


class StrangersSettings(AgentSettings):
    patience: int = 3
    moods: dict[str, str] = Field(default_factory=dict)


class StrangersKind:
    Settings = StrangersSettings
    asks_model = False


@pytest.fixture
def stranger(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The profile of somebody else's agent, which is this module's."""
    monkeypatch.setitem(sys.modules, "somebody", sys.modules[__name__])
    write(profiles, "agents", "a", "kind: somebody:StrangersKind\npatience: 4")
    return str(profiles / "agents" / "a.yaml")


def test_somebody_elses_agent_has_its_own_section(profiles: Path, stranger: str) -> None:
    values = provenance(replace(ask(profiles), settings={"agent.moods.a.b-1": "good"}))

    assert values["agent.patience"] == (4, stranger)
    assert values["agent.moods.a.b-1"] == ("good", "--set agent.moods.a.b-1")
    assert values["model"] == (None, "no model needed")


def test_an_unknown_key_of_somebody_elses_agent_names_the_nearest(
    profiles: Path, stranger: str
) -> None:
    text = error_of(ask(profiles, agent__patiense=5))

    assert text == (
        "unknown key 'agent.patiense' in --set agent.patiense; did you mean 'patience'?"
    )


def test_a_key_in_an_address_is_not_shown_where_it_is_refused() -> None:
    settings = {"model.endpoint.base_url": "http://me:pa55@gpu/v1"}

    with pytest.raises(ConfigError, match=r"api_key_env.*http://\*\*\*@gpu/v1") as caught:
        load_config(RunRequest("demo", model="scripted", settings=settings))
    assert "pa55" not in str(caught.value)
