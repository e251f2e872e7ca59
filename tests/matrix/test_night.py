"""A matrix from its start to its report: what is checked before, what goes together, what costs
nobody else anything, and how it goes on."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.model_servers import OLLAMA, ModelServer, Pages, listed
from support.played_matrix import Bench, PlayedRuns

from orchestrator.dataset import BUNDLED
from orchestrator.errors import ConfigError, JournalError, PrerequisiteError
from orchestrator.file_locks import hold_lock
from orchestrator.matrix.record import MatrixRecord
from orchestrator.paths import RunPaths

pytestmark = pytest.mark.slow

PLAYED = "benchmark: smoke\nmodels: [scripted, demo]\nagents: [mini, mini-edit]\n"
CELLS = ["m.scripted.mini", "m.scripted.mini-edit", "m.demo.mini", "m.demo.mini-edit"]
ANSWER = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "391"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2},
}


def test_all_cells_go_together_and_end_in_one_report(bench: Bench, played: PlayedRuns) -> None:
    finished = bench.launch(PLAYED)

    assert played.groups == [CELLS]
    assert finished.exit_code == 0
    assert [cell.resolved for cell in finished.report.cells] == [1, 1, 1, 1]
    written = json.loads(bench.paths.report_json.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(finished.report.as_dict()))
    assert "✓ 0 steps" in bench.paths.report_md.read_text(encoding="utf-8")
    assert bench.paths.grid.read_text(encoding="utf-8").startswith("<svg")


def test_each_cell_is_an_ordinary_run(bench: Bench) -> None:
    bench.launch(PLAYED)

    for run_id in CELLS:
        paths = RunPaths(bench.folder / "runs" / run_id)
        assert all(path.is_file() for path in (paths.config, paths.lock, paths.journal, paths.rows))


def test_benchmarks_go_one_after_the_other(bench: Bench, played: PlayedRuns) -> None:
    bench.launch("benchmarks: [smoke, demo]\nmodels: [scripted]\nagents: [mini, nop]\n")

    assert played.groups == [
        ["m.smoke.scripted.mini", "m.smoke.nop"],
        ["m.demo.scripted.mini", "m.demo.nop"],
    ]


def test_a_matrix_of_that_id_is_resumed_and_not_started_again(bench: Bench) -> None:
    bench.launch(PLAYED)

    with pytest.raises(ConfigError, match=r"matrix 'm' exists in .*: `resume .*/m` goes on"):
        bench.launch(PLAYED)


@pytest.mark.parametrize("taken", ["m", "m.demo.mini"])
def test_a_run_that_has_a_name_already_is_told_before_anything_starts(
    bench: Bench, played: PlayedRuns, taken: str
) -> None:
    journal = RunPaths(bench.folder / "runs" / taken).journal
    journal.parent.mkdir(parents=True)
    journal.touch()

    with pytest.raises(ConfigError, match=f"run '{taken}' exists"):
        bench.launch(PLAYED)
    assert not bench.paths.record.exists()


@pytest.mark.parametrize(
    ("text", "settings", "problem"),
    [
        # each is wrong with the last cell of all alone
        (PLAYED + "set_for: {demo: {model.personas.default: sings}}\n", {}, "m.demo.mini: .*sings"),
        (
            PLAYED + "set_for: {mini-edit: {agent.system_template: '{{'}}\n",
            {},
            "m.scripted.mini-edit: agent.system_template: line 1",
        ),
        (PLAYED, {"cluster.min_free_disk_gb": 10**9}, "m.scripted.mini: .*GB free"),
        (PLAYED + "selection: {instances: [nothing-like-this]}\n", {}, "nothing-like-this"),
        (PLAYED + "selection: {slice: '5'}\n", {}, "START:STOP"),
    ],
)
def test_what_is_wrong_with_any_cell_is_told_before_the_first_one_starts(
    bench: Bench, played: PlayedRuns, text: str, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises((ConfigError, PrerequisiteError), match=problem):
        bench.launch(text, settings)

    assert played.groups == []
    assert not (bench.folder / "runs" / "m").exists()


def test_resume_starts_what_never_started_and_leaves_alone_what_is_done(
    bench: Bench, played: PlayedRuns
) -> None:
    bench.launch(PLAYED)
    shutil.rmtree(bench.folder / "runs" / "m.demo.mini")  # as if a kill had come before it
    bench.paths.report_md.unlink()

    finished = bench.resume()

    assert played.groups == [CELLS, ["m.demo.mini"]]
    assert finished.exit_code == 0
    assert bench.paths.report_md.exists()


def test_resume_redoes_what_is_left_of_a_cell(bench: Bench, played: PlayedRuns) -> None:
    played.failing = {"m.demo.mini"}
    assert bench.launch(PLAYED).exit_code == 4
    played.failing = set()

    assert bench.resume().exit_code == 0
    assert played.groups[1:] == [["m.demo.mini"]]
    assert bench.resume().exit_code == 0
    assert len(played.groups) == 2, "nothing is left"


def test_a_file_that_has_changed_meanwhile_changes_nothing(
    bench: Bench, played: PlayedRuns
) -> None:
    played.failing = set(CELLS)
    bench.launch(PLAYED + "set: {rollout.max_steps: 7}\n")
    bench.write("benchmark: demo\nmodels: [scripted]\nagents: [nop]\n")
    shutil.rmtree(bench.folder / "runs" / "m.demo.mini")
    played.failing = set()

    bench.resume()

    assert sorted(played.groups[1]) == sorted(CELLS)
    record = MatrixRecord.read(bench.paths)
    assert {run.config.rollout.max_steps for run in record.runs} == {7}
    assert "max_steps: 7" in RunPaths(bench.folder / "runs" / "m.demo.mini").config.read_text()


def test_resume_gives_every_cell_a_setting_and_keeps_it(bench: Bench, played: PlayedRuns) -> None:
    played.failing = set(CELLS)
    bench.launch(PLAYED)
    shutil.rmtree(bench.folder / "runs" / "m.demo.mini")

    bench.resume(settings={"rollout.retry_delay_s": 3}, workers=2)

    for run_id in CELLS:
        text = RunPaths(bench.folder / "runs" / run_id).config.read_text()
        assert "retry_delay_s: 3" in text
        assert "workers: 2" not in text, "for that session alone"
    assert {run.config.rollout.retry_delay_s for run in MatrixRecord.read(bench.paths).runs} == {3}
    assert played.workers[4:] == [2, 2, 2, 2]
    with pytest.raises(ConfigError, match="results depend on it"):
        bench.resume(settings={"rollout.max_steps": 3})


def test_resume_sets_a_models_key_beside_an_agent_that_asks_none(
    bench: Bench, played: PlayedRuns
) -> None:
    played.failing = {"m.nop", "m.scripted.mini"}
    bench.launch("benchmark: smoke\nmodels: [scripted]\nagents: [mini, nop]\n")
    played.failing = set()

    assert bench.resume(settings={"model.max_concurrency": 3}).exit_code == 0

    assert "max_concurrency: 3" in bench.run("m.scripted.mini").config.read_text()
    assert "max_concurrency" not in bench.run("m.nop").config.read_text()


def test_cells_that_start_later_have_the_rows_of_those_that_started(
    bench: Bench, played: PlayedRuns
) -> None:
    repo = bench.folder / "repo"
    shutil.copytree(BUNDLED["smoke"], repo)
    text = f"benchmark: {repo}\nmodels: [scripted]\nagents: [mini, nop]\n"
    bench.launch(text)
    shutil.rmtree(bench.folder / "runs" / "m.nop")
    (issue,) = repo.glob("tasks/*/problem_statement.md")
    issue.write_text("another issue")

    assert bench.resume().exit_code == 0
    rows = [RunPaths(bench.folder / "runs" / f"m.{name}").rows for name in ("scripted.mini", "nop")]
    assert rows[0].read_text() == rows[1].read_text()

    for name in ("scripted.mini", "nop"):
        shutil.rmtree(bench.folder / "runs" / f"m.{name}")
    with pytest.raises(ConfigError, match="is not the one that m was started with"):
        bench.resume()


def test_a_matrix_is_held_while_it_goes_on(bench: Bench) -> None:
    bench.launch(PLAYED)

    with (
        hold_lock(bench.paths.driver_lock),
        pytest.raises(PrerequisiteError, match="matrix m is live"),
    ):
        bench.resume()


def test_a_stop_ends_the_whole_matrix_and_resume_does_the_rest(
    bench: Bench, played: PlayedRuns
) -> None:
    played.interrupted_at = "m.smoke.scripted.mini"
    text = "benchmarks: [smoke, demo]\nmodels: [scripted]\nagents: [mini]\n"

    finished = bench.launch(text)

    assert finished.exit_code == 130
    assert played.groups == [["m.smoke.scripted.mini"]], "the next group is not begun"
    assert [cell.why_not_valid for cell in finished.report.cells] == [
        "1 without a verdict: 1 x not started",
        "not started",
    ]
    played.interrupted_at = ""
    assert bench.resume().exit_code == 0


def test_a_group_that_ends_early_costs_the_next_one_nothing(
    bench: Bench, played: PlayedRuns
) -> None:
    played.error = JournalError("the disk is full")
    text = "benchmarks: [smoke, demo]\nmodels: [scripted]\nagents: [nop]\n"

    finished = bench.launch(text)

    assert finished.exit_code == 4
    assert "smoke: the disk is full" in bench.said
    assert [cell.valid for cell in finished.report.cells] == [False, True]


def test_a_run_that_can_not_be_read_any_more_costs_the_others_nothing(
    bench: Bench, played: PlayedRuns
) -> None:
    played.failing = set(CELLS)
    bench.launch(PLAYED)
    RunPaths(bench.folder / "runs" / "m.demo.mini").journal.write_bytes(b"no database" * 500)
    played.failing = set()

    finished = bench.resume()

    assert finished.exit_code == 4
    assert "m.demo.mini is left out: " in bench.said
    valid = {cell.run_ids[0]: cell.valid for cell in finished.report.cells}
    assert valid == {run_id: run_id != "m.demo.mini" for run_id in CELLS}


@pytest.mark.parametrize("file", ["lock.json", "rows.jsonl", "run.yaml"])
def test_a_damaged_first_cell_costs_the_others_nothing(
    bench: Bench, played: PlayedRuns, file: str
) -> None:
    played.failing = set(CELLS)
    bench.launch(PLAYED)
    shutil.rmtree(bench.folder / "runs" / "m.demo.mini")
    (bench.run(CELLS[0]).root / file).write_text("no {{{")
    played.failing = set()

    finished = bench.resume()

    assert f"{CELLS[0]} is left out: " in bench.said
    assert [cell.valid for cell in finished.report.cells] == [False, True, True, True]


def test_a_run_that_somebody_else_started_under_a_cells_name_is_not_taken_for_it(
    bench: Bench, played: PlayedRuns
) -> None:
    played.failing = set(CELLS)
    bench.launch(PLAYED + "set: {rollout.max_steps: 7}\n")
    config = bench.run("m.demo.mini").config
    config.write_text(config.read_text().replace("max_steps: 7", "max_steps: 8"))
    played.failing = set()

    finished = bench.resume()

    says = "holds another run than this matrix planned (rollout.max_steps is 8, and not 7)"
    assert says in bench.said
    assert says in finished.report.cells[2].why_not_valid
    assert [cell.valid for cell in finished.report.cells] == [True, True, False, True]


def test_a_damaged_record_is_one_line(bench: Bench) -> None:
    bench.launch(PLAYED)
    whole = bench.paths.record.read_text(encoding="utf-8")
    for text, says in {
        "": "holds no matrix",
        "runs: 3\n": "holds no matrix",
        "runs: [{config: 3}]\n": "holds no configuration",
        "runs:\n- x\n": "matrix.yaml",
        whole.replace("run_id: m.demo.mini\n", "run_id: m.scripted.mini\n"): "stands there twice",
        whole.replace("attempt: 1\n", "attempt: one\n"): "attempt: .*matrix.yaml",
        whole.replace("max_steps: ", "max_stepz: "): r"max_steps.*|max_stepz.*matrix.yaml",
    }.items():
        bench.paths.record.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=says) as error:
            MatrixRecord.read(bench.paths)
        assert "\n" not in str(error.value)


class OneAtATime(Mapping[str, Any]):
    """The pages of a server that has the model which a file names, and no other."""

    def __init__(self, held: Path) -> None:
        self._held = held

    def _pages(self) -> dict[str, Any]:
        name = self._held.read_text(encoding="utf-8").strip() if self._held.exists() else "none"
        entry = {"id": name, "max_model_len": 131072}
        return {"/v1/models": listed(entry, owner="vllm"), "/v1/chat/completions": ANSWER}

    def __getitem__(self, key: str) -> Any:
        return self._pages()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pages())

    def __len__(self) -> int:
        return len(self._pages())


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Names the model that the GPU holds."""
    return tmp_path / "held"


