"""The gateway's process, as its driver has it: started, listened to, started again, ended."""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

from orchestrator.config.cluster import GatewayAddress
from orchestrator.config.schema import Model
from orchestrator.errors import PrerequisiteError
from orchestrator.gateway.link import Link
from orchestrator.gateway.messages import (
    GatewayStart,
    Listening,
    Message,
    begun_anew,
    from_line,
    rollout_segment,
)
from orchestrator.stop_signals import kept_from_children
from orchestrator.types import RolloutKey

START_S = 60.0
STOP_S = 5.0
RESTART_EVERY_S = 2.0
SILENCE_S = 90.0
"""It sends a sample every 10 s; one that is silent for longer hangs."""

log = logging.getLogger(__name__)


class GatewayProcess:
    """Use it as a context manager, or `begin` it, `wait` for it, and `end` it.

    A gateway that dies is started again at the same port, and agents' clients wait for it. What it
    had not reported yet is lost; no verdict depends on it.
    """

    def __init__(
        self,
        model: Model,
        address: GatewayAddress,
        api_key: str,
        log_path: Path,
        profiles: Mapping[str, Model] | None = None,
    ) -> None:
        """`profiles`: see `GatewayStart`."""
        self.token = secrets.token_urlsafe(24)
        self._settings = GatewayStart(
            model=model,
            profiles=profiles or {},
            api_key=api_key,
            token=self.token,
            host=address.host,
            port=address.port,
        )
        self._log_path = log_path
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()
        self._started_at = 0.0
        self._last_message_at = 0.0

    def __enter__(self) -> Self:
        """Raises PrerequisiteError where it can't listen."""
        self.begin()
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Start it, to be waited for and ended."""
        self._start()

    def wait(self) -> None:
        """Until it listens. Raises PrerequisiteError where it can't; it has ended then."""
        deadline = time.monotonic() + START_S
        while not self._ready.wait(0.05):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.end()
                place = f"{self._settings.host}:{self._settings.port}"
                raise PrerequisiteError(
                    f"the gateway can't listen at {place} (see {self._log_path}).",
                    "Set --set cluster.gateway.host=ADDRESS, of this host, and …gateway.port=0.",
                )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def root_url(self) -> str:
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._settings.port}"

    def base_url(self, key: RolloutKey) -> str:
        """Where a rollout's agent finds its model."""
        return f"{self.root_url}/r/{rollout_segment(key)}/v1"

    def forget(self, key: RolloutKey) -> None:
        """Drop a rollout whose worker died, and so can't do it."""
        url = self.base_url(key)
        for name in (url, begun_anew(url)):
            with Link(name, self.token):
                pass

    def poll(self) -> list[Message]:
        """Its messages since the last call. Starts it again where it has died, or hangs."""
        assert self._process is not None
        now = time.monotonic()
        died = self._process.poll() is not None and now - self._started_at > RESTART_EVERY_S
        hangs = now - max(self._last_message_at, self._started_at) > SILENCE_S
        if died or hangs:
            self._process.kill()
            self.end()
            self._start("died" if died else "hangs")
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            while True:
                messages.append(self._messages.get_nowait())
        return messages

    def _start(self, why_again: str = "") -> None:
        self._started_at = time.monotonic()
        with open(self._log_path, "a", encoding="utf-8") as errors:
            if why_again:
                stamp = time.strftime("%Y-%m-%d %H:%M:%S")
                errors.write(f"{stamp} the gateway {why_again}: it is started again\n")
                errors.flush()
            with kept_from_children():
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "orchestrator.gateway"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,
                )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once: the next poll sees that
            self._process.stdin.write(self._settings.model_dump_json() + "\n")
            self._process.stdin.flush()
        threading.Thread(
            target=self._listen, args=(self._process.stdout,), daemon=True, name="gateway"
        ).start()

    def _listen(self, lines: IO[str]) -> None:
        with contextlib.closing(lines):
            for line in lines:
                try:
                    message = from_line(line)
                except ValueError as error:
                    log.warning("%s", error)
                    continue
                self._last_message_at = time.monotonic()
                if isinstance(message, Listening):
                    self._settings = self._settings.model_copy(update={"port": message.port})
                    self._ready.set()
                self._messages.put(message)

    def end(self) -> None:
        """Close its input, which ends it; kill it where that does not help. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
