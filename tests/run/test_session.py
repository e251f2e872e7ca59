"""How a run is started and reopened: what is checked, laid out, planned and held. No Ray."""

from __future__ import annotations

import io
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.agents.base import SimpleKind
from orchestrator.backends import Host
from orchestrator.config import RunRequest
from orchestrator.dataset import BUNDLED
from orchestrator.doctor import case as case_module
from orchestrator.endpoint.servers import Servers, Serving
from orchestrator.errors import ConfigError, JournalError, PrerequisiteError
from orchestrator.paths import RunPaths
from orchestrator.run.lock import RunLock
from orchestrator.run.session import reopen, start
from orchestrator.types import Outcome, Prediction, RolloutRecord, RolloutResult

CONSOLE = Console(file=io.StringIO())
ONE, OTHER = "orchard__ledger-12", "orchard__ledger-31"


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """Of the demo in process sandboxes: `request_of("nop", {"rollout.max_steps": 3})`."""

    def make(agent: str = "nop", settings: dict[str, Any] | None = None) -> RunRequest:
        given = {"cluster.sandbox.kind": "process", **(settings or {})}
        return RunRequest(
            "demo", agent=agent, run_id="r", runs_dir=str(tmp_path / "runs"), settings=given
        )

    return make


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "r"


@pytest.mark.slow
def test_a_new_run_has_everything_before_it(request_of: Any, run_dir: Path) -> None:
    with start(request_of(), CONSOLE) as session:
        assert [key.attempt for key in session.plan.rollouts] == [1] * 12
        assert {key.run_id for key in session.plan.rollouts} == {"r"}
        assert session.plan.grades == ()
        assert isinstance(session.agent, SimpleKind)
        assert session.agent.locked_versions == session.lock.versions, "other versions end it"
        assert session.checked.host.kind == session.lock.sandbox.kind == "process"
        assert session.paths.root == run_dir.resolve()

    paths = RunPaths(run_dir)
    assert all(path.is_file() for path in (paths.config, paths.lock, paths.journal))


@pytest.mark.slow
def test_a_run_is_held_while_its_session_lasts(request_of: Any, run_dir: Path) -> None:
    with (
        start(request_of(), CONSOLE),
        pytest.raises(PrerequisiteError, match="run r is live"),
        reopen(run_dir, CONSOLE),
    ):
        pass
    with reopen(run_dir, CONSOLE) as session:
        assert len(session.plan.rollouts) == 12


@pytest.mark.slow
def test_a_second_run_of_that_id_is_refused(request_of: Any) -> None:
    with start(request_of(), CONSOLE):
        pass

    with pytest.raises(ConfigError, match="run 'r' exists"), start(request_of(), CONSOLE):
        pass


@pytest.mark.parametrize(
    ("agent", "settings", "problem"),
    [
        ("mini", {"model.personas.default": "sings"}, "no persona 'sings'"),
        ("mini", {"agent.system_template": "{{"}, "agent.system_template: line 1"),
        ("nop", {"cluster.min_free_disk_gb": 10**9}, "GB free, less than"),
        ("nop", {"cluster.sandbox.kind": "no.such.module:Backend"}, "can't be imported"),
    ],
)
def test_what_is_missing_leaves_no_run_behind(
    request_of: Any, run_dir: Path, agent: str, settings: dict[str, Any], problem: str
) -> None:
    with (
        pytest.raises((ConfigError, PrerequisiteError), match=problem),
        start(request_of(agent, settings), CONSOLE),
    ):
        pass

    assert not RunPaths(run_dir).journal.exists()