@pytest.fixture
def gpu(held: Path) -> Iterator[ModelServer]:
    with ModelServer(Pages(OneAtATime(held))) as server:
        yield server


def on(gpu: ModelServer, *more: str) -> str:
    """A matrix of two models that one server holds in turn."""
    return "\n".join(
        [
            "benchmarks: [smoke, demo]",
            "models: [gemma-4-26b, qwen3.5-35b]",
            "agents: [mini]",
            f"set: {{model.endpoint.base_url: '{gpu.base_url}'}}",
            *more,
            "",
        ]
    )


def shape(played: PlayedRuns) -> list[str]:
    """`smoke gemma` and the like, a group each."""
    return [f"{ids[0].split('.')[1]} {ids[0].split('.')[2]}" for ids in played.groups]


BOTH = ["smoke gemma-4-26b", "demo gemma-4-26b", "smoke qwen3", "demo qwen3"]


def test_models_that_the_gpu_holds_one_at_a_time_are_switched_once_each(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path
) -> None:
    held.write_text("gemma-4-26b")
    calls = held.with_name("calls")

    finished = bench.launch(
        on(gpu, f"switch: echo {{model}} | tee -a {calls} > {held}; cat {held}")
    )

    assert shape(played) == BOTH, "the one that is up goes first, over both benchmarks"
    assert calls.read_text().split() == ["qwen3.5-35b"]
    assert finished.exit_code == 0
    assert "  qwen3.5-35b\n" in bench.said, "what the command says is shown"


