"""From a recipe to the command that starts its server in a container. Pure.

Whatever a profile or a recipe holds comes to the host as one quoted word. What only the host knows
(its user's folders) stands in variables that the scripts set there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.config.recipe import Recipe, Variant
from orchestrator.config.schema import Model
from orchestrator.serving.command import ServerCommand

LABEL = "swe-orchestrator-serve"
"""Of the containers that `serve` has started; its value is the model's name."""
LABEL_VARIANT = f"{LABEL}.variant"
LABEL_PORT = f"{LABEL}.port"
LABEL_OPTIONS = f"{LABEL}.options"
"""The command as a list of JSON, an option and its value in one text."""
LABEL_DIGEST = f"{LABEL}.digest"
"""Of the command and the template: servers are the same where these are."""
HUB_CACHE = "/huggingface"
TEMPLATES = "/chat-templates"
"""Where the container has them."""
HUB_CACHE_THERE = "$hub_cache"
TEMPLATE_THERE = "$template"
"""Variables of the scripts."""
INNER_PORT = 8000
"""At which vLLM listens in the container, at all of its addresses."""
LISTENS = ("--host", "--port")
"""Flags that a container does without: the port that people see is the host's."""
NAME_WHY = ("what requests call it", "the model's profile")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class HostWord(str):
    """A word that the host's shell completes: it stands in double quotes, and is none of a
    profile's making but for what `_file_name` has left of it."""


@dataclass(frozen=True)
class Option:
    """Words of a command that belong together, why they are there, and who says so."""

    words: tuple[str, ...]
    why: str = ""
    source: str = ""

    def __str__(self) -> str:
        """As a shell takes it."""
        return " ".join(map(quote, self.words))


@dataclass(frozen=True)
class Template:
    """A chat template: known by its content, and brought beside the weights."""

    sha256: str
    file_name: str
    url: str = ""
    """Empty for a file of a person's own."""

    @property
    def mounted(self) -> str:
        return f"{TEMPLATES}/{self.file_name}"

    @property
    def folder(self) -> str:
        """Within the cache of the host's user; another content lies in another one."""
        return f"swe-orchestrator/chat-templates/{self.sha256[:16]}"


@dataclass(frozen=True)
class DockerRun:
    """A server in a container: `docker run OPTIONS IMAGE serve COMMAND`."""

    model: str
    """The profile's name."""
    variant: str
    image: str
    port: int
    """Of the host."""
    options: tuple[Option, ...]
    """Of docker."""
    command: tuple[Option, ...]
    """Of vLLM."""
    template: Template | None = None

    @property
    def name(self) -> str:
        """The container's."""
        return container_name(self.model)

    def lines(self) -> tuple[str, ...]:
        """What servers are compared by, an option a line."""
        options = [str(option) for option in (*self.options, *self.command)]
        template = [f"chat template of sha256 {self.template.sha256}"] if self.template else []
        return (f"image {self.image}", *options, *template)

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.lines()).encode()).hexdigest()

    def labels(self) -> Option:
        values = {
            LABEL: self.model,
            LABEL_VARIANT: self.variant,
            LABEL_PORT: str(self.port),
            LABEL_DIGEST: self.digest(),
            LABEL_OPTIONS: json.dumps(self.lines()),
        }
        words = (word for key, value in values.items() for word in ("--label", f"{key}={value}"))
        return Option(tuple(words), "tells `serve` what runs here")

    def words(self) -> tuple[str, ...]:
        """All that stands behind `docker`."""
        before = ("run", "--detach", *_words(self.options), *self.labels().words)
        return (*before, "--entrypoint", "vllm", self.image, "serve", *_words(self.command))


def quote(word: str) -> str:
    """As one word of a shell's, whatever it holds."""
    return f'"{word}"' if isinstance(word, HostWord) else shlex.quote(word)


def quoted(words: Iterable[str]) -> str:
    return " ".join(map(quote, words))


def container_name(model: str) -> str:
    """`swe-orchestrator-serve-MODEL`, in the characters that Docker takes of a name.

    A name that holds others gets a digest, so that two models never share a container.
    """
    plain = _NO_NAME.sub("-", model)
    if plain != model or len(plain) > 100:
        plain = f"{plain[:80]}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    return f"{LABEL}-{plain}"


def template_of(recipe: Recipe) -> Template | None:
    """The recipe's chat template; None where its server needs none."""
    wanted = recipe.chat_template
    if wanted is None:
        return None
    return Template(wanted.sha256, _file_name(wanted.file_name), wanted.url)


def own_template(sha256: str, file_name: str) -> Template:
    """A file of a person's own."""
    return Template(sha256, _file_name(file_name))


