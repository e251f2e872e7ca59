"""A session of a matrix, from its file or its record to its report; everything else serves it.

Each run is started or reopened when its turn has come, as `launch` and `resume` do it, and those of
a group go on together. What keeps one run from starting costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.config import RunConfig, RunRequest
from orchestrator.config.matrix import Matrix, MatrixFile
from orchestrator.dataset import Dataset
from orchestrator.display.terminal import print_line, waiting
from orchestrator.doctor.case import Case
from orchestrator.errors import (
    EXIT_DONE,
    EXIT_FAILURES_LEFT,
    EXIT_INTERRUPTED,
    JournalError,
    OrchestratorError,
    PrerequisiteError,
)
from orchestrator.file_locks import Locked, hold_lock
from orchestrator.journal import RunState, read_journal
from orchestrator.matrix.cells import CellRun, choose_matrix_id, plan_runs
from orchestrator.matrix.check import (
    check_runs,
    load_datasets,
    reopen_datasets,
    require_new_matrix,
)
from orchestrator.matrix.read import load_cell_config, read_report, write_report
from orchestrator.matrix.record import MatrixRecord
from orchestrator.matrix.report import MatrixReport
from orchestrator.matrix.servers import Answers, ask_models, wait_for
from orchestrator.matrix.switch import run_switch, switch_command
from orchestrator.matrix.turns import ModelTurn, make_turns, models_of
from orchestrator.paths import MatrixPaths
from orchestrator.report.words import counted
from orchestrator.run.begun import Begun
from orchestrator.run.ready import Session
from orchestrator.run.session import begin, reopen, run_sessions


@dataclass(frozen=True)
class MatrixFinished:
    """How a session of a matrix ended."""

    report: MatrixReport
    paths: MatrixPaths
    exit_code: int


def launch_matrix(
    file: MatrixFile, matrix_id: str | None, options: RunRequest, console: Console
) -> MatrixFinished:
    """Start a new matrix and take it to its report.

    Raises:
        ConfigError: a profile or an option is wrong, or a matrix of that id exists.
        PrerequisiteError: something is missing, be it for the last run of all.
        JournalError: the record can't be written.
    """
    matrix_id = choose_matrix_id(matrix_id, file.matrix)
    planned = plan_runs(file, matrix_id, options)
    runs = tuple(one.run for one in planned)
    paths = MatrixPaths.of(options.runs_dir, matrix_id)
    require_new_matrix(paths, runs)
    with waiting(console, "checking what the cells need"):
        datasets = load_datasets(runs)
        check_runs(runs, datasets, paths, {one.run.run_id: one.request for one in planned})
    with waiting(console, "asking the models' servers"):
        answers = ask_models(runs)
    require_servers(file.matrix, runs, answers)
    record = MatrixRecord(
        matrix_id=matrix_id,
        matrix=file.matrix,
        options={"cluster": options.cluster, **options.settings},
        datasets={benchmark: dataset.sha256 for benchmark, dataset in datasets.items()},
        runs=runs,
    )
    with _hold(paths):
        record.write(paths)
        return _Night(record, paths, console, datasets).go(runs, answers)


def resume_matrix(
    root: Path,
    console: Console,
    *,
    workers: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> MatrixFinished:
    """Go on with all runs of a matrix; those that never started are started.

    `workers` is for this session alone; `settings`, by dotted key, are kept. Its file is not read.

    Raises: as `launch_matrix`.
    """
    paths = MatrixPaths(root.resolve())
    record = MatrixRecord.read(paths)
    with _hold(paths):
        if settings:
            record = record.with_settings(settings)
            record.write(paths)
        left = tuple(run for run in record.runs if is_left(run, paths))
        datasets = reopen_datasets(record, left, paths)
        with waiting(console, "checking what the cells need"):
            check_runs(left, datasets, paths)
        with waiting(console, "asking the models' servers"):
            answers = ask_models([run for run in left if needs_model(run, paths)])
        night = _Night(record, paths, console, datasets, workers, settings or {})
        return night.go(left, answers)


def is_left(run: CellRun, paths: MatrixPaths) -> bool:
    """Whether anything is to be done for it, or its journal is to be mended."""
    state = _state_of(run, paths)
    return state is None or bool(state.unfinished)


def needs_model(run: CellRun, paths: MatrixPaths) -> bool:
    """Whether rollouts are left, and not grades alone."""
    state = _state_of(run, paths)
    return state is None or bool(state.unfinished - state.outcomes.keys())


def _state_of(run: CellRun, paths: MatrixPaths) -> RunState | None:
    """None of a run that never started, or whose journal can't be read: that is told when it is
    reopened, and no other run suffers from it."""
    journal = paths.run(run.run_id).journal
    try:
        return read_journal(journal) if journal.exists() else None
    except JournalError:
        return None


def require_servers(matrix: Matrix, runs: Sequence[CellRun], answers: Answers) -> None:
    """Raises PrerequisiteError where models are not served and nobody would serve them at night."""
    if not answers.absent or matrix.switch is not None:
        return
    some = any(run.model not in answers.absent for run in runs)
    if matrix.served == "in_turn" and some:
        return
    names = ", ".join(answers.absent)
    first = next(iter(answers.absent.values()))
    raise PrerequisiteError(
        f"{names}: not served now, of {counted(len(models_of(runs)), 'model')} that the matrix "
        f"needs a server for ({first.what.rstrip('.')}).",
        "Start them all; or, where the GPU holds one at a time, write `switch: COMMAND` into the "
        "matrix, such as `python -m orchestrator serve {model} --host HOST --up`.",
    )


def order_turns(matrix: Matrix, runs: Sequence[CellRun], answers: Answers) -> tuple[ModelTurn, ...]:
    in_turn = set(models_of(runs)) if matrix.served == "in_turn" else set()
    return make_turns(runs, answers.absent, in_turn | answers.taking_turns(runs))


def turn_lines(matrix_id: str, turns: Sequence[ModelTurn]) -> Iterator[str]:
    """Which runs go together, in their order."""
    for number, turn in enumerate(turns, start=1):
        model = f"{turn.model} in its turn: " if turn.model else "together: "
        ids = ", ".join(run.run_id.removeprefix(f"{matrix_id}.") for run in turn.runs)
        yield f"{number}. {model}{ids}" if len(turns) > 1 else f"{model}{ids}"


@contextmanager
def _hold(paths: MatrixPaths) -> Iterator[None]:
    """Be the only session of the matrix. Raises PrerequisiteError."""
    try:
        paths.root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(hold_lock(paths.driver_lock))
            yield
    except Locked as error:
        raise PrerequisiteError(
            f"matrix {paths.matrix_id} is live (driver {error.holder or 'unknown'}).",
            "Wait for it, or stop it with Ctrl-C where it runs.",
        ) from None


@dataclass
class _Night:
    record: MatrixRecord
    paths: MatrixPaths
    console: Console
    datasets: Mapping[str, Dataset]
    workers: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """By run: why it could not start in its turn."""
    is_interrupted: bool = False

    def go(self, runs: Sequence[CellRun], answers: Answers) -> MatrixFinished:
        """Run all that these have left, and write the report, however it ends."""
        turns = order_turns(self.record.matrix, runs, answers)
        self._announce(runs, turns, answers)
        try:
            for turn in turns:
                self._take(turn, answers)
        except KeyboardInterrupt:  # before anything ran, or while a model was waited for
            self.is_interrupted = True
        with waiting(self.console, "writing the report of all cells"):
            report = read_report(self.record, self.paths, self.problems)
            write_report(report, self.paths)
        code = EXIT_DONE if report.valid else EXIT_FAILURES_LEFT
        return MatrixFinished(report, self.paths, EXIT_INTERRUPTED if self.is_interrupted else code)

    def _announce(
        self, runs: Sequence[CellRun], turns: Sequence[ModelTurn], answers: Answers
    ) -> None:
        done = len(self.record.runs) - len(runs)
        before = f", {done} done before" if done else ""
        self._say(
            f"{self.record.matrix_id}: {counted(len(self.record.runs), 'run')}{before}; the report "
            f"of all goes to {self.paths.report_md}"
        )
        for line in turn_lines(self.record.matrix_id, turns):
            self._say(line)
        if self.record.matrix.switch is None:
            for model, error in answers.absent.items():
                self._say(
                    f"{model} is not served ({error.what.rstrip('.')}), and there is no `switch`: "
                    f"its runs are left for `resume {self.record.matrix_id}`",
                    "yellow",
                )

    def _take(self, turn: ModelTurn, answers: Answers) -> None:
        """One turn: the model that it is for, then its groups."""
        if self.is_interrupted:
            return
        if turn.model is not None:
            answers = self._bring_up(turn)
            if turn.model in answers.absent:
                for run in turn.runs:
                    self._leave(run, f"{turn.model}: {answers.absent[turn.model]}")
                return
        for group in turn.groups:
            if not self.is_interrupted:
                self._run_group(group, answers)

    def _bring_up(self, turn: ModelTurn) -> Answers:
        """Have the turn's model served; what its servers say then."""
        matrix, model = self.record.matrix, turn.model
        assert model is not None, "this turn is a model's"
        runs = [run for run in turn.runs if needs_model(run, self.paths)]
        answers = ask_models(runs)
        if not answers.absent or matrix.switch is None:
            return answers
        self._say(f"{model}: its turn has come; switch")
        others = [name for name in models_of(self.record.runs) if name != model]
        command = switch_command(matrix.switch, model, others)
        problem = run_switch(command, matrix.switch_limit_s, lambda line: self._say(f"  {line}"))
        if problem:
            return Answers(absent={model: PrerequisiteError(f"{problem}.")})
        with waiting(self.console, f"waiting for {model}"):
            return wait_for(runs, matrix.served_within_s)

    def _run_group(self, runs: Sequence[CellRun], answers: Answers) -> None:
        """Run what some runs have left, all together. What ends them early is told, and the next
        group begins."""
        name = self.record.matrix_id
        try:
            with ExitStack() as stack:
                # first what never started: then the others know which images it needs
                runs = sorted(runs, key=lambda run: self.paths.run(run.run_id).journal.exists())
                begun = stack.enter_context(Begun().begin(*(self._now(r.config) for r in runs)))
                opened = (self._open(run, runs, answers, begun, stack) for run in runs)
                sessions = [session for session in opened if session is not None]
                for finished in run_sessions(sessions, self.console, name) if sessions else ():
                    self.is_interrupted |= finished.exit_code == EXIT_INTERRUPTED
        except OrchestratorError as error:
            self._say(f"{runs[0].benchmark}: {error}", "bold red")

    def _open(
        self,
        run: CellRun,
        group: Sequence[CellRun],
        answers: Answers,
        begun: Begun,
        stack: ExitStack,
    ) -> Session | None:
        """Start a run of a group, or reopen it; None where that can't be."""
        paths, servers = self.paths.run(run.run_id), answers.found.get(run.run_id)
        known: dict[str, Any] = {"servers": servers} if servers is not None else {}
        try:
            if paths.journal.exists():
                load_cell_config(run, paths)
                return stack.enter_context(
                    reopen(
                        paths.root,
                        self.console,
                        workers=self.workers,
                        settings=run.cell.settings(self.settings),
                        known=known,
                        together_with=self._readable(group),
                        begun=begun,
                    )
                )
            known["dataset"] = self.datasets[run.benchmark]
            # the folder of all runs may have been moved
            kept = run.config.model_copy(update={"runs_dir": str(paths.root.parent)})
            case = Case(self._now(kept), paths.root, None, **known)
            return stack.enter_context(begin(case, self.console, kept=kept, begun=begun))
        except OrchestratorError as error:
            self._leave(run, str(error))
            return None

    def _readable(self, group: Sequence[CellRun]) -> list[Path]:
        """The folders of those that have begun."""
        begun = (run for run in group if _state_of(run, self.paths) is not None)
        return [self.paths.run(run.run_id).root for run in begun]

    def _now(self, config: RunConfig) -> RunConfig:
        """A run's configuration in this session."""
        if self.workers is None:
            return config
        cluster = config.cluster.model_copy(update={"workers": self.workers})
        return config.model_copy(update={"cluster": cluster})

    def _leave(self, run: CellRun, problem: str) -> None:
        self.problems[run.run_id] = problem
        self._say(f"{run.run_id} is left out: {problem}", "bold red")

    def _say(self, words: str, style: str = "") -> None:
        print_line(self.console, words, style)
