"""What others have published stands beside a run's own number, and a bad file is one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.published import REAL_RESULTS, made_up, write_made_up

from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import Benchmark
from orchestrator.errors import ConfigError
from orchestrator.report.published import PublishedFile, is_of, published_for, read_published


def benchmark(name: str) -> Benchmark:
    return load_config(RunRequest(name, agent="gold")).benchmark


@pytest.mark.parametrize(("name", "instances"), [("lite", 300), ("verified", 500)])
def test_a_run_of_a_known_benchmark_has_something_to_stand_beside(
    name: str, instances: int
) -> None:
    found = published_for(benchmark(name))

    assert len(found) >= 5
    assert {each.instances for each in found} == {instances}
    assert all(each.source and 0 < each.resolved < each.instances for each in found)


@pytest.mark.parametrize("name", ["demo", "smoke", "full", "lite-dev"])
def test_a_benchmark_that_nobody_published_on_has_nothing_beside_it(name: str) -> None:
    assert published_for(benchmark(name)) == ()


def test_a_persons_own_file_stands_first_and_takes_the_place_of_one_of_its_name(
    tmp_path: Path,
) -> None:
    shipped = published_for(benchmark("lite"))
    file = tmp_path / "mine.yaml"
    file.write_text(
        "benchmark: lite\nresults:\n"
        "  - {name: ours of May, resolved: 120, instances: 300, source: us, date: 2026-05}\n"
        f"  - {{name: '{shipped[0].name}', resolved: 1, instances: 300}}\n",
        encoding="utf-8",
    )

    found = published_for(benchmark("lite"), file)

    assert (found[0].name, found[0].resolved, found[0].date) == ("ours of May", 120, "2026-05")
    assert [each.resolved for each in found if each.name == shipped[0].name] == [1]
    assert len(found) == len(shipped) + 1


def test_a_persons_own_profile_of_results_is_found_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "ours.yaml").write_text(
        "benchmark: SWE-bench_Lite\nresults: [{name: ours, resolved: 3, instances: 300}]\n",
        encoding="utf-8",
    )

    found = published_for(benchmark("lite"), config_dirs=(tmp_path,))

    assert "ours" in [each.name for each in found]


def test_a_file_of_resolved_ids_is_read_with_its_ids(tmp_path: Path) -> None:
    found = read_published(write_made_up(tmp_path))

    assert found.benchmark == "SWE-bench_Lite"
    for each in found.results:
        assert each.ids is not None
        assert (each.resolved, each.instances) == (len(each.ids), 60)
    assert found.named("system-2") == found.results[2]


@pytest.mark.skipif(not REAL_RESULTS.exists(), reason="the real published results are not here")
def test_the_ten_published_systems_are_read() -> None:
    found = published_for(benchmark("lite"), REAL_RESULTS)

    assert [each.name for each in found if each.ids is not None].count("20240604_CodeR") == 1
    assert sum(each.ids is not None for each in found) == 10


def test_results_of_another_benchmark_are_refused_with_both_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"are of SWE-bench_Lite, and this benchmark is verified"):
        published_for(benchmark("verified"), write_made_up(tmp_path))


@pytest.mark.parametrize(
    ("name", "benchmark_name"),
    [
        ("lite", "lite"),
        ("SWE-bench_Lite", "lite"),
        ("swe-bench/swe-bench_lite", "lite"),
        ("SWE-bench_Lite-test.parquet", "lite"),
        ("SWE-bench_Verified", "verified"),
    ],
)
def test_a_benchmark_is_known_by_all_of_its_names(name: str, benchmark_name: str) -> None:
    file = PublishedFile(Path("x"), name, "test", ())
    assert is_of(file, benchmark(benchmark_name))
    assert not is_of(file, benchmark("smoke"))
    assert not is_of(replace(file, split="dev"), benchmark(benchmark_name))


def changed(**changes: Any) -> str:
    return json.dumps(made_up() | changes)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.json", "[]", "a list, and must be an object with benchmark"),
        ("a.json", "{", "not JSON"),
        ("a.json", "", "empty"),
        ("a.json", "{}", "benchmark"),
        ("a.json", changed(systems={}), "systems"),
        ("a.json", changed(instances=0), "instances"),
        ("a.json", changed(instances=3), "resolved of 3"),
        ("a.json", changed(systems={"a": ["x", "x"]}), "x stands there twice"),
        ("a.json", changed(systems={"a": [1]}), "systems.a.0"),
        ("a.json", changed(more=1), "more"),
        ("a.yaml", "benchmark: lite\n", "results"),
        ("a.yaml", "benchmark: lite\nresults: [{name: a, resolved: 4, instances: 3}]", "4 resol"),
        ("a.yaml", "benchmark: lite\nresults: [{name: a, resolved: -1, instances: 3}]", "resolved"),
        (
            "a.yaml",
            "benchmark: l\nresults: [{name: a, resolved: 1, instances: 3}, "
            "{name: a, resolved: 2, instances: 3}]",
            "'a' stands there twice",
        ),
    ],
)
def test_a_file_that_is_no_results_is_one_line_with_file_and_key(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        read_published(path)

    assert problem in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_system_that_is_not_in_it_are_one_line(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_published(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="did you mean 'system-1'"):
        read_published(write_made_up(tmp_path)).named("sytem-1")
