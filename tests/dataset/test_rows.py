"""Rows by value: each column's odd values, and what a person reads of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark import FORMATS, MARKED, as_jsonl, as_parquet, result_or_line, row

from orchestrator.config.schema import Benchmark, Selection
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.dataset.kept import kept_rows
from orchestrator.dataset.rows import SourceRow, check_rows
from orchestrator.dataset.sources import read_rows
from orchestrator.errors import ConfigError
from orchestrator.gold_answers import unseal

NO_FOLDER = "can't name a folder and a container"
NO_IMAGE = "is no reference to a Docker image"
TEXT_COLUMNS = ("repo", "base_commit", "problem_statement", "image", "eval_script", "log_parser")
CASES = [
    *[(column, None, f"{column} is null") for column in (*TEXT_COLUMNS, "patch", "eval_type")],
    *[(column, " \n", f"{column} is empty") for column in (*TEXT_COLUMNS, "eval_type")],
    *[(column, ["x"], f"{column} is a list, and must be text") for column in TEXT_COLUMNS],
    *[(column, "a\0b", f"{column} holds a NUL character") for column in (*TEXT_COLUMNS, "patch")],
    *[(column, 3, f"{column} is a number, and must be text") for column in TEXT_COLUMNS],
    ("patch", {"a": 1}, "patch is an object, and must be text"),
    ("patch", "\ud800", r"patch holds half of a surrogate pair (\ud800)"),
    ("hints_text", "\udfff", r"hints_text holds half of a surrogate pair (\udfff)"),
    ("more", [{"a": "\ud800"}], r"more holds half of a surrogate pair"),
    ("instance_id", None, "instance_id is null"),
    ("instance_id", 5, "instance_id is a number, and must be text"),
    ("instance_id", "", "instance_id is empty"),
    *[
        ("instance_id", odd, NO_FOLDER)
        for odd in (
            *(
                "../../escape",
                "..",
                ".hidden",
                "-rf",
                "_x",
                "a/b",
                "a\\b",
                "a b",
                " a",
                "a ",
                "a\n",
            ),
            *("a\tb", "a:b", "a~b", "a\x1b[2Jb", "aé", "a\u2028b", "🚀", "a%2fb", "a*", "$(id)"),
        )
    ],
    ("instance_id", "a\0", "instance_id holds a NUL character"),
    ("instance_id", "x" * 201, "has more than 200 characters"),
    *[
        ("base_commit", odd, f"base_commit {odd!r} is no full commit id")
        for odd in ("HEAD", "c0ffee", "C0FFEE00" * 5, "g" * 40, "c0ffee00" * 5 + "\n", "--all")
    ],
    *[
        ("image", odd, NO_IMAGE)
        for odd in (
            *(
                "Org/Image:latest ",
                "org/Image",
                "an image",
                "org//image",
                "/org/image",
                "org/image:",
            ),
            *("image:" + "t" * 129, "image@sha256:12", "image:-t", "a___b", "-x", "x" * 256, "é"),
            *("https://host/image", "host:port/image", "a..b", "image\n"),
        )
    ],
    ("log_parser", "parse_log_pytst", "is none of the harness's; did you mean 'parse_log_pytest"),
    ("log_parser", "os.system", "log_parser 'os.system' is none of the harness's"),
    ("eval_type", "pass_fail", "eval_type 'pass_fail' is none of the harness's"),
    ("eval_script", "pytest\n", "eval_script does not print '>>>>> Start Test Output'"),
    ("eval_script", MARKED.replace("End", "end"), "does not print '>>>>> End Test Output'"),
    ("FAIL_TO_PASS", None, "FAIL_TO_PASS is null, and must be a list of tests"),
    ("FAIL_TO_PASS", "", "FAIL_TO_PASS is no list of tests: it is empty"),
    ("FAIL_TO_PASS", "['t::one']", "FAIL_TO_PASS is no list of tests: not JSON"),
    ("PASS_TO_PASS", '["cut', "PASS_TO_PASS is no list of tests: not JSON: Unterminated"),
    ("PASS_TO_PASS", '"[]"', "PASS_TO_PASS is text, and must be a list of tests"),
    ("PASS_TO_PASS", '{"t": 1}', "PASS_TO_PASS is an object, and must be a list of tests"),
    ("PASS_TO_PASS", "[" * 100_000, "PASS_TO_PASS is no list of tests: it is nested too deeply"),
    ("PASS_TO_PASS", [["t"]], "PASS_TO_PASS holds a list where the name of a test must be"),
    ("PASS_TO_PASS", ["t", None], "PASS_TO_PASS holds null where the name of a test must be"),
    ("PASS_TO_PASS", 5, "PASS_TO_PASS is a number, and must be a list of tests"),
    ("FAIL_TO_PASS", [], "FAIL_TO_PASS and PASS_TO_PASS are both empty: no test decides"),
    ("version", ["1"], "version is a list, and must be text"),
    ("version", True, "version is true or false, and must be text"),
    ("image_assets", "{", "image_assets is not JSON"),
    ("image_assets", "[1]", "image_assets is a list, and must be an object"),
    ("image_assets", {"test_patch": ["a.png"]}, "holds no list of files at test_patch"),
    ("image_assets", {"patch": "a.png"}, "image_assets holds no list of files at patch"),
]


def checked(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return check_rows([SourceRow(f"row {n}", r) for n, r in enumerate(rows, 1)], "dataset x")


def error_of(*rows: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(*rows)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("column", "value", "told"), CASES)
def test_a_wrong_value_is_told_with_its_row_and_column(column: str, value: Any, told: str) -> None:
    text = error_of(row("fine"), row() | {column: value})

    assert text.startswith("dataset x, row 2")
    assert told in text


@pytest.mark.parametrize("column", [c for c in row() if c != "instance_id"])
def test_a_column_that_is_missing_is_told(column: str) -> None:
    cut = {name: value for name, value in row().items() if name != column}

    assert error_of(cut) == f"dataset x, row 1 (a__b-1): {column} is missing"


@pytest.mark.parametrize(
    ("column", "value", "plain"),
    [
        ("instance_id", "django__django-11099", ...),
        ("instance_id", "instance_NodeBB__NodeBB-04998908ba-vnan", ...),
        ("instance_id", "oauthlib__oauthlib.1fd52536.combine_file__09vlzwgc", ...),
        ("image", "swebench/sweb.eval.x86_64.astropy_1776_astropy-12907:latest", ...),
        ("image", "localhost:5000/a/b__c.d-e@sha256:" + "0f" * 32, ...),
        ("image", "[::1]:5000/image:1", ...),
        ("image", "Host/image", ...),
        ("base_commit", "0" * 64, ...),
        ("patch", "", ...),
        ("version", 3, "3"),
        ("version", 0.3, "0.3"),
        ("version", None, ""),
        ("version", float("nan"), ""),
        ("FAIL_TO_PASS", ["a", "\u2028"], ...),
        ("FAIL_TO_PASS", '["a", "\\u2028"]', ["a", "\u2028"]),
        ("eval_type", "fail_only", ...),
        ("image_assets", None, {}),
        ("image_assets", '{"test_patch": []}', {"test_patch": []}),
        ("image_assets", {"test_patch": [{"path": "a"}], "problem_statement": ["url"]}, ...),
        *[(name, 1, ...) for name in ("model_config", "model_dump", "__class__", "copy", " ", "")],
        ("more", float("nan"), None),
        ("more", [float("inf"), {1: (2, b"x")}], ["inf", {"1": [2, "b'x'"]}]),
    ],
)
def test_what_its_makers_mean_is_taken(column: str, value: Any, plain: Any) -> None:
    (found,) = checked(row() | {column: value})

    assert found[column] == (value if plain is ... else plain)


def test_values_of_pandas_and_numpy_are_plain_ones(tmp_path: Path) -> None:
    import pandas

    tests = [["a", "b"], ["c"]]
    rows = [row(f"a-{n}", PASS_TO_PASS=tests[n], at=pandas.Timestamp(0), n=n) for n in (0, 1)]
    as_parquet(tmp_path / "rows.parquet", [*rows, row("a-2", PASS_TO_PASS=[])])

    dataset = load_dataset(Benchmark(name="b", source=str(tmp_path / "rows.parquet")))

    found = [unseal(dataset.answers[i.instance_id]).row for i in dataset.instances]
    assert [r["PASS_TO_PASS"] for r in found] == [*tests, []]
    assert [r["n"] for r in found] == [0.0, 1.0, None]
    assert [r["at"] for r in found] == ["1970-01-01 00:00:00"] * 2 + [None]
    json.dumps(found)


def test_the_values_of_a_parquet_file_are_those_that_were_written(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    day = datetime(2026, 1, 2, 3, 4, 5, 6)
    columns = {
        "version": [3, None],
        "PASS_TO_PASS": [["a"], ["b", "c"]],
        "nested": [{"ns": [1, None]}, None],
        "at": [day, None],
        "utc": [day.replace(tzinfo=UTC), None],
    }
    rows = [row("a-0"), row("a-1")]
    table = pyarrow.table({name: [r[name] for r in rows] for name in row()} | columns)
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")

    dataset = load_dataset(Benchmark(name="b", source=str(tmp_path / "rows.parquet")))

    found = [unseal(dataset.answers[i.instance_id]).row for i in dataset.instances]
    assert {name: [r[name] for r in found] for name in columns} == columns | {
        "version": ["3", ""],
        "at": ["2026-01-02 03:04:05.000006", None],
        "utc": ["2026-01-02 03:04:05.000006+00:00", None],
    }


def test_what_pandas_calls_its_rows_is_no_column(tmp_path: Path) -> None:
    import pandas

    table = pandas.DataFrame([row(f"a-{n}") for n in range(3)])
    table[table.index > 0].to_parquet(tmp_path / "some.parquet")

    first, _ = read_rows(Benchmark(name="b", source=str(tmp_path / "some.parquet")))

    assert first.values == row("a-1")


@pytest.mark.slow
def test_a_parquet_file_is_read_without_pandas(tmp_path: Path) -> None:
    as_parquet(tmp_path / "rows.parquet", [row(PASS_TO_PASS=["a"])])
    program = f"""
