"""How often a person has asked a run to stop, by the signals that arrive."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from orchestrator.driver.stop import StopSignal, stop_on_signals
from orchestrator.stop_signals import STOP_SIGNALS


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOP_SIGNALS]


def test_ctrl_c_counts_once_and_a_second_time() -> None:
    stop = StopSignal()
    with stop_on_signals(stop):
        signal.raise_signal(signal.SIGINT)
        assert stop.count == 1
        signal.raise_signal(signal.SIGINT)
        assert stop.count == 2


@pytest.mark.usefixtures("in_the_foreground")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_host_or_terminal_that_goes_away_stops_what_runs_at_once(number: int) -> None:
    stop = StopSignal()
    with stop_on_signals(stop):
        signal.raise_signal(number)
        assert stop.count == 2
        signal.raise_signal(number)  # it says so again, and does not break off the harvest


@pytest.fixture
def nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("nohup")
def test_under_nohup_a_terminal_that_closes_stops_nothing() -> None:
    stop = StopSignal()
    with stop_on_signals(stop):
        signal.raise_signal(signal.SIGHUP)
        assert stop.count == 0
        signal.raise_signal(signal.SIGTERM)
        assert stop.count == 2


def test_a_third_ctrl_c_gives_up() -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_signals(StopSignal(count=2)):
        signal.raise_signal(signal.SIGINT)


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = handlers()
    with stop_on_signals(StopSignal()):
        assert handlers() != before
    assert handlers() == before

    with pytest.raises(ZeroDivisionError), stop_on_signals(StopSignal()):
        raise ZeroDivisionError
    assert handlers() == before
