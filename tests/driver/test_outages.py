"""What is told of servers that come and go: in pairs, and little of those that do so all night."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.driver.outages import LATELY_S, TELL_AFTER_S, TRUST_AFTER_S, Outages

A, B = "http://a/v1", "http://b:8000/v1"


def told_of(steps: Iterable[tuple[float, dict[str, str]]]) -> list[tuple[float, str]]:
    """What is told, and when: at each of these times so many servers are away from then on."""
    outages, told = Outages(), []
    now = 0.0
    for at, away in steps:
        while now < at:
            now += 1.0
            told += [(now, line) for line in outages.passed(now)]
        told += [(now, line) for line in outages.changed(away, now)]
    return told + [(now, line) for line in outages.ended(now)]


def test_an_outage_is_told_when_it_lasts_and_when_it_is_over() -> None:
    told = told_of([(100, {A: "it hangs"}), (300, {})])

    assert told == [
        (100 + TELL_AFTER_S, f"model server {A} is away: it hangs"),
        (300.0, f"model server {A} is back after 3 min 20 s"),
    ]


def test_each_of_several_servers_is_told_of_by_itself() -> None:
    told = told_of([(0, {A: "x"}), (50, {A: "x", B: "y"}), (100, {B: "y"}), (200, {})])

    assert [line for _, line in told] == [
        f"model server {A} is away: x",
        f"model server {B} is away: y",
        f"model server {A} is back after 1 min 40 s",
        f"model server {B} is back after 2 min 30 s",
    ]


def test_brief_outages_are_counted_and_told_together() -> None:
    blips = [step for n in range(60) for step in ((60.0 * n, {A: "reset"}), (60.0 * n + 3, {}))]

    told = told_of([*blips, (2 * 3600, {})])

    assert [line for _, line in told] == [
        f"model server {A} was briefly away 30 times within 30 min 00 s, 1 min 30 s in all (reset)",
        f"model server {A} was briefly away 30 times within 30 min 00 s, 1 min 30 s in all (reset)",
    ]


@pytest.mark.parametrize("seconds", [1, 5, 15, 60, 200])
def test_a_server_that_comes_and_goes_all_night_does_not_fill_the_log(seconds: int) -> None:
    night = range(0, 8 * 3600, 2 * seconds)

    told = told_of(step for t in night for step in ((t, {A: "x"}), (t + seconds, {})))

    assert 10 <= len(told) <= 16 * 16


def test_a_new_gateway_knows_of_no_outage_and_so_nothing_is_said_to_be_back() -> None:
    outages = Outages()
    told = [*outages.changed({A: "x"}, 0), *outages.passed(20), *outages.new_gateway(30)]
    assert len(told) == 1

    assert list(outages.changed({A: "x"}, 40)) == [], "found away again"
    assert list(outages.new_gateway(50)) == []
    assert list(outages.answered(B, 55)) == []
    assert list(outages.passed(50 + TRUST_AFTER_S - 1)) == []
    (back,) = outages.passed(50 + TRUST_AFTER_S)
    assert "is back" in back
    assert list(outages.passed(1e6)) == []


CHANGES = st.one_of(
    st.sets(st.sampled_from([A, B]) | st.text(max_size=3)),
    st.just("another gateway"),
    st.sampled_from([A, B]),
)


@pytest.mark.fuzz
@given(st.lists(st.tuples(st.floats(0, 2000), CHANGES), max_size=40))
def test_away_and_back_alternate_for_every_server(
    happened: list[tuple[float, set[str] | str]],
) -> None:
    outages, told, now = Outages(), [], 0.0
    away: set[str] = set()
    for seconds, what in happened:
        now += seconds
        told += outages.passed(now)
        if isinstance(what, set):
            away = what
            told += outages.changed(dict.fromkeys(away, "why"), now)
        elif what == "another gateway":
            away = set()
            told += outages.new_gateway(now)
        elif what not in away:
            told += outages.answered(what, now)
    for _ in range(3):
        now += LATELY_S
        told += outages.passed(now)

    of_server = defaultdict(list)
    for line in told:
        for word in (" is away: ", " is back after "):
            if word in line:
                of_server[line.removeprefix("model server ").partition(word)[0]].append(word)
    for words in of_server.values():
        assert (
            words
            == [" is away: ", " is back after "] * (len(words) // 2)
            + words[len(words) - len(words) % 2 :]
        )
        assert words[:1] == [" is away: "]
    last = {url for url, words in of_server.items() if words[-1] == " is away: "}
    assert last == away, "in the end all that is so has been told"
