"""From profiles and flags to one `RunConfig`, remembering where each value came from.

Layers, later ones win: the schema's defaults, the cluster profile, the benchmark's, the agent's,
the model's, `--set` and flags. A profile holds the keys of its own section, and may hold
`overrides`, a partial RunConfig, for what it wants of the others (a small benchmark's step limit).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from orchestrator.config.cluster_choice import choose_cluster
from orchestrator.config.keys import Keys, nearest
from orchestrator.config.problems import problem_words
from orchestrator.config.schema import RUN_ID, AgentSettings, RunConfig, find_agent_kind
from orchestrator.config.sections import AUTO
from orchestrator.config.yaml_files import dump_yaml, parse_yaml, read_yaml
from orchestrator.errors import ConfigError, one_line
from orchestrator.user_paths import user_configs

KINDS = ("models", "agents", "benchmarks", "clusters")
DATASET_FILES = (".parquet", ".jsonl", ".json")
"""How the names of files end that benchmarks are read from."""
SECTION_OF_KIND = {kind: kind.removesuffix("s") for kind in KINDS}
RETIRED = (("benchmark", "image_gb"), ("model.endpoint", "retry_s"), ("model", "serving"))
"""Settings in the run.yaml of older runs that mean nothing any more: section and key."""
RETIRED_OF_AGENTS = (
    *("max_format_errors", "observation_chars"),
    *("system_template", "instance_template", "observation_template", "format_error_template"),
    *("protocol", "bundles"),
)
"""Keys that older runs wrote down for every agent, whether it knew them or not."""


@dataclass(frozen=True)
class RunRequest:
    """What a person asked for: names of profiles, and settings that go over them."""

    benchmark: str
    model: str | None = None
    agent: str | None = None
    cluster: str = AUTO
    run_id: str | None = None
    runs_dir: str = "runs"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted key to value, from flags and `--set`."""
    config_dirs: tuple[Path, ...] = ()
    """Looked in before the shipped profiles."""
    predictions: Mapping[str, str] | None = None
    """The section `predictions` of a run that grades what somebody else made, without an agent."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where settings come from that are neither of flags nor of `--set`, by dotted key."""


@dataclass(frozen=True)
class ConfigLayer:
    origin: str
    data: Mapping[str, Any]


