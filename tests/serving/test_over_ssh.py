"""`serve` as people meet it: over a real sshd, with a stand-in for docker behind it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.commands import Ended
from support.fake_docker import FakeDocker
from support.ssh_server import PROGRAM, SshServer, ssh_server

from orchestrator.cli import main
from orchestrator.display.serving import PlainProgress
from orchestrator.serving import scripts
from orchestrator.serving.docker_command import container_name

pytestmark = pytest.mark.slow

MODEL = "tiny's model"
NAME = container_name(MODEL)
SERVED = 'it\'s a "tiny" $(touch /nowhere) model'
TEMPLATE = "{{ messages }}\r\n'quoted' \"twice\" $HOME `id`\nno last line break"
HOME = "it's a home"
Serve = Callable[..., Ended]


@dataclass(frozen=True)
class Host:
    """The GPU host: what its user has, and its docker."""

    ssh: SshServer
    docker: FakeDocker
    home: Path


@pytest.fixture(scope="session")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if PROGRAM is None and os.environ.get("CI") != "true":
        pytest.skip("there is no sshd here")
    folder = tmp_path_factory.mktemp("ssh")
    docker = FakeDocker(folder / "docker")
    docker.install()
    home = folder / HOME
    home.mkdir()
    path = f"{docker.program_folder}:{os.environ['PATH']}"
    with ssh_server(folder, {"HOME": str(home), "PATH": path, "http_proxy": "nowhere:9"}) as ssh:
        yield Host(ssh, docker, home)
    docker.reset()


@pytest.fixture
def host(there: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    there.docker.reset()
    monkeypatch.setenv("SWE_ORCHESTRATOR_SSH", f"ssh -F '{there.ssh.config}'")
    monkeypatch.setattr(scripts, "POLL_S", 0.1)
    return there


@pytest.fixture
def serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Serve:
    """Runs `serve` with a profile and a recipe of its own: `serve("--up", host="gpu")`."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    write_profiles(tmp_path, port)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))

    def run(*words: str, host: str = "gpu", name: str = MODEL) -> Ended:
        where = ["--host", host] if host else []
        given = ["serve", name, *where, "--config-dir", str(tmp_path / "configs"), *words]
        monkeypatch.setattr(sys, "argv", ["orchestrator", *given])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def write_profiles(folder: Path, port: int) -> None:
    file = folder / "a template's file.jinja"
    file.write_bytes(TEMPLATE.encode())
    flags = [
        {"name": "--enable-auto-tool-choice", "why": "agents call tools"},
        {"name": "--tool-call-parser", "value": "hermes", "why": "the model's form"},
        {"name": "--gpu-memory-utilization", "value": 0.8, "why": "leaves room"},
        {"name": "--override-generation-config", "value": '{"a b": "it\'s"}', "why": "odd"},
    ]
    recipe = {
        "machine": "a host",
        "image": "registry/vllm:v0.32.0",
        "port": port,
        "flags": flags,
        "chat_template": {
            "url": "http://127.0.0.1:9/template.jinja",
            "sha256": hashlib.sha256(TEMPLATE.encode()).hexdigest(),
            "why": "reads conversations",
        },
        "default": "small",
        "variants": {
            "small": {"description": "small", "weights": "org/tiny"},
            "large": {"description": "large", "weights": "org/large"},
        },
    }
    model = {
        "served_name": SERVED,
        "endpoint": {"base_url": "http://gpu.invalid:8000/v1"},
        "context_length": 4096,
        "recipe": "tiny",
    }
    for kind, name, data in (("models", MODEL, model), ("recipes", "tiny", recipe)):
        path = folder / "configs" / kind / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(data), encoding="utf-8")


def up(serve: Serve, *words: str, **where: str) -> Ended:
    template = ("--chat-template", "a template's file.jinja")
    return serve("--up", "--wait", "1", *template, *words, **where)


def test_a_server_comes_up_and_every_word_arrives_as_the_profile_has_it(
    host: Host, serve: Serve
) -> None:
    said = up(serve).succeeded()

    [words] = host.docker.calls("run")
    assert words[words.index("--served-model-name") + 1] == SERVED
    assert words[words.index("--override-generation-config") + 1] == '{"a b": "it\'s"}'
    assert words[words.index("--max-model-len") + 1] == "4096"
    assert words[words.index("--restart") + 1] == "unless-stopped"
    assert f"{host.home}/.cache/huggingface:/huggingface" in words
    mount = next(word for word in words if word.endswith(".jinja:ro"))
    assert Path(mount.split(":")[0]).read_bytes() == TEMPLATE.encode()
    assert words[words.index("--chat-template") + 1] == mount.split(":")[1]
    assert "gpu pulls registry/vllm:v0.32.0" in said
    assert f"http://127.0.0.1:{host.docker.containers()[NAME]['port']}/v1" in said
    assert "--set model.endpoint.base_url=http://127.0.0.1:" in said


def test_a_server_that_is_there_is_changed_only_where_that_is_asked_for(
    host: Host, serve: Serve
) -> None:
    up(serve)
    before = host.docker.containers()
    assert "was up already" in up(serve).succeeded()
    assert host.docker.containers() == before

    refused = up(serve, "--variant", "large")
    assert refused.exit_code == 2
    assert "--replace" in refused.stderr
    assert "- org/tiny" in refused.stdout
    assert "+ org/large" in refused.stdout
    assert host.docker.containers() == before

    assert "is up after" in up(serve, "--variant", "large", "--replace").succeeded()
    assert host.docker.containers()[NAME]["args"][1] == "org/large"

    host.docker.run(["stop", NAME])
    assert "starts it again" in up(serve, "--variant", "large").succeeded()
    assert len(host.docker.calls("run")) == 2


