"""A real vLLM server on the CPU, with a model of half a megabyte: to be asked, hung and killed.

It is forked from a process that has imported vLLM, takes some 5 s until it answers and 1 GB, and is
two processes, as any vLLM: one that speaks HTTP, and the engine. A token of its model is a byte.
What the model says is noise, so a test that wants a text forces it with `saying`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

MODEL = "tiny"
CONTEXT_TOKENS = 8192
KV_TOKENS = 32768
BLOCK_TOKENS = 128
"""What the prefix cache counts in: a shorter prompt is never found there."""
RUNNING, WAITING = 2, 6
"""How many requests the ordinary server of the tests runs, and lets wait."""
START_S = 180
TAIL_LINES = 40

NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}
ENDLESS = {"max_tokens": CONTEXT_TOKENS, "ignore_eos": True}
"""Fields of a request that takes some 20 s, alone."""

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # with the executor `uni`, the worker lives in the engine's process: one start less to wait for
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # do not pin threads to cores that other processes use as well
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}
_FLAGS = (
    *("--host", "127.0.0.1", "--served-model-name", MODEL),
    *("--max-model-len", str(CONTEXT_TOKENS), "--enforce-eager"),
    *("--num-gpu-blocks-override", str(KV_TOKENS // BLOCK_TOKENS)),
    *("--distributed-executor-backend", "uni"),
    # forced texts count as thoughts too, where the model is taken to think
    *("--structured-outputs-config", '{"backend": "xgrammar", "enable_in_reasoning": true}'),
)


class VllmImported:
    """A process that has imported vLLM (`support.vllm_servers`), out of what
    `scripts/vllm-for-tests` makes in `folder`; servers that it started outlive it."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self.model = folder / "model"
        own = {
            "VLLM_CACHE_ROOT": str(logs / "vllm"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        environment = os.environ | _ENVIRONMENT | own
        # Python's compiled files save half of the imports
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._process = subprocess.Popen(
            [str(folder / "bin" / "python"), "-m", "support.vllm_servers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def fork(self, log: Path, environment: Mapping[str, str], *arguments: str) -> psutil.Process:
        """A process that runs `vllm ARGUMENTS` with more of an environment, and writes to `log`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        log.touch()
        wanted = {"arguments": arguments, "environment": dict(environment), "log": str(log)}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], START_S)[0]:
            self._process.kill()
            raise AssertionError(f"vLLM was not imported within {START_S} s")
        pid = self._process.stdout.readline()
        assert pid, f"vLLM could not be imported: exit {self._process.wait()}"
        return psutil.Process(int(pid))

    def close(self) -> None:
        self._process.communicate()


def saying(text: str) -> dict[str, Any]:
    """Fields of a request that make the model answer exactly `text`."""
    return {"structured_outputs": {"choice": [text]}, "max_tokens": len(text.encode()) + 1}


def wait_until(condition: Callable[[], object], timeout_s: float = 10) -> float:
    """Seconds until `condition` held; AssertionError where it never did."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"not within {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TinyVllm:
    """One server on a port of its own, that it keeps from one start to the next.

    Later flags win over the ones given here: `TinyVllm(imported, logs, "--max-num-seqs", "4")`.
    """

    def __init__(
        self,
        imported: VllmImported,
        logs: Path,
        *flags: str,
        port: int | None = None,
        api_key: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.url}/v1"
        self.api_key = api_key
        self.log = logs / f"vllm-{self.port}.log"
        """Of all its starts; kept with the test's temporary files."""
        self.process: psutil.Process | None = None
        own = ("--port", str(self.port), *(("--api-key", api_key) if api_key else ()))
        self._imported = imported
        self._environment = dict(environment or {})
        self._arguments = ("serve", str(imported.model), *_FLAGS, *own, *flags)
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=30,
            trust_env=False,
        )

    def start(self) -> None:
        """Come back when it is ready.

        Raises:
            AssertionError: it ended, or took too long; with the end of its log.
        """
        assert self.process is None, "it runs already"
        self.process = self._imported.fork(self.log, self._environment, *self._arguments)
        deadline = time.monotonic() + START_S
        while not self.is_healthy():
            ended = not self.process.is_running()
            if ended or time.monotonic() > deadline:
                self.kill()
                why = "ended" if ended else f"was not ready within {START_S} s"
                tail = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
                raise AssertionError("\n".join([f"vLLM {why}; {self.log}:", *tail]))
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of both processes; nothing where they are gone."""
        if self.process is None:
            return
        both = [self.process, *self._children()]
        # the engine may outlive the other; it is in the same group
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        # it has the socket too, so the port is free when both are gone
        psutil.wait_procs(both)
        self.process = None

    def close(self) -> None:
        self.kill()
        self._http.close()

    def is_healthy(self) -> bool:
        """What /health says, which is nothing of a hung engine."""
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def hang_engine(self) -> None:
        self._engine().suspend()

    def resume_engine(self) -> None:
        self._engine().resume()

    def kill_engine(self) -> None:
        self._engine().kill()

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def metrics(self) -> str:
        return self.get("/metrics").text

    def ask(self, content: str, timeout_s: float = 30, **fields: Any) -> httpx.Response:
        """One chat completion: `server.ask("hi", **saying("ready"), **NO_THINKING)`."""
        return self._http.post(
            "/v1/chat/completions", json=_body(content, fields), timeout=timeout_s
        )

    def stream(
        self, content: str, **fields: Any
    ) -> contextlib.AbstractContextManager[httpx.Response]:
        """One as a stream of events; to leave the context early is to hang up."""
        return self._http.stream(
            "POST", "/v1/chat/completions", json=_body(content, fields | {"stream": True})
        )

    def _children(self) -> list[psutil.Process]:
        assert self.process is not None, "it does not run"
        try:
            return self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _engine(self) -> psutil.Process:
        for child in self._children():
            if child.name().startswith("VLLM::Engine"):
                return child
        raise AssertionError("vLLM has no engine")


@dataclass(frozen=True)
class ForcedVllm:
    """One whose model says what a script wants (`support.forced_answers`)."""

    server: TinyVllm
    script: Path

    def says(self, answers: Mapping[str, Sequence[str]]) -> TinyVllm:
        """Turn by turn, in each conversation in which a text stands; gives the server."""
        self.script.write_text(json.dumps(answers), encoding="utf-8")
        return self.server


def _body(content: str, fields: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "messages": messages, "max_tokens": 16} | fields
