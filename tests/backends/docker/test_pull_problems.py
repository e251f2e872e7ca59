"""What engines say when an image does not come, word for word as people have met it."""
# ruff: noqa: E501

from __future__ import annotations

import pytest

from orchestrator.backends.docker.engine import with_cure
from orchestrator.backends.docker.pull_problems import pull_failure
from orchestrator.images.pulls import PullProblem

IMAGE = "swebench/sweb.eval.x86_64.django_1776_django-11099:latest"
OF_HUB = "https://registry-1.docker.io/v2/swebench/x/manifests"
QUOTA = [
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit by "
    "authenticating and upgrading: https://www.docker.com/increase-rate-limit",
    "toomanyrequests: You have reached your unauthenticated pull rate limit. "
    "https://www.docker.com/increase-rate-limit",
    "toomanyrequests: Rate exceeded",
    "toomanyrequests: Too Many Requests (HAP429)",
    "toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute",
    # containerd's image store
    f"failed to copy: httpReadSeeker: failed open: unexpected status code {OF_HUB}/sha256:960ed74: "
    "429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit",
    "error from registry: You have reached your unauthenticated pull rate limit.",
    "received unexpected HTTP status: 429 Too Many Requests",
    "error parsing HTTP 429 response body: invalid character '<' looking for beginning of value",
    # Podman's
    f"initializing source docker://{IMAGE}: reading manifest latest in docker.io/swebench/x: "
    "toomanyrequests: You have reached your pull rate limit.",
]
AWAY = [
    'Get "https://registry-1.docker.io/v2/": dial tcp 44.205.64.79:443: connect: connection refused',
    "read tcp 192.168.65.3:41234->104.16.100.215:443: read: connection reset by peer",
    f"Head {OF_HUB}/latest: dial tcp: lookup registry-1.docker.io: no such host",
    "dial tcp: lookup registry-1.docker.io on 192.168.65.7:53: server misbehaving",
    "dial tcp: lookup quay.io: Temporary failure in name resolution",
    f'Get "{OF_HUB}/latest": net/http: TLS handshake timeout',
    'Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for '
    "connection (Client.Timeout exceeded while awaiting headers)",
    "error pulling image configuration: download failed after attempts=6: dial tcp "
    "104.18.121.25:443: i/o timeout",
    'Get "https://registry-1.docker.io/v2/": context deadline exceeded',
    "dial tcp 1.2.3.4:443: connect: network is unreachable",
    "dial tcp 100.64.0.7:5000: connect: no route to host",
    "dial tcp 100.64.0.7:5000: connect: host is down",
    "unexpected EOF",
    f'Get "{OF_HUB}/latest": EOF',
    "failed to copy: httpReadSeeker: failed open: failed to do request: Get "
    '"https://production.cloudflare.docker.com/x": EOF',
    "failed to copy: local error: tls: bad record MAC",
    'Get "https://registry-1.docker.io/v2/": x509: certificate has expired or is not yet valid',
    'Get "https://mini:5000/v2/": http: server gave HTTP response to HTTPS client',
    "received unexpected HTTP status: 503 Service Unavailable",
    "received unexpected HTTP status: 520",
    "error parsing HTTP 502 response body: invalid character '<' looking for beginning of value",
    f"unexpected status from HEAD request to {OF_HUB}/latest: 500 Internal Server Error",
    "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
    "https://auth.docker.io/token?scope=x: 504 Gateway Timeout",
    "filesystem layer verification failed for digest sha256:dbed9b09434efb583eb5f23173bf2aadb578c",
    'failed commit on ref "layer-sha256:55ae122e": unexpected commit digest sha256:a8f2c3f, '
    "expected sha256:55ae122e: failed precondition",
    'failed commit on ref "layer-sha256:55ae122e": "layer-sha256:55ae122e" failed size validation: '
    "1 != 2: failed precondition",
    "short read: expected 47125504 bytes but got 22183936: unexpected EOF",
    "proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection timed out",
    "stream error: stream ID 5; INTERNAL_ERROR; http2: stream closed",
    "something that nobody has met yet",
]
NO_ROOM = [
    "write /var/lib/docker/tmp/GetImageBlob194700: no space left on device",
    "failed to register layer: Error processing tar file(exit status 1): write /usr/lib/x: no space "
    "left on device",
    "failed to register layer: ApplyLayer exit status 1 stdout:  stderr: write /usr/x: no space left "
    "on device",
    "failed to extract layer (application/vnd.oci.image.layer.v1.tar+gzip sha256:0465d) to overlayfs "
    'as "extract-2601-WDeK sha256:dc6b5": write /var/lib/desktop-containerd/daemon/x: no space left '
    "on device",
    "failed to register layer: disk quota exceeded docker",
    'writing blob: adding layer with blob "sha256:d80cf": Error processing tar file(exit status 1): '
    "write /u01/jdk/libjfxwebkit.so: no space left on device",
    "mkdir /var/lib/docker/overlay2/5f/work: no space left on device",
]
ENGINE = [
    'failed to dial "/run/containerd/containerd.sock": connection error: desc = "transport: error '
    'while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused"',
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
    "running?",
    "context canceled",
    # Docker Desktop on a Mac whose disk is full
    "failed to register layer: write /usr/local/lib/python3.9/sklearn/x.so: input/output error",
    "error creating temporary lease: write /var/lib/desktop-containerd/daemon/"
    "io.containerd.metadata.v1.bolt/meta.db: input/output error",
    "failed to register layer: Untar re-exec error: exit status 1: output: read-only file system",
    "open /var/lib/docker/tmp/x: too many open files",
    "rpc error: code = Unavailable desc = transport is closing",
]
REFUSED = [
    "manifest for swebench/x:latest not found: manifest unknown: manifest unknown",
    "pull access denied for x, repository does not exist or may require 'docker login': denied: "
    "requested access to the resource is denied",
    f'Head "{OF_HUB}/latest": unauthorized: incorrect username or password',
    f'Head "{OF_HUB}/latest": unauthorized: authentication required',
    f'Head "{OF_HUB}/latest": no basic auth credentials',
    f'Head "{OF_HUB}/latest": denied',
    "repository 127.0.0.1:5000/x not found: name unknown: repository name not known to registry",
    "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value",
    "error parsing HTTP 404 response body: invalid character 'p' after top-level value: "
    '"404 page not found\\n"',
    "no matching manifest for linux/amd64 in the manifest list entries",
    "no matching manifest for linux/arm64/v8 in the manifest list entries: no match for platform in "
    "manifest: not found",
    "image with reference x was found but does not match the specified platform: wanted linux/amd64, "
    "actual: linux/arm64",
    "no image found in manifest list for architecture amd64, variant , OS linux",
    "invalid reference format: repository name must be lowercase",
    "unsupported media type application/vnd.docker.ai.gguf.v3",
    "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed.",
    "failed to resolve reference docker.io/x: docker.io/x: not found",
    "reading manifest v1 in docker.io/x: requested access to the resource is denied",
]
USER_IDS = [
    'failed to register layer: failed to Lchown "/app/HISTORY.md" for UID 1516583083, GID 0 (try '
    "increasing the number of subordinate IDs in /etc/subuid and /etc/subgid): lchown "
    "/app/HISTORY.md: invalid argument",
    "failed to register layer: ApplyLayer exit status 1 stdout:  stderr: lchown /usr/x: invalid "
    "argument",
    "failed to register layer: ApplyLayer exit status 1 stdout:  stderr: lchown /home: operation not "
    "permitted",
    "failed to register layer: Error processing tar file(exit status 1): Container ID 345018 cannot "
    "be mapped to a host ID",
    "failed to extract layer (application/vnd.docker.image.rootfs.diff.tar.gzip sha256:2212a) to "
    'overlayfs as "extract-1 sha256:1274": mount callback failed on /home/x/tmpmounts/c: failed to '
    'Lchown "/home/x/tmpmounts/c/opt/openfst-1.7.2" for UID 304185, GID 89939: lchown /home/x: '
    "invalid argument (Hint: try increasing the number of subordinate IDs in /etc/subuid)",
    'writing blob: adding layer with blob "sha256:59bf": processing tar file(potentially insufficient '
    "UIDs or GIDs available in user namespace (requested 0:42 for /etc/shadow): Check /etc/subuid "
    "and /etc/subgid: lchown /etc/shadow: invalid argument): exit status 1",
    "there might not be enough IDs available in the namespace (requested 192:192 for /run/systemd)",
]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        *((PullProblem.QUOTA, words) for words in QUOTA),
        *((PullProblem.AWAY, words) for words in AWAY),
        *((PullProblem.NO_ROOM, words) for words in NO_ROOM),
        *((PullProblem.ENGINE, words) for words in ENGINE),
        *((PullProblem.REFUSED, words) for words in REFUSED),
        *((PullProblem.REFUSED, words) for words in USER_IDS),
    ],
)
def test_an_engines_words_have_one_meaning(problem: PullProblem, words: str) -> None:
    found = pull_failure(words, IMAGE)

    assert found.problem is problem
    assert found.detail.startswith(f"{IMAGE}: {words[:40]}"), "whose words they are stays clear"


