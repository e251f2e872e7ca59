"""The report of a matrix as people read it: the table on the terminal, matrix.md, --dry-run."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console, RenderableType
from support.matrices import EVENING, FAILED, RESOLVED, UNRESOLVED, Played, Table
from support.played_matrix import Bench, PlayedRuns

from orchestrator.config import RunRequest
from orchestrator.config.matrix import Matrix, load_matrix
from orchestrator.errors import ConfigError
from orchestrator.matrix.markdown import headline, p_words, render_matrix
from orchestrator.matrix.preview import make_matrix_preview, render_matrix_preview
from orchestrator.matrix.record import MatrixRecord
from orchestrator.matrix.report import MatrixReport, build_matrix_report
from orchestrator.matrix.view import render_matrix_report
from orchestrator.types import CallCounts


def report_of(table: Table, **more: object) -> MatrixReport:
    matrix = Matrix.model_validate(
        {"name": "m", "benchmark": "smoke", "models": ["m"], "agents": ["a"], **more}
    )
    record = MatrixRecord(matrix_id="m", matrix=matrix, options={}, datasets={}, runs=())
    return build_matrix_report(record, table.runs)


def on_screen(renderable: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def evening() -> MatrixReport:
    table = Table()
    for (model, agent), played in EVENING.items():
        table.add(model, agent, {"lanternhill__tally-1": played})
    return report_of(table)


def test_the_users_first_evening_is_their_table(evening: MatrixReport) -> None:
    lines = [line for line in on_screen(render_matrix_report(evening)).splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]

    assert rows == [
        ["", "openhands", "sweagent"],
        ["gemma", "✗ 41 of 52 calls broken, out of steps", "✓ 9 steps"],
        ["qwen", "✓ 9 steps, 1 of 9 calls broken", "✓ ⚠ salvaged: never submitted"],
    ]


def test_the_first_evening_fits_a_terminal_of_80_columns(evening: MatrixReport) -> None:
    shown = on_screen(render_matrix_report(evening), width=80)

    assert "41 of 52" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_table_says_where_the_same_model_did_well_and_who_finds_out_why(
    evening: MatrixReport,
) -> None:
    line = (
        "gemma by openhands: 41 of 52 calls broken, 0/1 resolved; by sweagent: 1/1 resolved. "
        "`python -m orchestrator diagnose --model gemma` finds out whether the model, its server "
        "or the framework is to blame."
    )

    assert line in on_screen(render_matrix_report(evening), width=400)
    text = render_matrix(evening)
    assert f"> {line}" in text.replace("\\`", "`")
    assert "qwen by openhands" not in text, "one slip, and resolved"
    assert "| 41 of 52 calls broken: 30 missing parameters, 11 unknown tool |" in text
    assert "[1](../m.gemma.openhands.1/report.html)" in text


def test_a_model_that_does_no_better_by_any_agent_has_no_such_line() -> None:
    table = Table()
    for agent in ("openhands", "openhands-text"):
        broken = Played(resolved=False, calls=CallCounts(9, {"missing parameters": 9}))
        table.add("gemma", agent, [broken] * 2)
    table.add("gemma", "mini", [UNRESOLVED] * 2)
    table.add("qwen", "mini", [RESOLVED] * 2)

    assert "diagnose" not in render_matrix(report_of(table))


def test_one_instance_can_not_tell_cells_apart_and_the_table_says_so(
    evening: MatrixReport,
) -> None:
    assert "can't tell cells apart" in on_screen(render_matrix_report(evening))
    assert "can't tell cells apart" in render_matrix(evening)


@pytest.fixture
def large() -> MatrixReport:
    table = Table()
    table.add("g", "a", [RESOLVED] * 20 + [UNRESOLVED] * 20)
    table.add("g", "b", [UNRESOLVED] * 30 + [RESOLVED] * 10)
    table.add("q", "a", [RESOLVED] * 39 + [FAILED])
    table.add("q", "b", None, problem="qwen stayed away")
    return report_of(table, description="A night.")


def test_many_instances_show_rates_and_what_differs_first(large: MatrixReport) -> None:
    shown = on_screen(render_matrix_report(large))

    assert "50% (35% to 65%)" in shown
    assert "⚠ 1 without a verdict: 1 x the worker was lost" in shown
    assert "· qwen stayed away" in shown
    pairs = [line for line in shown.splitlines() if "against" in line]
    assert pairs[0].split()[:4] == ["g", "against", "q", "a"], "the smallest p-value is first"
    assert "2 pairs left out: a run of theirs never started." in shown


def test_the_file_for_people_has_all_of_it(large: MatrixReport) -> None:
    text = render_matrix(large)

    assert text.startswith(
        "# m\n\nA night.\n\n**2 of 4 cells done in 1 h 00 min; 2 not valid yet**"
    )
    assert "| **g** | 50% (35% to 65%)<br>20/40 resolved |" in text
    assert "![every instance in every cell](grid.svg)" in text
    assert "can't tell cells apart" not in text
    assert "no: 1 without a verdict: 1 x the worker was lost" in text
    row = next(line for line in text.splitlines() if line.startswith("| g against q | a |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:5] == ["39", "1", "0 / 19"]
    assert "| org__box-40 |" in text
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_attempts_say_how_they_are_counted() -> None:
    table = Table()
    for attempt in (1, 2):
        table.add("m", "a", [RESOLVED, UNRESOLVED], attempt=attempt)
        table.add("m", "b", [UNRESOLVED, UNRESOLVED], attempt=attempt)
    text = render_matrix(report_of(table, attempts=2))

    assert "Rates are means over 2 attempts" in text
    assert "better is who resolved it in more of its attempts" in text
    assert "(2 of 2" not in text
    assert "| pass@2 | `██████████░░░░░░░░░░` | 50.0% (" in text
    assert "none of 2 instances flipped" in text


def test_several_benchmarks_have_a_table_each() -> None:
    table = Table()
    table.add("m", "a", [RESOLVED], benchmark="smoke")
    table.add("m", "a", [UNRESOLVED] * 3, benchmark="demo")
    report = report_of(table)

    assert on_screen(render_matrix_report(report)).count("╭") == 2
    assert render_matrix(report).count("| | a |") == 2


@pytest.mark.parametrize("odd", ["a|b", "<b>", "[red]x", ":smile:", "x\x1b[2J", "日本語", "`x`"])
def test_odd_names_stay_in_their_cells(odd: str) -> None:
    table = Table()
    table.add(odd, odd, {odd: RESOLVED})
    report = report_of(table)

    shown = on_screen(render_matrix_report(report))
    assert "\x1b" not in shown
    assert odd.split("\x1b", maxsplit=1)[0] in shown
    columns = {
        len(re.findall(r"(?<!\\)\|", line))
        for line in render_matrix(report).splitlines()
        if line.startswith("| **")
    }
    assert columns == {3}


@pytest.mark.parametrize(
    ("p", "words"),
    [(None, ""), (1.0, "1.00"), (0.049, "0.049"), (0.0031, "0.0031"), (1e-9, "<0.0001")],
)
def test_small_p_values_keep_their_digits(p: float | None, words: str) -> None:
    assert p_words(p) == words


def test_what_is_written_as_json_is_json(large: MatrixReport) -> None:
    written = json.loads(json.dumps(large.as_dict()))

    assert written["cells"][0]["rate"] == 0.5
    assert written["pairs"]["compared"][0]["p_holm"] is not None
    assert written["valid"] is False
    assert headline(large).startswith("2 of 4 cells done")


@pytest.mark.slow
def test_a_dry_run_shows_cells_order_and_hours_and_starts_nothing(
    bench: Bench, played: PlayedRuns
) -> None:
    file = bench.write(
        "benchmarks: [smoke, demo]\nmodels: [scripted, demo]\nagents: [mini, gold]\n"
        "selection: {slice: '0:1'}\n"
    )
    settings = {"cluster.sandbox.kind": "process"}
    options = RunRequest("", runs_dir=str(bench.folder / "runs"), settings=settings)

    preview = make_matrix_preview(load_matrix(str(file)), "m", options)

    shown = on_screen(render_matrix_preview(preview), width=300)
    assert "│ smoke.scripted.mini │" in shown
    assert "together: smoke.scripted.mini, smoke.gold, smoke.demo.mini, demo.scripted.mini" in shown
    assert "for 6 runs" in shown
    found = preview.as_dict()
    assert [len(group) for turn in found["turns"] for group in turn["groups"]] == [3, 3]
    assert {run["instances"] for run in found["runs"]} == {1}
    assert found["problems"] == []
    assert found["estimate"]["wall_s"] > 0
    assert json.dumps(found)
    assert not (bench.folder / "runs").exists()
    assert played.groups == []


def test_a_dry_run_says_what_the_matrix_would_stop_at(bench: Bench) -> None:
    file = bench.write("benchmark: smoke\nmodels: [scripted, qwen3.5-35b]\nagents: [mini]\n")
    settings = {"cluster.sandbox.kind": "process"}
    options = RunRequest("", runs_dir=str(bench.folder / "runs"), settings=settings)

    preview = make_matrix_preview(load_matrix(str(file)), "m", options)

    (problem,) = preview.problems
    assert "models/qwen3.5-35b.yaml:4" in problem, "the address is a placeholder still"
    assert "matrix would stop: qwen3.5-35b: no server yet" in on_screen(
        render_matrix_preview(preview), width=500
    )


def test_models_without_servers_are_told_at_once_and_no_address_is_meant_for_all(
    bench: Bench,
) -> None:
    file = bench.write("benchmark: smoke\nmodels: [gemma-4-26b, qwen3.5-35b]\nagents: [mini]\n")
    options = RunRequest("", settings={"cluster.sandbox.kind": "process"})

    (problem,) = make_matrix_preview(load_matrix(str(file)), "m", options).problems

    assert problem.startswith("gemma-4-26b and qwen3.5-35b: no server yet")
    assert "models/gemma-4-26b.yaml:4 and " in problem
    assert "set_for: {gemma-4-26b: {model.endpoint.base_url: http://HOST:PORT/v1}}" in problem
    assert "--set" not in problem


def test_a_dry_run_cuts_no_run_at_80_columns(bench: Bench) -> None:
    file = bench.write(
        "benchmark: smoke\nmodels: [scripted-gemma]\nagents: [mini, nop]\nattempts: 2\n"
    )
    options = RunRequest("", settings={"cluster.sandbox.kind": "process"})
    preview = make_matrix_preview(load_matrix(str(file)), f"evening-{'n' * 40}", options)

    shown = on_screen(render_matrix_preview(preview), width=80)

    assert "│ scripted-gemma.mini.1 │" in shown
    assert "│ scripted-gemma.mini.2 │" in shown


def test_a_dry_run_of_a_matrix_that_is_wrong_is_one_line(bench: Bench) -> None:
    file = bench.write("benchmark: smoke\nmodels: [scripted]\nagents: [mini]\nset: {x: 1}\n")

    with pytest.raises(ConfigError, match="unknown key 'x'"):
        make_matrix_preview(load_matrix(str(file)), "m", RunRequest("", runs_dir=str(bench.folder)))
