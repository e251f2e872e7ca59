"""Inside a sandbox: SWE-ReX's LocalRuntime, asked by JSON lines over stdin and stdout.

SWE-ReX's own server is a web server. Its imports took 1.1 s of one core, in each sandbox, before an
agent's first step, and ten times that where it is emulated. This takes 0.27, of which bashlex takes
0.16 for its tables: it serves one client, one request after another, and needs neither the web
server nor what checks requests from strangers.

Runs by itself under the image's Python, with SWE-ReX in the folder PACKAGES, and so imports nothing
of ours. It first says READY. A request has a `verb` and its `request`, in the words of SWE-ReX's
client; what comes back has the `answer`, or the `swerexception` that was raised. It ends when its
input does, whatever it is at, and with it its shells.

usage: python -I runtime.py PACKAGES LEAST_S; in sandboxes, its text is the first line of input
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import termios
import threading
import time
import traceback
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

READY = "ready"
POLL_S = 0.01


class BaseModel:
    """In the place of pydantic's, whose import and models take 0.2 s. What comes in was checked by
    the client's, which are the same."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)  # defaults are attributes of the class

    def model_dump(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).__annotations__}


def offer(name: str, **contents: Any) -> None:
    """Have a module imported in the place of another one of this name."""
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


def nothing(**settings: Any) -> None:
    """What a model's settings are where nothing is checked."""


sys.path.insert(0, sys.argv[1])
offer("pydantic", BaseModel=BaseModel, Field=nothing, ConfigDict=nothing)
offer("swerex.utils.log", get_logger=logging.getLogger)

import pexpect
from swerex.runtime import abstract, local

LEAST_S = float(sys.argv[2])
"""What a shell has at least to answer: SWE-ReX itself gives it one second for its exit code and a
tenth for its prompt, which is too little for an emulated one."""


class Terminal(pexpect.spawn):
    """Of a shell. It is written to without pexpect's delay, which is there for programs that ask
    for a password and then turn the echo off: here it is off from the start."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delaybeforesend = None

    def expect(self, pattern: Any, timeout: float | None = -1, **more: Any) -> int:
        if timeout is not None and 0 <= timeout < LEAST_S:
            timeout = LEAST_S
        return int(super().expect(pattern, timeout, **more))

    def is_read_by_lines(self) -> bool:
        """Until a shell waits at its prompt, where it edits the line itself."""
        return bool(termios.tcgetattr(self.child_fd)[3] & termios.ICANON)


class FirstPrompt:
    """In the place of `time` while a shell starts. SWE-ReX sleeps then, and types without a look
    whether the shell is at its prompt: this wakes it as soon as it is."""

    def __init__(self, session: ServedSession) -> None:
        self._session = session

    def sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._session.shell.is_read_by_lines() and time.monotonic() < deadline:
            time.sleep(POLL_S)


class ServedSession(local.BashSession):
    async def start(self) -> Any:
        """An interactive shell has read ~/.bashrc by itself, which may take a second: SWE-agent
        would have it read once more."""
        own = os.path.expanduser("~/.bashrc")
        files = self.request.startup_source
        self.request.startup_source = [path for path in files if path != own]
        local.time = FirstPrompt(self)
        try:
            return await super().start()
        finally:
            local.time = time


pexpect.spawn = Terminal
local.BashSession = ServedSession


class ServedRuntime(local.LocalRuntime):
    async def upload(self, request: dict[str, str]) -> Any:
        """Files by their paths, each byte a character."""
        for path, content in request.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content.encode("latin-1"))
        return abstract.UploadResponse()


MODELS = {
    "create_session": abstract.CreateBashSessionRequest,
    "close_session": abstract.CloseBashSessionRequest,
    "execute": abstract.Command,
    "read_file": abstract.ReadFileRequest,
    "write_file": abstract.WriteFileRequest,
}
ACTIONS = {"bash": abstract.BashAction, "bash_interrupt": abstract.BashInterruptAction}


def result_of(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """LocalRuntime's methods are coroutines that never wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("it waits for an event loop")


def answer(runtime: ServedRuntime, verb: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        model: Any = dict
        if verb == "run_in_session":
            model = ACTIONS[request["action_type"]]
        elif verb in MODELS:
            model = MODELS[verb]
        found = result_of(getattr(runtime, verb)(model(**request)))
    except Exception as error:  # noqa: BLE001 - the client raises it again
        transfer = {
            "message": str(error),
            "class_path": f"{type(error).__module__}.{type(error).__name__}",
            "traceback": traceback.format_exc(),
            "extra_info": getattr(error, "extra_info", {}),
        }
        return {"swerexception": transfer}
    return {"answer": found.model_dump()}


def listen(line: BinaryIO, asked: queue.Queue[bytes]) -> None:
    for request in line:
        asked.put(request)
    os._exit(0)  # nobody waits for an answer any more


def main() -> None:
    # the agent's commands must not read our requests, nor print between our answers
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    asked: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=listen, args=(incoming, asked), daemon=True).start()
    runtime = ServedRuntime()
    print(READY, file=outgoing, flush=True)
    while True:
        request = json.loads(asked.get())
        print(json.dumps(answer(runtime, **request)), file=outgoing, flush=True)


if __name__ == "__main__":
    main()
