"""A recipe: how a model's server is started on the GPU host, each flag with its reason and source.

A file in `recipes/` beside the profiles; a model's profile names it. Runs do not read it: `serve`
makes a command of it, and `doctor` compares what is served with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from orchestrator.config.image_names import IMAGE, moves
from orchestrator.config.keys import nearest
from orchestrator.config.load import read_profile
from orchestrator.config.problems import first_problem
from orchestrator.config.sections import Name, Section
from orchestrator.errors import ConfigError


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


def _exact_image(image: str) -> str:
    if not IMAGE.fullmatch(image):
        raise ValueError(f"{image!r} is no name of an image")
    if moves(image):
        raise ValueError(f"{image!r} names no exact tag: what is pulled changes from day to day")
    return image


ExactImage = Annotated[str, AfterValidator(_exact_image)]


class ChatTemplate(Section):
    """A file that the server needs and that its image does not offer at a known place."""

    url: str = Field(pattern=r"^https?://[^\s/]+/\S*[^\s/]$")
    """At an exact tag or commit."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    why: str
    source: str = ""

    @field_validator("url")
    @classmethod
    def _names_an_exact_version(cls, url: str) -> str:
        if {"main", "master", "HEAD"} & set(url.split("/")):
            raise ValueError("names a branch: what is there changes; write a tag or a commit")
        return url

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


class Variant(Section):
    """One way to run the model: its weights' format, with a draft model or without."""

    description: str
    weights: str
    """A repository of the Hugging Face hub."""
    image: ExactImage | None = None
    """None for the recipe's."""
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
    image: ExactImage
    port: int = Field(default=8000, gt=0, lt=65536)
    chat_template: ChatTemplate | None = None
    flags: tuple[Flag, ...] = ()
    env: tuple[Variable, ...] = ()
    variants: dict[str, Variant] = Field(min_length=1)
    default: str
    """Of the variants."""
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _default_is_a_variant(self) -> Self:
        if self.default not in self.variants:
            raise ValueError(f"default: there is no variant {self.default!r}")
        return self

    @model_validator(mode="after")
    def _what_is_left_out_is_there(self) -> Self:
        known = {flag.name for flag in self.flags}
        for name, variant in self.variants.items():
            if unknown := sorted(set(variant.without) - known):
                raise ValueError(f"variants.{name}.without: the recipe has no {unknown[0]}")
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
    path, data = read_profile("recipes", name, config_dirs, "recipe", "recipe")
    try:
        return Recipe.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        raise ConfigError(f"{first_problem(error)}, in {path}") from None
