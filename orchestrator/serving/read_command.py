"""Command lines as people write them, read to a `ServerCommand`.

`vllm serve`, the module that is older than it, and `docker run` of an image of vLLM's, with what
people put around them: variables in front, sudo, nohup, ssh, bash -c, comments, line continuations,
pipes, redirections. Nothing is expanded: `$MODEL` stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from orchestrator.errors import ConfigError, one_line
from orchestrator.serving.command import ServerCommand
from orchestrator.serving.docker_words import ContainerRun, read_run
from orchestrator.serving.shell_words import commands_of
from orchestrator.serving.vllm_flags import read_arguments

MODULES = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server")
"""That python -m starts, and that take what `vllm serve` takes."""
OTHER_SERVERS = {
    **{"ollama": "Ollama", "llama-server": "llama.cpp", "llama.cpp": "llama.cpp"},
    **{"llama-cpp": "llama.cpp", "llama_cpp": "llama.cpp", "sglang": "SGLang", "lms": "LM Studio"},
    **{"trtllm-serve": "TensorRT-LLM", "tensorrt-llm": "TensorRT-LLM", "lmdeploy": "LMDeploy"},
    **{"text-generation-launcher": "TGI", "text-generation-inference": "TGI"},
    **{"mlx_lm": "MLX", "koboldcpp": "KoboldCpp", "litellm": "LiteLLM"},
}
"""By what stands in their program's, module's or image's name."""
OTHER_PROGRAMS = ("bash", "sh", "zsh", "python", "python3", "sleep", "tail", "nvidia-smi", "env")
"""That people start in an image of vLLM's instead of a server."""
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_DEEPEST = 3
"""Of scripts within scripts: ssh HOST 'bash -c "…"'."""
_HOW = "write it as `vllm serve MODEL …` or `docker run … vllm/vllm-openai:TAG MODEL …`"


def read_command(text: str) -> ServerCommand:
    """What a command line of vLLM's says.

    Raises:
        ConfigError: it starts no server of vLLM, or is no command line; in one line.
    """
    return _require(_read_text(text, {}, _DEEPEST), text)


def read_argv(
    argv: Sequence[str],
    image: str = "",
    env: Mapping[str, str] | None = None,
    mounts: Sequence[str] = (),
) -> ServerCommand:
    """The same of a process or a container that runs.

    `argv` may begin with the program, as Path and Args of `docker inspect` do, or be what the image
    gives to `vllm serve`. `mounts` are host_path:container_path.

    Raises:
        ConfigError: it is no server of vLLM.
    """
    if image:
        return _read_run(ContainerRun(image, tuple(argv), env or {}, tuple(mounts)), _DEEPEST)
    return _require(_read_words(list(argv), dict(env or {}), _DEEPEST), " ".join(argv))


def _require(found: ServerCommand | None, text: str) -> ServerCommand:
    if found is None:
        _refuse_others(re.split(r"[\s'\"]+", text))
        raise ConfigError(f"{_start(text)} starts no server of vLLM: {_HOW}")
    return found


def _start(text: str) -> str:
    return repr(one_line(text, 60)) if text.strip() else "an empty command line"


def _read_text(text: str, env: dict[str, str], deep: int) -> ServerCommand | None:
    """The first of a script's commands that starts a server, with the variables set before it."""
    try:
        commands = commands_of(text)
    except ValueError as error:
        raise ConfigError(f"{_start(text)} can't be read: {error}") from None
    for words in commands:
        if words[0] == "export" or all(_ASSIGNED.fullmatch(word) for word in words):
            env |= _assigned(words)
        elif found := _read_words(words, env, deep):
            return found
    return None


def _read_words(words: list[str], env: dict[str, str], deep: int) -> ServerCommand | None:
    """One command; None where it starts no server."""
    if (run := read_run(words, env)) is not None:
        return _read_run(run, deep)
    if (start := _start_of_arguments(words)) is not None:
        weights, flags = read_arguments(words[start:])
        return ServerCommand(weights, flags, env=env | _assigned(words[:start]))
    for script in words if deep else ():
        if " " in script and (found := _read_text(script, dict(env), deep - 1)):
            return found
    return None


def _read_run(run: ContainerRun, deep: int) -> ServerCommand:
    """A container's, whose image may start the server by itself."""
    found = _read_words(list(run.words), {}, deep)
    if found is None:
        _require_entrypoint(run)
        words = run.words[1:] if run.words[:1] == ("serve",) else run.words
        found = ServerCommand(*read_arguments(words))
    env = {**run.env, **found.env}
    return replace(found, image=run.image, env=env, mounts=run.mounts)


def _require_entrypoint(run: ContainerRun) -> None:
    """Raises ConfigError unless the image is one of vLLM's, and starts the server by itself."""
    if not run.image:
        raise ConfigError(f"that `docker run` names no image: {_HOW}")
    program = PurePosixPath(run.words[0]).name if run.words else ""
    starts_vllm = "vllm" in run.image.lower() and program not in OTHER_PROGRAMS
    if starts_vllm and not run.has_entrypoint:
        return
    _refuse_others([run.image, *run.words])
    raise ConfigError(
        f"image {one_line(run.image, 80)!r} is not known to start vLLM by itself: write the "
        "`vllm serve MODEL …` that runs in it"
    )


def _start_of_arguments(words: Sequence[str]) -> int | None:
    """Where the arguments of `vllm serve`, or of the module, begin; None where neither is there."""
    for at, word in enumerate(words):
        after = words[at + 1] if at + 1 < len(words) else ""
        program = PurePosixPath(word).name
        if program == "vllm" and after == "serve":
            return at + 2
        if word == "-m" and after in MODULES:
            return at + 2
        if word == "-m" and after in ("vllm", "vllm.entrypoints.cli.main"):
            return at + 3 if words[at + 2 : at + 3] == ["serve"] else None
        if program == "api_server.py":
            return at + 1
    return None


def _assigned(words: Sequence[str]) -> dict[str, str]:
    """The variables that are set by some of a command's words."""
    found = filter(None, map(_ASSIGNED.fullmatch, words))
    return {match[1]: match[2] for match in found}


def _refuse_others(words: Sequence[str]) -> None:
    """Raises ConfigError where a word names the program, module or image of another server."""
    for word in words:
        name = word.lower().partition(":")[0]
        for sign, server in OTHER_SERVERS.items():
            if re.search(rf"(^|/|\.){re.escape(sign)}($|[-./_])", name):
                raise ConfigError(f"that starts {server}: only vLLM's command lines are read here")
