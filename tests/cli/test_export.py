"""`export`: where it goes, what it prints, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.old_run import lay_out_old_run
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import ConfigError, JournalError, PrerequisiteError
from orchestrator.paths import RunPaths
from orchestrator.run.cleanup import hold_driver_lock
from orchestrator.run.export import export_run

pytestmark = pytest.mark.slow


def export(paths: RunPaths, *arguments: str) -> str:
    result = CliRunner().invoke(
        app, ["export", "night", *arguments, "--runs-dir", str(paths.root.parent)]
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("predictions", {"predictions.jsonl"}),
        ("submission", {"20261120_mini-made-up"}),
        ("parquet", {"rollouts.parquet", "requests.parquet"}),
        ("csv", {"rollouts.csv", "requests.csv"}),
    ],
)
def test_an_export_lies_in_the_runs_folder_and_replaces_the_last_one(
    paths: RunPaths, kind: str, names: set[str]
) -> None:
    for _ in range(2):
        output = export(paths, kind)

        assert {path.name for path in paths.export(kind).iterdir()} == names
        assert str(paths.export(kind)) in output
        (paths.export(kind) / "stale").touch()


def test_an_export_goes_where_it_is_told(paths: RunPaths, tmp_path: Path) -> None:
    done = json.loads(export(paths, "atif", "--to", str(tmp_path / "new" / "folder"), "--json"))

    assert done["path"] == str(tmp_path / "new" / "folder")
    assert done["count"] == "6 trajectories"
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 6


def test_a_submission_prints_what_it_lacks_one_line_each(paths: RunPaths) -> None:
    lines = export(paths, "submission", "--authors", "me", "--open-model").splitlines()

    missing = [line for line in lines if line.startswith("missing: ")]
    assert "missing: metadata.yaml: the organization (--org)" in missing
    assert not [line for line in missing if "--authors" in line or "--open-model" in line]


def _full(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine").touch()


def _file(folder: Path) -> None:
    folder.touch()


def _dangling(folder: Path) -> None:
    folder.symlink_to(folder / "nowhere")


@pytest.mark.parametrize("make", [_full, _file, _dangling])
def test_nothing_of_somebody_elses_is_written_over(
    paths: RunPaths, tmp_path: Path, make: object
) -> None:
    folder = tmp_path / "taken"
    assert callable(make)
    make(folder)

    with pytest.raises(ConfigError, match=f"--to {folder} is"):
        export(paths, "csv", "--to", str(folder))


def test_a_folder_that_cannot_be_made_is_one_line(paths: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"file.*--to names another folder"):
        export(paths, "csv", "--to", str(tmp_path / "file" / "below"))


@pytest.mark.parametrize(
    ("kind", "named"),
    [("prediction", "mean 'predictions'"), ("Parquet", "mean 'parquet'"), ("", "known: pred")],
)
def test_an_unknown_kind_names_those_there_are(paths: RunPaths, kind: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown export '{kind}'; .*{named}"):
        export(paths, kind)


def test_a_patch_that_is_gone_is_never_exported_as_an_empty_one(paths: RunPaths) -> None:
    next(paths.root.glob("rollouts/*/*/patch.diff")).unlink()

    with pytest.raises(JournalError, match=r"patch\.diff can't be read"):
        export(paths, "predictions")


@pytest.mark.parametrize("kind", ["predictions", "submission", "atif", "parquet", "csv"])
def test_a_run_of_version_0_1_whose_files_are_gone_is_exported_as_far_as_it_goes(
    tmp_path: Path, kind: str
) -> None:
    done = export_run(RunPaths(lay_out_old_run(tmp_path)), kind)

    assert done.path.exists()
    assert done.count.startswith(("4 predictions", "4 trajectories", "6 rollouts"))
    assert len(done.missing) < 30


def test_an_export_of_a_run_that_goes_on_says_so(paths: RunPaths) -> None:
    with hold_driver_lock(paths):
        assert "night is still running" in export(paths, "csv")
    assert "still running" not in export(paths, "csv")


def test_what_only_a_submission_takes_is_said_where_it_is_ignored(paths: RunPaths) -> None:
    assert "are of a submission: csv has no place" in export(paths, "csv", "--authors", "me")
    assert "has no place" not in export(paths, "submission", "--authors", "me")


def test_a_library_that_is_missing_leaves_no_folder_behind(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)

    with pytest.raises(PrerequisiteError):
        export(paths, "inspect")
    assert not paths.export("inspect").exists()


def test_an_export_that_can_not_be_made_keeps_the_last_one(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    last = paths.export("inspect") / "night.eval"
    last.parent.mkdir(parents=True)
    last.write_text("the last one")

    for to in (None, paths.root.parent / "new"):
        with pytest.raises(PrerequisiteError, match="Inspect"):
            export_run(paths, "inspect", to)

    assert last.read_text() == "the last one"
    assert not (paths.root.parent / "new").exists()


def test_rows_that_are_gone_with_their_benchmark_are_to_be_put_back(paths: RunPaths) -> None:
    paths.rows.unlink()

    with pytest.raises(ConfigError, match=r"no rows\.jsonl any more.*put .*rows\.jsonl back"):
        export_run(paths, "csv")


def test_a_folder_without_its_configuration_is_named_as_no_run(paths: RunPaths) -> None:
    paths.config.unlink()

    with pytest.raises(ConfigError, match=r"night is no run: it has no run\.yaml"):
        export(paths, "csv")
