"""`diagnose` against a real vLLM, started well and started wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.playing_proxy import PlayingProxy
from support.tiny_vllm import MODEL, NO_THINKING, TinyVllm

from orchestrator.config.schema import Endpoint, Model
from orchestrator.diagnose.causes import Blame
from orchestrator.diagnose.levels import Diagnosis, make_plan
from orchestrator.diagnose.protocols import forms_of, system_templates
from orchestrator.diagnose.report import DiagnosisReport, make_report
from orchestrator.diagnose.target import require_target
from orchestrator.scripted.protocols import Protocol

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
Diagnose = Callable[..., DiagnosisReport]
CONTEXT = 4096
"""Of the server's: half of it makes for short loops."""


@pytest.fixture
def diagnose(tmp_path: Path) -> Diagnose:
    """`diagnose(server, "sweagent-tools", dialect="gemma4", request_fields={…})`."""

    def run(
        server: TinyVllm,
        *agents: str,
        dialect: str = "hermes",
        times: int = 5,
        at_once: int = 1,
        **settings: Any,
    ) -> DiagnosisReport:
        with PlayingProxy(server.base_url, dialect) as proxy:
            endpoint = Endpoint(base_url=proxy.base_url)
            sizes = {"context_length": CONTEXT, "max_concurrency": at_once}
            named = {"name": "tiny", "served_name": MODEL, "endpoint": endpoint}
            model = Model(**named, **sizes, **settings)
            with require_target(model, server.api_key) as target:
                measured = (target.context, target.chars_per_token)
                plan = make_plan(*measured, model, times, 300, forms_of(agents))
                diagnosis = Diagnosis(target, system_templates(), plan)
                for _ in diagnosis.run():
                    pass
        return make_report(model, plan, diagnosis.cells, tmp_path, is_gone=diagnosis.is_gone)

    return run


def test_a_good_model_on_a_server_that_is_started_well(
    vllm_server: TinyVllm, diagnose: Diagnose
) -> None:
    """Eight at once: two run and six wait, which is all that this server takes."""
    agents = ("sweagent-tools", "sweagent")
    report = diagnose(vllm_server, *agents, times=1, at_once=8, request_fields=NO_THINKING)

    assert {cell.valid - cell.judged for cell in report.cells} == {0}
    assert sum(cell.judged for cell in report.cells) == report.plan.answers
    assert (report.verdict.agent, report.verdict.causes) == ("sweagent", ())


@pytest.mark.parametrize("dialect", ["qwen3_xml", "gemma4", "mistral"])
def test_a_parser_of_another_dialect_is_named_and_so_is_the_right_one(
    dialect: str, vllm_server: TinyVllm, diagnose: Diagnose
) -> None:
    asked = {"dialect": dialect, "request_fields": NO_THINKING}
    report = diagnose(vllm_server, "sweagent-tools", **asked)

    (cause,) = report.verdict.causes
    assert (cause.blame, cause.protocols) == (Blame.SERVER, (Protocol.CALLS,))
    assert f"--tool-call-parser {dialect}" in cause.cure


def test_a_server_without_a_parser_takes_no_tools(
    breakable_vllm: TinyVllm, diagnose: Diagnose
) -> None:
    report = diagnose(breakable_vllm, "sweagent-tools")

    (cause,) = report.verdict.causes
    assert cause.blame is Blame.SERVER
    assert "--enable-auto-tool-choice --tool-call-parser" in cause.cure
    assert report.exit_code == 3


def test_a_reasoning_parser_that_swallows_is_found(
    vllm_server: TinyVllm, diagnose: Diagnose
) -> None:
    report = diagnose(vllm_server, "sweagent")

    (cause,) = report.verdict.causes
    assert cause.blame is Blame.SERVER
    assert "without --reasoning-parser" in cause.cure
    assert report.verdict.agent is None
