"""Agents whose prompts are templates: one that can't be read is reported before the night."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.agents.templates import TEMPLATES, TemplateSettings, require_templates
from orchestrator.errors import ConfigError


@pytest.mark.parametrize("key", TEMPLATES)
def test_a_template_that_is_no_jinja_is_named_with_its_line(key: str) -> None:
    settings = TemplateSettings(name="a", kind="mini", **{key: "fine\n{% if task %}"})  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=rf"agent\.{key}: line 2: .*end of template"):
        require_templates(settings)


def test_templates_that_can_be_read_are_not_run() -> None:
    require_templates(TemplateSettings(name="a", kind="mini"))
    require_templates(TemplateSettings(name="a", kind="mini", system_template="{{ unknown.name }}"))


@pytest.mark.parametrize("agent", ["mini", "sweagent"])
def test_agents_with_templates_check_them(agent: str, check_agent: Callable[..., None]) -> None:
    with pytest.raises(ConfigError, match=r"agent\.instance_template: line 2: .*end of template"):
        check_agent(agent, settings={"agent.instance_template": "fine\n{% if task %}"})
