"""What `models show` prints: all of a model's profile and of its recipe. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.config.address import is_unset
from orchestrator.config.recipe import Reasoned, Recipe, Variant
from orchestrator.config.schema import Model
from orchestrator.report.words import duration
from orchestrator.text import printable

INDENT = 2
NAME_WIDTH = 34
"""Of the column of flags and variables; one with a longer word has lines of its own."""


@dataclass(frozen=True)
class Shown:
    model: Model
    file: Path
    recipe: Recipe | None

    def as_dict(self) -> dict[str, Any]:
        """For --json: each variant whole, with what it has of the recipe."""
        profile = self.model.model_dump(mode="json") | {"file": str(self.file)}
        return profile | {"recipe": _recipe_dict(self.recipe) if self.recipe else None}

    def render(self) -> RenderableType:
        parts = [*_profile(self.model, self.file)]
        parts += _recipe(self.recipe) if self.recipe else [_no_recipe(self.model)]
        return Group(*parts)


def _recipe_dict(recipe: Recipe) -> dict[str, Any]:
    data = recipe.model_dump(mode="json", exclude={"flags", "env", "image", "variants"})
    variants = {
        name: {
            "description": variant.description,
            "weights": variant.weights,
            "image": recipe.image_of(variant),
            "flags": [flag.model_dump(mode="json") for flag in recipe.flags_of(variant)],
            "env": [one.model_dump(mode="json") for one in recipe.env_of(variant)],
        }
        for name, variant in recipe.variants.items()
    }
    return data | {"variants": variants}


def _profile(model: Model, file: Path) -> Iterable[RenderableType]:
    yield _title(model.name, model.description)
    yield _pairs(
        [
            ("file", str(file)),
            ("served name", model.served_name),
            ("endpoint", _endpoint(model)),
            *(_set_by_profile(model)),
            ("context", f"{model.context_length:,} tokens" if model.context_length else "not said"),
            ("sampling", _settings(model.sampling.model_dump(exclude_none=True))),
            ("request fields", json.dumps(model.request_fields) if model.request_fields else ""),
            ("thoughts", {"keep": "agents see them", "strip": "taken out"}[model.reasoning]),
            ("at once", f"{model.max_concurrency} rollouts at most"),
            ("a rollout", f"{duration(model.seconds_per_rollout)}, as a guess before the first"),
            ("speed", _speed(model)),
            ("personas", _settings(model.personas)),
        ]
    )


def _endpoint(model: Model) -> str:
    url = model.endpoint.base_url
    return f"{url} (a placeholder: write your server's there)" if is_unset(url) else url


def _set_by_profile(model: Model) -> Iterable[tuple[str, str]]:
    """What a profile says of its endpoint beside the address."""
    said = model.endpoint.model_dump(mode="json", exclude_defaults=True, exclude={"base_url"})
    for key, value in said.items():
        yield key, ", ".join(value) if isinstance(value, list) else str(value)


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _speed(model: Model) -> str:
    if model.speed is None:
        return "not known: no measurement was found"
    return f"{model.speed.tokens_per_s:g} tokens/s alone; {model.speed.source}"


def _no_recipe(model: Model) -> RenderableType:
    return Text(
        f"\n{printable(model.name)} names no recipe: how its server is started is not known here."
    )


def _recipe(recipe: Recipe) -> Iterable[RenderableType]:
    yield Text()
    yield _title(f"recipe {recipe.name}", recipe.description)
    yield _pairs(
        [
            ("machine", recipe.machine),
            ("server", recipe.server),
            ("image", recipe.image),
            ("port", str(recipe.port)),
        ]
    )
    if recipe.chat_template:
        template = recipe.chat_template
        yield _heading("chat template")
        yield from _reasons([(template.file_name, template.why, template.source)])
        yield _pairs([("url", template.url), ("sha256", template.sha256)])
    yield from _reasoned("flags of all variants", recipe.flags)
    yield from _reasoned("environment of all variants", recipe.env)
    for name, variant in recipe.variants.items():
        yield from _variant(name, variant, recipe)
    if recipe.notes:
        yield Text()
        yield _heading("notes")
        yield from (Padding(Text(f"- {_line(note)}"), (0, 0, 0, INDENT)) for note in recipe.notes)


def _variant(name: str, variant: Variant, recipe: Recipe) -> Iterable[RenderableType]:
    default = " (default)" if name == recipe.default else ""
    yield Text()
    yield _title(f"variant {name}{default}", variant.description)
    rows = [("weights", variant.weights), ("image", variant.image or "")]
    yield _pairs([*rows, ("without", ", ".join(variant.without))])
    yield from _reasoned("flags", variant.flags)
    yield from _reasoned("environment", variant.env)


def _reasoned(heading: str, parts: Sequence[Reasoned]) -> Iterable[RenderableType]:
    """Flags or variables, each with its reason and who says so."""
    if not parts:
        return
    yield _heading(heading)
    yield from _reasons([(_written(part), part.why, part.source) for part in parts])


def _written(part: Reasoned) -> str:
    """As a command line has it, without a shell's quotes."""
    if part.value is None:
        return part.name
    return f"{part.name} {part.value}" if part.name.startswith("-") else f"{part.name}={part.value}"


def _reasons(rows: Sequence[tuple[str, str, str]]) -> Iterable[RenderableType]:
    """The reason beside each, or below one that would be broken within a word."""
    for written, why, source in rows:
        name = Text(_line(written), style="bold")
        reason = Text(_line(why))
        reason.append(f" [{_line(source) or 'our own choice'}]", style="dim")
        if max(map(len, name.plain.split()), default=0) > NAME_WIDTH:
            yield Padding(name, (0, 0, 0, INDENT))
            name = Text()
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=NAME_WIDTH)
        table.add_column(overflow="fold")
        table.add_row(name, reason)
        yield Padding(table, (0, 0, 0, INDENT))


def _pairs(rows: Sequence[tuple[str, str]]) -> RenderableType:
    """Names and values; one without a value is left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(Text(name, style="dim"), Text(_line(value)))
    return Padding(table, (0, 0, 0, INDENT))


def _title(name: str, description: str) -> Text:
    text = Text(_line(name), style="bold")
    return text.append(f"  {_line(description)}", style="not bold") if description else text


def _heading(words: str) -> Text:
    return Text(f"{words}:", style="dim")


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
