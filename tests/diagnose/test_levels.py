"""How a model is asked: level by level, as often as it takes, and no longer than told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import played_model as plays
from support.played_model import PlayedServer, Said, Turn, played

from orchestrator.diagnose.judge import Answered, Kind
from orchestrator.diagnose.levels import (
    TOO_HARD,
    AskingPlan,
    CallLevel,
    Diagnosis,
    LevelCell,
    State,
    make_plan,
)
from orchestrator.diagnose.protocols import FORM_OF, FORMS
from orchestrator.diagnose.report import DiagnosisReport
from orchestrator.diagnose.tasks import fit
from orchestrator.scripted.protocols import Protocol

Diagnose = Callable[..., DiagnosisReport]
CALLS = (FORM_OF[Protocol.CALLS],)


def only_calls(templates: dict[Protocol, str], server: PlayedServer, times: int = 10) -> Diagnosis:
    plan = AskingPlan(times, 4, 60, fit(32768, 4.0), CALLS)
    return Diagnosis(server, templates, plan)


@pytest.mark.slow
def test_every_level_is_asked_in_every_protocol(diagnose: Diagnose) -> None:
    server = PlayedServer(model=played(max_concurrency=8))

    report = diagnose(server=server)

    assert [(cell.level, cell.protocol) for cell in report.cells] == [
        (level, form.protocol) for level in CallLevel for form in FORMS
    ]
    assert [cell.judged for cell in report.cells] == [10] * 8 + [12] * 4 + [48] * 4
    assert len(server.asked) == report.plan.answers == 320


@pytest.mark.slow
def test_tools_are_told_in_requests_of_function_calling_alone(diagnose: Diagnose) -> None:
    server = PlayedServer()
    diagnose(server=server)

    counts = {len(request.get("tools", ())) for request in server.asked}

    assert counts == {0, 2, 11}


@pytest.mark.slow
def test_loops_feed_results_back(diagnose: Diagnose) -> None:
    server = PlayedServer()
    diagnose(server=server)

    longest = max((r for r in server.asked if r.get("tools")), key=lambda r: len(r["messages"]))

    assert [message["role"] for message in longest["messages"]] == [
        *("system", "user", *("assistant", "tool") * 5)
    ]


@pytest.mark.slow
def test_eight_are_asked_at_once_and_only_at_the_last_level(diagnose: Diagnose) -> None:
    most: dict[bool, int] = {True: 0, False: 0}

    def watch(turn: Turn, said: Said) -> Said:
        is_alone = len(turn.request["messages"]) == 2 and turn.tools == 2
        most[is_alone] = max(most[is_alone], turn.at_once)
        return said

    diagnose(watch, model=played(max_concurrency=8))

    assert most[True] == 1
    assert 4 < most[False] <= 8


@pytest.mark.parametrize(("max_concurrency", "at_once"), [(1, 1), (3, 3), (8, 8), (64, 8)])
def test_no_more_are_asked_at_once_than_the_profile_says(
    max_concurrency: int, at_once: int
) -> None:
    plan = make_plan(32768, 4.0, played(max_concurrency=max_concurrency), 10, 60)

    assert plan.at_once == at_once
    assert (CallLevel.CROWD in plan.levels) is (at_once > 1)


@pytest.mark.slow
def test_one_at_once_is_said_to_be_all_that_was_tried(diagnose: Diagnose) -> None:
    report = diagnose(model=played(max_concurrency=1))

    assert report.verdict.agent == "sweagent"
    assert report.verdict.headline.startswith("Use --agent sweagent:")
    assert report.verdict.remarks == (
        "several at once were not tried: the profile's max_concurrency is 1",
    )


@pytest.mark.slow
def test_harder_levels_are_skipped_where_an_easier_one_fails(diagnose: Diagnose) -> None:
    report = diagnose(plays.drops_always)

    calls = [cell for cell in report.cells if cell.protocol is Protocol.CALLS]
    assert calls[0].state is State.FAILS
    assert [cell.skipped for cell in calls[1:]] == [TOO_HARD] * 3


def test_what_chance_may_explain_is_asked_again(templates: dict[Protocol, str]) -> None:
    """Two bad ones of the first ten, and then none."""
    answers = iter(range(1000))

    def stumbles(turn: Turn, said: Said) -> Said:
        return plays.talks(turn, said) if next(answers) < 2 else said

    first = next(only_calls(templates, PlayedServer(stumbles)).run())

    assert (first.judged, first.valid, first.state) == (20, 18, State.WORKS)


def test_a_single_time_is_enough_to_see_that_nothing_works(diagnose: Diagnose) -> None:
    report = diagnose(plays.talks, times=1)

    assert report.exit_code == 3
    assert {cell.judged for cell in report.cells if cell.answers} == {5}


def test_a_server_that_refuses_is_not_asked_for_long(templates: dict[Protocol, str]) -> None:
    server = PlayedServer(plays.refuses_tools)

    first = next(only_calls(templates, server).run())

    assert (first.state, len(server.asked)) == (State.REFUSED, 3)


def test_nothing_is_asked_of_a_server_that_has_gone(diagnose: Diagnose) -> None:
    server = PlayedServer(plays.fails_always, alive=False)

    report = diagnose(server=server)

    assert len(server.asked) == 3
    assert report.exit_code == 3
    assert "stopped answering" in report.verdict.headline


@pytest.mark.slow
def test_when_the_time_is_over_nobody_is_asked_whether_the_server_is_alive(
    templates: dict[Protocol, str],
) -> None:
    server = PlayedServer(plays.fails_always, takes_s=0.1, alive=False)
    diagnosis = Diagnosis(server, templates, AskingPlan(10, 4, 0.25, fit(32768, 4.0), CALLS))

    first = next(diagnosis.run())

    assert (first.skipped, diagnosis.is_gone) == ("the time was over", False)


def test_a_failed_request_ends_its_conversation_and_counts_in_no_rate(
    templates: dict[Protocol, str],
) -> None:
    failed: list[Turn] = []

    def fails_once(turn: Turn, said: Said) -> Said:
        if turn.number != 2 or failed:
            return said
        failed.append(turn)
        return plays.fails_always(turn, said)

    cells = list(only_calls(templates, PlayedServer(fails_once)).run())

    loop = cells[2]
    assert (loop.counts[Kind.NO_ANSWER], loop.valid, loop.judged) == (1, 8, 8)


@pytest.mark.slow
def test_when_the_time_is_over_what_is_known_is_said(diagnose: Diagnose) -> None:
    report = diagnose(server=PlayedServer(takes_s=0.01), seconds=0.5)

    assert any("time" in cell.skipped for cell in report.cells)
    assert report.cells[0].judged == 10
    assert report.verdict.headline.startswith("Perhaps --agent sweagent")
    assert any("time was" in remark for remark in report.verdict.remarks)


@pytest.mark.slow
def test_a_context_that_fills_up_ends_the_loop(templates: dict[Protocol, str]) -> None:
    def rambles(turn: Turn, said: Said) -> Said:
        return said.but(content="word " * 6000)

    cells = list(only_calls(templates, PlayedServer(rambles)).run())

    assert cells[2].state is State.WORKS
    assert 0 < cells[2].judged < 12


@pytest.mark.slow
def test_an_interruption_leaves_what_was_asked(templates: dict[Protocol, str]) -> None:
    diagnosis = only_calls(templates, PlayedServer(takes_s=0.02))

    def interrupt(cell: LevelCell) -> None:
        if cell.level is CallLevel.LOOP and cell.answers:
            raise KeyboardInterrupt

    diagnosis.on_tick = interrupt
    with pytest.raises(KeyboardInterrupt):
        list(diagnosis.run())

    assert [cell.judged for cell in diagnosis.cells[:2]] == [10, 10]
    assert 0 < diagnosis.cells[2].judged < 12


def test_a_bug_of_ours_is_no_silence(templates: dict[Protocol, str]) -> None:
    class Broken(PlayedServer):
        def ask(self, *args: Any) -> Answered:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        next(only_calls(templates, Broken()).run())


@pytest.mark.slow
def test_threads_that_wait_for_a_server_keep_nobody_from_leaving(
    templates: dict[Protocol, str],
) -> None:
    release = threading.Event()

    def hangs(turn: Turn, said: Said) -> Said:
        release.wait(20)
        return said

    diagnosis = only_calls(templates, PlayedServer(hangs))

    def interrupt(cell: LevelCell) -> None:
        raise KeyboardInterrupt

    diagnosis.on_tick = interrupt
    with pytest.raises(KeyboardInterrupt):
        next(diagnosis.run())
    daemons = [thread for thread in threading.enumerate() if thread.daemon]
    release.set()

    assert len(daemons) >= 1
    assert diagnosis.cells[0].answers == []
