from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.benchmark import FORMATS, as_json, as_jsonl, row
from support.registries import FakeServer, Reply

import orchestrator
from orchestrator.config.schema import Benchmark, Selection
from orchestrator.dataset import BUNDLED, Dataset, load_dataset
from orchestrator.dataset.load import V5_COLUMNS
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.gold_answers import unseal

TEST_DATA = os.environ.get("SWE_ORCHESTRATOR_TEST_DATA")
REAL = Path(TEST_DATA or Path(orchestrator.__file__).parents[2] / "shared" / "data")


def load(source: Path | str, **more: Any) -> Dataset:
    return load_dataset(Benchmark(name="b", source=str(source), **more))


def error_of(source: Path | str, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(source, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_bundled_benchmark_has_twelve_instances_with_answers(demo: Dataset) -> None:
    assert len(demo.instances) == 12
    assert set(demo.answers) == {i.instance_id for i in demo.instances}
    for instance in demo.instances:
        answer = unseal(demo.answers[instance.instance_id])
        assert answer.gold_patch.startswith("diff --git")
        assert answer.gold_patch not in instance.problem_statement
        assert (Path(instance.task_dir or "") / "build.sh").is_file()


def test_an_instance_shows_nothing_of_its_answer(demo: Dataset) -> None:
    for instance in demo.instances:
        hidden = unseal(demo.answers[instance.instance_id]).row
        seen = str(dataclasses.asdict(instance))
        assert str(hidden["patch"]) not in seen
        assert str(hidden["test_patch"]) not in seen


def test_a_bundled_benchmark_is_the_one_that_is_named(demo: Dataset) -> None:
    assert load("bundled:demo").sha256 == demo.sha256
    assert [i.instance_id for i in load("bundled:smoke").instances] == ["lanternhill__tally-1"]


def test_bundled_without_a_name_is_the_demo_as_older_runs_have_it(demo: Dataset) -> None:
    assert load("bundled").sha256 == demo.sha256


@pytest.mark.parametrize(
    ("name", "hint"), [("smok", "did you mean 'smoke'?"), ("", "known: demo, smoke")]
)
def test_an_unknown_bundled_benchmark_names_the_nearest(name: str, hint: str) -> None:
    assert error_of(f"bundled:{name}") == f"unknown bundled benchmark {name!r}; {hint}"


@pytest.mark.parametrize(
    ("source", "is_bundled"),
    [
        ("bundled", True),
        ("bundled:demo", True),
        ("bundled:smoke", True),
        ("bundled/of-the-hub", False),
        ("SWE-bench/SWE-bench_Lite", False),
    ],
)
def test_what_is_bundled(source: str, is_bundled: bool) -> None:
    assert Benchmark(name="b", source=source).is_bundled is is_bundled


def test_a_task_repo_folder_is_read_as_the_bundled_one(tmp_path: Path, demo: Dataset) -> None:
    shutil.copy(BUNDLED["demo"] / "sweb.yaml", tmp_path)
    name = "orchard__ledger-12"
    shutil.copytree(BUNDLED["demo"] / "tasks" / name, tmp_path / "tasks" / name)

    (found,) = load(tmp_path).instances

    ours = next(i for i in demo.instances if i.instance_id == name)
    assert found == dataclasses.replace(ours, task_dir=str(tmp_path / "tasks" / name))


def test_a_folder_that_is_no_task_repo_says_how_to_check_it(tmp_path: Path) -> None:
    assert "swebench dataset check" in error_of(tmp_path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_are_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    FORMATS[suffix](path, [row("a__b-1", version=3), row("a__b-2", version=4)])

    dataset = load(path)

    assert [i.instance_id for i in dataset.instances] == ["a__b-1", "a__b-2"]
    assert dataset.instances[0].image == "org/image.a__b-1:latest"
    assert dataset.instances[0].version == "3"
    assert dataset.instances[0].task_dir is None
    assert unseal(dataset.answers["a__b-2"]).gold_patch == "patch of a__b-2"


def test_the_digest_is_of_the_selected_rows_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    as_json(path, [row("a"), row("b")])
    both = load(path).sha256
    benchmark = Benchmark(name="b", source=str(path))
    assert load_dataset(benchmark, Selection(instances=("a",))).sha256 != both
    as_json(path, [row("b"), row("a")])
    assert load(path).sha256 != both
    as_json(path, [row("a"), row("b")])
    assert load(path).sha256 == both
    as_json(path, [row("a"), row("b", patch="another")])
    assert load(path).sha256 != both


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_file_is_reported(tmp_path: Path, suffix: str) -> None:
    assert str(tmp_path) in error_of(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_anything_else_is_told(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"rows{suffix}").write_bytes(b"\xff\x00 neither this nor that")

    told = error_of(tmp_path / f"rows{suffix}")

    assert f"rows{suffix}" in told
    assert "can't be read" in told or "not UTF-8 (byte 0xff)" in told


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2]", "null"])
def test_json_that_is_no_list_of_rows_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")

    assert "not a list of rows" in error_of(tmp_path / "rows.json")


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()

    assert "no rows" in error_of(tmp_path / "rows.jsonl")


def test_a_dataset_from_before_v5_is_told_which_one_to_use(tmp_path: Path) -> None:
    old = {key: value for key, value in row().items() if key not in V5_COLUMNS}
    as_jsonl(tmp_path / "rows.jsonl", [old])

    text = error_of(tmp_path / "rows.jsonl")

    assert all(column in text for column in V5_COLUMNS)
    assert "SWE-bench/" in text


def test_another_dataset_is_told_apart(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "rows.jsonl", [{"question": "1+1", "answer": "2"}])

    assert "no column instance_id, repo" in error_of(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("column", ["image", "patch", "instance_id"])
def test_a_later_row_that_lacks_a_column_is_told(tmp_path: Path, column: str) -> None:
    cut = row("a__b-2")
    del cut[column]
    as_jsonl(tmp_path / "rows.jsonl", [row(), cut])

    assert f"{column} is missing" in error_of(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_dataset_dir_stands_in_for_the_hub(tmp_path: Path, suffix: str) -> None:
    FORMATS[suffix](tmp_path / f"Bench-dev{suffix}", [row()])

    dataset = load("org/Bench", split="dev", dataset_dir=str(tmp_path))

    assert [i.instance_id for i in dataset.instances] == ["a__b-1"]


def test_a_dataset_dirs_file_is_the_one_that_the_profile_names(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "Bench-test.jsonl", [row("other")])
    as_jsonl(tmp_path / "mine.jsonl", [row("named")])

    dataset = load("org/Bench", data_file="mine.jsonl", dataset_dir=str(tmp_path))

    assert [i.instance_id for i in dataset.instances] == ["named"]


def test_a_dataset_dir_without_the_file_says_what_it_looked_for(tmp_path: Path) -> None:
    text = error_of("org/Bench", data_file="x.parquet", dataset_dir=str(tmp_path))

    assert "x.parquet or Bench-test.parquet or Bench-test.jsonl" in text


def test_a_dataset_dir_that_is_none_is_told(tmp_path: Path) -> None:
    assert "no such folder" in error_of("org/Bench", dataset_dir=str(tmp_path / "none"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("lite", 300), ("lite-dev", 23), ("verified", 500)])
def test_the_official_rows_are_all_there(
    name: str, count: int, load_profile: Callable[[str], Benchmark]
) -> None:
    benchmark = load_profile(name)
    if not (REAL / str(benchmark.data_file)).is_file():
        pytest.skip(f"{REAL} holds no {benchmark.data_file} (set SWE_ORCHESTRATOR_TEST_DATA)")

    dataset = load_dataset(benchmark.model_copy(update={"dataset_dir": str(REAL)}))

    assert len(dataset.instances) == len(dataset.answers) == count
    assert all(i.image.startswith("swebench/sweb.eval.x86_64.") for i in dataset.instances)


@pytest.fixture
def load_profile() -> Callable[[str], Benchmark]:
    from orchestrator.config import RunRequest, load_config

    return lambda name: load_config(RunRequest(name, agent="gold")).benchmark


@pytest.mark.slow  # the hub's client takes four seconds to import
def test_a_proxy_that_can_not_be_meant_is_named_and_the_hub_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "nonsense://proxy:port")
    monkeypatch.setenv("no_proxy", "fd7a::/48")

    with pytest.raises(PrerequisiteError, match="https_proxy is 'nonsense://"):
        load("SWE-bench/of-the-hub")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hub", "says"),
    [
        ("http://127.0.0.1:9", "nothing listens at 127.0.0.1, port 9"),
        ("http://no-such-hub.invalid", "there is no host of this name, 'no-such-hub.invalid'"),
        ("https://hub..org", "UnicodeError"),
        ("hub.org", "UnsupportedProtocol"),
    ],
)
def test_a_hub_that_does_not_answer_is_told_with_its_address_and_the_systems_words(
    hub: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'a/b' on the Hub (ConnectError)") from None

    monkeypatch.setattr(datasets, "load_dataset", fail)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub)

    with pytest.raises(PrerequisiteError, match="--dataset-dir") as caught:
        load("SWE-bench/of-the-hub")

    assert f"hub, {hub} (" in caught.value.what
    assert says in caught.value.what
    assert "ConnectError" not in str(caught.value)


@pytest.mark.slow  # the hub's client takes four seconds to import
@pytest.mark.parametrize("is_away", [True, False])
def test_a_hub_that_is_away_is_asked_once_and_what_its_client_has_kept_is_taken(
    is_away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client would ask six times, within 24 s, and print a line each time."""
    import datasets
    import huggingface_hub.constants

    switches: list[tuple[bool, bool]] = []

    def switched_off() -> tuple[bool, bool]:
        return datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.is_offline_mode()

    def load_kept(*_: object, **__: object) -> list[dict[str, Any]]:
        switches.append(switched_off())
        return [row("a"), row("b")]

    monkeypatch.setattr(datasets, "load_dataset", load_kept)
    with FakeServer(lambda asked: Reply(404)) as hub:
        url = "http://127.0.0.1:9" if is_away else hub.url
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)

        assert len(load("SWE-bench/of-the-hub").instances) == 2
        assert hub.paths() == ([] if is_away else ["HEAD /"])

    assert switches == [(is_away, is_away)]
    assert switched_off() == (False, False)
