"""The gateway's process: settings on the first line of standard input, messages on standard output.

It ends when its standard input does, so that it never outlives its driver.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys

from orchestrator.gateway.messages import GatewayStart, Listening, Message, to_line
from orchestrator.gateway.service import serving


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    settings = GatewayStart.model_validate_json(sys.stdin.readline())
    gc.collect()
    gc.freeze()  # else each full collection walks what was imported, and all requests wait 30 ms
    asyncio.run(_serve(settings))


async def _serve(settings: GatewayStart) -> None:
    async with serving(settings, _print) as port:
        _print(Listening(port=port))
        await _end_of_input()


def _print(message: Message) -> None:
    with contextlib.suppress(BrokenPipeError):  # the driver has gone, and this ends with it
        print(to_line(message), flush=True)


async def _end_of_input() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


if __name__ == "__main__":
    main()
