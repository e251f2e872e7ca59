from __future__ import annotations

from dataclasses import replace

from support.pages import subject_of
from support.rows import failed, rolled, sampled, state

from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.page.sections.night import Mishap, NightView, Outage, build_night
from orchestrator.types import RolloutResult


def night_of(*args: object, **more: object) -> NightView:
    found = build_night(subject_of(state(*args, **more)))  # type: ignore[arg-type]
    assert found is not None
    return found


def at(result: RolloutResult, ended_at: float) -> RolloutResult:
    return replace(result, record=replace(result.record, ended_at=ended_at))


def test_without_samples_there_is_no_night() -> None:
    assert build_night(subject_of(state(rolled("a")))) is None


def test_what_no_server_shows_has_no_panel() -> None:
    plain = night_of(samples=[sampled(10)])
    shown = night_of(samples=[sampled(10, server=ServerMetrics(running=2, kv_usage=0.5))])

    assert [panel.name for panel in plain.fine] == ["rollouts", "tokens generated a second"]
    assert [panel.name for panel in shown.fine][-1] == "KV cache in use, %"
    assert shown.fine[-1].series[0].values == (50,)


def test_an_outage_is_one_band_however_many_samples_it_takes() -> None:
    samples = [sampled(10 * n, down_s=10.0 if n in (2, 3, 5) else 0.0) for n in range(1, 6)]

    assert night_of(samples=samples).outages == (Outage(10, 30), Outage(40, 50))


def test_the_day_between_two_sessions_is_left_out() -> None:
    night = night_of(samples=[sampled(10), sampled(20), sampled(50_000), sampled(50_010)])

    assert night.seconds == 40
    assert night.session_starts == (20,)
    assert "13 h 52 min between them are left out" in night.how


def test_a_failure_stands_where_it_happened_and_says_whether_it_was_redone() -> None:
    rolls = [at(failed("a", 1), 15), at(rolled("a", 2), 20), at(failed("b", 1), 25)]

    night = night_of(*rolls, samples=[sampled(10), sampled(20), sampled(30)])

    assert night.mishaps == (Mishap(15, was_redone=True), Mishap(25, was_redone=False))


def test_a_long_night_has_fewer_columns_on_a_phone() -> None:
    night = night_of(samples=[sampled(10 * n) for n in range(1, 1000)])

    assert len(night.coarse[0].series[0].values) < len(night.fine[0].series[0].values)
