"""Which images come, may be used, and go."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.expansion import images_expand  # noqa: F401 - a fixture

from orchestrator.images.decisions import (
    AskQuota,
    Decision,
    Evict,
    MeasureRoom,
    Pull,
    StoreSettings,
)
from orchestrator.images.layers import ImageSize, Layer
from orchestrator.images.node import Node
from orchestrator.images.pulls import PullFailure, PullProblem, Quota
from orchestrator.images.store import Store

GB = 10**9
HERE = ""


def image(number: int, own: int = GB) -> ImageSize:
    """1 GB that all share, and its own."""
    return ImageSize((Layer("base", GB), Layer(f"own{number}", own)))


def make_store(count: int = 4, *, keep: bool | None = False, pulls: int = 2) -> Store:
    names = [f"i{number}" for number in range(count)]
    return Store(
        {HERE: Node(HERE, set(), set())},
        {name: {f"{name}-instance"} for name in names},
        {name: image(number) for number, name in enumerate(names)},
        lambda name: "hub",
        StoreSettings(reserve=10 * GB, keep=keep, pulls_at_once=pulls),
    )


def begin(store: Store, room: int = 100 * GB, quota: Quota | None = None) -> list[Decision]:
    """What is decided once the room and the quota are known."""
    assert store.decide(0.0) == [MeasureRoom(HERE)]
    store.measured(HERE, room, 0.0)
    assert store.decide(0.0) == [AskQuota(HERE, "hub")]
    store.told_quota(HERE, "hub", quota, 0.0)
    return store.decide(0.0)


def bring(store: Store, *images: str, now: float = 1.0) -> None:
    for name in images:
        store.pulled(HERE, name, round(2 * GB * 2.8), now)


def pulls(decisions: Sequence[Decision]) -> list[str]:
    return [d.image for d in decisions if isinstance(d, Pull)]


def test_images_come_in_their_order_ahead_of_who_uses_them() -> None:
    store = make_store()

    assert pulls(begin(store)) == ["i0", "i1"]
    assert store.place("i0", {HERE: 1}) is None
    bring(store, "i0")
    assert store.place("i0", {HERE: 1}) == HERE
    assert store.place("i0", {HERE: 0}) is None
    assert pulls(store.decide(1.0)) == ["i2"]


def test_what_is_shared_counts_once() -> None:
    store = make_store(pulls=1)
    # 2 GB at 2.8 on disk and 1 while they come; then 1 GB more at each
    assert pulls(begin(store, room=12 * GB)) == ["i0"]
    bring(store, "i0")
    store.measured(HERE, 6 * GB, 1.0)
    assert pulls(store.decide(1.0)) == ["i1"]


def test_no_more_comes_than_the_disk_has_room_for() -> None:
    store = make_store(pulls=4)
    assert pulls(begin(store, room=12 * GB)) == ["i0", "i1"]


def test_an_image_goes_once_its_instances_are_over_and_nobody_uses_it() -> None:
    store = make_store(2)
    begin(store)
    bring(store, "i0", "i1")
    store.pin(HERE, "i0")
    store.instance_over("i0-instance")
    assert store.decide(1.0) == []
    store.unpin(HERE, "i0")
    assert store.decide(1.0) == [Evict(HERE, "i0")]
    assert store.place("i0", {HERE: 1}) is None
    store.evicted(HERE, "i0", gone=True)
    assert MeasureRoom(HERE) in store.decide(1.0)


def test_an_image_that_the_run_did_not_pull_never_goes() -> None:
    store = make_store(1)
    store.nodes[HERE].resident.add("i0")
    store.instance_over("i0-instance")
    assert store.decide(0.0) == []


def test_where_they_may_stay_they_go_only_for_room() -> None:
    store = make_store(3, keep=None, pulls=1)
    begin(store, room=100 * GB)
    bring(store, "i0")
    store.instance_over("i0-instance")
    store.measured(HERE, 50 * GB, 1.0)
    assert store.decide(1.0) == [Pull(HERE, "i1")]
    bring(store, "i1")
    store.measured(HERE, 1 * GB, 1.0)
    assert store.decide(1.0) == [Evict(HERE, "i0")]


def test_a_quota_is_kept_and_asked_for_again_when_it_is_spent() -> None:
    store = make_store()
    assert pulls(begin(store, quota=Quota(100, 1, 21600))) == ["i0"]
    bring(store, "i0")
    assert store.decide(10.0) == []
    assert store.hold(10.0) is None, "what has come waits for a slot, not for an image"
    store.pin(HERE, "i0")
    hold = store.hold(10.0)
    assert hold is not None
    assert "hub" in hold.text
    assert AskQuota(HERE, "hub") in store.decide(130.0)
    store.told_quota(HERE, "hub", Quota(100, 50, 21600), 131.0)
    assert pulls(store.decide(131.0)) == ["i1", "i2"]
    assert store.hold(131.0) is None


def test_a_registry_that_is_away_is_tried_again_later_and_one_at_a_time() -> None:
    store = make_store()
    begin(store)
    for name in ("i0", "i1"):
        store.pull_failed(HERE, name, PullFailure(PullProblem.AWAY, "refused"), 1.0)
    assert pulls(store.decide(2.0)) == []
    hold = store.hold(2.0)
    assert hold is not None
    assert hold.until == 6.0
    assert "away" in hold.text
    assert pulls(store.decide(6.0)) == ["i2"]
    bring(store, "i2", now=7.0)
    assert pulls(store.decide(7.0)) == ["i0", "i1"]


def test_what_the_registry_asks_to_wait_is_waited() -> None:
    store = make_store()
    begin(store)
    failure = PullFailure(PullProblem.QUOTA, "toomanyrequests", retry_after_s=60.0)
    store.pull_failed(HERE, "i0", failure, 1.0)
    store.pull_failed(HERE, "i1", failure, 1.0)
    assert pulls(store.decide(60.0)) == []
    assert pulls(store.decide(61.0)) == ["i0"]
    assert pulls(store.decide(62.0)) == []


def test_an_image_that_can_not_be_had_is_let_through_to_say_so() -> None:
    store = make_store()
    begin(store)
    store.pull_failed(HERE, "i0", PullFailure(PullProblem.REFUSED, "no such image"), 1.0)
    assert store.place("i0", {HERE: 1}) == HERE
    assert pulls(store.decide(1.0)) == ["i2"]


def test_an_image_that_fails_while_others_come_is_to_blame_itself() -> None:
    store = make_store(9, pulls=1)
    now, came = 1.0, []
    begin(store)
    for _ in range(40):
        for name in list(store.nodes[HERE].pulling):
            if name == "i0":
                store.pull_failed(HERE, name, PullFailure(PullProblem.AWAY, "500"), now)
            else:
                bring(store, name, now=now)
                came.append(name)
        now += 400.0
        store.measured(HERE, 100 * GB, now)
        store.decide(now)
    assert "i0" in store.refused
    assert set(came) == {f"i{n}" for n in range(1, 9)}


def test_under_the_reserve_nothing_starts_and_what_waits_longest_goes() -> None:
    store = make_store(3, pulls=3)
    begin(store)
    bring(store, "i0", "i1", "i2")
    store.measured(HERE, -GB, 2.0)
    assert store.place("i0", {HERE: 1}) is None
    assert store.hold(2.0) is not None
    assert store.decide(2.0) == [Evict(HERE, "i2")]
    store.evicted(HERE, "i2", gone=True)
    store.measured(HERE, GB, 3.0)
    assert store.place("i0", {HERE: 1}) == HERE


def test_it_is_said_which_image_can_come_nowhere() -> None:
    store = make_store(1)
    assert pulls(begin(store, room=GB)) == []
    assert store.lacks_room(1.0) == "i0"


def test_a_registry_that_fails_with_its_last_pull_is_asked_for_more_all_the_same() -> None:
    store = make_store()
    begin(store, quota=Quota(100, 1, 21600))
    store.pull_failed(HERE, "i0", PullFailure(PullProblem.AWAY, "reset"), 1.0)

    assert AskQuota(HERE, "hub") in store.decide(130.0)


def test_what_a_registry_asks_to_wait_is_waited_whatever_its_quota_says() -> None:
    store = make_store(pulls=1)
    begin(store, quota=Quota(100, 5, 21600))
    failure = PullFailure(PullProblem.QUOTA, "toomanyrequests", retry_after_s=600.0)
    store.pull_failed(HERE, "i0", failure, 1.0)
    store.told_quota(HERE, "hub", Quota(100, 5, 21600), 130.0)

    assert pulls(store.decide(500.0)) == []
    assert pulls(store.decide(602.0)) == ["i0"]


def test_where_nobody_can_tell_the_room_images_come_and_do_not_fill_the_disk() -> None:
    store = make_store(20, pulls=3)
    store.decide(0.0)
    store.measured(HERE, None, 0.0)
    store.decide(0.0)
    store.told_quota(HERE, "hub", None, 0.0)

    for now in range(1, 20):
        bring(store, *pulls(store.decide(float(now))), now=float(now))

    assert len(store.nodes[HERE].resident) == 4


def test_a_disk_full_of_images_that_stay_is_said_to_lack_room() -> None:
    store = make_store(2, keep=True, pulls=1)
    begin(store, room=10 * GB)
    bring(store, "i0")
    store.instance_over("i0-instance")
    store.decide(30.0)
    store.measured(HERE, GB // 2, 30.0)

    assert store.decide(30.0) == []
    assert store.lacks_room(30.0) == "i1"


def test_an_image_that_does_not_fit_is_tried_when_nothing_else_is_left_and_not_for_ever() -> None:
    store = make_store(1, pulls=1)
    begin(store, room=6 * GB)  # it seems to take 7.6
    now, tried = 0.0, 1
    while not store.lacks_room(now):
        assert tried < 10
        for image in list(store.nodes[HERE].pulling):
            store.pull_failed(HERE, image, PullFailure(PullProblem.NO_ROOM, "full"), now)
        now += 400.0
        assert now < 40_000, "it never ends"
        if MeasureRoom(HERE) in store.decide(now):
            store.measured(HERE, 6 * GB, now)
        tried += len(pulls(store.decide(now)))
    assert tried == 3


def test_a_registry_that_is_away_is_tried_again_while_another_gives() -> None:
    store = make_store(8)
    store.registry_of = lambda name: "away" if name in ("i0", "i1") else "hub"
    store.decide(0.0)
    store.measured(HERE, 500 * GB, 0.0)
    store.decide(0.0)
    for registry in ("away", "hub"):
        store.told_quota(HERE, registry, None, 0.0)
    assert pulls(store.decide(0.0)) == ["i0", "i1"]
    for name in ("i0", "i1"):
        store.pull_failed(HERE, name, PullFailure(PullProblem.AWAY, "reset"), 1.0)
    assert pulls(store.decide(1.0)) == ["i2", "i3"]
    bring(store, "i2", now=7.0)
    assert pulls(store.decide(7.0)) == ["i4"], "one that failed lets others go first"
    bring(store, "i3", "i4", now=8.0)
    bring(store, *pulls(store.decide(8.0)), now=9.0)
    bring(store, *pulls(store.decide(9.0)), now=10.0)
    assert "i0" in store.nodes[HERE].resident


def test_what_makes_room_may_start_under_the_reserve() -> None:
    store = make_store(1)
    begin(store)
    bring(store, "i0")
    store.measured(HERE, -GB, 2.0)

    assert store.place("i0", {HERE: 1}) is None
    assert store.place("i0", {HERE: 1}, makes_room=True) == HERE


def test_news_of_a_node_that_is_gone_change_nothing() -> None:
    store = make_store(1)
    store.pin("gone", "i0")
    store.unpin("gone", "i0")
    store.unpin(HERE, "i0")
    store.measured("gone", GB, 0.0)
    store.pulled("gone", "i0", GB, 0.0)
    store.pull_failed("gone", "i0", PullFailure(PullProblem.AWAY, "reset"), 0.0)
    store.evicted("gone", "i0", gone=True)
    store.absent("gone", "i0")
    store.told_quota("gone", "hub", None, 0.0)

    assert store.nodes[HERE].pins["i0"] == 0
    assert store.hold(0.0) is None


def for_two_models(keep: bool | None) -> Store:
    """A store with room for two of four images, each of which two models' rollouts use."""
    store = make_store(keep=keep, pulls=1)
    store.wanted = {name: {f"{name} of a", f"{name} of b"} for name in store.wanted}
    begin(store, room=9 * GB)
    bring(store, "i0", "i1")
    store.measured(HERE, 2 * GB, 1.0)
    return store


