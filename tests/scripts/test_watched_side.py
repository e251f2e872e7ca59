from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.programs import import_script

from orchestrator.config.schema import Benchmark, Selection
from orchestrator.dataset import load_dataset
from orchestrator.scripted.protocols import AnswerForm, Protocol

watched, processes = import_script("watched_side"), import_script("watched_processes")


@pytest.mark.parametrize("calls", [2, 3, 4, 12])
def test_a_script_has_as_many_answers_and_solves_at_the_end(calls: int) -> None:
    script = watched.script_of("a patch", calls, "submit it")

    assert len(script) == calls
    assert "git apply" in script[-2].command
    assert script[-1].command == "submit it"
    thoughts = [reply.thought for reply in script]  # agents end who only repeats itself
    assert len(set(thoughts)) == calls


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], 0),
        ([(0, 5)], 1),
        ([(0, 5), (5, 9)], 1),
        ([(0, 5), (4, 9), (4.5, 6)], 3),
        ([(4, 9), (0, 5)], 2),
    ],
)
def test_gradings_that_overlap_are_counted(spans: Any, most: int) -> None:
    assert watched.most_at_once(spans) == most


def test_the_model_notes_when_it_was_asked_about_which_instance(tmp_path: Path) -> None:
    dataset = load_dataset(Benchmark(name="demo", source="bundled:demo"), Selection(slice="0:2"))
    facts = {"dataset": dataset, "benchmark": "demo", "config": None, "folder": tmp_path}
    setup = watched.Setup(**facts, slots=1, graders=1, our_graders=1, calls=2, delay_s=0)
    endpoint, form = watched._Endpoint(setup, "submit it"), AnswerForm(Protocol.MINI)
    began = time.time()
    asked = [{"role": "user", "content": dataset.instances[1].problem_statement}]
    answered = [*asked, {"role": "assistant", "content": "mends it"}]

    replies = [endpoint.reply(messages, form) for messages in (asked, answered, answered * 2)]
    endpoint.reply([{"role": "user", "content": "Are you there?"}], form)
    endpoint._server.server_close()

    assert [reply.command for reply in replies[1:]] == ["submit it", "submit it"]
    [(instance_id, times)] = endpoint.asked.items()
    assert instance_id == dataset.instances[1].instance_id
    assert len(times) == 3
    assert times == sorted(times)
    assert times[0] >= began


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    running = processes.WatchedProcesses("a side", tmp_path)

    with pytest.raises(processes.CommandFailed, match=r"no such thing\s+a side: sh ended with 3"):
        running.run("sh", "-c", "echo no such thing >&2; exit 3")
