"""From profiles and flags to one `RunConfig`, remembering where each value came from.

Layers, later ones win: the schema's defaults, the cluster profile, the benchmark's, the agent's,
the model's, `--set` and flags. A profile holds the keys of its own section, and may hold
`overrides`, a partial RunConfig, for what it wants of the others (a small benchmark's step limit).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from orchestrator.config.schema import RUN_ID, RunConfig
from orchestrator.errors import ConfigError

KINDS = ("models", "agents", "benchmarks", "clusters")
SECTION_OF_KIND = {kind: kind.removesuffix("s") for kind in KINDS}
MODELLESS_AGENTS = ("gold", "nop", "predictions")


@dataclass(frozen=True)
class RunRequest:
    """What a person asked for: names of profiles, and settings that go over them."""

    benchmark: str
    model: str | None = None
    agent: str | None = None
    cluster: str = "local"
    run_id: str | None = None
    runs_dir: str = "runs"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted key to value, from flags and `--set`."""
    config_dirs: tuple[Path, ...] = ()
    """Looked in before the shipped profiles."""


@dataclass(frozen=True)
class Layer:
    origin: str
    data: Mapping[str, Any]


def config_dirs(extra: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """Folders that hold profiles, the first one wins: asked for, ./configs, the shipped one."""
    package = Path(__file__).resolve().parents[1]
    shipped = [package.parent / "configs", package / "configs"]
    return tuple(dict.fromkeys([*extra, Path("configs").resolve(), *shipped]))


def list_profiles(kind: str, extra: tuple[Path, ...] = ()) -> dict[str, Path]:
    """Name to file of every profile of a kind (`models`, `agents`, `benchmarks`, `clusters`)."""
    found: dict[str, Path] = {}
    for folder in config_dirs(extra):
        for path in sorted((folder / kind).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


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


RETIRED = (("model.endpoint", "retry_s"),)
"""Section and key of settings that older runs were started with and that mean nothing any more."""


def load_run_config(path: Path) -> RunConfig:
    """The configuration that a run was started with, from its run.yaml."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path.parent} is not a run: it has no {path.name}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {_one_line(error)}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no configuration")
    for section, key in RETIRED:
        _drop(data, section, key)
    return _validate(data, {}, where=str(path))


def _drop(data: dict[str, Any], section: str, key: str) -> None:
    """Take a key out of a section, whose name has dots, where both are there."""
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
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value is not YAML: {_one_line(error)}") from None


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean X?` where something known is near, else what is known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _layers(request: RunRequest) -> list[Layer]:
    benchmark = _benchmark_layer(request)
    chosen = cast(dict[str, Any], benchmark.data["benchmark"])
    agent_name = request.agent or chosen.get("default_agent") or "mini"
    agent = _profile("agents", agent_name, request.config_dirs)
    layers = [_profile("clusters", request.cluster, request.config_dirs), benchmark, agent]

    needs_model = cast(dict[str, Any], agent.data["agent"]).get("kind") not in MODELLESS_AGENTS
    model_name = request.model or (chosen.get("default_model") if needs_model else None)
    if needs_model and model_name is None:
        known = ", ".join(list_profiles("models", request.config_dirs))
        raise ConfigError(f"agent {agent_name!r} needs --model NAME; known: {known}")
    if needs_model and model_name is not None:
        layers.append(_profile("models", model_name, request.config_dirs))
    else:
        layers.append(Layer("no model needed", {"model": None}))

    run_id = request.run_id or _new_run_id(request.benchmark, model_name, agent_name)
    if not re.fullmatch(RUN_ID, run_id):
        raise ConfigError(f"run id {run_id!r}: use letters, digits, '.', '_' and '-'")
    layers.append(Layer("command line", {"run_id": run_id, "runs_dir": request.runs_dir}))
    for key, value in request.settings.items():
        layers.append(Layer(f"--set {key}", _unflatten(key, value)))
    return layers


def _benchmark_layer(request: RunRequest) -> Layer:
    """A profile by name, or one made up on the spot for a hub id, a file or a task repo."""
    name = request.benchmark
    profiles = list_profiles("benchmarks", request.config_dirs)
    if name in profiles:
        return _profile("benchmarks", name, request.config_dirs)
    path = Path(name).expanduser()
    is_local = path.suffix in (".parquet", ".jsonl", ".json") or path.is_dir()
    if is_local and not path.exists():
        raise ConfigError(f"benchmark {name}: no such file")
    if not is_local and (name.count("/") != 1 or name.startswith(("/", "."))):
        raise ConfigError(f"unknown benchmark {name!r}{nearest(name, list(profiles))}")
    source = str(path.resolve()) if is_local else name
    label = re.sub(
        r"[^A-Za-z0-9._-]+", "-", path.resolve().stem if is_local else name.split("/")[1]
    )
    return Layer("benchmark argument", {"benchmark": {"name": label, "source": source}})


def _profile(kind: str, name: str, extra: tuple[Path, ...]) -> Layer:
    profiles = list_profiles(kind, extra)
    section = SECTION_OF_KIND[kind]
    path = Path(name) if name.endswith((".yaml", ".yml")) else profiles.get(name)
    if path is None:
        raise ConfigError(f"unknown {section} {name!r}{nearest(name, list(profiles))}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{section} profile {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{section} profile {path} is not YAML: {_one_line(error)}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{section} profile {path} is not a mapping of keys to values")
    overrides = data.pop("overrides", None) or {}
    if not isinstance(overrides, dict) or not all(isinstance(v, dict) for v in overrides.values()):
        raise ConfigError(f"{section} profile {path}: overrides is not a mapping of sections")
    own = {"name": path.stem, **data}
    return Layer(str(path), {**overrides, section: {**overrides.get(section, {}), **own}})


def _merge(layers: list[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
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


def _unflatten(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(_split_key(key)):
        value = {part: value}
    return cast(dict[str, Any], value)


def _validate(data: dict[str, Any], origins: Mapping[str, str], where: str = "") -> RunConfig:
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        parts = _known_part(tuple(str(part) for part in first["loc"]))
        key = ".".join(parts)
        origin = where or _origin(key, origins)
        if first["type"] == "extra_forbidden":
            known = _keys_at(parts[:-1])
            raise ConfigError(
                f"unknown key {key!r} in {origin}{nearest(parts[-1], known)}"
            ) from None
        got = "" if first["type"] == "missing" else f" (got {first['input']!r})"
        raise ConfigError(f"{key}: {first['msg']}{got}, in {origin}") from None


def _known_part(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Where pydantic looked, less what it adds of its own: the members of a union, `[key]`."""
    for depth in range(1, len(parts)):
        fields = _keys_at(parts[:depth])
        if not fields:
            return parts[: depth + 1] if _is_mapping(parts[:depth]) else parts[:depth]
    return parts


def _origin(key: str, origins: Mapping[str, str]) -> str:
    inside = (o for k, o in origins.items() if k == key or k.startswith(f"{key}."))
    return next(inside, "the profiles")


def _keys_at(parts: tuple[str, ...]) -> list[str]:
    """The known keys of the section that a path of keys leads to."""
    model: type[BaseModel] = RunConfig
    for part in parts:
        field = model.model_fields.get(part)
        choices = (field.annotation, *get_args(field.annotation)) if field else ()
        sections = [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return list(model.model_fields)


def _is_mapping(parts: tuple[str, ...]) -> bool:
    """Whether a path of keys leads to a mapping with keys of people's own."""
    model: type[BaseModel] = RunConfig
    for part in parts[:-1]:
        annotation = model.model_fields[part].annotation
        choices = (annotation, *get_args(annotation))
        model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    field = model.model_fields.get(parts[-1])
    return field is not None and get_origin(field.annotation) is dict


def _split_key(dotted: str) -> tuple[str, ...]:
    """The parts of a dotted key; what names a person's own key (an instance id) may hold dots."""
    parts = dotted.split(".")
    for depth in range(1, len(parts)):
        if not _keys_at(tuple(parts[:depth])):
            simple = _is_mapping(tuple(parts[:depth])) and parts[depth - 1] != "request_fields"
            if simple:
                return (*parts[:depth], ".".join(parts[depth:]))
            break
    return tuple(parts)


def _new_run_id(benchmark: str, model: str | None, agent: str) -> str:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = (Path(benchmark).resolve().name, Path(model).name if model else agent)
    words = (*(name[:40] for name in names), stamp)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)).lstrip("-._")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
