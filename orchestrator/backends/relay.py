"""Inside a sandbox: starts a server there, and carries connections to it over stdin and stdout.

Runs by itself under the image's Python (3.7 or newer), and so imports nothing of ours. A frame is
a connection's number (4 bytes), a kind (1 byte), the data's size (4 bytes), big-endian, and data.

usage: python relay.py SECONDS COMMAND…     with {port} in the command for the port to listen on
"""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import tempfile

HEADER = struct.Struct("!IBI")
OPEN, DATA, CLOSE, READY, FAILED = range(5)
POLL_S = 0.02


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(number: int, kind: int, data: bytes = b"") -> None:
    """A whole frame; the host always reads, so that this blocks for a moment at most."""
    frame = memoryview(HEADER.pack(number, kind, len(data)) + data)
    while frame:
        frame = frame[os.write(1, frame) :]


async def carry_back(
    number: int, reader: asyncio.StreamReader, writers: dict[int, asyncio.StreamWriter]
) -> None:
    """What the server answers on one connection, until it hangs up."""
    try:
        while True:
            data = await reader.read(65536)
            if not data:
                break
            send(number, DATA, data)
    except OSError:
        pass
    if writers.pop(number, None) is not None:
        send(number, CLOSE)


async def carry(frames: asyncio.StreamReader, port: int) -> None:
    """Serve the host's frames until it goes away."""
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks = set()
    while True:
        try:
            number, kind, size = HEADER.unpack(await frames.readexactly(HEADER.size))
            data = await frames.readexactly(size)
        except asyncio.IncompleteReadError:
            return
        if kind == OPEN:
            try:
                reader, writers[number] = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                send(number, CLOSE)
                continue
            task = asyncio.ensure_future(carry_back(number, reader, writers))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        elif kind == DATA and number in writers:
            writers[number].write(data)
        elif kind == CLOSE:
            writer = writers.pop(number, None)
            if writer is not None:
                writer.close()


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def main(patience_s: float, command: list[str]) -> None:
    loop = asyncio.get_event_loop()
    port = free_port()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
    server = subprocess.Popen(
        [word.replace("{port}", str(port)) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        deadline = loop.time() + patience_s
        while not await listens(port):
            if server.poll() is not None or loop.time() > deadline:
                log.seek(0)
                send(0, FAILED, log.read()[-2000:] or b"it did not start in time")
                return
            await asyncio.sleep(POLL_S)
        send(0, READY)
        frames = asyncio.StreamReader(limit=2**20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(frames), sys.stdin)
        await carry(frames, port)
    finally:
        server.kill()


if __name__ == "__main__":
    asyncio.get_event_loop_policy().new_event_loop().run_until_complete(
        main(float(sys.argv[1]), sys.argv[2:])
    )