import sys
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import load_dataset
load_dataset(Benchmark(name="b", source={str(tmp_path / "rows.parquet")!r}))
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.split() == [b"False"]


def test_the_harness_is_asked_what_its_parsers_want_of_version_and_id() -> None:
    lighthouse = row(log_parser="parse_log_lighthouse", version=None)
    jekyll = row(log_parser="parse_log_jekyll")

    assert "the harness can't grade it (ValueError: could not convert" in error_of(lighthouse)
    assert "Unknown instance id: a__b-1" in error_of(jekyll)
    assert checked(lighthouse | {"version": "9.5"}, row("j-9141", log_parser="parse_log_jekyll"))


def test_how_many_more_are_wrong_is_told() -> None:
    wrong = [row(f"a-{n}", image=None) for n in range(3)]

    told = error_of(row("fine"), *wrong)

    assert told == ("dataset x, row 2 (a-0): image is null; 2 more of the selected rows are wrong")


def test_ids_that_differ_only_in_case_are_refused_where_both_are_selected(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "rows.jsonl", [row("a__b-1"), row("A__B-1")])
    benchmark = Benchmark(name="b", source=str(tmp_path / "rows.jsonl"))

    with pytest.raises(ConfigError, match=r"line 2 \(A__B-1\): .* a__b-1 \(line 1\) only in upper"):
        load_dataset(benchmark)
    assert load_dataset(benchmark, Selection(instances=("A__B-1",))).instances


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_that_are_not_selected_stop_nobody(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    FORMATS[suffix](path, [row("bad", image=None), row("../up"), row(""), row("good")])
    benchmark = Benchmark(name="b", source=str(path))

    (found,) = load_dataset(benchmark, Selection(instances=("good",))).instances

    assert found.instance_id == "good"
    number = "line" if suffix == ".jsonl" else "row"
    with pytest.raises(ConfigError, match=rf"{number} 1 \(bad\): image is null; 2 more"):
        load_dataset(benchmark)


def test_a_number_is_the_files_own_line(tmp_path: Path) -> None:
    text = f"\ufeff{json.dumps(row('a', note='x'))}\r\n\r\n{json.dumps(row('b', image='B'))}\n"
    (tmp_path / "rows.jsonl").write_bytes(text.encode())

    with pytest.raises(ConfigError, match=r"line 3 \(b\): image 'B' is no"):
        load_dataset(Benchmark(name="b", source=str(tmp_path / "rows.jsonl")))


def test_an_id_that_stands_twice_is_told_with_both_places(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "rows.jsonl", [row("a"), row("b"), row("a")])

    with pytest.raises(ConfigError, match="holds 'a' more than once: line 1 and line 3"):
        load_dataset(
            Benchmark(name="b", source=str(tmp_path / "rows.jsonl")), Selection(instances=("b",))
        )


@pytest.mark.slow
def test_three_hundred_rows_are_checked_in_a_moment() -> None:
    rows = [SourceRow(str(n), row(f"a-{n}", PASS_TO_PASS=["t" * 80] * 200)) for n in range(300)]
    check_rows(rows[:1], "x")  # imports the harness
    started = time.process_time()

    check_rows(rows, "x")

    assert time.process_time() - started < 2


@pytest.mark.parametrize("depth", [99, 101, 102, 300, 900, 990, 5000])
def test_any_depth_is_taken_or_told(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row(more="X")).replace('"X"', "[" * depth + "]" * depth))

    read = result_or_line(lambda: load_dataset(Benchmark(name="b", source=str(path))))

    if depth > 101:
        assert isinstance(read, str)
        assert "nested too deeply" in read
    else:
        assert isinstance(read, Dataset)
        assert kept_rows(read)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@pytest.mark.fuzz
@given(st.sampled_from([*row(), "image_assets", "more"]), values)
def test_any_value_of_any_column_is_plain_or_refused_by_name(column: str, value: Any) -> None:
    result = result_or_line(lambda: checked(row() | {column: value}))
    if isinstance(result, str):
        assert column in result
        return
    (found,) = result
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    assert checked(found) == [found]


@pytest.mark.fuzz
@given(st.binary(max_size=300), st.sampled_from([*FORMATS]), st.integers(0, 10_000))
def test_any_bytes_are_rows_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, suffix: str, at: int
) -> None:
    """Alone, and in the place of something in a file of rows."""
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    whole = tmp_path_factory.getbasetemp() / f"whole{suffix}"
    if not whole.exists():
        FORMATS[suffix](whole, [row("a"), row("b")])
    data = whole.read_bytes()
    for broken in (noise, data[:at] + noise + data[at + len(noise) :]):
        path.write_bytes(broken)
        result_or_line(lambda: load_dataset(Benchmark(name="b", source=str(path))))
