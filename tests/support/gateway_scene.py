"""A gateway before model servers that do as a test says, over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from orchestrator.gateway.messages import Requested
from orchestrator.types import ModelRequest
from support.fake_model import FakeModelServer
from support.local_gateway import LocalGateway
from support.rows import key_of

QUESTION = {"messages": [{"role": "user", "content": "a question"}]}


@dataclass
class Setup:
    """A gateway before one server or several."""

    gateway: LocalGateway
    upstreams: list[FakeModelServer]

    @property
    def upstream(self) -> FakeModelServer:
        return self.upstreams[0]

    def post(
        self, body: dict[str, Any] | None = None, rollout: str = "an-instance", **more: Any
    ) -> httpx.Response:
        return httpx.post(
            f"{self.gateway.base_url(key_of(rollout))}/chat/completions",
            json=QUESTION if body is None else body,
            headers={"Authorization": f"Bearer {self.gateway.token}"},
            timeout=30,
            **more,
        )

    def get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.gateway.token}"}
        return httpx.get(f"{self.gateway.root_url}{path}", headers=headers)

    def record(self) -> ModelRequest:
        """Of the one request that there was."""
        (said,) = self.gateway.wait_for(Requested)
        return said.request

    def in_background(self, *args: Any, **more: Any) -> Callable[[], httpx.Response]:
        """Asks in a thread; call what comes back for the response."""
        got: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: got.append(self.post(*args, **more)))
        thread.start()

        def join() -> httpx.Response:
            thread.join(30)
            return got[0]

        return join
