"""Inside a sandbox: a server that gives each connection a bash of its own, in a terminal.

Runs by itself under the image's Python (3.7 or newer), and so imports nothing of ours. A client
first sends a line of JSON: `token`, `cwd`, `rows`, `columns`, and the `variables` that bash has
beside the server's own. From then on, the connection is the terminal. It ends with the shell, and
what runs in the terminal ends with the connection.

usage: python terminals.py PORT SHA256      the hash of the token: whoever reads it can't use it
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios
from typing import Any

BASH = ["bash", "--norc", "--noprofile", "-i"]
WRITE_BYTES = 1024
MAX_REQUEST_BYTES = 100000
MOST_READS_AT_THE_END = 64


def read_request(connection: socket.socket) -> dict[str, Any]:
    """The client's first line; empty where it has gone, or sends none."""
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_REQUEST_BYTES:
        byte = connection.recv(1)
        if not byte:
            return {}
        line += byte
    request: dict[str, Any] = json.loads(line.decode())
    return request


def open_terminal(rows: int, columns: int) -> tuple[int, int]:
    """Its two ends. It echoes nothing: what is typed is the client's own."""
    terminal, shells_end = pty.openpty()
    settings = termios.tcgetattr(shells_end)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(shells_end, termios.TCSANOW, settings)
    fcntl.ioctl(shells_end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    fcntl.fcntl(terminal, fcntl.F_SETFL, fcntl.fcntl(terminal, fcntl.F_GETFL) | os.O_NONBLOCK)
    return terminal, shells_end


def become_bash(shells_end: int, cwd: str, variables: dict[str, str]) -> None:
    """In the child that the terminal belongs to."""
    os.setsid()
    fcntl.ioctl(shells_end, termios.TIOCSCTTY, 0)
    for standard in (0, 1, 2):
        os.dup2(shells_end, standard)
    os.closerange(3, 1024)
    try:
        os.chdir(cwd)
    except OSError:
        os.chdir(os.environ.get("HOME", "/"))
    os.execvpe(BASH[0], BASH, dict(os.environ, **variables))


def carry(connection: socket.socket, terminal: int, shell: int) -> bool:
    """Bytes both ways. Whether the shell has ended, and not the connection."""
    typed = b""
    while True:
        ends: list[Any] = [connection, terminal]
        readable, writable, _ = select.select(ends, ends[1:] if typed else [], [], 1.0)
        if terminal in readable:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # it has no other end any more
                data = b""
            if not data:
                return True
            connection.sendall(data)
        if connection in readable:
            data = connection.recv(65536)
            if not data:
                return False
            typed += data
        if writable:
            with contextlib.suppress(BlockingIOError):
                typed = typed[os.write(terminal, typed[:WRITE_BYTES]) :]
        if not readable and os.waitpid(shell, os.WNOHANG)[0]:
            send_rest(connection, terminal)
            return True  # what it has left in the background keeps its terminal


def send_rest(connection: socket.socket, terminal: int) -> None:
    """What a shell has printed since it was last looked for, before it ended. What runs in the
    background may print on and on."""
    with contextlib.suppress(OSError):
        for _ in range(MOST_READS_AT_THE_END):
            if not select.select([terminal], [], [], 0)[0]:
                return
            connection.sendall(os.read(terminal, 65536))


def end_session(leader: int) -> None:
    """Kill all that runs in the session of this process."""
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/stat", "rb") as stat:
                session = int(stat.read().rpartition(b")")[2].split()[3])
            if session == leader:
                os.kill(int(name), signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def serve(connection: socket.socket, digest: str) -> None:
    request = read_request(connection)
    token = str(request.get("token", "")).encode()
    if hashlib.sha256(token).hexdigest() != digest:
        return
    terminal, shells_end = open_terminal(request["rows"], request["columns"])
    shell = os.fork()
    if shell == 0:
        try:
            become_bash(shells_end, request["cwd"], request["variables"])
        finally:
            os._exit(127)
    os.close(shells_end)
    has_ended = False
    try:
        has_ended = carry(connection, terminal, shell)
    finally:
        if not has_ended:
            end_session(shell)


def main(port: int, digest: str) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(16)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that serve
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with contextlib.suppress(OSError, ValueError):
                serve(connection, digest)
            os._exit(0)
        connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