def test_models_are_switched_to_where_none_is_up(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path
) -> None:
    assert bench.launch(on(gpu, f"switch: echo {{model}} > {held}")).exit_code == 0
    assert shape(played) == BOTH


@pytest.mark.parametrize(
    ("switch", "says"),
    [
        ("echo no memory for {model}; exit 3", "exit code 3"),
        ("echo {model} > /dev/null", "does not serve 'qwen3.5-35b'"),
        ("echo {model}; sleep 60", "did not end within"),
    ],
)
def test_a_model_that_stays_away_costs_the_others_nothing(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path, switch: str, says: str
) -> None:
    held.write_text("gemma-4-26b")
    limits = ("switch_limit_s: 0.6", "served_within_s: 0.1")

    finished = bench.launch(on(gpu, f"switch: {switch}", *limits))

    assert shape(played) == BOTH[:2]
    assert finished.exit_code == 4
    for cell in finished.report.cells:
        assert cell.valid == (cell.model == "gemma-4-26b")
        assert cell.valid or says in cell.why_not_valid, cell.why_not_valid
    held.write_text("qwen3.5-35b")
    assert bench.resume().exit_code == 0


def test_without_a_switch_one_line_says_before_the_night_who_is_away(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path
) -> None:
    held.write_text("gemma-4-26b")

    with pytest.raises(PrerequisiteError, match=r"^qwen3\.5-35b: not served now, of 2 models"):
        bench.launch(on(gpu))
    assert not bench.paths.record.exists()
    assert played.groups == []


