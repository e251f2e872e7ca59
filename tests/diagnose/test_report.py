"""What a diagnosis leaves: files that people send along, a table, and an exit code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from support import played_model as plays
from support.played_model import Persona, played

from orchestrator.diagnose.examples import Example, clear, collect, require_folder, save
from orchestrator.diagnose.judge import Answered, Judgement, Kind
from orchestrator.diagnose.levels import CallLevel, Judged, LevelCell, make_plan
from orchestrator.diagnose.report import DiagnosisReport
from orchestrator.diagnose.view import cell_line, live_line, opening, render
from orchestrator.errors import ConfigError
from orchestrator.scripted.protocols import Protocol

pytestmark = pytest.mark.slow

Diagnose = Callable[..., DiagnosisReport]


def one_example(answer: object, words: str = "", kind: Kind = Kind.NO_ANSWER) -> Example:
    request = {"messages": [{"role": "user", "content": "Find it.\x1b[2J\nNow."}]}
    judged = Judged(0, 1, Answered(request, 200, answer, words), Judgement(kind, "why"))
    return Example(LevelCell(CallLevel.ONE, Protocol.CALLS, 1, [judged]), judged)


def test_one_example_of_each_failure_is_kept_with_its_request_and_answer(
    diagnose: Diagnose,
) -> None:
    report = diagnose(plays.fails_seldom(plays.talks, 0.2))

    files = {path.name: json.loads(path.read_text()) for path in report.folder.iterdir()}

    bad = [cell for cell in report.cells if cell.failures]
    assert set(files) == {f"{cell.level.value}-{cell.protocol}-no-call.json" for cell in bad}
    for example in files.values():
        assert example["request"]["messages"]
        assert example["answer"]["choices"][0]["message"]["content"].startswith("I would now")


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": "half \ud83d and \0"}}]},
        {"choices": []},
        ["no", "answer"],
        None,
    ],
)
def test_whatever_came_is_kept_and_shown_in_lines(answer: object, tmp_path: Path) -> None:
    example = one_example(answer, "the answer is no JSON: \x1b[31m<html>\nLog in")
    save([example], tmp_path)

    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_text())["kind"] == "no answer"
    assert all(line.isprintable() for line in example.lines())
    assert len(example.lines()) == 3


def test_nothing_that_went_well_is_kept(diagnose: Diagnose) -> None:
    report = diagnose()

    assert collect(report.cells) == []
    assert report.as_dict()["examples"] is None


def test_a_folder_that_takes_no_files_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--save"):
        require_folder(tmp_path / "file")

    require_folder(tmp_path / "new" / "one")
    assert list((tmp_path / "new" / "one").iterdir()) == []


def test_examples_of_an_earlier_diagnosis_go_from_the_cache_and_nothing_else(
    tmp_path: Path,
) -> None:
    save([one_example(None)], tmp_path)
    (tmp_path / "notes.txt").write_text("mine")

    clear(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


FAULTS: tuple[Persona, ...] = (
    plays.drops_in_long_loops,
    plays.pads_in_company,
    plays.leaves_raw("gemma4"),
    plays.is_swallowed,
    plays.refuses_tools,
    plays.fails_always,
    plays.fails_seldom(plays.talks, 0.25),
)


@pytest.mark.parametrize("persona", FAULTS)
def test_the_table_and_the_verdict_are_for_people(persona: Persona, diagnose: Diagnose) -> None:
    report = diagnose(persona, context=4096)
    file = io.StringIO()
    console = Console(width=80, file=file)
    console.print(opening(report.model, report.plan))
    console.print(render(report))
    text = file.getvalue()

    assert report.verdict.headline.split()[0] in text
    assert "To mend it: " in text
    assert text.count("To mend it: ") == len(report.verdict.causes)
    assert "note: the context is small" in text
    # a folder's name may be as long as it is
    lines = [line for line in text.splitlines() if "/" not in line]
    assert max(map(len, lines)) <= 80


def test_json_has_a_row_a_cell_and_the_tables_words(diagnose: Diagnose) -> None:
    found = json.loads(json.dumps(diagnose(plays.drops_in_long_loops).as_dict()))

    loop = found["cells"][8]
    assert loop == {
        "level": 3,
        "at_once": 1,
        "protocol": "function_calling",
        "state": "fails",
        "valid": 6,
        "judged": 12,
        "failures": {"missing parameters": 6},
        "skipped": "",
    }
    assert found["verdict"]["causes"][0]["blame"] == "the framework"
    assert found["interrupted"] is False


def test_progress_is_a_line_a_cell() -> None:
    cell = one_example(None).cell

    assert cell_line(cell) == "level 1, 1 at once, function calling: - 1 no answer"
    assert live_line(cell) == (
        "level 1, function calling, 1 at once: 1 answer, 1 of them not valid"
    )


def test_what_is_ahead_is_said_first() -> None:
    model = played(max_concurrency=8)
    said = opening(model, make_plan(32768, 4.0, model, 10, 1200))

    assert "played at http://127.0.0.1:1/v1, a context of 32,768 tokens" in said
    assert "about 320 answers at three levels in 4 protocols, for 20 min" in said
    assert "sweagent-tools (function calling), sweagent (fenced text), sweagent-xml" in said
    assert "small" not in said


@pytest.mark.parametrize(
    ("persona", "is_well"), [(plays.good, True), (plays.fails_seldom(plays.talks, 0.05), False)]
)
def test_a_model_without_a_fault_is_told_so(
    persona: Persona, is_well: bool, diagnose: Diagnose
) -> None:
    file = io.StringIO()
    Console(width=80, file=file).print(render(diagnose(persona)))

    assert ("Nothing went wrong" in file.getvalue()) is is_well
