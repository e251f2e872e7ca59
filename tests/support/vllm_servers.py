"""Imports vLLM once, and forks servers from there: most of what a start costs are its imports.

`TinyVllm` runs this with vLLM's Python. Each line of stdin asks for a server, as a JSON object:
`arguments`, those of the command `vllm`; `environment`, what to add to this process's; `log`, a
file to append both outputs to. Its pid is the answer, on stdout. A server is in a session of its
own, and goes on when this process ends, which it does with its stdin.

All else is as `vllm serve` has it, but for two things that would each import vLLM again. A server's
engine is forked from it, which is vLLM's default, but on the CPU it prefers to spawn. And what its
model can do is looked up in place, not in a process of its own: no GPU has to be left untouched.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

MODULES = (
    "vllm.entrypoints.cli.serve",
    "vllm.entrypoints.openai.api_server",
    "vllm.v1.engine.core",
    "vllm.v1.worker.cpu_worker",
)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed while vLLM is imported is no answer
    command = import_module("vllm.entrypoints.cli.main").main
    for name in MODULES:
        import_module(name)
    registry = import_module("vllm.model_executor.models.registry")
    registry._run_in_subprocess = lambda look: look()
    import_module("vllm.v1.engine.utils").get_mp_context = _fork
    # nobody waits for servers here: none stays a zombie
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.exit(_serve(command, json.loads(line)))
        print(pid, file=answers, flush=True)


def _fork() -> Any:
    return multiprocessing.get_context("fork")


def _serve(command: Callable[[], Any], wanted: dict[str, Any]) -> Any:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    null, log = os.open(os.devnull, os.O_RDONLY), os.open(wanted["log"], os.O_WRONLY | os.O_APPEND)
    for own, file in ((0, null), (1, log), (2, log)):
        os.dup2(file, own)
    os.environ.update(wanted["environment"])
    sys.argv = ["vllm", *wanted["arguments"]]
    return command()


if __name__ == "__main__":
    main()
