"""`bench` as people meet it, on the scripted endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import Ended

from orchestrator.bench.levels import Level
from orchestrator.bench.measure import measure_level
from orchestrator.cli.bench import default_levels, parse_levels
from orchestrator.errors import ConfigError
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.user_paths import bench_file

pytestmark = pytest.mark.slow

Say = Callable[[str], Ended]


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint((), {}, {"default": "loops"}, delay_s=0.005) as running:
        yield running


@pytest.fixture
def bench(say: Say, endpoint: ScriptedEndpoint) -> Say:
    """What the command says; `{there}` names the endpoint."""
    there = f"--set model.endpoint.base_url={endpoint.base_url} --seconds 0.3 --pause 0.01"
    return lambda args: say("bench " + args.replace("{there}", there))


def test_levels_are_measured_and_one_is_recommended(bench: Say) -> None:
    said = bench("scripted {there} --levels 2,1 --instances 30").succeeded()

    assert said.index("   1 at once: ") < said.index("   2 at once: ")
    assert "Recommended: " in said
    assert "30 instances would take about" in said


def test_json_goes_to_stdout_alone(bench: Say) -> None:
    done = bench("scripted {there} --levels 1 --seconds 1.5 --json")  # five steps, also when busy

    found = done.report
    assert done.exit_code == 0
    assert "1 at once" in done.stderr
    assert found["model"] == "scripted"
    assert found["levels"][0]["generated_per_s"] > 0
    assert found["levels"][0]["preemptions"] is None
    assert found["recommendation"]["at_once"] == 1
    assert found["estimate"]["instances"] == 300
    assert found["assumptions"]["spread"] == 20


WRONG = {
    "no server": ("scripted", 2, "no server to ask"),
    "unknown model": ("qwen", 2, "unknown model 'qwen'"),
    "wrong levels": ("scripted {there} --levels 4,0", 2, "--levels 4,0: write numbers"),
    "another's setting": ("scripted {there} --set rollout.max_steps=3", 2, "model.* keys"),
    "no key": (
        "scripted {there} --set model.endpoint.api_key_env=NO_SUCH_KEY_HERE",
        3,
        "$NO_SUCH_KEY_HERE is not set",
    ),
    "nobody there": (
        "scripted --set model.endpoint.base_url=http://127.0.0.1:9/v1",
        3,
        "does not answer",
    ),
    "not served": ("scripted {there} --set model.served_name=x", 3, "does not serve 'x'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_person_can_mend_is_one_line(name: str, bench: Say) -> None:
    args, exit_code, says = WRONG[name]

    bench(args).assert_one_line(exit_code, says)


def test_ctrl_c_prints_what_was_measured(bench: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = measure_level

    def interrupted(target: Any, at_once: int, **more: Any) -> Level:
        if at_once == 2:
            raise KeyboardInterrupt
        return measure(target, at_once, **more)

    monkeypatch.setattr("orchestrator.bench.measure.measure_level", interrupted)

    done = bench("scripted {there} --levels 1,2,4")

    assert done.exit_code == 130
    assert "Recommended: 1 at once" in done.stdout
    assert "interrupted" in done.stdout


def test_a_server_that_fails_at_every_level_is_reported(
    bench: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(target: Any, at_once: int, **more: Any) -> Level:
        return Level(at_once, (0.0, 1.0), (), errors={"HTTP 500": 12})

    monkeypatch.setattr("orchestrator.bench.measure.measure_level", fail)

    done = bench("scripted {there} --levels 1,2")

    assert done.exit_code == 3
    assert done.stderr.startswith("error: ")
    assert "no answer, 12 x HTTP 500" in done.stdout
    assert "   2 at once" not in done.stdout, "the sweep has ended"


def test_levels_double_up_to_twice_what_the_profile_says() -> None:
    assert default_levels(8) == [1, 2, 4, 8, 16]
    assert default_levels(6) == [1, 2, 4, 8, 12]
    assert default_levels(1) == [1, 2]


def test_levels_are_read_in_rising_order() -> None:
    assert parse_levels("8, 2,2") == [2, 8]
    with pytest.raises(ConfigError):
        parse_levels("x")


def test_what_was_measured_is_where_a_launch_starts(
    bench: Say, endpoint: ScriptedEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))

    bench("scripted {there} --levels 1 --seconds 0.3").succeeded()

    kept = json.loads(bench_file(endpoint.base_url, "scripted").read_text(encoding="utf-8"))
    assert (kept["at_once"], kept["base_url"]) == (1, endpoint.base_url)