def command_of(
    recipe: Recipe,
    variant_name: str | None,
    served_name: str,
    context_length: int | None,
    template: Template | None = None,
) -> ServerCommand:
    """The server's command as the recipe has it, under the profile's name and with its context.

    `context_length` is in tokens; None leaves it to the recipe, or to the model. `template` takes
    the place of the recipe's.

    Raises:
        ConfigError: the recipe has no such variant.
    """
    template = template or template_of(recipe)
    variant = recipe.variant(variant_name)
    weights, *flags = _command(recipe, variant, served_name, context_length, template)
    mounts = [f"~/.cache/huggingface:{HUB_CACHE}"]
    if template:
        mounts.append(f"~/.cache/{template.folder}/{template.file_name}:{template.mounted}:ro")
    return ServerCommand(
        weights=weights.words[0],
        flags=tuple(_name_and_value(option) for option in flags),
        image=recipe.image_of(variant),
        env={one.name: _text(one.value) for one in recipe.env_of(variant)},
        mounts=tuple(mounts),
    )


def make_run(
    model: Model,
    recipe: Recipe,
    variant_name: str | None = None,
    port: int | None = None,
    template: Template | None = None,
) -> DockerRun:
    """The same as a command of docker. `port` is the host's; None takes the recipe's.

    Raises:
        ConfigError: the recipe has no such variant.
    """
    template = template or template_of(recipe)
    variant = recipe.variant(variant_name)
    port = port or recipe.port
    own = (
        Option(("--name", container_name(model.name)), "one server a model"),
        *_OPTIONS,
        Option(("--publish", f"{port}:{INNER_PORT}"), "the host's, and the container's"),
    )
    mount = (_mount(template, recipe),) if template else ()
    env = (
        Option(("--env", f"{one.name}={_text(one.value)}"), one.why, one.source)
        for one in recipe.env_of(variant)
    )
    return DockerRun(
        model=model.name,
        variant=variant_name or recipe.default,
        image=recipe.image_of(variant),
        port=port,
        options=(*own, *mount, *env),
        command=_command(recipe, variant, model.served_name, model.context_length, template),
        template=template,
    )


_OPTIONS = (
    Option(
        ("--restart", "unless-stopped"),
        "a server that dies at night comes back by itself, and after a restart of the host",
        "one person's report of 23 restarts in four days, 2026-08-09",
    ),
    Option(("--gpus", "all"), "without it the container sees no GPU", "vLLM's docs on Docker"),
    Option(
        ("--ipc", "host"),
        "its processes share memory, of which a container has 64 MB of its own",
        "vLLM's docs on Docker",
    ),
    Option(
        ("--volume", HostWord(f"{HUB_CACHE_THERE}:{HUB_CACHE}")),
        "weights stay on the host, and are downloaded once",
        "vLLM's docs on Docker",
    ),
    Option(("--env", f"HF_HOME={HUB_CACHE}"), "where the server finds them, whoever it runs as"),
    Option(
        ("--env", "HF_TOKEN"),
        "the host's own where it is set, for weights behind a licence",
        "vLLM's docs on Docker",
    ),
)
"""The same for every server."""


def _command(
    recipe: Recipe,
    variant: Variant,
    served_name: str,
    context_length: int | None,
    template: Template | None,
) -> tuple[Option, ...]:
    """Weights first, then the profile's flags, then the recipe's; each flag once."""
    ours = {"--served-model-name": Option(_flag("--served-model-name", served_name), *NAME_WHY)}
    if context_length is not None:
        words = _flag("--max-model-len", context_length)
        ours["--max-model-len"] = Option(words, "tokens of context", "the model's profile")
    if template:
        words = _flag("--chat-template", template.mounted)
        ours["--chat-template"] = Option(words, "the file that is mounted above")
    theirs = [
        Option(_flag(flag.name, flag.value), flag.why, flag.source)
        for flag in recipe.flags_of(variant)
        if flag.name not in (*ours, *LISTENS)
    ]
    return (Option((variant.weights,), variant.description), *ours.values(), *theirs)


def _flag(name: str, value: str | int | float | None) -> tuple[str, ...]:
    """A value that begins with a dash, such as a negative number, would be taken for a flag."""
    if value is None:
        return (name,)
    text = _text(value)
    return (f"{name}={text}",) if text.startswith("-") else (name, text)


def _name_and_value(option: Option) -> tuple[str, str | None]:
    """The other way round."""
    name, equals, value = option.words[0].partition("=")
    if equals:
        return name, value
    return name, option.words[1] if len(option.words) > 1 else None


def _mount(template: Template, recipe: Recipe) -> Option:
    words = ("--volume", HostWord(f"{TEMPLATE_THERE}:{template.mounted}:ro"))
    wanted = recipe.chat_template
    if wanted and wanted.sha256 == template.sha256:
        return Option(words, wanted.why, wanted.source)
    return Option(words, "a chat template of your own")


def _file_name(name: str) -> str:
    """In characters that neither a shell nor `--volume` takes for its own."""
    return _NO_NAME.sub("-", name).lstrip(".-")[:100] or "template.jinja"


def _text(value: str | int | float | None) -> str:
    return "" if value is None else str(value)


def _words(options: Sequence[Option]) -> Iterable[str]:
    return (word for option in options for word in option.words)