@pytest.mark.parametrize("served", ["auto", "together", "in_turn"])
def test_where_no_model_is_up_nothing_starts(bench: Bench, gpu: ModelServer, served: str) -> None:
    with pytest.raises(PrerequisiteError, match="not served now") as e:
        bench.launch(on(gpu, f"served: {served}"))
    assert str(e.value).startswith(
        "gemma-4-26b, qwen3.5-35b: not served now, of 2 models that the matrix needs a server for ("
    )
    assert "Start them all; or" in str(e.value)
    assert "write `switch: COMMAND`" in str(e.value)


def test_models_can_be_switched_by_hand_between_two_evenings(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path
) -> None:
    held.write_text("gemma-4-26b")
    finished = bench.launch(on(gpu, "served: in_turn"))
    assert (finished.exit_code, shape(played)) == (4, BOTH[:2])
    assert "qwen3.5-35b is not served" in bench.said
    assert "its runs are left for `resume m`" in bench.said

    held.write_text("qwen3.5-35b")
    assert bench.resume().exit_code == 0
    assert shape(played) == BOTH


def test_resume_asks_no_server_of_a_model_that_is_done(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path
) -> None:
    held.write_text("gemma-4-26b")
    played.failing = {"m.smoke.gemma-4-26b.mini"}
    bench.launch(on(gpu, f"switch: echo {{model}} > {held}"))
    played.failing, calls = set(), held.with_name("calls")
    held.write_text("gemma-4-26b")
    record = bench.paths.record
    record.write_text(
        record.read_text().replace("echo {model} >", f"touch {calls}; echo {{model}} >")
    )

    assert bench.resume().exit_code == 0
    assert not calls.exists(), "the other model is done"


def test_a_server_that_loads_what_it_is_asked_for_has_its_models_take_turns(
    bench: Bench, played: PlayedRuns
) -> None:
    names = {"gemma-4-26b": "gemma4:26b", "qwen3.5-35b": "qwen3.5:35b"}
    with ModelServer(Pages({**OLLAMA.found, "/v1/chat/completions": ANSWER})) as server:
        more = [f"  {model}: {{model.served_name: '{name}'}}" for model, name in names.items()]
        finished = bench.launch(on(server, "set_for:", *more))

    assert shape(played) == BOTH
    assert finished.exit_code == 0


def test_each_model_is_asked_once_however_many_cells_it_has(
    bench: Bench, played: PlayedRuns, gpu: ModelServer, held: Path
) -> None:
    held.write_text("gemma-4-26b")
    text = on(gpu).replace("[gemma-4-26b, qwen3.5-35b]", "[gemma-4-26b]")
    text = text.replace("[mini]", "[mini, mini-edit]")

    bench.launch(text)

    assert gpu.asked.count("/v1/chat/completions") == 1
    assert threading.active_count() < 50
