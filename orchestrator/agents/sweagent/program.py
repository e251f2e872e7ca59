"""What SWE-agent's runners are: `runner.py` in its environment."""

from __future__ import annotations

from pathlib import Path

from orchestrator.agents.runners.process import RunnerProgram
from orchestrator.agents.sweagent.installation import SweAgentInstallation

RUNNER = Path(__file__).with_name("runner.py")
SHELL = Path(__file__).with_name("shell.py")
LITELLM_LATER = Path(__file__).with_name("litellm_later.py")


def runner_program(installation: SweAgentInstallation) -> RunnerProgram:
    return RunnerProgram(
        "SWE-agent",
        installation.folder,
        installation.paths.python,
        RUNNER,
        (SHELL, LITELLM_LATER),
        {
            "SWE_AGENT_LOG_STREAM_LEVEL": "WARNING",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list from the network
        },
    )
