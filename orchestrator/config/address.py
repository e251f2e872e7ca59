"""The model server's address: what it is made of, and whether people have written theirs yet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.config.load import RunRequest, provenance
from orchestrator.config.schema import RunConfig
from orchestrator.errors import PrerequisiteError

UNSET_DOMAIN = ".invalid"
"""RFC 2606: no host will ever have a name that ends so."""
_KEY = "model.endpoint.base_url"


def is_unset(base_url: str) -> bool:
    """Whether an address is only a placeholder, as the shipped profiles have it."""
    return (urlsplit(base_url).hostname or "").endswith(UNSET_DOMAIN)


def server_root(base_url: str) -> str:
    """A base URL without its `/v1`: a server's own pages lie there, such as vLLM's /metrics."""
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def require_address(config: RunConfig, request: RunRequest) -> None:
    """Check that a request's model has the address of a real server.

    Raises:
        PrerequisiteError: it has a placeholder; the cure names the profile's file and line.
    """
    if config.model is None or not is_unset(config.model.endpoint.base_url):
        return
    raise PrerequisiteError(
        f"model {config.model.name!r} has no server yet: its address is still "
        f"{config.model.endpoint.base_url}.",
        "`python -m orchestrator init` writes a profile with your server's. Or write it into "
        f"{_placeholder(request)}; for this once, add --set {_KEY}=http://HOST:PORT/v1",
    )


def require_addresses(requests: Iterable[tuple[RunConfig, RunRequest]]) -> None:
    """The same of several models, each with a server of its own, told all at once.

    Raises:
        PrerequisiteError: some have placeholders.
    """
    places = {
        config.model.name: _placeholder(request)
        for config, request in requests
        if config.model is not None and is_unset(config.model.endpoint.base_url)
    }
    if not places:
        return
    own = f"set_for: {{{next(iter(places))}: {{{_KEY}: http://HOST:PORT/v1}}}}"
    raise PrerequisiteError(
        f"{' and '.join(places)}: no server yet, the address is still a placeholder.",
        "`python -m orchestrator models add NAME --base-url URL` writes a profile with your "
        f"server's. Or write it into {' and '.join(dict.fromkeys(places.values()))}; or into the "
        f"matrix, as `{own}`",
    )


def _placeholder(request: RunRequest) -> str:
    """Where it stands."""
    base_url, origin = provenance(request)[_KEY]
    return _place(origin, str(base_url))


def _place(origin: str, base_url: str) -> str:
    """`FILE:LINE` of an address in a profile; the origin alone where it is no file."""
    path = Path(origin)
    if not path.is_file():
        return origin
    lines = path.read_text(encoding="utf-8").split("\n")
    number = next((n for n, line in enumerate(lines, 1) if base_url in line), 1)
    return f"{path}:{number}"
