"""The text of profiles that are written for a person, who edits them: YAML with its reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.config import list_profiles
from orchestrator.config.schema import SCRIPTED
from orchestrator.config.yaml_files import dump_yaml, read_yaml
from orchestrator.endpoint.server_kind import VLLM, ServedModel, ServerKind
from orchestrator.errors import ConfigError, one_line
from orchestrator.setup.write import profile_name
from orchestrator.text import printable

OF_THE_FAMILY = {
    "sampling": "As in the profile KNOWN, and so is what follows.",
    "request_fields": "Added to every request.",
    "reasoning": "strip: agents do not see what it thinks.",
    "max_concurrency": "Rollouts at once that its server is worth; `bench` measures it.",
    "seconds_per_rollout": "A guess, for the plan.",
}
"""What a model has in common with another profile of itself, wherever it is served."""
OF_THE_RECIPE = ("recipe", "speed")
"""What holds where its server is started by that recipe, which is vLLM's."""
_WORD = re.compile(r"\d+(?:\.\d+)?|[a-z]+")


@dataclass(frozen=True)
class Entry:
    """A key of a profile, and why it is as it is."""

    key: str
    value: Any
    """None where nobody knows it: the key stands there as a comment, with an example."""
    comment: str = ""
    example: str = ""


@dataclass(frozen=True)
class KnownProfile:
    """A profile that there is of a model already."""

    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class ModelAnswers:
    """What a model's profile is made from."""

    base_url: str
    kind: ServerKind
    served: ServedModel
    api_key_env: str | None = None
    known: KnownProfile | None = None
    recipe: str | None = None
    """In place of the known profile's."""


def find_known(served: ServedModel, config_dirs: tuple[Path, ...] = ()) -> KnownProfile | None:
    """The profile whose name is found in the model's: qwen3.5-35b in Qwen/Qwen3.5-35B-A3B-FP8,
    gemma-4-26b in gemma4:26b; the longest of several. The scripted ones are no models."""
    names = [_words(served.name), _words(served.root)]
    found: dict[int, KnownProfile] = {}
    for name, path in list_profiles("models", config_dirs).items():
        words = _words(name)
        if not any(_is_within(words, of_model) for of_model in names):
            continue
        try:
            data = read_yaml(path, str(path))
        except ConfigError:
            continue  # it is somebody else's, and `models` tells what is wrong with it
        if isinstance(data, dict) and not _is_scripted(data):
            found.setdefault(len(words), KnownProfile(name, data))
    return found[max(found)] if found else None


def model_name(text: str, config_dirs: tuple[Path, ...] = ()) -> str:
    """A name for a model's profile. Raises ConfigError; a scripted model's is taken: the demo
    needs it."""
    name = profile_name(text)
    path = list_profiles("models", config_dirs).get(name)
    if path is not None and _is_scripted(read_yaml(path, str(path)) or {}):
        raise ConfigError(f"{name!r} is the name of a scripted model, which ships: another name")
    return name


def _words(name: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(name.lower()))


def _is_within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    starts = range(len(whole) - len(part) + 1)
    return bool(part) and any(whole[at : at + len(part)] == part for at in starts)


def _is_scripted(data: Any) -> bool:
    endpoint = data.get("endpoint") if isinstance(data, dict) else None
    return isinstance(endpoint, dict) and endpoint.get("base_url") == SCRIPTED


def model_text(name: str, answers: ModelAnswers, command: str) -> str:
    """The profile `name` of a model; `command` is what wrote it."""
    head = [
        f"Written by `{command}` from what the server says of itself. It is yours to edit:",
        f"`config show lite --model {name}` shows every value that comes of it.",
    ]
    return _text(head, _model_entries(name, answers))


def _model_entries(name: str, answers: ModelAnswers) -> Iterable[Entry]:
    served, kind, known = answers.served, answers.kind, answers.known
    server = f"{kind.name} {kind.version}".strip() or "a server of a kind that is not known"
    where = urlsplit(answers.base_url).netloc
    yield Entry("description", f"{served.name}, at {where} on {server}.")
    weights = f" (its weights: {served.root})" if served.root not in ("", served.name) else ""
    yield Entry("served_name", served.name, f"As the server names it{weights}.")
    yield Entry("endpoint", _endpoint(answers), "api_key_env names the variable with its key.")
    if served.context_length:
        said = f"Tokens: what {kind.name or 'the server'} says that it takes."
        yield Entry("context_length", served.context_length, said)
    else:
        said = "Tokens. The server does not say how many it takes: set what it was started with."
        example = str((known.data if known else {}).get("context_length") or 131072)
        yield Entry("context_length", None, said, example)
    if known is not None:
        for key, comment in OF_THE_FAMILY.items():
            if known.data.get(key) is not None:
                yield Entry(key, known.data[key], comment.replace("KNOWN", known.name))
    else:
        yield Entry("sampling", {}, "Such as {temperature: 0.6, top_p: 0.95, max_tokens: 8192}.")
        yield Entry("max_concurrency", 8, f"Rollouts at once; `bench {name}` measures.")
    yield from _recipe_entries(name, answers)


