"""The report's section on the model server."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.rows import asked, graded, rolled, sampled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.journal import RunState
from orchestrator.report.build import build_report
from orchestrator.report.model_server import model_server_section
from orchestrator.types import RequestResult

CONFIG = load_config(RunRequest("demo", run_id="r1", runs_dir=str(Path("runs"))))


def section(seen: RunState) -> list[str]:
    return list(model_server_section(build_report(CONFIG, seen, {}), seen.samples))


def test_where_nothing_was_asked_there_is_no_section() -> None:
    assert section(state()) == []


def test_requests_and_tokens_are_summed_up() -> None:
    requests = [
        asked(prompt_tokens=1000, completion_tokens=50, cached_tokens=750, retries=2),
        asked(result=RequestResult.REFUSED, status=400),
    ]
    lines = section(state(rolled("a"), grades=[graded("a", True)], requests=requests))

    assert lines[0] == "## The model server"
    assert "| requests | 2: 1 answered, 1 refused; 2 retries |" in lines
    assert "| tokens | 1.00 k in, 50 out |" in lines
    assert "| prompts found in the cache | 75.0% |" in lines


def test_what_no_server_showed_is_left_out() -> None:
    names = [
        line.split("|")[1].strip() for line in section(state(requests=[asked()])) if "|" in line
    ]

    assert "requests" in names
    assert "prompts found in the cache" not in names
    assert "its first token, where streamed" not in names


@pytest.mark.parametrize("samples", [0, 3])
def test_the_night_is_drawn_where_it_was_sampled(samples: int) -> None:
    drawn = [sampled(10.0 * n, completion_tokens=7) for n in range(1, samples + 1)]

    lines = section(state(requests=[asked()], samples=drawn))

    assert ("```text" in lines) is bool(samples)