@pytest.mark.slow
def test_the_models_server_thinks_about_its_answer_while_the_engine_is_looked_at(
    request_of: Any, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    find_host = case_module.choose_host

    def ask(*_: object) -> Servers:
        asked.set()
        facts = {"canary": {"seconds": 0.1, "thinking": "off"}, "model": {}}
        return Servers((Serving("http://127.0.0.1:9/v1", facts),))

    def look(*given: Any) -> Host:
        assert asked.wait(30), "nobody has asked it yet"
        return find_host(*given)

    monkeypatch.setattr(case_module, "ask_servers", ask)
    monkeypatch.setattr(case_module, "choose_host", look)
    settings = {"model.endpoint.base_url": "http://127.0.0.1:9/v1"}

    with start(request_of("mini", settings), CONSOLE) as session:
        assert len(session.checked.serving) == 1
    asked.clear()
    with reopen(run_dir, CONSOLE) as session:
        assert len(session.checked.serving) == 1


def test_what_fails_before_the_server_does_is_told_first(request_of: Any) -> None:
    settings = {
        "model.endpoint.base_url": "http://127.0.0.1:9/v1",
        "cluster.min_free_disk_gb": 10**9,
    }
    with (
        pytest.raises(PrerequisiteError, match="GB free, less than"),
        start(request_of("mini", settings), CONSOLE),
    ):
        pass


@pytest.mark.slow
def test_a_reopened_run_plans_what_is_left(request_of: Any, run_dir: Path) -> None:
    with start(request_of(), CONSOLE) as session:
        done, *_ = session.plan.rollouts
        record = RolloutRecord(done, Outcome.GAVE_UP)
        session.journal.append_rollout(RolloutResult(record).record)
        patch = session.paths.patch(done)
        patch.parent.mkdir(parents=True)
        patch.write_text("")

    with reopen(run_dir, CONSOLE, workers=3) as session:
        assert len(session.plan.rollouts) == 11
        assert done not in session.plan.rollouts
        assert session.plan.done == 1
        assert session.config.cluster.workers == 3
    with reopen(run_dir, CONSOLE, only_grades=True) as session:
        assert session.plan.is_empty


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_rows_whatever_becomes_of_its_dataset(
    tmp_path: Path, request_of: Any, run_dir: Path
) -> None:
    said = Console(file=io.StringIO(), width=1000)
    shutil.copytree(BUNDLED["smoke"], tmp_path / "repo")
    with start(replace(request_of(), benchmark=str(tmp_path / "repo")), CONSOLE) as session:
        began_with = session.dataset
    (issue,) = tmp_path.glob("repo/tasks/*/problem_statement.md")
    issue.write_text("another issue")

    with reopen(run_dir, said) as session:
        assert session.dataset == began_with
        assert len(session.plan.rollouts) == 1
    assert isinstance(said.file, io.StringIO)
    assert said.file.getvalue() == (
        "the benchmark has changed since; the run goes on with the rows that it began with\n"
    )


@pytest.mark.slow
def test_rows_that_somebody_has_changed_are_refused(request_of: Any, run_dir: Path) -> None:
    with start(request_of(), CONSOLE):
        pass
    kept = run_dir / "rows.jsonl"
    kept.write_text(kept.read_text().replace("orchard", "Orchard"))

    with (
        pytest.raises(JournalError, match=r"rows\.jsonl is not as the run wrote it"),
        reopen(run_dir, CONSOLE),
    ):
        pass


@pytest.mark.slow
def test_a_task_whose_folder_is_gone_is_told_before_anything_starts(
    tmp_path: Path, request_of: Any, run_dir: Path
) -> None:
    tasks = tmp_path / "repo"
    shutil.copytree(BUNDLED["smoke"], tasks)
    with start(replace(request_of(), benchmark=str(tasks)), CONSOLE):
        pass
    shutil.rmtree(tasks)

    with pytest.raises(PrerequisiteError, match="is gone, from which"), reopen(run_dir, CONSOLE):
        pass
    with reopen(run_dir, CONSOLE, only_grades=True) as session:
        assert session.plan.is_empty


@pytest.mark.slow
def test_a_run_of_before_without_rows_of_its_own_needs_its_dataset_as_it_was(
    request_of: Any, run_dir: Path
) -> None:
    with start(request_of(), CONSOLE):
        pass
    (run_dir / "rows.jsonl").unlink()
    with reopen(run_dir, CONSOLE) as session:
        assert len(session.plan.rollouts) == 12
    lock = run_dir / "lock.json"
    lock.write_text(lock.read_text().replace(session.lock.dataset.sha256, "another"))

    with pytest.raises(ConfigError, match="is not the one that it"), reopen(run_dir, CONSOLE):
        pass


@pytest.mark.slow
def test_predictions_are_a_run_of_grades(request_of: Any, run_dir: Path) -> None:
    request = replace(request_of(), agent=None, predictions={"name": "somebody"})
    made = [Prediction(OTHER, "somebody", "a diff\n"), Prediction(ONE, "somebody", "")]

    with start(request, CONSOLE, made) as session:
        assert session.agent is None
        assert session.plan.rollouts == ()
        assert [key.instance_id for key in session.plan.grades] == [OTHER]
        assert session.journal.state().outcomes[ONE].outcome is Outcome.GAVE_UP
        assert session.paths.patch(session.plan.grades[0]).read_text() == "a diff\n"
    with reopen(run_dir, CONSOLE) as session:
        assert [key.instance_id for key in session.plan.grades] == [OTHER]
        assert session.plan.rollouts == ()


def test_predictions_for_other_benchmarks_are_refused(request_of: Any, run_dir: Path) -> None:
    request = replace(request_of(), agent=None, predictions={"name": "somebody"})

    with (
        pytest.raises(ConfigError, match="1 predictions are for instances that 'demo' does not"),
        start(request, CONSOLE, [Prediction("django__django-1", "somebody", "d")]),
    ):
        pass
    assert not run_dir.exists()


@pytest.mark.slow
def test_what_a_dead_session_left_goes_before_the_disk_is_judged(
    request_of: Any, run_dir: Path
) -> None:
    with start(request_of(), CONSOLE):
        pass
    left = run_dir / "scratch" / f"{ONE}.1.abc"
    left.mkdir(parents=True)
    config = run_dir / "run.yaml"
    config.write_text(
        config.read_text().replace("min_free_disk_gb: 0.2", "min_free_disk_gb: 1000000000.0")
    )

    with pytest.raises(PrerequisiteError, match="GB free"), reopen(run_dir, CONSOLE):
        pass
    assert not left.exists()


@pytest.mark.slow
def test_a_change_on_resume_is_kept_and_on_record(request_of: Any, run_dir: Path) -> None:
    with start(request_of(), CONSOLE):
        pass
    with reopen(run_dir, CONSOLE, settings={"cluster.workers": 7}, workers=3) as session:
        assert session.config.cluster.workers == 3, "this time"
        (made,) = session.lock.changes
        assert (made.key, made.before, made.after) == ("cluster.workers", "auto", 7)

    with reopen(run_dir, CONSOLE, settings={"cluster.grading.slots": 2}) as session:
        assert session.config.cluster.workers == 7, "from then on"
        assert [made.key for made in session.lock.changes] == [
            "cluster.workers",
            "cluster.grading.slots",
        ]
    with reopen(run_dir, CONSOLE) as session:
        assert session.config.cluster.grading.slots == 2
        assert len(session.lock.changes) == 2


@pytest.mark.slow
def test_a_change_that_is_refused_or_can_not_be_met_changes_nothing(
    request_of: Any, run_dir: Path
) -> None:
    with start(request_of(), CONSOLE):
        pass
    paths = RunPaths(run_dir)
    before = paths.config.read_bytes(), paths.lock.read_bytes()

    for settings, problem in (
        ({"rollout.max_steps": 1}, "start a new run"),
        ({"cluster.min_free_disk_gb": 10**9}, "GB free"),
    ):
        with (
            pytest.raises((ConfigError, PrerequisiteError), match=problem),
            reopen(run_dir, CONSOLE, settings=settings),
        ):
            pass
        assert (paths.config.read_bytes(), paths.lock.read_bytes()) == before


@pytest.mark.slow
def test_a_session_that_finds_another_harness_keeps_that_in_the_lock(
    request_of: Any, run_dir: Path
) -> None:
    with start(request_of(), CONSOLE) as session:
        older = {**session.lock.versions, "swebench": "4.0"}
        session.lock.model_copy(update={"versions": older}).write(session.paths)

    for _ in range(2):
        with reopen(run_dir, CONSOLE) as session:
            (found,) = session.lock.drifts
        assert found.words.endswith(", and the run began with 4.0")
        assert RunLock.read(RunPaths(run_dir)).drifts == (found,)
