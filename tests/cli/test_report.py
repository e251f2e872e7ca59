"""`report`: on the terminal, as a page, and as a file of some form."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import Ended
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.cli.report import ReportFormat
from orchestrator.errors import ConfigError
from orchestrator.paths import RunPaths
from orchestrator.run.cleanup import hold_driver_lock
from orchestrator.run.report_formats import FORMATS

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]


def report(paths: RunPaths, *arguments: str) -> str:
    """What it prints. Raises what it raises."""
    where = ("--runs-dir", str(paths.root.parent))
    result = CliRunner().invoke(app, ["report", paths.run_id, *arguments, *where])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_as_a_page_it_is_written_into_the_runs_folder_and_its_path_is_printed(
    paths: RunPaths,
) -> None:
    printed = report(paths, "--format", "html")

    assert printed == f"{paths.report_html}\n"
    assert paths.report_html.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_as_csv_it_is_a_row_an_instance(paths: RunPaths) -> None:
    rows = list(csv.DictReader(io.StringIO(report(paths, "--format", "csv"))))

    assert len(rows) == 6
    assert {"instance_id", "outcome", "resolved", "cause"} <= rows[0].keys()


def test_as_json_it_is_what_report_json_holds(paths: RunPaths) -> None:
    found = json.loads(report(paths, "--format", "json"))

    assert found == json.loads(report(paths, "--json"))
    assert found["instances"] == 6
    assert found["findings"]


def test_as_markdown_it_is_what_report_md_holds(paths: RunPaths) -> None:
    assert report(paths, "--format", "md").startswith("# night\n")


def test_on_the_terminal_it_writes_the_page_that_it_names(paths: RunPaths) -> None:
    report(paths)

    assert paths.report_html.is_file()


def test_a_persons_own_published_results_stand_beside_it(paths: RunPaths, tmp_path: Path) -> None:
    benchmark = json.loads(report(paths, "--format", "json"))["benchmark"]
    file = tmp_path / "mine.yaml"
    line = "{name: a system of mine, resolved: 3, instances: 6}"
    file.write_text(f"benchmark: {benchmark}\nresults: [{line}]\n")

    report(paths, "--format", "html", "--published", str(file))

    assert "a system of mine" in paths.report_html.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "word"),
    [(None, "none.yaml"), ("results: []\n", "benchmark"), ("benchmark: another\n", "results")],
    ids=["not there", "no benchmark", "no results"],
)
def test_a_file_of_published_results_that_cannot_be_used_is_one_line(
    text: str | None, word: str, paths: RunPaths, tmp_path: Path
) -> None:
    file = tmp_path / "none.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match=word):
        report(paths, "--format", "html", "--published", str(file))


def test_the_page_says_that_files_of_the_run_are_gone(paths: RunPaths) -> None:
    report(paths, "--format", "html")
    whole = paths.report_html.read_text(encoding="utf-8")
    next(paths.root.glob("rollouts/*/*/trajectory.json")).unlink()
    paths.rows.unlink()

    report(paths, "--format", "html")

    page = paths.report_html.read_text(encoding="utf-8")
    for words in ("files of 1 instance are missing", "rows.jsonl of the run is missing"):
        assert words in page
        assert words not in whole


def test_two_forms_at_once_are_refused(paths: RunPaths) -> None:
    with pytest.raises(ConfigError, match="give one"):
        report(paths, "--format", "csv", "--json")


def test_where_the_page_cannot_be_written_the_numbers_are_still_shown(paths: RunPaths) -> None:
    os.mkdir(paths.report_html)  # nobody, root neither, can put a file in its place

    assert "resolved" in report(paths)
    with pytest.raises(ConfigError, match="can't be written"):
        report(paths, "--format", "html")


def test_a_run_that_never_started_has_a_page(say: Say) -> None:
    printed = say("report there --format html --runs-dir {runs}").succeeded()

    assert "Unfinished" in Path(printed.strip()).read_text(encoding="utf-8")


def test_what_help_offers_is_what_there_is() -> None:
    assert [str(form) for form in ReportFormat] == list(FORMATS)


def test_a_run_that_goes_on_is_not_to_be_resumed(paths: RunPaths) -> None:
    with hold_driver_lock(paths):
        printed = report(paths)

    assert "it is still running" in printed
    assert "orchestrator status" in printed
    assert "resume" not in printed


def test_published_results_that_a_form_does_not_show_are_told(
    paths: RunPaths, tmp_path: Path
) -> None:
    benchmark = json.loads(report(paths, "--format", "json"))["benchmark"]
    file = tmp_path / "mine.yaml"
    file.write_text(f"benchmark: {benchmark}\nresults: [{{name: a, resolved: 3, instances: 6}}]\n")
    asked = ["report", "night", "--published", str(file), "--runs-dir", str(paths.root.parent)]

    result = CliRunner().invoke(app, [*asked, "--format", "csv"])

    assert "stands in report.html alone" in result.stderr
    assert "alone" not in result.stdout
