"""Whole diagnoses of played models, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.played_model import (
    Persona,
    PlayedServer,
    drops_in_company,
    good,
    pads_in_company,
    played,
)

from orchestrator.config.schema import Model
from orchestrator.diagnose.levels import Diagnosis, make_plan
from orchestrator.diagnose.protocols import system_templates
from orchestrator.diagnose.report import DiagnosisReport, make_report
from orchestrator.scripted.protocols import Protocol

Diagnose = Callable[..., DiagnosisReport]


@pytest.fixture(scope="session")
def templates() -> dict[Protocol, str]:
    return system_templates()


@pytest.fixture
def diagnose(templates: dict[Protocol, str], tmp_path: Path) -> Diagnose:
    """`diagnose(persona, name="gemma-4-26b", times=10)`; a `server` may be given instead."""

    def run(
        persona: Persona = good,
        *,
        name: str = "played",
        times: int = 10,
        context: int = 32768,
        ratio: float = 4.0,
        seconds: float = 60,
        model: Model | None = None,
        server: PlayedServer | None = None,
    ) -> DiagnosisReport:
        # slow enough there that no thread is through before the next one starts
        takes_s = 0.01 if persona in (drops_in_company, pads_in_company) else 0.0005
        asked = server or PlayedServer(persona, model or played(name), takes_s)
        plan = make_plan(context, ratio, asked.model, times, seconds)
        diagnosis = Diagnosis(asked, templates, plan)
        for _ in diagnosis.run():
            pass
        cells, folder = diagnosis.cells, tmp_path / "examples"
        return make_report(asked.model, plan, cells, folder, is_gone=diagnosis.is_gone)

    return run
