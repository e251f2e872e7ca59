"""What is particular to containers: their labels, their limits, and the end of them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import docker as sdk
import pytest
from docker.models.containers import Container
from support.docker_registry import open_registry, programs_layer
from support.small_engine import SmallEngine
from support.specs import sandbox_spec

from orchestrator.backends import Sandbox, find_backend
from orchestrator.backends.docker.address import find_engine
from orchestrator.backends.docker.engine import connect, error_words
from orchestrator.backends.docker.sandbox import stay
from orchestrator.backends.docker.tiny_images import image_archive
from orchestrator.backends.docker.trial import tiny_program
from orchestrator.config.cluster import Cluster
from orchestrator.errors import SandboxBroken, SandboxUnavailable
from orchestrator.types import Instance

Open = Callable[..., Sandbox]


@pytest.fixture(scope="module")
def engine() -> Iterator[sdk.DockerClient]:
    client = connect()
    yield client
    client.close()


def ours(engine: sdk.DockerClient) -> list[str]:
    label = f"swe-orchestrator.run=test-{os.getpid()}"
    found = engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    return [str(container.id) for container in found]


@pytest.mark.docker
def test_a_container_is_found_by_its_labels_and_gone_after_close(
    open_sandbox: Open, engine: sdk.DockerClient
) -> None:
    before = set(ours(engine))
    sandbox = open_sandbox("docker")
    assert len(set(ours(engine)) - before) == 1

    sandbox.close()

    assert set(ours(engine)) - before == set()


@pytest.mark.docker
def test_a_container_that_someone_removed_is_unavailable(
    open_sandbox: Open, engine: sdk.DockerClient
) -> None:
    before = set(ours(engine))
    sandbox = open_sandbox("docker")
    (container,) = set(ours(engine)) - before
    engine.containers.get(container).remove(force=True)

    with pytest.raises(SandboxUnavailable):
        sandbox.exec("true", 10)
    with pytest.raises(SandboxUnavailable):
        sandbox.write_file("f", b"")


@pytest.mark.docker
def test_a_sandbox_has_no_network(open_sandbox: Open) -> None:
    sandbox = open_sandbox("docker")
    result = sandbox.exec("cat /proc/net/route; ls /sys/class/net", 10)

    assert result.text.split()[-1] == "lo"
    assert "eth0" not in result.text


@pytest.mark.docker
def test_memory_is_limited_and_the_sandbox_survives_it(open_sandbox: Open) -> None:
    sandbox = open_sandbox("docker", memory_gb=0.1)
    result = sandbox.exec("python -c 'print(len(bytearray(400_000_000)))'", 30)

    assert result.exit_code != 0
    assert not result.timed_out
    assert sandbox.exec("echo alive", 10).text == "alive\n"


@pytest.mark.docker
@pytest.mark.parametrize(
    "kills",
    [
        "kill -9 -1",
        "pkill sleep; sleep 1.5; pkill bash; kill 1",
        "pkill -x sleep; pkill -x sleep; kill 1; kill -HUP 1",
        "pkill -9 bash",
        "kill 1; kill -INT 1; kill -INT 1; kill -9 1",
    ],
)
def test_no_command_ends_the_sandbox(open_sandbox: Open, kills: str) -> None:
    sandbox = open_sandbox("docker", pids=100)
    sandbox.exec(f"touch /tmp/mark; {kills}", 10)

    assert sandbox.exec("ls /tmp/mark", 10).text == "/tmp/mark\n"


@pytest.mark.docker
def test_process_1_ignores_signals_itself_as_the_kernel_spares_it_natively_only(
    open_sandbox: Open,
) -> None:
    """Under qemu it has handlers for all of them, which it did not ask for."""
    ignored = open_sandbox("docker").exec("grep SigIgn /proc/1/status", 10).text.split()[1]
    spared = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}

    assert [n for n in range(1, 32) if not int(ignored, 16) >> (n - 1) & 1] == sorted(spared)


BASES = {
    "linux/amd64": "SWE_ORCHESTRATOR_DEMO_BASE",
    "linux/arm64": "SWE_ORCHESTRATOR_EMULATED_BASE",
}
"""Platform to the variable that names an image with bash."""
LIVES_S = {"linux/amd64": 12, "linux/arm64": 25}


@pytest.fixture(
    params=["linux/amd64", pytest.param("linux/arm64", marks=pytest.mark.emulated)],
)
def idle(request: pytest.FixtureRequest, engine: sdk.DockerClient) -> Iterator[Container]:
    """A container with our process 1 alone, natively and emulated, that ends by itself, after what
    is done to it here."""
    platform = request.param
    image = os.environ.get(BASES[platform], "python:3.11-slim-bookworm")
    started = engine.containers.create(image, platform=platform, entrypoint=stay(LIVES_S[platform]))
    started.start()
    yield started
    started.remove(force=True)


@pytest.mark.docker
@pytest.mark.slow
def test_process_1_holds_whatever_it_is_sent_reaps_orphans_and_ends_by_itself(
    idle: Container,
) -> None:
    def sh(script: str) -> str:
        return str(idle.exec_run(["bash", "-c", script]).output.decode())

    sh("until grep -q 'SigIgn:.*[1-9a-f]' /proc/1/status; do sleep 0.1; done")
    # not 11: of one SIGSEGV after the other qemu 7 dies itself, ignored or not
    # nor 32 and 33, which libc keeps for its threads
    sh("for s in {1..10} {12..31} {34..64}; do kill -$s 1; done 2>/dev/null; kill -TERM -1")
    sh("kill -9 -1")
    sh("(sleep 0.1 &); (sleep 0.1 & sleep 0.2 &); sleep 1")

    states = [row[0] for row in idle.top(ps_args="-o stat,pid")["Processes"]]
    assert len(states) == 2, "process 1 and its sleep"
    assert not any(state.startswith("Z") for state in states)
    assert idle.wait(timeout=40)["StatusCode"] == 0


@pytest.mark.docker
def test_what_commands_leave_behind_is_reaped(open_sandbox: Open) -> None:
    """Zombies count towards the limit of processes."""
    sandbox = open_sandbox("docker", pids=100)
    for _ in range(3):
        sandbox.exec("for i in $(seq 50); do (sleep 0.1 &); done; sleep 0.3", 30)

    assert "Z" not in sandbox.exec("sleep 0.2; ps -eo stat=", 30).text


@pytest.mark.docker
def test_a_sandbox_ends_by_itself_after_its_lifetime(
    open_sandbox: Open, engine: sdk.DockerClient
) -> None:
    before = set(ours(engine))
    open_sandbox("docker", lifetime_s=2)
    deadline = time.monotonic() + 20

    while set(ours(engine)) - before:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.docker
def test_processes_are_limited(open_sandbox: Open) -> None:
    sandbox = open_sandbox("docker", pids=20)
    many = "import subprocess as s; [s.Popen(['sleep', '9']) for _ in range(40)]"

    assert "BlockingIOError" in sandbox.exec(f'python -c "{many}"', 10).text


KILL_OTHERS = "p=${p#/proc/}; [ $p != 1 ] && [ $p != $$ ] && kill -9 $p"
BREAKS = {
    "processes": "python - <<'X'\nimport os, time\n"
    "if os.fork(): os._exit(0)\nos.setsid()\nfor n in range(3): os.close(n)\n"
    "while True:\n  try: os.fork()\n  except OSError: time.sleep(0.001)\nX",
    "no bash": "chmod 000 /bin/bash",
    "another bash": "cp /bin/true /tmp/b; mv -f /tmp/b /bin/bash",
    "no programs": "rm -rf /usr /bin",
    "no timeout": "rm -f $(command -v timeout)",
    "no loader": "rm -f /lib64/ld-linux-*",
    "kills": f"setsid bash -c 'while :; do for p in /proc/[0-9]*; do {KILL_OTHERS}; done; done' "
    ">/dev/null 2>&1 & sleep 1",
    "memory": "python - <<'X'\nimport os\nif os.fork(): os._exit(0)\nos.setsid()\n"
    "for n in range(3): os.close(n)\n"
    "while True:\n  if os.fork() == 0:\n    x = []\n    while True: x.append(bytearray(10**6))\n"
    "  os.wait()\nX",
}
"""What an agent may do to its sandbox. After most of it no command starts any more."""


@pytest.mark.docker
@pytest.mark.parametrize("how", BREAKS)
def test_a_sandbox_works_again_when_it_is_renewed_whatever_was_done_in_it(
    how: str, open_sandbox: Open
) -> None:
    sandbox = open_sandbox("docker", pids=100, memory_gb=0.3)
    sandbox.exec(f"echo mine > mine.txt; {BREAKS[how]}", 10)

    sandbox.renew()

    result = sandbox.exec("cat mine.txt; git status --short; ps -eo stat= | wc -l", 20)
    assert result.text.split()[:3] == ["mine", "??", "mine.txt"]
    assert int(result.text.split()[3]) < 10, "nothing of the agent's runs on"


@pytest.mark.docker
def test_a_repository_that_an_agent_has_removed_is_not_there_when_its_sandbox_is_renewed(
    open_sandbox: Open,
) -> None:
    sandbox = open_sandbox("docker")
    sandbox.exec("rm -rf /testbed", 10)

    sandbox.renew()

    assert sandbox.exec("pwd; ls /testbed", 10).text.startswith("/\nls: ")


@pytest.mark.docker
def test_a_folder_that_holds_more_than_any_repository_is_not_copied(
    open_sandbox: Open, monkeypatch: pytest.MonkeyPatch, engine: sdk.DockerClient
) -> None:
    monkeypatch.setattr("orchestrator.backends.docker.sandbox.MAX_REPOSITORY_BYTES", 10**8)
    before = set(ours(engine))
    sandbox = open_sandbox("docker")
    sandbox.exec("truncate -s 100T hole || truncate -s 10T hole", 10)

    with pytest.raises(SandboxBroken, match="GB lie in"):
        sandbox.renew()

    assert len(set(ours(engine)) - before) == 1
    sandbox.close()
    assert set(ours(engine)) == before, "the engine has stopped reading it"


@pytest.mark.docker
@pytest.mark.slow
def test_a_command_that_stops_all_processes_has_run_out_of_time(
    open_sandbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.backends.docker.sandbox.ENGINE_GRACE_S", 2)
    sandbox = open_sandbox("docker")

    result = sandbox.exec("echo before; kill -STOP -1; kill -STOP $$", 1)

    assert (result.text, result.exit_code, result.timed_out) == ("before\n", 137, True)
    assert sandbox.exec("echo alive", 10).text == "alive\n"


@pytest.mark.docker
def test_an_image_that_is_not_there_is_unavailable(instance: Instance, tmp_path: Path) -> None:
    other = dataclasses.replace(instance, image="swe-orchestrator/no-such-image:none")

    with pytest.raises(SandboxUnavailable, match=instance.instance_id):
        find_backend("docker").start(sandbox_spec(other, tmp_path))


def test_without_an_engine_a_container_is_unavailable(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    with pytest.raises(SandboxUnavailable, match="no Docker engine"):
        find_backend("docker").start(sandbox_spec(instance, tmp_path))


@pytest.mark.docker
@pytest.mark.parametrize("network", [False, True])
def test_proxies_of_dockers_settings_are_only_where_there_is_a_network(
    open_sandbox: Open, network: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"proxies": {"default": {"httpProxy": "http://proxy:1"}}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    monkeypatch.setenv("DOCKER_HOST", find_engine().url)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://of-this-host:1")

    seen = open_sandbox("docker", network=network).exec("env", 10).text

    assert ("http_proxy=http://proxy:1" in seen) == network
    assert "of-this-host" not in seen


@pytest.mark.docker
def test_many_sandboxes_at_once_take_none_of_the_engines_address_pools(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine has about thirty: here it has one, and that is taken."""
    one_pool = "--default-address-pool=base=198.19.0.0/24,size=24"
    with (
        open_registry(tmp_path / "registry") as registry,
        SmallEngine(100, options=(one_pool,)) as engine,
        closing(engine.client()) as client,
    ):
        client.networks.create("takes-it")
        with pytest.raises(sdk.errors.APIError) as caught:
            client.networks.create("finds-none")
        told = error_words(caught.value)
        assert "docker network prune" in told
        assert "default-address-pools" in told

        programs = programs_layer("bash", "env", "sleep", "timeout")
        registry.push("x/tiny", [programs], tag="v1")
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        backend = find_backend("docker")
        other = dataclasses.replace(instance, image=f"{registry.address}/x/tiny:v1", task_dir=None)
        backend.bring_image(other, Cluster(name="c"))
        specs = [sandbox_spec(other, tmp_path, network=number % 2 == 0) for number in range(8)]
        with ThreadPoolExecutor(4) as pool:
            sandboxes = list(pool.map(backend.start, specs))
        said = [sandbox.exec("echo here", 20).text.strip() for sandbox in sandboxes]
        networks = {network.name for network in client.networks.list()}
        for sandbox in sandboxes:
            sandbox.close()

    assert said == ["here"] * len(specs)
    assert networks == {"bridge", "host", "none", "takes-it"}


@pytest.mark.docker
def test_no_sandbox_is_started_from_an_image_of_another_platform(
    engine: sdk.DockerClient, instance: Instance, tmp_path: Path
) -> None:
    program, name = tiny_program("linux/arm64"), f"swe-orchestrator-test/arm-{os.getpid()}:v1"
    assert program is not None
    engine.images.load(image_archive(program, "linux/arm64", name))
    other = dataclasses.replace(instance, image=name)
    try:
        with pytest.raises(SandboxUnavailable, match=r"platform|arm64"):
            find_backend("docker").start(sandbox_spec(other, tmp_path, platform="linux/amd64"))
    finally:
        engine.images.remove(name)
