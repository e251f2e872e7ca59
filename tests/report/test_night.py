from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import sampled

from orchestrator.endpoint.load_sample import LoadSample
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.report.night import COLUMNS, NAME_WIDTH, NightPicture, draw_night, sparkline


def draw(samples: list[LoadSample]) -> NightPicture:
    night = draw_night(samples)
    assert night is not None
    return night


def picture(night: NightPicture, name: str) -> str:
    """A line's columns and its range."""
    (line,) = [line for line in night.lines if line.startswith(name)]
    return line[NAME_WIDTH:]


@pytest.mark.parametrize(
    ("values", "top", "expected"),
    [
        ([0.0, 7.0], 7.0, "▁█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 7.0, "▁▂▃▄▅▆▇█"),
        ([1.0, None], 2.0, "▅·"),
        ([0.0, 0.0], 0.0, "▁▁"),
        ([], 1.0, ""),
    ],
)
def test_a_sparkline_has_a_block_a_value(
    values: list[float | None], top: float, expected: str
) -> None:
    assert sparkline(values, top) == expected


def test_nothing_sampled_is_nothing_drawn() -> None:
    assert draw_night([]) is None
    assert draw_night([sampled(10.0, seconds=0.0)]) is None


def test_a_long_night_has_sixty_columns_that_are_means() -> None:
    samples = [sampled(10.0 * n, completion_tokens=100 * (n % 2)) for n in range(1, 2401)]
    night = draw(samples)

    assert picture(night, "tokens generated") == f"{'█' * COLUMNS} 5 a second"
    assert "A column is 6 min 40 s" in night.legend
    assert night.lines[-1].endswith("0" + "6 h 40 min".rjust(COLUMNS - 1))


def test_a_short_run_has_no_more_columns_than_samples() -> None:
    samples = [sampled(10.0, completion_tokens=0), sampled(20.0, completion_tokens=70)]

    assert picture(draw(samples), "tokens generated") == "▁█ 0 to 7 a second"


def test_rollouts_under_way_are_read_against_those_admitted() -> None:
    night = draw([sampled(10.0, rollouts=2, admitted=14), sampled(20.0, rollouts=14, admitted=14)])

    assert picture(night, "rollouts under way") == "▂█ 2 to 14"
    assert picture(night, "rollouts admitted") == "██ 14"


def test_what_no_server_showed_is_left_out() -> None:
    night = draw([sampled(10.0)])

    assert not [line for line in night.lines if line.startswith(("KV", "prompts", "waiting"))]
    assert "·" not in night.legend


def test_shares_of_the_cache_are_in_percent() -> None:
    night = draw(
        [
            sampled(10.0, server=ServerMetrics(kv_usage=0.25, prefix_queries=100, prefix_hits=90)),
            sampled(20.0, server=ServerMetrics(kv_usage=0.5)),
        ]
    )

    assert picture(night, "KV cache in use") == "▅█ 25 to 50 %"
    assert picture(night, "prompts cached") == "█· 90 %"
    assert "`·`: not known" in night.legend


def test_latency_is_the_mean_over_answers_and_not_over_samples() -> None:
    """Each column has a sample of one quick answer and one of three slow ones."""
    samples = [
        sampled(10.0 * n, answers=3 if n % 2 else 1, latency_s=20.0 if n % 2 else 12.0)
        for n in range(1, 2 * COLUMNS + 1)
    ]

    assert picture(draw(samples), "mean answer latency") == f"{'█' * COLUMNS} 18 s"


def test_time_without_an_answer_has_no_latency() -> None:
    samples = [sampled(10.0, answers=1, latency_s=10.0), sampled(20.0)]

    assert picture(draw(samples), "mean answer latency") == "█· 10 s"


def test_a_sample_across_two_columns_counts_in_both_by_its_share() -> None:
    """A minute's sample and sixty of a second each: 61 samples in 60 columns of 2 s."""
    samples = [sampled(60.0, 60.0, completion_tokens=600)]
    samples += [sampled(60.0 + n, 1.0, completion_tokens=20) for n in range(1, 61)]

    assert picture(draw(samples), "tokens generated") == f"{'▅' * 30}{'█' * 30} 10 to 20 a second"


def test_columns_in_which_no_server_was_up_are_crossed_out() -> None:
    samples = [sampled(10.0, completion_tokens=70), sampled(20.0, down_s=9.0), sampled(30.0)]
    night = draw(samples)

    assert picture(night, "tokens generated") == "█x▁ 0 to 7 a second"
    assert picture(night, "rollouts under way") == "█x█ 1"
    assert "`x`: no server was up" in night.legend


def test_a_night_without_any_server_is_crossed_out_altogether() -> None:
    night = draw([sampled(10.0, down_s=10.0)])

    assert picture(night, "rollouts under way") == "x ?"


def test_a_session_hours_later_is_drawn_right_beside_the_first() -> None:
    samples = [sampled(10.0), sampled(20.0), sampled(36000.0), sampled(36010.0)]
    night = draw(samples)

    assert picture(night, "rollouts under way") == "████ 1"
    assert "A column is 10 s" in night.legend
    assert "9 h 59 min without a sample are left out" in night.legend


def test_a_short_gap_is_shown_as_not_known() -> None:
    samples = [sampled(10.0), sampled(20.0), sampled(90.0), sampled(100.0)]

    assert picture(draw(samples), "rollouts under way") == "█··█ 1"


def test_a_clock_that_was_set_back_breaks_nothing() -> None:
    night = draw([sampled(5000.0), sampled(10.0), sampled(20.0)])

    assert picture(night, "rollouts under way") == "███ 1"


samples = st.lists(
    st.tuples(
        st.floats(0.1, 600), st.floats(0, 20000), st.integers(0, 16), st.none() | st.floats(0, 1)
    ),
    min_size=1,
    max_size=200,
)


@given(samples)
def test_every_line_is_as_wide_as_the_others(seen: list[tuple[float, float, int, float]]) -> None:
    at, samples = 0.0, []
    for seconds, gap_s, rollouts, kv_usage in seen:
        at += gap_s + seconds
        server = None if kv_usage is None else ServerMetrics(kv_usage=kv_usage)
        samples.append(sampled(at, seconds, rollouts=rollouts, admitted=16, server=server))
    night = draw(samples)

    width = min(COLUMNS, len(samples))
    for line in night.lines[:-1]:
        blocks = line[NAME_WIDTH:].partition(" ")[0]
        assert len(blocks) == width
        assert set(blocks) <= set("▁▂▃▄▅▆▇█·")
