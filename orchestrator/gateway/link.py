"""A rollout's line to the gateway, used beside the agent."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Self

import httpx

from orchestrator.config.address import server_root
from orchestrator.endpoint.client import authorization

TIMEOUT_S = 10.0
RESET_S = 1.0


class Link:
    """Asks what the gateway knows of one rollout. Without a base URL, nothing is held."""

    def __init__(self, base_url: str, token: str) -> None:
        self._url = server_root(base_url)
        self.quiet_s = 0.0
        """Since the last sign of life of the server that the agent waits for, as last known."""
        self._held_s = 0.0
        self._before_s = 0.0
        """Of gateways that have died since, and of times in which none answered."""
        self._is_gone = False
        self._answered_at = time.monotonic()
        self._is_closed = False
        self._lock = threading.Lock()  # the agent's thread asks, and its watcher
        self._client = httpx.Client(
            headers=authorization(token), timeout=TIMEOUT_S, trust_env=False, verify=False
        )

    def held_s(self) -> float:
        """Seconds so far in which the model was away or busy; they count against no limit.

        Time in which the gateway does not answer counts as held. A restarted one counts from 0.
        Once the rollout has ended, it is what was known last.
        """
        if not self._url:
            return 0.0
        with self._lock:
            if self._is_closed:
                return self._before_s + self._held_s
            try:
                known = self._client.get(f"{self._url}/held").json()
                seconds, self.quiet_s = float(known["seconds"]), float(known["quiet_s"])
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                self._is_gone = True
                return self._before_s + self._held_s + time.monotonic() - self._answered_at
            now = time.monotonic()
            if self._is_gone:
                self._before_s += now - self._answered_at
            if seconds < self._held_s - RESET_S:
                self._before_s += self._held_s
            self._held_s, self._answered_at, self._is_gone = seconds, now, False
            return self._before_s + self._held_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The rollout has ended: what its agent still asks is dropped."""
        with self._lock:  # a client that is closed while it connects never closes that connection
            if self._url:
                with contextlib.suppress(httpx.HTTPError):
                    self._client.delete(self._url)
            self._client.close()
            self._is_closed = True
