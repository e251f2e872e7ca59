"""`docker run` as people write it: the image, what runs in it, its variables and mounts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

ENGINES = ("docker", "podman", "nerdctl")
_GLOBAL_WITH_VALUE = ("-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "-n")
_LETTERS_WITHOUT_VALUE = "ditPq"
_WITHOUT_VALUE = (
    *("--detach", "--interactive", "--tty", "--rm", "--init", "--privileged", "--read-only"),
    *("--publish-all", "--oom-kill-disable", "--sig-proxy", "--no-healthcheck", "--quiet"),
    *("--disable-content-trust", "--use-api-socket", "--replace", "--no-hosts"),
)
_LONG = {"-e": "--env", "-v": "--volume"}


@dataclass(frozen=True)
class ContainerRun:
    image: str
    words: tuple[str, ...] = ()
    """What runs in it: the entrypoint that was asked for, and what stands behind the image."""
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    """host_path:container_path[:ro]"""
    has_entrypoint: bool = False


def read_run(words: Sequence[str], env: Mapping[str, str]) -> ContainerRun | None:
    """None where no container is started. `env` is the shell's, that `-e NAME` alone passes on."""
    rest = _after_run(words)
    if rest is None:
        return None
    options: list[tuple[str, str]] = []
    while rest and rest[0].startswith("-"):
        options += _take_option(rest)
    entrypoint = [value for name, value in options if name == "--entrypoint" and value]
    return ContainerRun(
        image=rest[0] if rest else "",
        words=(*entrypoint[-1:], *rest[1:]),
        env=_env(options, env),
        mounts=tuple(filter(None, map(_mount, options))),
        has_entrypoint=bool(entrypoint),
    )


def _after_run(words: Sequence[str]) -> list[str] | None:
    """What stands behind `docker run`, `docker container run` or `create`."""
    for at, word in enumerate(words):
        if PurePosixPath(word).name not in ENGINES:
            continue
        rest = list(words[at + 1 :])
        while rest and rest[0].startswith("-"):
            del rest[: 2 if rest[0] in _GLOBAL_WITH_VALUE else 1]
        if rest[:1] == ["container"]:
            del rest[0]
        return rest[1:] if rest[:1] in (["run"], ["create"]) else None
    return None


def _take_option(rest: list[str]) -> list[tuple[str, str]]:
    """The option that `rest` begins with, taken from it; by its long name where it is looked at."""
    word = rest.pop(0)
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        if not equals and name not in _WITHOUT_VALUE and rest:
            value = rest.pop(0)
        return [(name, value)]
    letters = word[1:].lstrip(_LETTERS_WITHOUT_VALUE)
    if not letters:
        return []
    value = letters[1:].removeprefix("=") or (rest.pop(0) if rest else "")
    return [(_LONG.get(f"-{letters[0]}", f"-{letters[0]}"), value)]


def _env(options: Sequence[tuple[str, str]], shell: Mapping[str, str]) -> dict[str, str]:
    """What --env sets, or passes on from the shell; a file of variables is not read."""
    found: dict[str, str] = {}
    for name, value in options:
        key, equals, text = value.partition("=")
        if name == "--env" and (equals or key in shell):
            found[key] = text if equals else shell[key]
    return found


def _mount(option: tuple[str, str]) -> str:
    """A volume or --mount as host_path:container_path[:ro]; empty for other options."""
    name, value = option
    if name != "--mount":
        return value if name == "--volume" else ""
    keys = dict(part.partition("=")[::2] for part in value.split(","))
    source = keys.get("source") or keys.get("src", "")
    target = keys.get("target") or keys.get("destination") or keys.get("dst", "")
    return f"{source}:{target}" + (":ro" if {"readonly", "ro"} & set(keys) else "")
