"""A run's own rows: what was read is kept, whatever its source makes of values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark import FORMATS, row

from orchestrator.config.schema import Benchmark, Selection
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.dataset.kept import kept_rows, read_kept_rows
from orchestrator.dataset.load import dataset_of
from orchestrator.errors import ConfigError
from orchestrator.gold_answers import unseal

DEMO = Benchmark(name="demo", source="bundled:demo")


def answers(dataset: Dataset) -> list[Any]:
    return [unseal(dataset.answers[instance.instance_id]) for instance in dataset.instances]


def test_a_task_repos_rows_are_kept_with_their_folders(demo: Dataset) -> None:
    again = read_kept_rows(kept_rows(demo), "rows.jsonl", DEMO, demo.sha256)

    assert again == demo


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_files_rows_are_kept_in_the_runs_order(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    odd = {"problem_statement": "a\u2028b\x85c\r\n🚀", "FAIL_TO_PASS": ["\x0b"], "none": None}
    FORMATS[suffix](path, [row("a") | odd, row("b") | odd, row("c") | odd])
    benchmark = Benchmark(name="b", source=str(path))
    dataset = load_dataset(benchmark, Selection(instances=("b", "c"), shuffle=True, seed=1))

    text = kept_rows(dataset)

    assert read_kept_rows(text, "rows.jsonl", benchmark, dataset.sha256) == dataset
    assert [json.loads(line)["instance_id"] for line in text.splitlines()] == [
        instance.instance_id for instance in dataset.instances
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]\n", "rows.jsonl, line 1: is a list, and must be a row"),
        ("{}\n{", "rows.jsonl, line 2: not JSON"),
        (json.dumps(row(log_parser="parse_log_gone")), "line 1 (a__b-1): log_parser"),
    ],
)
def test_rows_that_can_not_be_used_any_more_are_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_kept_rows(text, "rows.jsonl", DEMO, "")

    assert told in str(caught.value)


@pytest.mark.fuzz
@given(st.text(), st.lists(st.text()))
def test_any_text_is_kept_as_it_is(patch: str, tests: list[str]) -> None:
    kept = row(patch=patch.replace("\0", ""), FAIL_TO_PASS=["t", *tests], PASS_TO_PASS=[])
    dataset = dataset_of([kept], None)

    assert answers(read_kept_rows(kept_rows(dataset), "f", DEMO, "")) == answers(dataset)
