"""The words of ssh, docker and vLLM, as their sources and people's reports have them."""

from __future__ import annotations

import pytest

from orchestrator.serving.problems import Circumstances, script_problem, ssh_problem, why_it_died
from orchestrator.serving.scripts import NO_DOCKER, NO_ENGINE

PLACE = Circumstances("me@spark", "swe-orchestrator-serve-m", "vllm/vllm-openai:v9", 8000)

SSH = {
    "ssh: connect to host spark port 22: Connection timed out": "is it awake",
    "ssh: connect to host spark port 22: Operation timed out": "is it awake",
    "Connection timed out during banner exchange\nConnection to spark port 22 timed out": "is it",
    "ssh: connect to host spark port 22: No route to host": "is that host up",
    "ssh: connect to host spark port 22: Network is unreachable": "is that host up",
    "ssh: connect to host spark port 22: Connection refused": "no ssh server listens",
    "ssh: Could not resolve hostname spark: Name or service not known": "no host of the name",
    "ssh: Could not resolve hostname spark: nodename nor servname provided": "no host of the name",
    "me@spark: Permission denied (publickey,password).": "ssh-copy-id me@spark",
    "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures": "ssh-copy-id",
    "No ED25519 host key is known for spark and you have requested strict checking.\n"
    "Host key verification failed.": "not known here yet",
    "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
    "Host key verification failed.": "ssh-keygen -R",
    "tailscale: tailnet policy does not permit you to SSH to this node": "access controls",
    "client_loop: send disconnect: Broken pipe": "broke off",
    "Timeout, server spark not responding.": "broke off",
    "kex_exchange_identification: Connection closed by remote host": "broke off",
    "Connection closed by 10.0.0.1 port 22": "before anybody was let in",
    "/home/me/.ssh/config: line 3: Bad configuration option: hots": "ssh_config",
    "Bad owner or permissions on /home/me/.ssh/config": "ssh_config",
    "something new": "something new",
    "": "says nothing",
}

DOCKER = {
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: Get ...: dial unix: connect: permission denied": "usermod",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
    "running?": "systemctl start docker",
    'docker: Error response from daemon: could not select device driver "" with capabilities: '
    "[[gpu]]": "nvidia-container-toolkit",
    "docker: Error response from daemon: failed to discover GPU vendor from CDI: no known GPU "
    "vendor found": "nvidia-container-toolkit",
    "nvidia-container-cli: initialization error: nvml error: driver not loaded": "nvidia-smi",
    "driver failed programming external connectivity on endpoint c (1): Bind for 0.0.0.0:8000 "
    "failed: port is already allocated": "port 8000",
    "failed to bind host port for 0.0.0.0:8000:172.17.0.2:8000/tcp: address already in use": "8000",
    "write /var/lib/docker/tmp/GetImageBlob1: no space left on device": "disk of me@spark",
    "no matching manifest for linux/arm64/v8 in the manifest list entries": "--variant",
    "toomanyrequests: You have reached your pull rate limit": "docker login",
    "manifest for vllm/vllm-openai:v9 not found: manifest unknown": "vllm/vllm-openai:v9",
    "pull access denied for vllm/vllm-openai, repository does not exist or may require 'docker "
    "login'": "docker login",
    'failed to resolve reference "docker.io/vllm/vllm-openai:v9": not found': "vllm-openai:v9",
    'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup '
    "registry-1.docker.io on 10.0.0.1:53: no such host": "is it online",
    'Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout': "is it online",
    'Conflict. The container name "/c" is already in use by container "1"': "looks again",
    "something new": "something new",
}

LOGS = {
    "huggingface_hub.errors.GatedRepoError: 401 Client Error.": "hf auth login",
    "ValueError: Free memory on device (70.1/119.7 GiB) on startup is less than desired GPU memory "
    "utilization (0.8, 95.7 GiB).": "drop_caches",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB": "drop_caches",
    "ValueError: No available memory for the cache blocks.": "drop_caches",
    "ValueError: To serve at least one request with the models's max seq len (131072), (20 GiB KV "
    "cache is needed": "context_length",
    "vllm: error: unrecognized arguments: --language-model-only": "newer image",
    "KeyError: invalid tool call parser: gemma5": "newer image",
    "OSError: [Errno 28] No space left on device": "df -h",
    "OSError: org/nothing is not a valid model identifier": "weights",
    "huggingface_hub.errors.LocalEntryNotFoundError: cannot find the requested files": "online",
    "RuntimeError: no kernel image is available for execution on the device": "driver",
}


@pytest.mark.parametrize("words", SSH)
def test_what_keeps_ssh_out_has_a_cure(words: str) -> None:
    said = str(ssh_problem(words, PLACE))

    assert SSH[words].lower() in said.lower()
    assert "me@spark" in said or "config" in said
    assert "\n" not in said


@pytest.mark.parametrize("words", DOCKER)
def test_what_docker_lacks_has_a_cure(words: str) -> None:
    said = str(script_problem(125, [*words.splitlines(), "", "Run 'docker run --help' for"], PLACE))

    assert DOCKER[words].lower() in said.lower()
    assert "\n" not in said


@pytest.mark.parametrize("words", LOGS)
def test_how_a_server_died_has_a_cure(words: str) -> None:
    assert LOGS[words].lower() in why_it_died(["INFO loading", words, "more"], PLACE).lower()


def test_a_death_that_nobody_knows_is_not_explained() -> None:
    assert why_it_died(["Segmentation fault"], PLACE) == ""


def test_a_host_without_docker_is_told_from_one_whose_engine_is_off() -> None:
    assert "no docker on me@spark" in str(script_problem(NO_DOCKER, [], PLACE))
    assert "no docker engine answers" in str(script_problem(NO_ENGINE, ["odd words"], PLACE))


def test_no_word_of_another_moves_a_terminals_cursor() -> None:
    assert "\x1b" not in str(script_problem(1, ["\x1b[2Jodd"], PLACE))