def test_status_logs_lint_and_down(host: Host, serve: Serve) -> None:
    assert serve("--status").exit_code == 3
    assert serve("--logs").exit_code == 3
    up(serve)
    args = host.docker.containers()[NAME]["args"]
    host.docker.change(NAME, restarts=7, args=[*args, "--enforce-eager"])

    status = json.loads(serve("--status", "--json").succeeded())
    assert status["is_healthy"]
    assert (status["restarts"], status["variant"]) == (7, "small")
    assert "loading weights" in serve("--logs").succeeded()

    linted = serve("--lint")
    assert linted.exit_code == 2
    assert "eager" in linted.stderr
    assert "hf_secret" not in linted.stdout + linted.stderr

    assert "removed" in serve("--down").succeeded()
    assert host.docker.containers() == {}
    assert "is not there" in serve("--down").succeeded()


def test_a_log_that_is_followed_ends_over_there_too(
    host: Host, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(serve)
    found: list[str] = []

    def stop_at_the_third(line: str = "", **_: object) -> None:
        found.append(line)
        if "GET /health" in line:
            raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.cli.serve.typer.echo", stop_at_the_third)
    assert serve("--logs", "--follow").exit_code == 130
    assert "Application startup complete." in found

    deadline = time.monotonic() + 5
    while any_follows():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def any_follows() -> bool:
    import psutil

    lines = (" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
    return any("logs --follow" in line and NAME in line for line in lines)


def test_a_server_that_dies_shows_its_last_lines_and_is_stopped(host: Host, serve: Serve) -> None:
    host.docker.servers(load_s=0.3, die=True)

    done = up(serve)

    assert done.exit_code == 3
    assert "CUDA out of memory" in done.stdout
    assert "too little memory" in done.stderr
    assert "It is stopped" in done.stderr
    assert "drop_caches" in done.stderr
    assert host.docker.containers()[NAME]["is_stopped"]


def test_who_is_interrupted_leaves_the_server_running(
    host: Host, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.docker.servers(load_s=30)

    def interrupt(_: PlainProgress, text: str) -> None:
        if text.startswith("loading weights"):
            raise KeyboardInterrupt

    monkeypatch.setattr(PlainProgress, "show", interrupt)
    done = up(serve)

    assert done.exit_code == 130
    assert "It goes on there" in done.stdout
    assert not host.docker.containers()[NAME]["is_stopped"]
    status = serve("--status")
    assert status.exit_code == 3
    assert "may still load" in status.stdout


def test_a_container_that_somebody_else_made_is_not_touched(host: Host, serve: Serve) -> None:
    host.docker.put(NAME)

    up(serve, "--replace").assert_one_line(3, "has not started")
    serve("--down").assert_one_line(3, "has not started")
    assert "is not there" in serve("--status").stdout
    assert not host.docker.containers()[NAME]["is_stopped"]


AWAY = {
    "wrong-key": ("lets nobody in with the keys", "ssh-copy-id wrong-key"),
    "stranger": ("is not known here yet", "ssh stranger"),
    "changed": ("shows another host key", "ssh-keygen -R"),
    "refusing": ("no ssh server listens", "systemctl start ssh"),
    "no.such.host.invalid": ("there is no host of the name", "tailscale status"),
}


@pytest.mark.parametrize("name", AWAY)
def test_a_host_that_lets_nobody_in_is_one_line_with_a_cure(
    host: Host, serve: Serve, name: str
) -> None:
    done = serve("--status", host=name)

    done.assert_one_line(3, AWAY[name][0])
    assert AWAY[name][1] in done.stderr


FAILURES = {
    "no group": (
        "version",
        "permission denied while trying to connect to the Docker daemon socket at unix:///x",
        "usermod -aG docker",
    ),
    "no image": (
        "pull",
        "Error response from daemon: manifest for registry/vllm:v0.32.0 not found: manifest "
        "unknown: manifest unknown",
        "gives out no image registry/vllm:v0.32.0",
    ),
    "no GPU": (
        "run",
        'docker: Error response from daemon: could not select device driver "" with capabilities: '
        "[[gpu]]\n\nRun 'docker run --help' for more information",
        "nvidia-ctk runtime configure",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_docker_lacks_there_is_one_line_with_a_cure(
    host: Host, serve: Serve, case: str
) -> None:
    command, words, cure = FAILURES[case]
    host.docker.fails(command, words)

    done = up(serve)

    done.assert_one_line(3, cure)
    assert host.docker.containers() == {}


def test_a_port_that_is_taken_names_who_has_it(host: Host, serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host.docker.put("another", port)

        done = up(serve, "--port", str(port))

    done.assert_one_line(3, f"port {port} of gpu is taken")
    assert "container another" in done.stderr
    assert NAME not in host.docker.containers()


def test_settings_for_a_terminal_do_not_keep_the_script_away(host: Host, serve: Serve) -> None:
    assert "is not there" in serve("--status", host="talkative").stdout


def test_this_machine_is_served_in_the_same_way(
    host: Host, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{host.docker.program_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(host.home))

    assert "is up after" in up(serve, host="").succeeded()
    assert "healthy" in serve("--status", host="").succeeded()
    assert "removed" in serve("--down", host="").succeeded()
