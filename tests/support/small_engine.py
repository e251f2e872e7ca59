"""A Docker engine of a test's own, whose data lies on a small disk: a file that is mounted.

It takes root and `dockerd` on PATH. It starts in half a second beside the real engine, of which it
shares nothing. Its default network is a bridge of its own that leads nowhere: told to have none, an
engine removes `docker0`, which is the real one's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import docker
import psutil
import pytest


class SmallEngine:
    """Use it as a context manager. `url` is what DOCKER_HOST is set to."""

    def __init__(
        self, size_mb: int = 300, *, attempts: int = 1, options: tuple[str, ...] = ()
    ) -> None:
        """`attempts` is how often it tries a layer before a pull fails; engines have 5, and wait
        longer each time."""
        self._size = size_mb * 1_000_000
        self._options = (f"--max-download-attempts={attempts}", *options)
        self._bridge = _Bridge()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        require_own_engine()
        # a short name, for sockets; not in /tmp, which may be memory
        self.folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp"))
        try:
            self._mount()
            self._bridge.add()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(docker.errors.DockerException, OSError):
            self._remove_all()
        self._end(signal.SIGTERM)
        self._kill_leftovers()
        self._unmount()
        self._bridge.remove()
        shutil.rmtree(self.folder)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/engine.sock"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def data_root(self) -> Path:
        return self.disk / "data"

    @property
    def free(self) -> int:
        """Bytes on its disk."""
        return shutil.disk_usage(self.disk).free

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.url, timeout=60)

    def start(self) -> None:
        """Start it, or start it again."""
        config = self.folder / "config.json"
        config.write_text("{}")  # else it reads the real engine's
        command = [
            "dockerd", f"--data-root={self.data_root}", f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'pid'}", f"--host={self.url}", f"--config-file={config}",
            "--storage-driver=overlay2", f"--bridge={self._bridge.name}", "--iptables=false",
            "--ip6tables=false", "--ip-forward=false", "--shutdown-timeout=2", *self._options,
        ]  # fmt: skip
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(600):
            with (
                contextlib.suppress(docker.errors.DockerException, OSError),
                contextlib.closing(self.client()) as client,
            ):
                client.ping()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"dockerd does not start: {self.log[-2000:]}")

    def kill(self) -> None:
        """kill -9 of it and of its containerd; containers that run go on."""
        self._end(signal.SIGKILL)

    def _remove_all(self) -> None:
        """Containers, and networks, which would stay on this host."""
        with contextlib.closing(self.client()) as client:
            for container in client.containers.list(all=True):
                container.remove(force=True)
            client.networks.prune()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._process.pid).children()
            self._process.send_signal(how)
            if how is signal.SIGKILL:
                for process in below:
                    process.kill()
            self._process.wait(timeout=30)
            psutil.wait_procs(below, timeout=10)
        self._process.wait(timeout=30)
        self._process = None
        (self.folder / "pid").unlink(missing_ok=True)

    def _kill_leftovers(self) -> None:
        """Of containers that outlived an engine that was killed."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(str(self.folder) in word for word in process.cmdline()):
                    for each in (*process.children(recursive=True), process):
                        each.kill()

    def _mount(self) -> None:
        image = self.folder / "disk.img"
        with open(image, "wb") as file:
            file.truncate(self._size)
        self.disk.mkdir()
        # no blocks kept for root: what it says is free can be used
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(self.disk))

    def _unmount(self) -> None:
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed(mounts):
            if mount.startswith(f"{self.folder}/"):
                _run("umount", "-l", mount)


class _Bridge:
    """A bridge of the kernel's, made as `brctl` does (linux/sockios.h)."""

    def __init__(self) -> None:
        number = secrets.randbelow(250)
        self.name = f"test-{secrets.token_hex(4)}"
        self._address = f"198.18.{number}.1"
        """Of the range that is for tests of networks (RFC 2544)."""

    def add(self) -> None:
        self._ask(0x89A0, self.name.encode() + b"\0")  # SIOCBRADDBR
        for request, address in ((0x8916, self._address), (0x891C, "255.255.255.0")):
            # SIOCSIFADDR, SIOCSIFNETMASK
            inet = struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            self._ask(request, struct.pack("<16s16s", self.name.encode(), inet))
        self._set_flags(0x1)  # IFF_UP

    def remove(self) -> None:
        with contextlib.suppress(OSError):  # it was not made
            self._set_flags(0)
            self._ask(0x89A1, self.name.encode() + b"\0")  # SIOCBRDELBR

    def _set_flags(self, flags: int) -> None:
        self._ask(0x8914, struct.pack("<16sH14x", self.name.encode(), flags))  # SIOCSIFFLAGS

    def _ask(self, request: int, given: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, request, given.ljust(40, b"\0"))


def require_own_engine() -> None:
    """Skip the test where no engine of its own can be started; in CI it fails instead."""
    problem = ""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        problem = "an engine of the test's own takes root on Linux"
    elif shutil.which("dockerd") is None:
        problem = "there is no dockerd on PATH"
    if problem and os.environ.get("CI") == "true":
        pytest.fail(f"CI needs it: {problem}")
    if problem:
        pytest.skip(problem)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
