"""Which runs ask one server, and how many rollouts each server is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.config import RunConfig
from orchestrator.config.schema import Endpoint, Model
from orchestrator.driver.lanes import Lane, make_lanes
from orchestrator.errors import ConfigError

MakeConfig = Callable[..., RunConfig]
OF_MODEL = ("served_name", "max_concurrency", "request_fields")


@pytest.fixture
def run_of(make_config: MakeConfig) -> Callable[..., RunConfig]:
    """`run_of("r1", "gemma", base_url=..., max_tries=3)`; without a model it is of gold."""

    def make(run_id: str, model: str = "", **more: Any) -> RunConfig:
        if not model:
            return make_config("gold", run_id=run_id)
        named = {key: more.pop(key) for key in OF_MODEL if key in more}
        section = {"name": model, "served_name": "m", **named}
        endpoint = Endpoint(**{"base_url": "http://h/v1", **more})
        given = Model(endpoint=endpoint, **section)
        return make_config("mini", run_id=run_id).model_copy(update={"model": given})

    return make


def test_runs_that_ask_one_server_share_a_lane(run_of: Callable[..., RunConfig]) -> None:
    lanes = make_lanes(
        [
            run_of("a", "m"),
            run_of("b", "m", base_url="http://h/v1/"),
            run_of("c", "thinking", request_fields={"think": True}),
        ]
    )

    assert len(set(lanes.values())) == 1, "a profile's own fields make no other server"
    assert lanes["a"].slots is None, "the session's slots are counted by this one server"


@pytest.mark.parametrize(
    "other",
    [
        {"base_url": "http://other/v1"},
        {"base_url": "http://h:1234/v1"},
        {"served_name": "another"},
        {"served_name": "another", "replicas": ("http://second/v1",)},
    ],
    ids=["host", "port", "name at one address", "name, and one more server"],
)
def test_another_server_is_another_lane(
    run_of: Callable[..., RunConfig], other: dict[str, Any]
) -> None:
    lanes = make_lanes(
        [run_of("a", "m", max_concurrency=3), run_of("b", "n", max_concurrency=5, **other)]
    )

    assert [(lanes[run].name, lanes[run].slots) for run in "ab"] == [("m", 3), ("n", 5)]


def test_the_order_of_a_models_servers_makes_no_difference(
    run_of: Callable[..., RunConfig],
) -> None:
    one = run_of("a", "m", base_url="http://x/v1", replicas=("http://y/v1",))
    other = run_of("b", "m", base_url="http://y/v1", replicas=("http://x/v1",))

    assert len(set(make_lanes([one, other]).values())) == 1


def test_a_server_that_two_lanes_would_both_fill_is_refused(
    run_of: Callable[..., RunConfig],
) -> None:
    one = run_of("a", "m")
    other = run_of("b", "n", base_url="http://second/v1", replicas=("http://h/v1/",))

    with pytest.raises(ConfigError, match="both ask http://h/v1 for m, and differ"):
        make_lanes([one, other])


def test_a_scripted_model_is_a_server_of_its_own_for_each_run(make_config: MakeConfig) -> None:
    lanes = make_lanes([make_config("mini", run_id="a"), make_config("mini", run_id="b")])

    assert lanes["a"] is not lanes["b"]
    assert {lane.name for lane in lanes.values()} == {"scripted of a", "scripted of b"}


def test_a_run_without_a_model_has_no_lane_and_leaves_the_others_theirs(
    run_of: Callable[..., RunConfig],
) -> None:
    lanes = make_lanes([run_of("g"), run_of("a", "m", max_concurrency=3)])

    assert {run: lane.slots for run, lane in lanes.items()} == {"a": 3}


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"max_concurrency": 9}, r"model\.max_concurrency \(8 and 9\)"),
        ({"max_outage_s": 60}, r"model\.endpoint\.max_outage_s \(28800.* and 60"),
        ({"api_key_env": "KEY"}, r"model\.endpoint\.api_key_env"),
        ({"admission": "fixed"}, r"model\.endpoint\.admission"),
        ({"request_timeout_s": 5}, r"model\.endpoint\.request_timeout_s"),
        ({"max_tries": 5}, r"model\.endpoint\.max_tries"),
    ],
)
def test_runs_that_would_treat_one_server_differently_are_refused_in_one_line(
    run_of: Callable[..., RunConfig], differs: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_lanes([run_of("a", "m"), run_of("b", "n", **differs)])

    assert "m of run a and n of run b" in str(caught.value)


@pytest.mark.parametrize(
    ("lane", "admitted"),
    [
        (Lane(), 8),
        (Lane(slots=3), 3),
        (Lane(limit=2), 2),
        (Lane(slots=3, limit=5), 3),
        (Lane(slots=99, limit=99), 8),
    ],
)
def test_a_lane_takes_what_its_server_is_worth_of_the_slots(lane: Lane, admitted: int) -> None:
    assert lane.admitted(8) == admitted
