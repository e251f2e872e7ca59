"""A recipe: how a model's server is started on the GPU host, each flag with its reason and source.

A file in `recipes/` beside the profiles; a model's profile names it. Runs do not read it: `serve`
makes a command of it, and `doctor` compares what is served with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from orchestrator.config.keys import nearest
from orchestrator.config.load import list_profiles
from orchestrator.config.sections import Name, Section
from orchestrator.config.yaml_files import read_yaml
from orchestrator.errors import ConfigError, one_line


class Reasoned(Section):
    """A part of a command line, why it is there, and who says so."""

    name: str
    value: str | int | float | None = None
    """None for a flag that takes none."""
    why: str
    source: str = ""
    """Where the fact is from, with its date; empty where it is our own choice."""


class Flag(Reasoned):
    name: str = Field(pattern=r"^--[a-z0-9][a-z0-9-]*$")
    """As the server's own --help has it."""


class Variable(Reasoned):
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Of the environment of the server's process."""


class ChatTemplate(Section):
    """A file that the server needs and that its image does not offer at a known place."""

    url: str
    """At an exact tag or commit."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    why: str
    source: str = ""

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


class Variant(Section):
    """One way to run the model: its weights' format, with a draft model or without."""

    description: str
    weights: str
    """A repository of the Hugging Face hub."""
    image: str = ""
    """By exact tag; empty for the recipe's."""
    flags: tuple[Flag, ...] = ()
    """Beside the recipe's; one of the same name takes the place of the recipe's."""
    env: tuple[Variable, ...] = ()
    without: tuple[str, ...] = ()
    """Flags of the recipe that it leaves out."""


class Recipe(Section):
    name: Name
    description: str = ""
    machine: str
    """What it is for, such as DGX Spark (GB10, SM121, 128 GB shared)."""
    server: Literal["vllm"] = "vllm"
    image: str
    """By exact tag."""
    port: int = Field(default=8000, gt=0, lt=65536)
    chat_template: ChatTemplate | None = None
    flags: tuple[Flag, ...] = ()
    env: tuple[Variable, ...] = ()
    variants: dict[str, Variant] = Field(min_length=1)
    default: str
    """Of the variants."""
    notes: tuple[str, ...] = ()

    @field_validator("image")
    @classmethod
    def _has_a_tag(cls, image: str) -> str:
        if ":" not in image.rpartition("/")[2]:
            raise ValueError("names no tag: what is pulled would change from day to day")
        return image

    @model_validator(mode="after")
    def _default_is_a_variant(self) -> Self:
        if self.default not in self.variants:
            raise ValueError(f"default: there is no variant {self.default!r}")
        return self

    def variant(self, name: str | None = None) -> Variant:
        """The default one where none is named. Raises ConfigError."""
        wanted = name or self.default
        if wanted not in self.variants:
            hint = nearest(wanted, list(self.variants))
            raise ConfigError(f"recipe {self.name!r} has no variant {wanted!r}{hint}")
        return self.variants[wanted]

    def image_of(self, variant: Variant) -> str:
        return variant.image or self.image

    def flags_of(self, variant: Variant) -> tuple[Flag, ...]:
        """The recipe's and the variant's, in this order; each name once."""
        flags = {flag.name: flag for flag in self.flags if flag.name not in variant.without}
        return tuple((flags | {flag.name: flag for flag in variant.flags}).values())

    def env_of(self, variant: Variant) -> tuple[Variable, ...]:
        """The recipe's and the variant's, each name once."""
        return tuple({one.name: one for one in (*self.env, *variant.env)}.values())


def load_recipe(name: str, config_dirs: tuple[Path, ...] = ()) -> Recipe:
    """A recipe by its name, or from a YAML file.

    Raises:
        ConfigError: there is none, or it has an unknown key or value.
    """
    recipes = list_profiles("recipes", config_dirs)
    path = Path(name) if name.endswith((".yaml", ".yml")) else recipes.get(name)
    if path is None:
        raise ConfigError(f"unknown recipe {name!r}{nearest(name, list(recipes))}")
    data = read_yaml(path, f"recipe {path}")
    if not isinstance(data, dict):
        raise ConfigError(f"recipe {path} is not a mapping of keys to values")
    try:
        return Recipe.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = one_line(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{key}: {problem}, in {path}".removeprefix(": ")) from None