def config_dirs(extra: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """Folders that hold profiles, the first one wins: asked for, ./configs, the user's own, the
    shipped one, which may well be ./configs."""
    package = Path(__file__).resolve().parents[1]
    shipped = [package.parent / "configs", package / "configs"]
    here = Path("configs").resolve()
    own = [user_configs()] if here in shipped else [here, user_configs()]
    return tuple(dict.fromkeys([*extra, *own, *shipped]))


def list_profiles(kind: str, extra: tuple[Path, ...] = ()) -> dict[str, Path]:
    """Name to file of every profile of a kind (`models`, `agents`, `benchmarks`, `clusters`), of
    every recipe (`recipes`) and of every matrix (`matrices`)."""
    found: dict[str, Path] = {}
    for folder in config_dirs(extra):
        for path in sorted((folder / kind).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def read_profile(
    kind: str, name: str, extra: tuple[Path, ...], noun: str, file_noun: str
) -> tuple[Path, dict[str, Any]]:
    """The file of a profile, a recipe or a matrix, by its name or as a path, and what it holds. A
    message calls it `noun`, and its file `file_noun`.

    Raises:
        ConfigError: there is none, or it is no mapping.
    """
    profiles = list_profiles(kind, extra)
    path = Path(name) if name.endswith((".yaml", ".yml")) else profiles.get(name)
    if path is None:
        raise ConfigError(f"unknown {noun} {name!r}{nearest(name, list(profiles))}")
    data = read_yaml(path, f"{file_noun} {path}")
    if not isinstance(data, dict):
        raise ConfigError(f"{file_noun} {path} is not a mapping of keys to values")
    return path, data


def load_config(request: RunRequest) -> RunConfig:
    """Merge the request's profiles and settings.

    Raises:
        ConfigError: an unknown profile, key or value; the message names the nearest known one.
    """
    return _validate(*_merge(_layers(request)))


def provenance(request: RunRequest) -> dict[str, tuple[Any, str]]:
    """Dotted key to (value, where it came from) of the merged configuration."""
    merged, origins = _merge(_layers(request))
    config = _validate(merged, origins)
    return {
        ".".join(path): (value, origins.get(".".join(path), "default"))
        for path, value in _leaves(config.model_dump(mode="json"))
    }


def load_run_config(path: Path) -> RunConfig:
    """The configuration that a run was started with, from its run.yaml."""
    if not os.path.exists(path):
        raise ConfigError(f"{path.parent} is not a run: it has no {path.name}")
    data = read_yaml(path, str(path))
    return read_run_config(data, str(path))


def read_run_config(data: Any, where: str) -> RunConfig:
    """The same from what was read; `where` it stands is told in errors. Raises ConfigError."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where} holds no configuration")
    for section, key in RETIRED:
        _drop(data, section, key)
    _upgrade_agent(data)
    return _validate(data, {}, where=where)


def _upgrade_agent(data: dict[str, Any]) -> None:
    """Bring an older run's agent to today's form, in place.

    Agents had the keys of all kinds then, and predictions were a kind of agent.
    """
    agent = data.get("agent")
    if not isinstance(agent, dict):
        return
    if agent.get("kind") == "predictions":
        data["predictions"] = {k: agent[k] for k in ("name", "description") if k in agent}
        data["agent"] = None
        return
    known = _agent_section(data).model_fields
    for key in RETIRED_OF_AGENTS:
        if key not in known:
            agent.pop(key, None)


def with_settings(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """A run's configuration with settings of `--set` over it, by dotted key.

    Raises:
        ConfigError: an unknown key or value; the message names the nearest known one.
    """
    data = config.model_dump(mode="json")
    keys = Keys(_agent_section(data))
    layers = [
        ConfigLayer(f"--set {key}", _unflatten(keys.split(key), value))
        for key, value in settings.items()
    ]
    return _validate(*_merge([ConfigLayer("run.yaml", data), *layers]))


def flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key to value, through all sections."""
    return {".".join(path): value for path, value in _leaves(data)}


def dump_run_config(config: RunConfig) -> str:
    """The text of a run.yaml."""
    return dump_yaml(config.model_dump(mode="json"))


def _drop(data: dict[str, Any], section: str, key: str) -> None:
    """Remove a key from a section, such as `model.endpoint`, where both are there."""
    found: Any = data
    for name in section.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, dict):
        found.pop(key, None)


def parse_setting(text: str) -> tuple[str, Any]:
    """`a.b=value` of `--set`, the value read as YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write it as key=value, such as rollout.max_steps=50")
    try:
        return key.strip(), parse_yaml(value)
    except ValueError as error:
        raise ConfigError(f"--set {text}: the value is not YAML: {error}") from None


def _layers(request: RunRequest) -> list[ConfigLayer]:
    layers = list(_cluster_layers(request))
    layers += _author_layers(request, _benchmark_layer(request))
    keys = Keys(_agent_section(_merge(layers)[0]))
    for key, value in request.settings.items():
        origin = request.origins.get(key, f"--set {key}")
        layers.append(ConfigLayer(origin, _unflatten(keys.split(key), value)))
    return layers


def _cluster_layers(request: RunRequest) -> Iterator[ConfigLayer]:
    """The profile that was named, or the one that suits this system, and why."""
    if request.cluster != AUTO:
        yield _profile("clusters", request.cluster, request.config_dirs)
        return
    choice = choose_cluster(list_profiles("clusters", request.config_dirs))
    yield _profile("clusters", choice.name, request.config_dirs)
    yield ConfigLayer("chosen", {"cluster": {"because": choice.because}})


def _author_layers(request: RunRequest, benchmark: ConfigLayer) -> Iterator[ConfigLayer]:
    """The benchmark, its author (an agent and its model, or predictions) and the run's id."""
    yield benchmark
    chosen = cast(dict[str, Any], benchmark.data["benchmark"])
    if request.predictions is not None:
        author, model_name = "predictions", None
        yield ConfigLayer("predictions", {"agent": None, "predictions": request.predictions})
    else:
        author, model_name = _agent_and_model(request, chosen)
        yield _profile("agents", author, request.config_dirs)
    if model_name is not None:
        yield _profile("models", model_name, request.config_dirs)
    else:
        yield ConfigLayer("no model needed", {"model": None})
    run_id = request.run_id or _new_run_id(request.benchmark, model_name, author)
    if not re.fullmatch(RUN_ID, run_id):
        raise ConfigError(f"run id {run_id!r}: use letters, digits, '.', '_' and '-'")
    yield ConfigLayer("command line", {"run_id": run_id, "runs_dir": request.runs_dir})


def agent_and_model(request: RunRequest) -> tuple[str, str | None]:
    """Their profiles' names; no model for an agent that asks none. Raises ConfigError."""
    return _agent_and_model(request, _benchmark_layer(request).data["benchmark"])


def _agent_and_model(request: RunRequest, benchmark: Any) -> tuple[str, str | None]:
    agent = str(request.agent or benchmark.get("default_agent") or "mini")
    if not asks_model(agent, request.config_dirs):
        return agent, None
    name = request.model or benchmark.get("default_model")
    if name is None:
        known = ", ".join(list_profiles("models", request.config_dirs))
        raise ConfigError(f"agent {agent!r} needs --model NAME; known: {known}")
    return agent, str(name)


def asks_model(agent: str, config_dirs: tuple[Path, ...] = ()) -> bool:
    """Whether an agent is of a kind that asks a model, by its profile's name.

    Raises:
        ConfigError: there is no such profile, or no such kind.
    """
    profile = _profile("agents", agent, config_dirs)
    kind = cast(dict[str, Any], profile.data["agent"]).get("kind")
    try:
        return not isinstance(kind, str) or find_agent_kind(kind).asks_model
    except ConfigError as error:
        raise ConfigError(f"agent.kind: {error}, in {profile.origin}") from None


def _agent_section(data: Mapping[str, Any]) -> type[AgentSettings]:
    """The class of the agent's section; what all have in common where its kind is not known."""
    agent = data.get("agent")
    kind = agent.get("kind") if isinstance(agent, Mapping) else None
    try:
        found: type[AgentSettings] = find_agent_kind(str(kind)).Settings
    except ConfigError:
        return AgentSettings
    return found


def _benchmark_layer(request: RunRequest) -> ConfigLayer:
    """A profile by name, or else a section made for a hub id, a file or a task repo."""
    name = request.benchmark
    profiles = list_profiles("benchmarks", request.config_dirs)
    if name in profiles:
        return _profile("benchmarks", name, request.config_dirs)
    path = Path(os.path.expanduser(name))
    is_local = path.suffix.lower() in DATASET_FILES or os.path.isdir(path)
    if is_local and not os.path.exists(path):
        raise ConfigError(f"benchmark {name}: no such file")
    if not is_local and os.path.isfile(path):
        known = ", ".join(DATASET_FILES)
        raise ConfigError(f"benchmark {name}: a dataset's file ends in one of {known}")
    if not is_local and (name.count("/") != 1 or name.startswith(("/", "."))):
        raise ConfigError(f"unknown benchmark {name!r}{nearest(name, list(profiles))}")
    source = str(path.resolve()) if is_local else name
    label = re.sub(
        r"[^A-Za-z0-9._-]+", "-", path.resolve().stem if is_local else name.split("/")[1]
    )
    return ConfigLayer("benchmark argument", {"benchmark": {"name": label, "source": source}})


def require_benchmark(name: str, config_dirs: tuple[Path, ...] = ()) -> None:
    """Raises ConfigError where it is neither a profile, a file, a task repo nor a hub id."""
    _benchmark_layer(RunRequest(name, config_dirs=config_dirs))


def _profile(kind: str, name: str, extra: tuple[Path, ...]) -> ConfigLayer:
    section = SECTION_OF_KIND[kind]
    path, data = read_profile(kind, name, extra, section, f"{section} profile")
    overrides = data.pop("overrides", None) or {}
    if not isinstance(overrides, dict) or not all(isinstance(v, dict) for v in overrides.values()):
        raise ConfigError(f"{section} profile {path}: overrides is not a mapping of sections")
    own = {"name": path.stem, **data}
    return ConfigLayer(str(path), {**overrides, section: {**overrides.get(section, {}), **own}})


def _merge(layers: list[ConfigLayer]) -> tuple[dict[str, Any], dict[str, str]]:
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for path, value in _leaves(layer.data):
            _put(merged, path, value, layer.origin)
            origins[".".join(path)] = layer.origin
    return merged, origins


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any, origin: str) -> None:
    *parents, last = path
    for depth, parent in enumerate(parents):
        inner = tree.setdefault(parent, {})
        if inner is None:
            inner = tree[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{origin}: {'.'.join(parents[: depth + 1])} holds no keys")
        tree = inner
    tree[last] = value


def _leaves(
    data: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with the path of keys that leads to it."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _unflatten(parts: Sequence[str], value: Any) -> dict[str, Any]:
    for part in reversed(parts):
        value = {part: value}
    return cast(dict[str, Any], value)


def _validate(data: dict[str, Any], origins: Mapping[str, str], where: str = "") -> RunConfig:
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        keys = Keys(_agent_section(data))
        parts = keys.known_part(tuple(str(part) for part in first["loc"]))
        key = ".".join(parts)
        origin = where or _origin(key, origins)
        if first["type"] == "extra_forbidden":
            hint = nearest(parts[-1], keys.at(parts[:-1]))
            raise ConfigError(f"unknown key {key!r} in {origin}{hint}") from None
        problem = problem_words(first)
        if not parts:
            raise ConfigError(f"{problem}, in {origin}") from None
        given = one_line(_without_login(first["input"]), 100)
        got = "" if first["type"] == "missing" else f" (got {given})"
        raise ConfigError(f"{key}: {problem}{got}, in {origin}") from None


def _without_login(value: Any) -> str:
    """A value as it is shown: what stands before a host in a URL may be a key."""
    return re.sub(r"://[^/\s]*@", "://***@", repr(value))


def _origin(key: str, origins: Mapping[str, str]) -> str:
    inside = (o for k, o in origins.items() if k == key or k.startswith(f"{key}."))
    return next(inside, "the profiles")


def _new_run_id(benchmark: str, model: str | None, agent: str) -> str:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = (Path(benchmark).resolve().name, re.sub(r"\.ya?ml$", "", Path(model or agent).name))
    words = (*(name[:40] for name in names), stamp)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)).lstrip("-._")
