"""The gateway in a thread of this process, for tests that start many: the same server, sooner."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from orchestrator.config.schema import Endpoint, Model
from orchestrator.gateway.link import Link
from orchestrator.gateway.messages import GatewayStart, Message, rollout_segment
from orchestrator.gateway.service import serving
from orchestrator.types import RolloutKey
from support.rows import key_of

M = TypeVar("M", bound=Message)
A_ROLLOUT = key_of("an-instance")


class LocalGateway:
    """Implements `driver.gateway_listener.GatewayHandle`. Use it as a context manager."""

    token = "a-token"

    def __init__(
        self,
        model: Model,
        *,
        api_key: str = "",
        port: int = 0,
        sample_every_s: float = 0.2,
        profiles: Mapping[str, Model] | None = None,
    ) -> None:
        self._settings = GatewayStart(
            model=model,
            profiles=profiles or {},
            api_key=api_key,
            token=self.token,
            port=port,
            sample_every_s=sample_every_s,
        )
        self.messages: list[Message] = []
        """Everything that it has said."""
        self._polled = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name="gateway")
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.port = 0

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def base_url(self, key: RolloutKey = A_ROLLOUT) -> str:
        return f"{self.root_url}/r/{rollout_segment(key)}/v1"

    def forget(self, key: RolloutKey) -> None:
        with Link(self.base_url(key), self.token):
            pass

    def poll(self) -> list[Message]:
        new = self.messages[self._polled :]
        self._polled += len(new)
        return new

    def said(self, kind: type[M]) -> list[M]:
        """Its messages of one kind so far."""
        return [message for message in self.messages if isinstance(message, kind)]

    def wait_for(self, kind: type[M], count: int = 1, limit_s: float = 20.0) -> list[M]:
        """Its messages of one kind, when there are so many. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while len(found := self.said(kind)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} {kind.__name__} in {limit_s} s")
            time.sleep(0.01)
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with serving(self._settings, self.messages.append) as self.port:
            self._ready.set()
            await self._stop.wait()


def model_at(*base_urls: str, served_name: str = "scripted", **settings: Any) -> Model:
    """A model at these servers; settings of the endpoint as `endpoint={…}`, others of the model."""
    endpoint = {"base_url": base_urls[0], "replicas": base_urls[1:], "request_timeout_s": 30}
    given = Endpoint(**(endpoint | settings.pop("endpoint", {})))
    return Model(name="m", served_name=served_name, endpoint=given, **settings)
