"""Settings of agents whose prompts are templates, and a check of the templates."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from orchestrator.config.schema import AgentSettings
from orchestrator.errors import ConfigError

TEMPLATES = (
    "system_template",
    "instance_template",
    "observation_template",
    "format_error_template",
)


class TemplateSettings(AgentSettings):
    """Templates are Jinja; docs/agents.md lists what each agent puts into them."""

    max_format_errors: int = Field(default=5, gt=0)
    """Rollouts end as format_errors after so many answers in a row without a usable action."""
    observation_chars: int = Field(default=10_000, gt=0)
    """A command's output is cut to this before the model sees it."""
    system_template: str = ""
    instance_template: str = ""
    observation_template: str = ""
    format_error_template: str = ""
    bundles: tuple[str, ...] = ()
    """Tools in the sandbox, by name."""


def require_templates(settings: TemplateSettings) -> None:
    """Raises ConfigError where a template is no Jinja."""
    require_jinja(settings, TEMPLATES)


def require_jinja(settings: AgentSettings, keys: Sequence[str]) -> None:
    """Raises ConfigError where the template of one of these keys is no Jinja."""
    from jinja2 import Template, TemplateSyntaxError

    for key in keys:
        try:
            Template(getattr(settings, key))
        except TemplateSyntaxError as error:
            raise ConfigError(f"agent.{key}: line {error.lineno}: {error.message}") from None
