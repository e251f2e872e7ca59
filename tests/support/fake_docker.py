"""A stand-in for docker on a GPU host: containers are small web servers, state lies in a folder.

`install` puts a program `docker` into a folder; what it is asked for is written down, and a test
may let any of its commands fail with docker's own words.
"""

from __future__ import annotations

# what all its commands need and no more: scripts call it a dozen times
import json
import os
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Any

SERVER = """\
import socket, sys, time
port, log, delay, dies = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == "dies"
def say(text):
    with open(log, "a") as file:
        file.write(text + "\\n")
say("loading weights:  0%\\rloading weights: 50%")
time.sleep(delay)
if dies:
    say("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    sys.exit(1)
server = socket.create_server(("127.0.0.1", port))
say("Application startup complete.")
while True:
    client, _ = server.accept()
    say(client.recv(4096).decode().partition(" HTTP")[0])
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    client.close()
"""


class FakeDocker:
    """What a test sees of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def program_folder(self) -> Path:
        return self.folder / "bin"

    def install(self) -> None:
        self.program_folder.mkdir(parents=True)
        program = self.program_folder / "docker"
        program.write_text(
            f"#!{sys.executable} -IS\n"
            f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            f"import fake_docker\nfake_docker.main({str(self.folder)!r}, sys.argv[1:])\n",
            encoding="utf-8",
        )
        program.chmod(0o755)

    def fails(self, command: str, words: str, exit_code: int = 125) -> None:
        """From now on, where it is asked for this command."""
        failures = self._read("failures") | {command: [words, exit_code]}
        self._write("failures", failures)

    def servers(self, *, load_s: float = 0.1, die: bool = False) -> None:
        """How those come up that start from now on."""
        self._write("servers", {"load_s": load_s, "die": die})

    def calls(self, command: str) -> list[list[str]]:
        """Arguments of each call of a command."""
        found = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return [words for words in map(json.loads, found) if words[0] == command]

    def containers(self) -> dict[str, Any]:
        return {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.container")}

    def change(self, name: str, **facts: Any) -> None:
        self._save(name, self.containers()[name] | facts)

    def put(self, name: str, port: int = 0) -> None:
        """A container that somebody else has started."""
        facts = {"port": port, "labels": {}, "image": "i:1", "path": "sh", "args": []}
        self._save(name, facts | {"restarts": 0, "is_stopped": False, "options": {}})

    def reset(self) -> None:
        """No container, no failure, and nothing was ever asked for."""
        for facts in self.containers().values():
            self._kill(facts)
        for path in self.folder.iterdir():
            if path.is_file():
                path.unlink()

    def run(self, words: list[str]) -> int:
        """What the program does."""
        with open(self.folder / "calls", "a", encoding="utf-8") as calls:
            calls.write(json.dumps(words) + "\n")
        failure = self._read("failures").get(words[0])
        if failure:
            print(failure[0], file=sys.stderr)
            return int(failure[1])
        found = getattr(self, f"_{words[0]}")(words[1:])
        return int(found or 0)

    def _version(self, _words: list[str]) -> None:
        print("Version: 28")

    def _image(self, words: list[str]) -> int:
        return words[-1] not in self._read("images")

    def _pull(self, words: list[str]) -> None:
        for state in ("Pulling fs layer", "Verifying Checksum", "Pull complete"):
            print(f"0123456789ab: {state}")
        self._write("images", self._read("images") | {words[-1]: True})

    def _run(self, words: list[str]) -> int:
        """It knows those options that take a value; all others are said not to be known."""
        options: dict[str, list[str]] = {}
        valued = (
            "name",
            "restart",
            "gpus",
            "ipc",
            "publish",
            "volume",
            "env",
            "label",
            "entrypoint",
        )
        while words[0].startswith("--"):
            name = words.pop(0).removeprefix("--")
            if name != "detach":
                assert name in valued, name
                options.setdefault(name, []).append(words.pop(0))
        port = int(options["publish"][0].partition(":")[0])
        [name] = options["name"]
        if name in self.containers():
            print(f'Conflict. The name "/{name}" is already in use by container', file=sys.stderr)
            return 125
        labels = dict(label.split("=", 1) for label in options["label"])
        facts = {"options": options, "labels": labels, "image": words[0], "args": words[1:]}
        facts |= {
            "port": port,
            "restarts": 0,
            "is_stopped": False,
            "path": options["entrypoint"][0],
        }
        self._save(name, facts | {"is_stopped": True})
        if not _is_free(port):
            print(f"Bind for 0.0.0.0:{port} failed: port is already allocated", file=sys.stderr)
            return 125
        self._begin(name)
        return 0

    def _begin(self, name: str) -> None:
        import subprocess

        how = {"load_s": 0.1, "die": False} | self._read("servers")
        facts = self.containers()[name]
        log = str(self.folder / f"{name}.log")
        words = [str(facts["port"]), log, str(how["load_s"]), "dies" if how["die"] else "lives"]
        process = subprocess.Popen(
            [sys.executable, "-IS", "-c", SERVER, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._save(name, facts | {"pid": process.pid, "is_stopped": False})

    def _inspect(self, words: list[str]) -> int:
        facts = self.containers().get(words[-1])
        if facts is None:
            print(f"Error: No such container: {words[-1]}", file=sys.stderr)
            return 1
        if "--format" in words:
            print(_fill(words[words.index("--format") + 1], self._as_docker(facts)))
        return 0

    def _as_docker(self, facts: dict[str, Any]) -> dict[str, Any]:
        lives = not facts["is_stopped"] and _lives(facts.get("pid"))
        status = facts.get("status") or ("running" if lives else "exited")
        return {
            "State": {"Status": status, "StartedAt": "2026-11-26T01:02:03.456789Z"},
            "RestartCount": facts["restarts"],
            "Config": {
                "Labels": facts["labels"],
                "Image": facts["image"],
                "Env": ["HF_TOKEN=hf_secret", "VLLM_USE_DEEP_GEMM=1"],
            },
            "Path": facts["path"],
            "Args": facts["args"],
            "Mounts": [{"Source": "/somewhere", "Destination": "/huggingface"}],
        }

    def _logs(self, words: list[str]) -> None:
        name, tail = words[-1], int(words[words.index("--tail") + 1])
        path = self.folder / f"{name}.log"
        deadline = time.monotonic() + 0.5  # one that has just been started
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        sys.stdout.write("".join(lines[-tail:]))
        seen = len(lines)
        while "--follow" in words:
            sys.stdout.flush()
            time.sleep(0.05)
            lines = path.read_text().splitlines(keepends=True)
            sys.stdout.write("".join(lines[seen:]))
            seen = len(lines)

    def _start(self, words: list[str]) -> None:
        self._begin(words[-1])

    def _stop(self, words: list[str]) -> None:
        facts = self.containers()[words[-1]]
        self._kill(facts)
        self._save(words[-1], facts | {"is_stopped": True})

    def _rm(self, words: list[str]) -> int:
        facts = self.containers().get(words[-1])
        if facts is None or (_lives(facts.get("pid")) and "--force" not in words):
            return 1
        self._kill(facts)
        for path in self.folder.glob(f"{words[-1]}.*"):
            path.unlink()
        return 0

    def _ps(self, words: list[str]) -> None:
        port = int(words[words.index("--filter") + 1].removeprefix("publish="))
        for name, facts in self.containers().items():
            if facts["port"] == port and not facts["is_stopped"]:
                print(name)

    def _kill(self, facts: dict[str, Any]) -> None:
        if _lives(facts.get("pid")):
            os.kill(facts["pid"], 9)

    def _save(self, name: str, facts: dict[str, Any]) -> None:
        self._write(f"{name}.container", facts)

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _write(self, name: str, data: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(data), encoding="utf-8")


def main(folder: str, words: list[str]) -> None:
    sys.exit(FakeDocker(Path(folder)).run(words))


def _fill(template: str, facts: dict[str, Any]) -> str:
    """As much of docker's templates as is needed: {{.A.B}}, {{json .A}}, {{index .A "key"}}."""
    import re

    def value(found: re.Match[str]) -> str:
        verb, path, key = found.groups()
        inner: Any = facts
        for part in path.split(".")[1:]:
            inner = inner[part]
        if verb == "json":
            return json.dumps(inner)
        return str(inner.get(key, "") if verb == "index" else inner)

    return re.sub(r'\{\{(?:(json|index) )?(\.[\w.]+)(?: "([^"]+)")?\}\}', value, template)


def _lives(pid: int | None) -> bool:
    """A process that is dead and waited for by nobody does not."""
    if pid is None:
        return False
    if not Path("/proc/self/stat").exists():  # macOS, whose first process waits for all
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
