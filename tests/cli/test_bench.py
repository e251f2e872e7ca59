"""`bench` as people meet it, on the scripted endpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.bench.levels import Level
from orchestrator.bench.measure import measure_level
from orchestrator.cli import main
from orchestrator.cli.bench import default_levels, parse_levels
from orchestrator.errors import ConfigError
from orchestrator.scripted.endpoint import ScriptedEndpoint


@dataclass(frozen=True)
class Done:
    exit_code: int
    out: str
    err: str


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint((), {}, {"default": "loops"}, delay_s=0.005) as running:
        yield running


@pytest.fixture
def say(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    endpoint: ScriptedEndpoint,
) -> Callable[[str], Done]:
    """What the command says; `{there}` names the endpoint."""
    there = f"--set model.endpoint.base_url={endpoint.base_url} --seconds 0.3 --pause 0.01"

    def ask(args: str) -> Done:
        argv = ["orchestrator", "bench", *args.format(there=there).split()]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return ask


def test_levels_are_measured_and_one_is_recommended(say: Callable[[str], Done]) -> None:
    done = say("scripted {there} --levels 2,1 --instances 30")

    assert (done.exit_code, done.err) == (0, "")
    assert done.out.index("   1 at once: ") < done.out.index("   2 at once: ")
    assert "Recommended: " in done.out
    assert "30 instances would take about" in done.out


def test_json_goes_to_stdout_alone(say: Callable[[str], Done]) -> None:
    done = say("scripted {there} --levels 1 --seconds 1.5 --json")  # five steps, also when busy

    found = json.loads(done.out)
    assert done.exit_code == 0
    assert "1 at once" in done.err
    assert found["model"] == "scripted"
    assert found["levels"][0]["generated_per_s"] > 0
    assert found["levels"][0]["preemptions"] is None
    assert found["recommendation"]["at_once"] == 1
    assert found["estimate"]["instances"] == 300
    assert found["assumptions"]["spread"] == 20


WRONG = {
    "no server": ("scripted", 2, "no server to measure"),
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
def test_what_a_person_can_mend_is_one_line(name: str, say: Callable[[str], Done]) -> None:
    args, exit_code, says = WRONG[name]

    done = say(args)

    assert done.exit_code == exit_code
    assert says in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_ctrl_c_prints_what_was_measured(
    say: Callable[[str], Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = measure_level

    def interrupted(target: Any, at_once: int, **more: Any) -> Level:
        if at_once == 2:
            raise KeyboardInterrupt
        return measure(target, at_once, **more)

    monkeypatch.setattr("orchestrator.bench.measure.measure_level", interrupted)

    done = say("scripted {there} --levels 1,2,4")

    assert done.exit_code == 130
    assert "Recommended: 1 at once" in done.out
    assert "interrupted" in done.out


def test_a_server_that_fails_everywhere_is_said_to(
    say: Callable[[str], Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(target: Any, at_once: int, **more: Any) -> Level:
        return Level(at_once, (0.0, 1.0), (), errors={"HTTP 500": 12})

    monkeypatch.setattr("orchestrator.bench.measure.measure_level", fail)

    done = say("scripted {there} --levels 1,2")

    assert done.exit_code == 3
    assert done.err.startswith("error: ")
    assert "no answer, 12 x HTTP 500" in done.out
    assert "   2 at once" not in done.out, "the sweep has ended"


def test_levels_double_up_to_twice_what_the_profile_says() -> None:
    assert default_levels(8) == [1, 2, 4, 8, 16]
    assert default_levels(6) == [1, 2, 4, 8, 12]
    assert default_levels(1) == [1, 2]


def test_levels_are_read_in_rising_order() -> None:
    assert parse_levels("8, 2,2") == [2, 8]
    with pytest.raises(ConfigError):
        parse_levels("x")
