"""Who asks a registry: tokens and basic logins, as its challenge wants them.

The protocol is the Distribution project's (docs/spec/auth: token, oauth, scope). A login has the
form that Docker's engine takes (`AuthConfig`): Username and Password, or IdentityToken, or
RegistryToken, names in any case. Most public images need a token too, which is given to everybody.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from orchestrator.images.pulls import PullFailed, PullProblem
from orchestrator.images.registry_answers import (
    Connections,
    RegistryAnswer,
    absolute_url,
    fail,
    failure_of,
    host_of,
)
from orchestrator.network.proxies import is_this_host

CLIENT_ID = "swe-orchestrator"
DEFAULT_LIFE_S = 60.0
"""Of a token that names none; the specification's own."""
EARLY_S = 10.0
"""Before its end, a token is asked for anew."""
_CHALLENGE = re.compile(r"(?:^|,)\s*(Bearer|Basic)\b\s*", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


@dataclass(frozen=True)
class Challenge:
    """What a registry wants to be shown (`WWW-Authenticate`)."""

    is_bearer: bool
    realm: str = ""
    """Where tokens are given."""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """A token goes before a basic login; None where the header wants neither."""
    pieces = _CHALLENGE.split(header)
    found = dict(zip((kind.lower() for kind in pieces[1::2]), pieces[2::2], strict=True))
    if "bearer" in found:
        values = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(found["bearer"])}
        return Challenge(True, values.get("realm", ""), values.get("service", ""))
    return Challenge(False) if "basic" in found else None


class RegistryLogin:
    """What one registry is shown, by scope; many threads may ask."""

    def __init__(
        self,
        connections: Connections,
        login: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._login = {name.lower(): str(value) for name, value in login.items() if value}
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[str, tuple[str, float]] = {}
        """By scope: the token, and when it ends."""

    def headers(self, url: str, scope: str) -> dict[str, str]:
        """What a request carries, by what is known of the registry. Raises PullFailed."""
        with self._lock:
            challenge = self._challenge
            token, until = self._tokens.get(scope, ("", 0.0))
        if challenge is None:
            return {}
        if not challenge.is_bearer:
            return self._basic(url)
        if not token or self._clock() >= until:
            token, until = self._fetch_token(challenge, scope)
            with self._lock:
                self._tokens[scope] = token, until
        return {"Authorization": f"Bearer {token}"}

    def learn(self, answer: Mapping[str, str], scope: str) -> bool:
        """Take in a refusal (HTTP 401). Returns whether it is worth to ask again."""
        challenge = parse_challenge(answer.get("www-authenticate", ""))
        with self._lock:
            self._challenge = challenge
            self._tokens.pop(scope, None)
        if challenge is None:
            return False
        return challenge.is_bearer or "username" in self._login

    def _basic(self, url: str) -> dict[str, str]:
        if "username" not in self._login:
            return {}
        _require_secrecy(url)
        pair = f"{self._login['username']}:{self._login.get('password', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def _fetch_token(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        if "registrytoken" in self._login:
            return self._login["registrytoken"], float("inf")
        realm = absolute_url(challenge.realm, "")
        service = {"service": challenge.service} if challenge.service else {}
        if "identitytoken" in self._login:
            answer = self._exchange(realm, {**service, "scope": scope})
        else:
            # several scopes are a parameter each, and in a form one list
            query = {**service, "scope": scope.split(), "client_id": CLIENT_ID}
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query, doseq=True)}"
            answer = self._connections.ask("GET", url, self._basic(realm))
        if answer.status != 200:
            raise PullFailed(failure_of(answer, host_of(realm)))
        return self._read_token(answer, host_of(realm))

    def _exchange(self, realm: str, asked: Mapping[str, str]) -> RegistryAnswer:
        _require_secrecy(realm)
        form = {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "refresh_token": self._login["identitytoken"],
            **asked,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._connections.ask("POST", realm, headers, urlencode(form).encode())

    def _read_token(self, answer: RegistryAnswer, host: str) -> tuple[str, float]:
        try:
            found = json.loads(answer.body)
            token = found.get("token") or found.get("access_token")
            life = float(found.get("expires_in") or DEFAULT_LIFE_S)
        except (ValueError, AttributeError, TypeError, RecursionError, OverflowError):
            token, life = None, 0.0
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            fail(f"{host} answers with no token")
        return token, self._clock() + max(life - EARLY_S, 1.0)


def _require_secrecy(url: str) -> None:
    """A login is shown over TLS, or to this host alone."""
    if urlsplit(url).scheme != "https" and not is_this_host(urlsplit(url).hostname or ""):
        fail(
            f"{host_of(url)} wants a login without TLS, which anybody on the way could read",
            PullProblem.REFUSED,
        )
