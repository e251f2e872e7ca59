"""What OpenHands' runners are: `runner.py` in its environment. They read nothing of the user's."""

from __future__ import annotations

from pathlib import Path

from orchestrator.agents.openhands.installation import OpenHandsInstallation
from orchestrator.agents.runners.process import RunnerProgram

HERE = Path(__file__).parent
BESIDE = ("model", "terminal", "editor", "reporting")
QUIET = {
    "OPENHANDS_SUPPRESS_BANNER": "1",
    "LOG_LEVEL": "WARNING",
    "LOG_TO_FILE": "false",
    "LOG_JSON": "false",
    "DEBUG": "false",
    "DEBUG_LLM": "false",  # it would ask a person
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list from the network
    "LITELLM_MODE": "PRODUCTION",  # no .env file
    "HF_HUB_OFFLINE": "1",
}
UNSET = (
    "LMNR_PROJECT_API_KEY",
    "OTEL_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "AUTOMATION_CALLBACK_URL",
    "OH_RUNTIME_IDLE_TIMEOUT_SECONDS",
)
"""What a user's own OpenHands may be told, and would send from here, or be limited by."""


def runner_program(installation: OpenHandsInstallation) -> RunnerProgram:
    home = installation.root / "home"
    return RunnerProgram(
        "OpenHands",
        installation.folder,
        installation.python,
        HERE / "runner.py",
        tuple(HERE / f"{name}.py" for name in BESIDE),
        {
            **QUIET,
            **dict.fromkeys(UNSET, ""),
            # skills, plugins, profiles and an identity that the user's own OpenHands has
            "HOME": str(home),
            "OH_PERSISTENCE_DIR": str(home / ".openhands"),
        },
    )
