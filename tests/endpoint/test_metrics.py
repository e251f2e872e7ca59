"""Readings of /metrics: what is summed, what older servers say, and the difference of two."""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.endpoint.metrics import ServerMetrics, parse_metrics, parse_serving_facts

ENGINE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="%(n)s",model_name="m"} 3.0
vllm:num_requests_waiting{engine="%(n)s",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="%(n)s",model_name="m",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="%(n)s",model_name="m"} 0.2%(n)s
vllm:num_preemptions_total{engine="%(n)s",model_name="m"} 1.0
vllm:prefix_cache_queries_total{engine="%(n)s",model_name="m"} 1000.0
vllm:prefix_cache_queries_created{engine="%(n)s",model_name="m"} 1.79e+09
vllm:prefix_cache_hits_total{engine="%(n)s",model_name="m"} 640.0
vllm:external_prefix_cache_hits_total{engine="%(n)s",model_name="m"} 7.0
vllm:prompt_tokens_total{engine="%(n)s",model_name="m"} 1100.0
vllm:generation_tokens_total{engine="%(n)s",model_name="m"} 80.0
vllm:time_to_first_token_seconds_bucket{engine="%(n)s",le="+Inf",model_name="m"} 5.0
vllm:time_to_first_token_seconds_count{engine="%(n)s",model_name="m"} 5.0
vllm:time_to_first_token_seconds_sum{engine="%(n)s",model_name="m"} 1.5
vllm:request_queue_time_seconds_count{engine="%(n)s",model_name="m"} 4.0
vllm:request_queue_time_seconds_sum{engine="%(n)s",model_name="m"} 0.5
"""
CONFIG = (
    'vllm:cache_config_info{block_size="16",enable_prefix_caching="True",sliding_window="None",'
    'num_gpu_blocks="256"%s} 1.0\n'
)
READING = ServerMetrics(
    running=3,
    waiting=2,
    preemptions=1,
    prefix_queries=1000,
    prefix_hits=640,
    prompt_tokens=1100,
    generation_tokens=80,
    first_token_s=1.5,
    first_tokens=5,
    queue_s=0.5,
    queued=4,
    kv_usage=0.20,
    kv_tokens=None,
)


def engine(number: int) -> str:
    return ENGINE % {"n": number}


class TestParsing:
    def test_every_field_has_its_sample_and_neighbours_by_name_have_none(self) -> None:
        assert parse_metrics(engine(0)) == READING

    def test_engines_are_summed_and_the_fullest_cache_counts(self) -> None:
        both = parse_metrics(engine(0) + engine(5))
        assert both is not None
        assert (both.running, both.prefix_hits, both.first_token_s) == (6, 1280, 3.0)
        assert both.kv_usage == 0.25

    def test_the_older_name_of_the_cache_usage(self) -> None:
        older = engine(0).replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
        assert parse_metrics(older) == READING

    def test_a_cache_is_as_large_as_the_server_says_else_its_blocks(self) -> None:
        def kv_tokens(text: str) -> int | None:
            metrics = parse_metrics(text)
            assert metrics is not None
            return metrics.kv_tokens

        said = CONFIG % ',kv_cache_size_tokens="5000"'
        assert kv_tokens(said) == 5000
        assert kv_tokens(CONFIG % "") == 16 * 256
        assert kv_tokens(said + CONFIG % ',engine="1"') == 5000 + 16 * 256
        assert kv_tokens(CONFIG.replace('"256"', '"None"') % "") is None

    def test_text_without_vllm_is_no_reading(self) -> None:
        others = "# TYPE up gauge\nup 1.0\nsglang:num_running_reqs 4.0\n"
        for text in ("", others, "<html>not found</html>", '{"detail": "Not Found"}'):
            assert parse_metrics(text) is None
            assert parse_serving_facts(text) == {}

    def test_a_name_that_vllm_is_still_to_invent_does_no_harm(self) -> None:
        assert parse_metrics(engine(0) + "vllm:num_requests_dreaming 9.0\n") == READING

    def test_facts_are_what_the_cache_is_set_to(self) -> None:
        assert parse_serving_facts(engine(0) + CONFIG % "") == {
            "block_size": "16",
            "enable_prefix_caching": "True",
            "num_gpu_blocks": "256",
        }


class TestDifference:
    def test_counters_grow_and_gauges_stay_as_they_are(self) -> None:
        now = replace(READING, running=1, prefix_hits=700, first_tokens=6, kv_usage=0.9)
        grown = now.since(READING)
        assert (grown.prefix_hits, grown.first_tokens, grown.prompt_tokens) == (60, 1, 0)
        assert (grown.running, grown.waiting, grown.kv_usage) == (1, 2, 0.9)

    def test_a_counter_that_fell_was_reset(self) -> None:
        restarted = ServerMetrics(prompt_tokens=30, kv_tokens=4096)
        grown = restarted.since(READING)
        assert (grown.prompt_tokens, grown.prefix_hits, grown.kv_tokens) == (30, 0, 4096)

    def test_since_nothing_is_all_of_it(self) -> None:
        assert READING.since(ServerMetrics()) == READING


class TestSum:
    def test_two_servers_are_one_with_the_fuller_cache(self) -> None:
        both = replace(READING, kv_usage=0.7) + READING
        doubled = {
            field.name: 2 * getattr(READING, field.name)
            for field in fields(READING)
            if not field.name.startswith("kv_")
        }
        assert both == ServerMetrics(**doubled, kv_usage=0.7)

    def test_a_cache_of_unknown_size_counts_nothing(self) -> None:
        known = ServerMetrics(kv_tokens=100)
        assert (known + known).kv_tokens == 200
        assert (known + ServerMetrics()).kv_tokens == 100
        assert (ServerMetrics() + ServerMetrics()).kv_tokens is None


LINE = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["vllm:", "", "# TYPE vllm:"])
    | st.sampled_from([f"vllm:{name}" for name in ("prompt_tokens_total", "cache_config_info")]),
    st.sampled_from(["num_requests_running", "kv_cache_usage_perc", "cache_config_info", ""]),
    st.text(alphabet='{}="\\,ab_ \t', max_size=12),
    st.sampled_from([" 1", " -1", " 1e999", " NaN", " x", "", " 1 1 1"]) | st.text(max_size=8),
)


@pytest.mark.fuzz
@given(st.lists(LINE, max_size=6).map("\n".join) | st.text())
def test_a_page_of_metrics_is_read_or_refused(page: str) -> None:
    for read in (parse_metrics, parse_serving_facts):
        with contextlib.suppress(ValueError):
            read(page)
