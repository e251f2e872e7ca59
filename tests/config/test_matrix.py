"""A matrix's file: what it says, and that what is wrong in one is one clear line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import list_profiles
from orchestrator.config.matrix import MatrixFile, load_matrix
from orchestrator.config.yaml_files import find_line
from orchestrator.errors import ConfigError

SMALL = "benchmark: smoke\nmodels: [scripted, demo]\nagents: [mini, nop]\n"


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def load(path: Path, text: str) -> MatrixFile:
    path.write_text(text, encoding="utf-8")
    return load_matrix(str(path))


def test_a_few_lines_are_a_matrix(write: Path) -> None:
    matrix = load(write, SMALL).matrix

    assert (matrix.name, matrix.benchmarks, matrix.attempts) == ("mine", ("smoke",), 1)
    assert (matrix.models, matrix.agents) == (("scripted", "demo"), ("mini", "nop"))
    assert (matrix.served, matrix.switch) == ("auto", None)
    assert matrix.settings("scripted", "mini") == {}


def test_settings_of_one_model_go_over_those_of_all_and_those_of_one_agent_over_both(
    write: Path,
) -> None:
    text = SMALL + (
        "selection: {slice: '0:3', shuffle: true}\n"
        "set: {rollout.max_steps: 40, rollout.retry_delay_s: 1}\n"
        "set_for:\n"
        "  demo: {rollout.max_steps: 50, rollout.loop_limit: 2}\n"
        "  nop: {rollout.max_steps: 1}\n"
    )
    matrix = load(write, text).matrix
    common = {"selection.slice": "0:3", "selection.shuffle": True, "rollout.retry_delay_s": 1}

    assert matrix.settings("scripted", "mini") == common | {"rollout.max_steps": 40}
    of_demo = common | {"rollout.loop_limit": 2}
    assert matrix.settings("demo", "mini") == of_demo | {"rollout.max_steps": 50}
    assert matrix.settings("demo", "nop") == of_demo | {"rollout.max_steps": 1}


@pytest.mark.parametrize("name", list_profiles("matrices"))
def test_a_shipped_matrix_can_be_read(name: str) -> None:
    file = load_matrix(name)

    assert file.matrix.name == name
    assert file.matrix.description


def test_a_matrix_of_ones_own_is_found_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "matrices"
    folder.mkdir(parents=True)
    (folder / "weekly.yaml").write_text(SMALL, encoding="utf-8")

    assert load_matrix("weekly", (tmp_path / "configs",)).path == folder / "weekly.yaml"


WRONG = {
    "unknown key": (SMALL + "modles: [x]\n", "unknown key 'modles' in {}:4; did you mean 'models'"),
    "unknown key within": (
        SMALL + "selection:\n  slise: 3\n",
        "unknown key 'selection.slise' in {}:5; did you mean 'slice'",
    ),
    "unknown model": (
        "benchmark: smoke\nmodels:\n- demo\n- scriptd\nagents: [mini]\n",
        "unknown model 'scriptd' in {}:4; did you mean 'scripted'",
    ),
    "unknown agent": (
        SMALL.replace("nop", "nopp"),
        "unknown agent 'nopp' in {}:3; did you mean 'nop'",
    ),
    "a model twice": (
        SMALL.replace("demo", "scripted"),
        "models: 'scripted' stands there twice, in {}:2",
    ),
    "no benchmark": ("models: [demo]\nagents: [mini]\n", "benchmarks: is missing"),
    "both benchmarks": (SMALL + "benchmarks: [demo]\n", "benchmark and benchmarks"),
    "no models": (
        "benchmark: smoke\nmodels: []\nagents: [mini]\n",
        "models: agent 'mini' needs one, in {}:2",
    ),
    "one model without a list": (
        SMALL.replace("[scripted, demo]", "demo"),
        "models: write a list.*in {}:2",
    ),
    "no agents": ("benchmark: smoke\nmodels: [demo]\n", "agents: is missing, in {}:1"),
    "a model that is no text": (SMALL.replace("demo", "{a: b}"), r"models.1: .*in {}:2"),
    "no attempt": (SMALL + "attempts: 0\n", r"attempts: .*\(got 0\), in {}:4"),
    "too many": (SMALL + "attempts: 200\n", "these are 800 runs; a matrix has 400 at most"),
    "no list": (SMALL.replace("[scripted, demo]", "demo"), r"models: write a list.*in {}:2"),
    "no keys": (SMALL + "set: [a]\n", r"set: write keys with their values.*in {}:4"),
    "no slice": (SMALL + "selection: {slice: '0:x'}\n", r"selection.slice: .*START:STOP.*in {}:4"),
    "a slice that is a number to YAML": (
        SMALL + "selection: {slice: 10:50}\n",
        r"selection.slice: write text, in quotes .*in {}:4",
    ),
    "an unknown benchmark": (
        SMALL.replace("benchmark: smoke", "benchmark: smok"),
        r"unknown benchmark 'smok'; did you mean 'smoke'\? \({}:1\)",
    ),
    "an unknown benchmark of several": (
        SMALL.replace("benchmark: smoke", "benchmarks:\n- demo\n- smok"),
        r"unknown benchmark 'smok'; did you mean 'smoke'\? \({}:3\)",
    ),
    "an unknown way": (SMALL + "served: sometimes\n", r"served: .*\(got 'sometimes'\), in {}:4"),
    "switch with NUL": (SMALL + 'switch: "up {{model}} \\0"\n', "switch: holds a character"),
    "switch to nothing": (SMALL + "switch: ssh spark up\n", "switch: {{model}} must stand in it"),
    "switch for nothing": (
        SMALL + "served: together\nswitch: up {model}\n",
        "switch means nothing where the models are served together, in {}:5",
    ),
    "settings for nobody": (
        SMALL + "set_for:\n  scipted: {rollout.max_steps: 3}\n",
        "set_for: no model or agent 'scipted' is in this matrix; did you mean 'scripted'",
    ),
    "other instances for one": (
        SMALL + "set_for:\n  demo:\n    selection.slice: '0:1'\n",
        "set_for.demo: selection is the same for all cells, in {}:5",
    ),
    "another cluster for one": (
        SMALL + "set_for: {mini: {cluster.workers: 1}}\n",
        "set_for.mini: cluster is the same for all cells",
    ),
    "an id for all": (SMALL + "set: {run_id: x}\n", "set: each cell has a run_id of its own"),
    "no YAML": ("benchmark: [\n", "is not YAML: .*line 2"),
    "a key twice": (SMALL + "models: [demo]\n", "'models' stands there twice .line 4"),
    "a list": ("- smoke\n", "is not a mapping of keys"),
    "nothing": ("", "is not a mapping of keys"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_matrix_is_one_line_with_its_place(
    write: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says.format(write)) as error:
        load(write, text)

    assert "\n" not in str(error.value)


def test_a_matrix_that_is_not_there_has_a_near_name() -> None:
    with pytest.raises(ConfigError, match="unknown matrix 'evenin'; did you mean 'evening"):
        load_matrix("evenin")
    with pytest.raises(ConfigError, match="No such file"):
        load_matrix("nowhere/mine.yaml")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("a", "b"), 2),
        (("a", "b", "1"), 4),
        (("a", "b", "7"), 2),
        (("a", "nothing"), 1),
        (("c", "d"), 5),
        ((), 1),
    ],
)
def test_the_line_of_a_key_is_found(path: tuple[str, ...], line: int) -> None:
    assert find_line("a:\n  b:\n  - x\n  - y\nc: {d: e}\n", path) == line