def _endpoint(answers: ModelAnswers) -> dict[str, Any]:
    """Its address and key; how patient one is with the model is as in the known profile."""
    endpoint: dict[str, Any] = {"base_url": answers.base_url}
    if answers.api_key_env:
        endpoint["api_key_env"] = answers.api_key_env
    known = answers.known.data.get("endpoint") if answers.known else None
    return endpoint | _without(known, "base_url", "replicas", "api_key_env")


def _recipe_entries(name: str, answers: ModelAnswers) -> Iterable[Entry]:
    comment = f"How its server is started: `models show {name}` prints it."
    if answers.recipe is not None:
        yield Entry("recipe", answers.recipe, comment)
    elif answers.known is not None and answers.kind.name == VLLM:
        for key in OF_THE_RECIPE:
            if answers.known.data.get(key) is not None:
                yield Entry(key, answers.known.data[key], comment if key == "recipe" else "")


@dataclass(frozen=True)
class ClusterAnswers:
    """What the profile of this machine is made from."""

    base: KnownProfile
    """The shipped profile that suits the system."""
    sandbox: str
    """The kind."""
    ray_address: str | None = None
    gateway_host: str | None = None
    images: Mapping[str, Any] | None = None
    """Of its section; None where sandboxes need no images."""
    notify: Mapping[str, Any] | None = None


COMMENTS = {
    "workers": "Rollouts at once: auto goes by memory, cores and the model's max_concurrency.",
    "min_free_disk_gb": "Nothing starts with less than this free where the runs lie.",
    "sandbox": "A rollout's sandbox. memory_request_gb is what it takes on an ordinary day.",
    "grading": "Of tests: how many at once, and what each may take.",
    "images": "keep: auto lets images stay for the next night where there is room, false lets each "
    "go\nonce it is done. budget_gb is what they may take at once, reserve_gb what stays free.",
    "gateway": "The address of this host that the cluster's nodes reach it by.",
    "ray_address": "Of the Ray cluster's head; `workers` then wants a number.",
    "notify": "Who is told when a run has ended: url (a topic of ntfy, a webhook), url_env (the\n"
    "variable that holds a secret one) or command (a program; the text is its last argument).",
}
"""By key of a cluster's profile."""


def cluster_text(answers: ClusterAnswers, command: str) -> str:
    """The profile of this machine: the shipped one with the person's answers in it."""
    data: dict[str, Any] = {key: _copied(value) for key, value in answers.base.data.items()}
    data["description"] = "This machine."
    data["sandbox"] = {"kind": answers.sandbox, **_without(data.get("sandbox"), "kind")}
    if answers.ray_address is not None:
        data["ray_address"] = answers.ray_address
    if answers.gateway_host is not None:
        data["gateway"] = {"host": answers.gateway_host}
    if answers.images is not None:
        given = {**_without(data.get("images")), **answers.images}
        data["images"] = {key: value for key, value in given.items() if value is not None}
    data["notify"] = dict(answers.notify or {})
    head = [
        f"Written by `{command}` for this machine, after the profile {answers.base.name}. It is",
        "yours to edit. `--cluster auto` takes it, and where it is gone the shipped profile.",
    ]
    return _text(head, (Entry(key, value, COMMENTS.get(key, "")) for key, value in data.items()))


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _without(section: Any, *keys: str) -> dict[str, Any]:
    return {k: v for k, v in section.items() if k not in keys} if isinstance(section, dict) else {}


def _text(head: Iterable[str], entries: Iterable[Entry]) -> str:
    lines = [f"# {line}\n" for line in head]
    for entry in entries:
        comments = [one_line(printable(line), 200) for line in entry.comment.splitlines()]
        lines += [f"\n# {line}\n" if n == 0 else f"# {line}\n" for n, line in enumerate(comments)]
        if entry.value is None:
            lines.append(f"# {entry.key}: {entry.example}\n")
        else:
            lines.append(dump_yaml({entry.key: entry.value}))
    return "".join(lines)