@pytest.mark.parametrize("keep", [False, None], ids=["goes when it is graded", "goes for room"])
def test_what_only_waits_for_a_model_that_is_away_makes_room_for_the_others(
    keep: bool | None,
) -> None:
    store = for_two_models(keep)
    store.instance_over("i0 of a")
    assert store.decide(1.0) == [], "the other model's rollout is next, and its image stays"

    store.held_back = frozenset(f"i{n} of b" for n in range(4))
    assert store.decide(1.0) == [Evict(HERE, "i0")]
    store.evicted(HERE, "i0", gone=True)
    store.measured(HERE, 5 * GB, 2.0)
    assert store.decide(2.0) == [Pull(HERE, "i2")]

    store.held_back = frozenset()
    store.pulled(HERE, "i2", round(2 * GB * 2.8), 3.0)
    store.instance_over("i1 of a")
    store.instance_over("i1 of b")
    store.measured(HERE, 5 * GB, 3.0)
    assert Pull(HERE, "i0") in store.decide(3.0), "it comes again for the model that is back"


def test_what_waits_for_a_model_that_is_away_stays_while_there_is_room() -> None:
    store = for_two_models(keep=False)
    store.measured(HERE, 50 * GB, 1.0)
    store.instance_over("i0 of a")
    store.held_back = frozenset(f"i{n} of b" for n in range(4))

    assert store.decide(1.0) == [Pull(HERE, "i2")]


def test_nothing_comes_for_a_model_that_is_away_while_others_have_work() -> None:
    store = make_store(pulls=4)
    store.held_back = frozenset({"i0-instance", "i2-instance"})

    assert pulls(begin(store)) == ["i1", "i3"]


def test_where_all_are_to_stay_those_for_a_model_that_is_away_stay_too() -> None:
    store = for_two_models(keep=True)
    store.instance_over("i0 of a")
    store.held_back = frozenset(f"i{n} of b" for n in range(4))

    assert not any(isinstance(decision, Evict) for decision in store.decide(1.0))
