"""The first two questions of `init`: where is the model server, and which model."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestrator.display.terminal import waiting
from orchestrator.endpoint.listing import WantsKey
from orchestrator.endpoint.server_kind import ServedModel
from orchestrator.errors import ConfigError
from orchestrator.setup.discover import FoundServer, find_servers, tailnet_hosts
from orchestrator.setup.given import Given
from orchestrator.setup.profiles import ModelAnswers, find_known, model_name
from orchestrator.setup.questions import Asker, FlagQuestion, chosen, numbered, yes_or_no
from orchestrator.setup.server import AnsweringServer, ask_server, read_variable
from orchestrator.setup.write import profile_path, require_new

NONE_FOUND = (
    "  no model server was found, here or on the tailnet;",
    "  `python -m orchestrator serve qwen3.5-35b --host HOST --up` starts one",
)


def ask_model(
    given: Given, asker: Asker, config_dirs: tuple[Path, ...]
) -> tuple[str, ModelAnswers]:
    """The profile's name, and what it is made from. Raises as `init`."""
    server = _ask_server(given, asker)
    served = _ask_served(given, asker, server)
    known = find_known(served, config_dirs)
    default = known.name if known else _as_name(served, config_dirs)
    name = _ask_name(given, asker, default, config_dirs)
    return name, ModelAnswers(server.base_url, server.kind, served, server.api_key_env, known)


def _ask_server(given: Given, asker: Asker) -> AnsweringServer:
    found: tuple[FoundServer, ...] = ()
    if given.base_url is None:
        with waiting(asker.console, "looking for model servers here and on the tailnet"):
            found = find_servers(("localhost", *tailnet_hosts()))

    urls = tuple(server.url for server in found)

    def read(text: str) -> AnsweringServer:
        url, variable = chosen(text, urls), given.api_key_env
        while True:
            try:
                with waiting(asker.console, "asking the server"):
                    return ask_server(url, variable)
            except WantsKey:
                if not asker.asks or variable is not None:
                    raise
            words = "It wants a key. Which environment variable holds it?"
            variable = asker.ask(FlagQuestion("--api-key-env", words, read_variable))

    question = FlagQuestion(
        "--base-url",
        f"1. Where is the model server? (a URL{', a host or a number' if urls else ' or a host'})",
        read,
        default=urls[0] if urls else "",
        choices=numbered(tuple(f"{server.url}: {server.words}" for server in found)) or NONE_FOUND,
    )
    return asker.ask(question, given.base_url)


def _ask_served(given: Given, asker: Asker, server: AnsweringServer) -> ServedModel:
    if given.served_name is not None or len(server.of_chat) < 2 or not asker.asks:
        return server.model(given.served_name)
    names = tuple(model.name for model in server.of_chat)
    question = FlagQuestion(
        "--served-name",
        "2. Which of its models? (a name or a number)",
        lambda text: server.model(chosen(text, names)),
        default=names[0],
        choices=numbered(names),
    )
    return asker.ask(question)


def _ask_name(given: Given, asker: Asker, default: str, config_dirs: tuple[Path, ...]) -> str:
    read = partial(model_name, config_dirs=config_dirs)
    question = FlagQuestion("--model", "2. A name for its profile", read, default)
    while True:
        name = asker.ask(question, given.model)
        path = profile_path("models", name, config_dirs)
        if given.force or not os.path.lexists(path):
            return name
        if not asker.asks:
            require_new(path)
        if asker.ask(yes_or_no("--force", f"{path} is there. Write it anew?", default=False)):
            return name
        given = replace(given, model=None)


def _as_name(served: ServedModel, config_dirs: tuple[Path, ...]) -> str:
    """A served name as a profile's: without its organisation, and without what no file is named."""
    last = re.sub(r"\.(gguf|yaml|yml)$", "", served.name.rstrip("/").rpartition("/")[2])
    name = re.sub(r"[^A-Za-z0-9._-]", "-", last)[:97].strip("._-") or "model"
    try:
        return model_name(name, config_dirs)
    except ConfigError:  # a scripted model's, which stays
        return f"my-{name}"
