"""From a matrix's file to its runs: which there are, what they are called, what is set in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import RunRequest
from orchestrator.config.matrix import MatrixFile, load_matrix, repeated
from orchestrator.config.schema import RUN_ID
from orchestrator.errors import ConfigError
from orchestrator.matrix.cells import Cell, choose_matrix_id, make_run_ids, plan_runs

OPTIONS = RunRequest("", settings={"cluster.sandbox.kind": "process"})


def file_of(tmp_path: Path, text: str) -> MatrixFile:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_matrix(str(path))


def ids_of(tmp_path: Path, text: str) -> list[str]:
    return [one.run.run_id for one in plan_runs(file_of(tmp_path, text), "m", OPTIONS)]


def test_every_model_meets_every_agent(tmp_path: Path) -> None:
    text = "benchmark: smoke\nmodels: [scripted, demo]\nagents: [mini, mini-edit]\n"

    assert ids_of(tmp_path, text) == [
        "m.scripted.mini",
        "m.scripted.mini-edit",
        "m.demo.mini",
        "m.demo.mini-edit",
    ]


def test_benchmark_and_attempt_stand_in_an_id_where_there_are_several(tmp_path: Path) -> None:
    text = "benchmarks: [smoke, demo]\nmodels: [scripted]\nagents: [mini]\nattempts: 2\n"

    assert ids_of(tmp_path, text) == [
        "m.smoke.scripted.mini.1",
        "m.smoke.scripted.mini.2",
        "m.demo.scripted.mini.1",
        "m.demo.scripted.mini.2",
    ]


def test_attempts_of_one_cell_are_told_apart_by_their_number_alone(tmp_path: Path) -> None:
    text = "benchmark: smoke\nmodels: [scripted]\nagents: [mini]\nattempts: 2\n"

    assert ids_of(tmp_path, text) == ["m.1", "m.2"]


@pytest.mark.parametrize(
    ("request_", "model", "agent"),
    [
        (RunRequest("smoke", model="scripted", agent="mini-edit"), "scripted", "mini-edit"),
        (RunRequest("demo"), "scripted", "mini"),
        (RunRequest("demo", model="scripted", agent="gold"), None, "gold"),
    ],
)
def test_what_is_launched_may_be_attempted_several_times(
    request_: RunRequest, model: str | None, agent: str
) -> None:
    planned = plan_runs(repeated(request_, 3), "m", request_)

    assert [one.run.run_id for one in planned] == ["m.1", "m.2", "m.3"]
    assert {one.run.cell for one in planned} == {(request_.benchmark, model, agent)}


def test_attempts_of_what_is_not_there_are_refused_as_one_would_be() -> None:
    with pytest.raises(ConfigError, match="nobodys-model"):
        plan_runs(repeated(request := RunRequest("smoke", model="nobodys-model"), 2), "m", request)


def test_too_many_attempts_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="--attempts 900: these are 900 runs"):
        repeated(RunRequest("demo"), 900)


def test_models_may_be_left_out_where_no_agent_asks_one(tmp_path: Path) -> None:
    assert ids_of(tmp_path, "benchmark: smoke\nagents: [gold, nop]\n") == ["m.gold", "m.nop"]
    with pytest.raises(ConfigError, match=r"models: agent .mini. needs one, in .*mine\.yaml"):
        ids_of(tmp_path, "benchmark: smoke\nagents: [gold, mini]\n")


def test_an_agent_that_asks_no_model_has_one_cell_however_many_models_there_are(
    tmp_path: Path,
) -> None:
    text = "benchmark: smoke\nmodels: [scripted, demo]\nagents: [gold, mini]\n"

    planned = plan_runs(file_of(tmp_path, text), "m", OPTIONS)

    assert [one.run.cell for one in planned] == [
        Cell("smoke", None, "gold"),
        Cell("smoke", "scripted", "mini"),
        Cell("smoke", "demo", "mini"),
    ]
    assert planned[0].run.run_id == "m.gold"


def test_what_is_set_of_a_model_is_not_for_agents_that_ask_none(tmp_path: Path) -> None:
    text = (
        "benchmark: smoke\nmodels: [scripted, demo]\nagents: [gold, mini]\n"
        "set: {model.max_concurrency: 5}\n"
        "set_for: {scripted: {model.context_length: 9000, rollout.max_steps: 3}}\n"
    )
    options = RunRequest("", settings={**OPTIONS.settings, "model.seconds_per_rollout": 4})

    planned = plan_runs(file_of(tmp_path, text), "m", options)

    gold, scripted, demo = (one.run.config for one in planned)
    assert gold.model is None
    assert gold.rollout.max_steps != 3, "it belongs to no model"
    assert scripted.model is not None
    assert demo.model is not None
    assert (scripted.model.context_length, demo.model.context_length) == (9000, 32768)
    for model in (scripted.model, demo.model):
        assert (model.max_concurrency, model.seconds_per_rollout) == (5, 4)


def test_a_run_is_configured_by_profiles_file_and_command_line_in_this_order(
    tmp_path: Path,
) -> None:
    text = (
        "benchmark: smoke\nmodels: [scripted]\nagents: [mini]\n"
        "set: {rollout.max_steps: 40, rollout.loop_limit: 5, rollout.time_limit_s: 99}\n"
        "set_for: {mini: {rollout.loop_limit: 6}}\n"
    )
    options = RunRequest("", settings=dict(OPTIONS.settings) | {"rollout.time_limit_s": 7})

    (planned,) = plan_runs(file_of(tmp_path, text), "m", options)

    limits = planned.run.config.rollout
    assert (limits.max_steps, limits.loop_limit, limits.time_limit_s) == (40, 6, 7)
    assert limits.command_timeout_s == 30, "of the benchmark's profile"
    assert planned.run.config.run_id == planned.request.run_id == "m.scripted.mini"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("set: {rollout.max_step: 4}", r"unknown key 'rollout.max_step' in {}:4; did you mean"),
        ("set:\n  rollout.max_steps: many", r"rollout.max_steps: .* in {}:5"),
        ("set_for:\n  mini:\n    rollout.max_steps: 0", r"rollout.max_steps: .* in {}:6"),
    ],
)
def test_a_setting_that_is_wrong_is_told_with_the_files_line(
    tmp_path: Path, more: str, says: str
) -> None:
    text = f"benchmark: smoke\nmodels: [scripted]\nagents: [mini]\n{more}\n"
    file = file_of(tmp_path, text)

    with pytest.raises(ConfigError, match=says.format(re.escape(str(file.path)))):
        plan_runs(file, "m", OPTIONS)


def test_an_unknown_benchmark_names_the_file(tmp_path: Path) -> None:
    text = "benchmark: smok\nmodels: [scripted]\nagents: [mini]\n"

    with pytest.raises(ConfigError, match=r"did you mean 'smoke'\? \(.*mine.yaml:1"):
        ids_of(tmp_path, text)


AWKWARD = [
    ("a dot and a dash", [("a.b", "c"), ("a", "b.c")]),
    ("upper and lower case", [("Qwen", "mini"), ("qwen", "mini")]),
    ("slashes", [("org/qwen", "mini"), ("other/qwen", "mini")]),
    ("files", [("a/qwen.yaml", "mini"), ("b/qwen.yml", "mini"), ("qwen", "mini")]),
    ("a hundred characters", [("m" * 100, "a" * 100), ("m" * 100, "b" * 100)]),
    ("nothing that fits", [("日本語", "..."), ("???", "---")]),
    ("a leading dot", [(".hidden", "-x")]),
    ("blanks", [("my model", "my\tagent"), ("my-model", "my-agent")]),
]


@pytest.mark.parametrize("words", [words for _, words in AWKWARD], ids=[n for n, _ in AWKWARD])
def test_names_of_any_kind_make_ids_that_are_valid_and_differ(words: list[tuple[str, ...]]) -> None:
    ids = make_run_ids("m", words)

    assert all(re.fullmatch(RUN_ID, run_id) for run_id in ids)
    assert len({run_id.casefold() for run_id in ids}) == len(words)
    assert make_run_ids("m", words) == ids


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), unique=True, max_size=8))
def test_any_names_make_ids_that_are_valid_and_differ(words: list[tuple[str, ...]]) -> None:
    ids = make_run_ids("m" * 60, words)

    assert all(re.fullmatch(RUN_ID, run_id) for run_id in ids)
    assert len({run_id.casefold() for run_id in ids}) == len(words)


def test_ordinary_names_are_read_in_the_id() -> None:
    assert make_run_ids("night", [("qwen3.5-35b", "sweagent")]) == ["night.qwen3.5-35b.sweagent"]


@pytest.mark.parametrize("wrong", ["../up", "a b", "", ".x", "m" * 61])
def test_an_id_that_leaves_no_room_or_is_no_folder_is_refused(tmp_path: Path, wrong: str) -> None:
    matrix = file_of(tmp_path, "benchmark: smoke\nmodels: [demo]\nagents: [mini]\n").matrix

    with pytest.raises(ConfigError, match="run id"):
        choose_matrix_id(wrong, matrix)
    assert choose_matrix_id("x" * 60, matrix) == "x" * 60
    assert re.fullmatch(r"mine-\d{8}-\d{6}", choose_matrix_id(None, matrix))
