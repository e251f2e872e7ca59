"""A real sshd at the loopback address, and a configuration by which ssh reaches it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class SshServer:
    config: Path
    """For `ssh -F`. It has the hosts `gpu` (all is well), `wrong-key`, `stranger` (its key is not
    known), `changed` (another key is known), `refusing` (nobody listens) and `talkative` (what
    people have in their configuration for a terminal)."""


@contextmanager
def ssh_server(folder: Path, environment: Mapping[str, str]) -> Iterator[SshServer]:
    """One that runs as this user; `environment` is what its sessions find."""
    assert PROGRAM is not None
    for name in ("host", "other_host", "user", "stranger"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    port, nobody = _free_port(), _free_port()
    (folder / "sshd_config").write_text(_server_config(folder, port, environment))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks its children in
    for file, key in (("known", "host"), ("changed", "other_host")):
        public = (folder / f"{key}.pub").read_text()
        (folder / file).write_text(f"[127.0.0.1]:{port} {public}")
    (folder / "nothing").touch()
    (folder / "ssh_config").write_text(_client_config(folder, port, nobody))
    log = folder / "sshd.log"
    server = subprocess.Popen(
        [PROGRAM, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)],
        stdin=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, log)
        yield SshServer(folder / "ssh_config")
    finally:
        server.terminate()
        server.wait(timeout=10)


def _server_config(folder: Path, port: int, environment: Mapping[str, str]) -> str:
    variables = " ".join(f'"{name}={value}"' for name, value in environment.items())
    return f"""\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
SetEnv {variables}
"""


def _client_config(folder: Path, port: int, nobody: int) -> str:
    return f"""\
Host wrong-key
    IdentityFile {folder}/stranger
Host stranger
    UserKnownHostsFile {folder}/nothing
Host changed
    UserKnownHostsFile {folder}/changed
Host refusing
    Port {nobody}
Host talkative
    RemoteCommand exec bash -l
    RequestTTY force
    LocalForward {port} 127.0.0.1:{port}
    ExitOnForwardFailure yes
Host gpu wrong-key stranger changed refusing talkative
    HostName 127.0.0.1
Host * !wrong-key
    IdentityFile {folder}/user
Host *
    Port {port}
    User {getpass.getuser()}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder}/known
    GlobalKnownHostsFile none
    UpdateHostKeys no
    KexAlgorithms curve25519-sha256
"""


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            said = log.read_text() if log.exists() else ""
            assert time.monotonic() < deadline, f"sshd does not start: {said}"
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
