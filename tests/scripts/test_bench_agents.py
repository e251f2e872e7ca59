from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.programs import import_script

from orchestrator.config.schema import Benchmark
from orchestrator.dataset import load_dataset
from orchestrator.dataset.load import rows_of

bench = import_script("bench_agents")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """The demo's rows as a file."""
    demo = load_dataset(Benchmark(name="demo", source="bundled:demo"))
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows_of(demo)), encoding="utf-8")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The program, where the engine has no image at all."""
    monkeypatch.setattr(bench, "connect", lambda: None)
    monkeypatch.setattr(bench, "find_images", lambda client, names, platform: {})
    monkeypatch.setattr(bench.sys, "argv", ["bench_agents.py", *map(str, arguments)])
    monkeypatch.setattr(bench.signal, "signal", lambda *_: None)
    code: int = bench.main()
    return code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {"instances": 12, "slots": 4, "graders": 4, "our_graders": "auto", "calls": 3}),
        (("--slots", "8"), {"graders": 8, "our_graders": "auto"}),
        (("--graders", "2", "--our-graders", "1"), {"graders": 2, "our_graders": 1}),
        (("--instances", "3"), {"instances": 3}),
        (("--instances", "a__a-1, b__b-2"), {"instances": ("a__a-1", "b__b-2")}),
        (("--calls", "7", "--delay", "3"), {"calls": 7, "delay": 3.0}),
    ],
)
def test_arguments(arguments: Any, expected: dict[str, Any]) -> None:
    found = vars(bench.read_arguments(arguments))

    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--instances 0", "'0' is not 1 or more"),
        ("--instances=-2", "'-2' is not 1 or more"),
        ("--instances ,", "names no instance"),
        ("--slots 0", "'0' is not 1 or more"),
        ("--graders two", "'two' is not 1 or more"),
        ("--our-graders some", "'some' is neither auto nor a number"),
        ("--our-graders 0", "'0' is not 1 or more"),
        ("--calls 1", "'1' is not 2 or more"),
        ("--delay=-1", "'-1' is no number of seconds"),
        ("--delay nan", "'nan' is no number of seconds"),
        ("--dataset rows.jsonl --official-stop", "--official-stop is for the demo"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.read_arguments(arguments.split())

    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("--dataset {folder}/none.jsonl", 2, "none.jsonl: no such file"),
        ("--dataset {folder}", 2, "is no .parquet or .jsonl or .json file"),
        ("--dataset {rows} --instances no__such-1", 2, "unknown instance 'no__such-1'"),
        ("--dataset {rows} --instances 13", 2, "--instances 13: there are only 12"),
        ("--instances no__such-1", 2, "unknown instance 'no__such-1'"),
        ("--dataset {rows} --instances 2", 3, "is not here, and 1 more are missing: pull"),
        ("--dataset {rows} --instances 1", 3, "is not here: pull before you measure, by `docker"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    arguments: str,
    code: int,
    words: str,
    rows: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = arguments.format(rows=rows, folder=rows.parent).split()

    assert run(monkeypatch, "--only", "B", *given) == code
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_rows_of_a_file_are_taken_in_its_order(rows: Path) -> None:
    whole = [instance.instance_id for instance in bench.load_rows(str(rows), 12).instances]
    wanted = (whole[7], whole[2])

    found = bench.load_rows(str(rows), wanted).instances

    assert [instance.instance_id for instance in found] == [whole[2], whole[7]]
    assert all(instance.task_dir is None for instance in found)  # as real rows, images are given


def test_what_can_not_be_imported_ends_the_bench_with_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "require_images", lambda dataset, base: None)
    monkeypatch.setattr(bench.sys, "executable", "false")

    assert run(monkeypatch, "--only", "B", "--instances", "1") == 1
    assert "ended with an error" in capsys.readouterr().err
