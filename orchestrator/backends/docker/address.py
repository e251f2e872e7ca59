"""Which Docker engine is meant, and how it is reached: as the command line client finds it.

DOCKER_HOST, else the context that DOCKER_CONTEXT names, else the one that `docker context use` has
chosen (`currentContext` in config.json), else the default socket. OrbStack, colima and Docker
Desktop are contexts with sockets of their own. The SDK follows contexts too, but takes the default
engine where the one that is named is not there, and so another engine than `docker` does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.tls import TLSConfig

from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.network.proxies import find_proxy

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
DEFAULT_CONTEXT = "default"


@dataclass(frozen=True)
class EngineAddress:
    """Where an engine is, and who says so."""

    url: str
    """unix://SOCKET or tcp://HOST:PORT."""
    origin: str
    """`DOCKER_HOST`, `context 'colima' of DOCKER_CONTEXT`, or `Docker's default`."""
    tls: TLSConfig | None = None

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})"


def find_engine(environment: Mapping[str, str] | None = None) -> EngineAddress:
    """The engine that the environment and Docker's settings name.

    Raises:
        PrerequisiteError: they name one that can't be used, or can't be read.
    """
    given = os.environ if environment is None else environment
    if host := given.get("DOCKER_HOST", "").strip():
        return EngineAddress(
            _supported(host, "DOCKER_HOST"), "DOCKER_HOST", _environments_tls(given)
        )
    name, source = given.get("DOCKER_CONTEXT", "").strip(), "DOCKER_CONTEXT"
    folder = config_dir(given)
    if not name:
        name, source = _current_context(folder / "config.json"), str(folder / "config.json")
    if name == DEFAULT_CONTEXT:
        return EngineAddress(DEFAULT_SOCKET, "Docker's default")
    return _of_context(name, f"context {name!r} of {source}", folder / "contexts")


def config_dir(environment: Mapping[str, str]) -> Path:
    """Where Docker's client keeps its settings."""
    given = environment.get("DOCKER_CONFIG")
    return Path(given) if given else Path(os.path.expanduser("~")) / ".docker"


class EngineClient(docker.APIClient):
    """Docker's SDK, with the way to the engine decided here: no certificates that are meant for web
    servers (REQUESTS_CA_BUNDLE) take the place of a context's, and no proxy leads to this host."""

    def merge_environment_settings(  # type: ignore[override]  # the stubs have it narrower
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Called by `requests` for every request."""
        proxy = find_proxy(str(url))
        return {
            "proxies": {"all": proxy.url} if proxy else {},
            "stream": self.stream if stream is None else stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }


def _supported(host: str, origin: str) -> str:
    """An engine's address, where we can speak to it. Raises PrerequisiteError."""
    if host.startswith("ssh://"):
        raise PrerequisiteError(
            f"the Docker engine is {host} by {origin}: over ssh no sandbox can be run.",
            "Bring its socket here: `ssh -N -L /tmp/engine.sock:/var/run/docker.sock HOST`, and "
            "set DOCKER_HOST=unix:///tmp/engine.sock.",
        )
    return host


def _environments_tls(environment: Mapping[str, str]) -> TLSConfig | None:
    """What DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, of an engine that DOCKER_HOST names."""
    if environment["DOCKER_HOST"].strip().startswith("unix:"):
        return None
    verify, folder = environment.get("DOCKER_TLS_VERIFY"), environment.get("DOCKER_CERT_PATH")
    if not verify and not folder:
        return None
    return _tls(
        Path(folder) if folder else config_dir(environment), bool(verify), "DOCKER_CERT_PATH"
    )


def _current_context(config: Path) -> str:
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        name = settings.get("currentContext") or DEFAULT_CONTEXT
    except FileNotFoundError:
        return DEFAULT_CONTEXT
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise unreadable(config, error) from None
    return str(name)


def _of_context(name: str, origin: str, contexts: Path) -> EngineAddress:
    folder = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    meta = contexts / "meta" / folder / "meta.json"
    try:
        endpoint = json.loads(meta.read_text(encoding="utf-8"))["Endpoints"]["docker"]
        url, skip_verify = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError:
        known = ", ".join((DEFAULT_CONTEXT, *_names(contexts)))
        raise PrerequisiteError(
            f"there is no Docker {origin}; known: {known}.",
            "`docker context use NAME` chooses another.",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unreadable(meta, error) from None
    keys = contexts / "tls" / folder / "docker"
    has_tls = not url.startswith("unix:") and (keys.is_dir() or skip_verify)
    tls = _tls(keys, not skip_verify, origin) if has_tls else None
    return EngineAddress(_supported(url, origin), origin, tls)


def _names(contexts: Path) -> list[str]:
    """Of the contexts that can be read."""
    found = []
    for meta in sorted((contexts / "meta").glob("*/meta.json")):
        try:
            found.append(str(json.loads(meta.read_text(encoding="utf-8"))["Name"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return sorted(filter(str.isprintable, found))


def _tls(folder: Path, verify: bool, origin: str) -> TLSConfig:
    """From the files that Docker's client has in a folder: ca.pem, cert.pem and key.pem."""
    ca, cert, key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    if cert.exists() != key.exists() or (verify and not (ca.exists() or cert.exists())):
        raise PrerequisiteError(
            f"the keys for the Docker engine of {origin} are not all in {folder}.",
            "ca.pem, cert.pem and key.pem are wanted there.",
        )
    return TLSConfig(
        client_cert=(str(cert), str(key)) if cert.exists() else None,
        ca_cert=str(ca) if ca.exists() else None,
        verify=verify,
    )


def unreadable(path: Path, error: Exception) -> PrerequisiteError:
    """A file of Docker's client is not what it should be."""
    return PrerequisiteError(
        f"{path} holds no settings of Docker's that can be read ({one_line(error, 120)}).",
        "Mend it or move it away; or set DOCKER_HOST.",
    )
