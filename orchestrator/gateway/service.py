"""The gateway as something that listens, for as long as a context lasts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from orchestrator.gateway.messages import GatewayStart, Message
from orchestrator.gateway.server import Gateway
from orchestrator.gateway.upstreams import Upstreams


@contextlib.asynccontextmanager
async def serving(settings: GatewayStart, report: Callable[[Message], None]) -> AsyncIterator[int]:
    """Listen, and read the servers' metrics now and then; gives the port.

    Raises:
        OSError: the address can't be listened at.
    """
    async with Upstreams(settings.model, settings.api_key) as upstreams:
        gateway = Gateway(settings, upstreams, report)
        runner = web.AppRunner(
            gateway.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await runner.setup()
        sampler = asyncio.create_task(gateway.sample_forever())
        try:
            site = web.TCPSite(runner, settings.host, settings.port, backlog=512)
            await site.start()
            yield int(runner.addresses[0][1])
        finally:
            sampler.cancel()
            gateway.close()
            await runner.cleanup()
