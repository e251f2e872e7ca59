"""The section `agent` of a profile whose kind is `sweagent`."""

from __future__ import annotations

from typing import Literal

from orchestrator.agents.templates import TemplateSettings


class SweAgentSettings(TemplateSettings):
    """Bundles are folders of ours, or of the `tools` in SWE-agent's checkout."""

    protocol: Literal["thought_action", "xml_thought_action", "function_calling"] = "thought_action"
    """The form of an answer, by the name of SWE-agent's parser for it."""