@pytest.mark.parametrize("words", USER_IDS)
def test_user_ids_that_an_engine_lacks_are_one_line_with_the_cure(words: str) -> None:
    detail = pull_failure(words, IMAGE).detail

    assert "\n" not in detail
    assert detail.endswith("or use an engine that runs as root.")
    assert "/etc/subuid" in detail
    assert "podman system migrate" in detail


@pytest.mark.parametrize("name", ["eof", "denied", "toomanyrequests", "timeout", "not-found"])
def test_an_images_own_name_says_nothing(name: str) -> None:
    for image in (f"x/{name}:{name}", f"docker.io/x/{name}:v1", f"mini:5000/x/{name}"):
        shown = image.removeprefix("docker.io/")
        words = f"received unexpected HTTP status: 503 Service Unavailable ({shown})"
        assert pull_failure(words, image).problem is PullProblem.AWAY
        words = f"manifest for {shown} unknown: manifest unknown"
        assert pull_failure(words, image).problem is PullProblem.REFUSED


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (400, PullProblem.REFUSED),
        (401, PullProblem.REFUSED),
        (403, PullProblem.REFUSED),
        (404, PullProblem.REFUSED),
        (429, PullProblem.QUOTA),
        (500, PullProblem.AWAY),
        (None, PullProblem.AWAY),
    ],
)
def test_the_status_of_an_answer_decides_where_its_words_do_not(
    status: int | None, problem: PullProblem
) -> None:
    assert pull_failure("hm", IMAGE, status).problem is problem
    assert pull_failure("toomanyrequests", IMAGE, status).problem is PullProblem.QUOTA


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("retry-after: 880.092µs, allowed: 44000/minute", 880.092e-6),
        ("retry-after: 985.86us", 985.86e-6),
        ("Retry-After: 60", 60),
        ("retry after 30s", 30),
        ("Retry-After: 1m1.5s", 61.5),
        ("retry-after: 2h30m", 9000),
        ("retry-after: 250ms", 0.25),
        ('Retry-After="15"', 15),
        ("You have reached your pull rate limit.", None),
        ("retry-after: soon", None),
    ],
)
def test_what_a_registry_asks_to_wait_is_read(asked: str, seconds: float | None) -> None:
    found = pull_failure(f"toomanyrequests: {asked}", IMAGE)

    assert found.problem is PullProblem.QUOTA
    assert found.retry_after_s == (seconds if seconds is None else pytest.approx(seconds))


def test_the_token_that_docker_hub_shows_is_not_told() -> None:
    words = (
        "toomanyrequests: You have reached your pull rate limit as 'ann': dckr_jti_9Lg3-DN=. You"
    )

    detail = pull_failure(words, IMAGE).detail

    assert "dckr" not in detail
    assert "pull rate limit" in detail


@pytest.mark.parametrize(
    "words",
    [
        "all predefined address pools have been fully subnetted",
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign "
        "to the network",
        "failed to create network x: Error response from daemon: all predefined address pools have "
        "been fully subnetted",
        "could not find free subnet from subnet pools: could not find an available subnet",
    ],
)
def test_an_engine_without_address_pools_is_told_with_the_cure(words: str) -> None:
    told = with_cure(words)

    assert told.startswith(words)
    assert "docker network prune" in told
    assert "default-address-pools" in told


def test_words_that_nobody_knows_stay_as_they_are() -> None:
    assert with_cure("no such container: x.") == "no such container: x."
