"""A night with images as it is expected to go, by the store that decides the real one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.expansion import images_expand  # noqa: F401 - a fixture

from orchestrator.images.decisions import StoreSettings
from orchestrator.images.forecast import Forecast, Night, Work, simulate
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.pulls import Quota

GB = 10**9
HOUR_S = 3600.0
WINDOW_S = 6 * HOUR_S


def night(count: int = 30, *, own: int = GB // 4, estimated: bool = False) -> Night:
    """Images of 1 GB that all share, and their own; 6 slots of 10 minutes; room for all."""
    sizes = {
        f"i{n}": ImageSize((Layer("base", GB), Layer(f"own{n}", own)), estimated=estimated)
        for n in range(count)
    }
    work = [Work(f"w{n}", f"i{n}", 600.0, 40.0) for n in range(count)]
    return Night(work, sizes, lambda image: "hub", StoreSettings(5 * GB), 1000 * GB, 6, 1)


def hub(limit: int, remaining: int | None = None) -> dict[str, Quota]:
    return {"hub": Quota(limit, limit if remaining is None else remaining, WINDOW_S)}


def test_what_is_shared_is_pulled_once_and_lies_there_once() -> None:
    found = simulate(night())

    assert (found.pulls, found.bytes) == (30, GB + 30 * GB // 4)
    assert found.bytes * 2.8 <= found.peak <= found.bytes * 3.1
    assert found.stays == 30
    assert found.at_once == 6
    assert not found.lacking
    assert found.seconds == pytest.approx(30 * 600 / 6, rel=0.1)


def test_only_the_first_rollouts_wait_for_their_images() -> None:
    stalls = simulate(night()).stalls

    assert {stall.instance_id for stall in stalls} <= {f"w{n}" for n in range(6)}
    assert all(stall.at_s < 300 for stall in stalls)


def test_a_small_disk_holds_what_runs_and_what_comes_and_costs_no_byte_more() -> None:
    small = replace(night(), room=15 * GB)

    found = simulate(small)

    assert found.peak <= 15 * GB
    assert found.bytes == simulate(night()).bytes
    assert found.stays < 30
    assert not found.lacking


@pytest.mark.parametrize("is_rolling", [False, True])
@pytest.mark.parametrize(
    ("limit", "remaining", "begins_h"),
    [(30, 30, [0]), (15, 15, [0, 6]), (10, 10, [0, 6, 12]), (15, 0, [6, 12]), (20, 10, [0, 6])],
)
def test_the_windows_of_a_quota_begin_one_after_the_other(
    limit: int, remaining: int, begins_h: list[int], is_rolling: bool
) -> None:
    found = simulate(replace(night(), quotas=hub(limit, remaining), is_rolling=is_rolling))

    assert [round(w.begins_s / HOUR_S) for w in found.windows] == begins_h
    assert sum(w.pulls for w in found.windows) == found.pulls == 30
    assert found.waits_for_quota == (begins_h != [0])
    assert found.seconds < begins_h[-1] * HOUR_S + 30 * 600 / 6 + 900


def test_what_is_here_already_is_not_pulled_and_not_rolled_out_twice() -> None:
    here = night(4)
    work = [replace(here.work[0], rollout_s=0.0), *here.work[1:]]

    found = simulate(replace(here, work=work, resident=frozenset(["i0", "i1", "i2", "i3"])))

    assert (found.pulls, found.bytes, found.peak, found.stalls) == (0, 0, 0, ())
    assert found.seconds == pytest.approx(640 + 80, abs=50)


def test_images_of_no_registry_are_nothing_to_wait_for() -> None:
    found = simulate(replace(night(6), sizes={}))

    assert (found.pulls, found.stalls, found.lacking) == (0, (), "")


def test_fewer_run_at_once_where_the_disk_does_not_hold_the_slots() -> None:
    found = simulate(replace(night(12, own=2 * GB), room=25 * GB))

    assert 0 < found.at_once < 6
    assert found.stalls
    assert not found.lacking


def test_an_image_that_the_disk_can_not_hold_is_named() -> None:
    huge = night(3)
    sizes = {**huge.sizes, "i1": ImageSize((Layer("huge", 80 * GB),))}

    found = simulate(replace(huge, sizes=sizes, room=20 * GB))

    assert found.lacking == "i1"


@pytest.mark.parametrize("estimated", [True, False])
def test_guesses_are_told_from_what_a_registry_said(estimated: bool) -> None:
    assert simulate(night(3, estimated=estimated)).is_estimated is estimated


@pytest.mark.parametrize("keep", [True, False, None])
def test_images_stay_as_they_are_told_to(keep: bool | None) -> None:
    asked = replace(night(12), settings=StoreSettings(5 * GB, keep=keep))

    assert simulate(asked).stays == (0 if keep is False else 12)


def test_a_disk_that_nobody_can_look_at_is_not_filled_up() -> None:
    found = simulate(replace(night(), room=None))

    assert not found.lacking
    assert found.pulls == 30


def test_nothing_to_do_takes_no_time() -> None:
    assert simulate(night(0)) == Forecast(at_once=6)
