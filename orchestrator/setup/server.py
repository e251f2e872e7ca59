"""What a person says of their model server, and what that server says itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.config.cluster import VARIABLE
from orchestrator.config.schema import SCRIPTED, Endpoint, server_url
from orchestrator.endpoint.key import require_key
from orchestrator.endpoint.listing import SetBy, name_words
from orchestrator.endpoint.server_kind import ServedModel, ServerKind, identify, list_models
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.network.proxies import without_login
from orchestrator.setup.discover import PORTS, find_servers

NO_CHAT = re.compile(r"embed|rerank|whisper|\btts\b|\bclip\b", re.IGNORECASE)
"""In names of models that hold no conversation."""
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True)
class AnsweringServer:
    """A model server that answers."""

    base_url: str
    kind: ServerKind
    models: tuple[ServedModel, ...]
    api_key_env: str | None = None

    def model(self, served_name: str | None = None) -> ServedModel:
        """The one of that name; without one, the only one there is for conversations.

        Raises:
            ConfigError: there is none of this name, or several, of which one must be named.
            PrerequisiteError: there is none at all.
        """
        names = name_words([model.name for model in self.models])
        if not self.models:
            raise PrerequisiteError(
                f"{self.base_url} serves no model.", "Start it with one, or pull one."
            )
        if served_name is not None:
            found = [model for model in self.models if model.name == served_name]
            if not found:
                raise ConfigError(f"{self.base_url} does not serve {served_name!r} but {names}")
            return found[0]
        of_chat = self.of_chat
        if len(of_chat) > 1:
            raise ConfigError(f"{self.base_url} serves {names}: name one with --served-name")
        return of_chat[0]

    @property
    def of_chat(self) -> tuple[ServedModel, ...]:
        """Those that seem to hold conversations; all where none does."""
        found = tuple(model for model in self.models if not NO_CHAT.search(model.name))
        return found or self.models


def read_url(text: str) -> str:
    """A base URL as people write it, with what they leave out: `spark:8000` is
    http://spark:8000/v1.

    Raises:
        ConfigError: it can be no server's.
    """
    url = text.strip()
    if not url or url == SCRIPTED:
        raise ConfigError(f"{text!r} is no URL of a server: write http://HOST:PORT/v1")
    url = url if "://" in url else f"http://{url}"
    try:
        url = server_url(url).rstrip("/")
    except ValueError as error:
        raise ConfigError(f"{without_login(url)}: {error}") from None
    return url if urlsplit(url).path else f"{url}/v1"


def read_variable(text: str) -> str:
    """Name of an environment variable. Raises ConfigError, which does not tell what was given."""
    name = text.strip().removeprefix("$")
    if not re.fullmatch(VARIABLE, name):
        raise ConfigError(
            "--api-key-env is the name of an environment variable that holds the key, and not the "
            "key itself"
        )
    return name


def ask_server(where: str, api_key_env: str | None = None) -> AnsweringServer:
    """Ask a server what it is and what it serves. `where` is a base URL, or a host alone.

    Raises:
        ConfigError: the URL, or the variable's name, can't be one.
        PrerequisiteError: it does not answer, or not as such a server does; the key is not there.
    """
    url = _find_at(where.strip()) if _HOST.fullmatch(where.strip()) else read_url(where)
    name = read_variable(api_key_env) if api_key_env else None
    key = require_key(Endpoint(base_url=url, api_key_env=name))
    set_by = SetBy("--base-url http://HOST:PORT/v1", "--api-key-env NAME", name or "")
    models = list_models(url, key, set_by)
    return AnsweringServer(url, identify(url, key), models, name)


def _find_at(host: str) -> str:
    """The base URL of a host's model server, where people have not said the port."""
    found = find_servers((host,))
    if not found:
        ports = ", ".join(map(str, PORTS))
        raise PrerequisiteError(
            f"nothing at {host} lists models at one of the ports {ports}.",
            "Write http://HOST:PORT/v1; is it up, and does it listen to other hosts?",
        )
    return found[0].url
