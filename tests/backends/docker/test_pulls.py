"""Images are pulled by name: from a real registry behind a proxy that rations, breaks and stalls,
onto an engine of the test's own, whose disk is small."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest
from support.docker_registry import Registry, open_registry, random_layer
from support.registry_proxy import RegistryProxy
from support.small_engine import SmallEngine

from orchestrator.backends import find_backend
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.images import evict_image, find_image
from orchestrator.backends.docker.pulls import pull_image
from orchestrator.backends.images import PullStep
from orchestrator.config.cluster import Cluster, Images
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem, Quota

pytestmark = pytest.mark.docker
PLATFORM = "linux/amd64"
MB = 1_000_000
SETTINGS = Images(pull_timeout_s=10)
SHARED = random_layer("shared", 2 * MB)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with open_registry(tmp_path_factory.mktemp("registry")) as opened:
        yield opened


@pytest.fixture(scope="module")
def engine() -> Iterator[SmallEngine]:
    with SmallEngine(100) as started:
        yield started


@pytest.fixture
def proxy(registry: Registry) -> Iterator[RegistryProxy]:
    with RegistryProxy(registry.address) as opened:
        yield opened


@pytest.fixture
def client(engine: SmallEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    """Of the small engine, which is the one that the environment names; in the end it is empty."""
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    with closing(connect()) as connected:
        yield connected
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    with closing(connect()) as again:
        for image in again.images.list():
            again.images.remove(image.id, force=True)


def pull(client: docker.DockerClient, name: str, settings: Images = SETTINGS) -> list[PullStep]:
    return list(pull_image(client, name, settings, PLATFORM))


def failure(client: docker.DockerClient, name: str, settings: Images = SETTINGS) -> PullFailure:
    with pytest.raises(PullFailed) as caught:
        pull(client, name, settings)
    assert "\n" not in caught.value.failure.detail
    return caught.value.failure


def test_bytes_are_told_as_they_come_and_add_up_to_those_of_the_manifest(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    pushed = registry.push("x/adds-up", [SHARED, random_layer(1, 4 * MB), random_layer(2, 1000)])
    proxy.bytes_per_s = 6 * MB

    steps = pull(client, f"{proxy.address}/x/adds-up:latest")

    told = [step.compressed for step in steps]
    assert told == sorted(told)
    assert len(set(told)) > 3, "in between, too"
    assert told[-1] == pushed.size
    assert steps[-1].digest == pushed.digest
    assert steps[-1].expanded == client.images.get(f"{proxy.address}/x/adds-up").attrs["Size"] > 0


def test_an_image_that_is_there_is_not_asked_for(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    pushed, name = registry.push("x/here", [random_layer(3, 1000)]), f"{proxy.address}/x/here"
    size = pull(client, name)[-1].expanded
    proxy.asked.clear()

    assert pull(client, name) == [PullStep(0, size, pushed.digest)]
    assert proxy.asked == []


def test_layers_that_are_there_do_not_come_again(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    for number in (4, 5):
        registry.push(f"x/shares-{number}", [SHARED, random_layer(number, 1000)])
    pull(client, f"{proxy.address}/x/shares-4")
    proxy.sent = 0

    assert pull(client, f"{proxy.address}/x/shares-5")[-1].compressed < MB
    assert proxy.sent < MB


def test_a_pull_that_is_closed_ends_at_once_and_leaves_no_half_image(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    registry.push("x/closed", [random_layer(6, 4 * MB)])
    name = f"{proxy.address}/x/closed"
    proxy.bytes_per_s = 2 * MB
    steps = pull_image(client, name, SETTINGS, PLATFORM)
    next(step for step in steps if step.compressed > 0)
    steps.close()
    time.sleep(0.2)
    sent = proxy.sent
    time.sleep(0.3)

    assert proxy.sent == sent < 4 * MB
    assert find_image(client, name, PLATFORM) is None
    proxy.bytes_per_s = None
    assert pull(client, name)[-1].compressed >= 4 * MB


PULLS = """
import sys
from orchestrator.backends import find_backend
from orchestrator.config.cluster import Cluster
for step in find_backend("docker").pull_image(sys.argv[1], Cluster(name="c")):
    print(step.compressed, flush=True)
"""


def test_kill_9_of_who_pulls_ends_the_pull_and_the_next_one_succeeds(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    registry.push("x/killed", [random_layer(7, 4 * MB)])
    name = f"{proxy.address}/x/killed"
    proxy.bytes_per_s = MB
    command = [sys.executable, "-c", PULLS, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pulling:
        assert pulling.stdout is not None
        next(line for line in pulling.stdout if int(line) > 0)
        pulling.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    sent = proxy.sent
    time.sleep(0.3)

    assert proxy.sent == sent < 4 * MB
    assert find_image(client, name, PLATFORM) is None
    proxy.bytes_per_s = None
    pull(client, name)
    assert find_image(client, name, PLATFORM) is not None


def test_kill_9_of_the_engine_in_mid_pull_leaves_no_half_image_and_the_next_one_succeeds(
    registry: Registry, proxy: RegistryProxy, engine: SmallEngine, client: docker.DockerClient
) -> None:
    pushed = registry.push("x/engine", [SHARED, random_layer(8, 6 * MB)])
    name = f"{proxy.address}/x/engine"
    proxy.bytes_per_s = 4 * MB
    steps = pull_image(client, name, SETTINGS, PLATFORM)
    next(step for step in steps if step.compressed > 3 * MB)
    engine.kill()
    with pytest.raises(PullFailed) as caught:
        list(steps)
    assert caught.value.failure.problem is PullProblem.ENGINE
    backend, cluster = find_backend("docker"), Cluster(name="c", images=SETTINGS)
    with pytest.raises(PullFailed, match="no Docker engine answers") as caught:
        list(backend.pull_image(name, cluster))
    assert caught.value.failure.problem is PullProblem.ENGINE

    engine.start()
    proxy.bytes_per_s = None
    with closing(connect()) as again:
        assert find_image(again, name, PLATFORM) is None
        *_, last = backend.pull_image(name, cluster)
        assert (last.compressed, last.digest) == (pushed.size, pushed.digest)
        assert evict_image(again, name)


def hangs_up(proxy: RegistryProxy) -> None:
    proxy.breaks_off_after = MB


def stalls(proxy: RegistryProxy) -> None:
    proxy.stalls_after = MB


def hangs(proxy: RegistryProxy) -> None:
    proxy.hangs = True


def fails(proxy: RegistryProxy) -> None:
    proxy.answers = 503


def has_a_bad_gateway(proxy: RegistryProxy) -> None:
    proxy.answers = 502


def rations(proxy: RegistryProxy) -> None:
    proxy.quota = 0


def limits_requests(proxy: RegistryProxy) -> None:
    proxy.answers = 429


def is_gone(proxy: RegistryProxy) -> None:
    proxy.down()


@pytest.mark.parametrize(
    ("breaks", "problem"),
    [
        (hangs_up, PullProblem.AWAY),
        (stalls, PullProblem.AWAY),
        (hangs, PullProblem.AWAY),
        (fails, PullProblem.AWAY),
        (has_a_bad_gateway, PullProblem.AWAY),
        (is_gone, PullProblem.AWAY),
        (rations, PullProblem.QUOTA),
        (limits_requests, PullProblem.QUOTA),
    ],
)
def test_what_a_registry_does_for_a_while_is_told_and_the_next_pull_succeeds(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient,
    breaks: Callable[[RegistryProxy], None], problem: PullProblem,
) -> None:  # fmt: skip
    # an engine keeps manifests of images that are gone, and asks for none twice
    repository = f"x/{breaks.__name__}"
    pushed = registry.push(repository, [random_layer(repository, 3 * MB)])
    name = f"{proxy.address}/{repository}"
    breaks(proxy)

    found = failure(client, name, Images(pull_timeout_s=0.7))

    assert found.problem is problem, found
    assert find_image(client, name, PLATFORM) is None
    with RegistryProxy(registry.address) as mended:
        steps = pull(client, f"{mended.address}/{repository}")
    assert steps[-1].digest == pushed.digest


def test_a_disk_that_gets_full_in_mid_pull_is_told_and_the_engine_goes_on(
    registry: Registry, proxy: RegistryProxy, engine: SmallEngine, client: docker.DockerClient
) -> None:
    registry.push("x/too-large", [random_layer(10, 60 * MB)])  # it is there twice for a moment
    registry.push("x/fits", [random_layer(11, MB)])
    free = engine.free

    found = failure(client, f"{proxy.address}/x/too-large")

    assert found.problem is PullProblem.NO_ROOM
    assert "no space left" in found.detail
    for _ in range(200):  # it tells of the failure first, and removes what came then
        if engine.free > free - MB:
            break
        time.sleep(0.05)
    assert engine.free > free - MB
    assert pull(client, f"{proxy.address}/x/fits")[-1].digest


@pytest.mark.parametrize("name", ["x/lacks:v1", "x/no-such-repository:v1", "x/UPPER:v1"])
def test_an_image_that_cannot_be_had_is_refused(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient, name: str
) -> None:
    registry.push("x/lacks", [random_layer(12, 1000)])

    assert failure(client, f"{proxy.address}/{name}").problem is PullProblem.REFUSED


def test_an_image_for_another_platform_alone_is_refused_and_does_not_stay(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    registry.push("x/arm", [random_layer(13, 1000)], platform="linux/arm64")

    found = failure(client, f"{proxy.address}/x/arm:latest")

    assert found.problem is PullProblem.REFUSED
    assert "linux/arm64" in found.detail
    assert client.images.list() == []


def test_the_platform_is_asked_for_and_a_persons_image_of_another_keeps_a_name(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    both = {
        platform: registry.push("x/both", [random_layer(14, 1000)], tag="of", platform=platform)
        for platform in ("linux/amd64", "linux/arm64")
    }
    digest, name = registry.push_index("x/both", both), f"{proxy.address}/x/both"
    *_, arm = pull_image(client, name, SETTINGS, "linux/arm64")
    *_, amd = pull_image(client, name, SETTINGS, "linux/amd64")

    assert arm.digest == amd.digest == digest, "the name's"
    assert client.images.get(name).attrs["Architecture"] == "amd64"
    assert client.images.get(f"{name}:latest-linux-arm64").attrs["Architecture"] == "arm64"


def test_where_its_registry_has_another_platform_alone_a_persons_image_stays_as_it_was(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient
) -> None:
    name = f"{proxy.address}/x/persons:latest"
    registry.push("x/persons", [random_layer(15, 1000)], platform="linux/arm64")
    *_, _ = pull_image(client, name, SETTINGS, "linux/arm64")
    before = client.images.get(name).id
    registry.push("x/persons", [random_layer(16, 1000)], platform="linux/arm64")

    assert failure(client, name).problem is PullProblem.REFUSED
    assert client.images.get(name).id == before


@pytest.fixture
def mirrored(registry: Registry, tmp_path: Path) -> Iterator[tuple[Registry, Images]]:
    """A registry of one's own and the settings that name it."""
    with open_registry(tmp_path / "mirror") as mirror:
        yield mirror, Images(pull_timeout_s=10, mirror=mirror.address)


def test_what_comes_from_a_mirror_has_the_images_own_name_alone(
    proxy: RegistryProxy, client: docker.DockerClient, mirrored: tuple[Registry, Images]
) -> None:
    mirror, settings = mirrored
    name, pushed = f"{proxy.address}/x/image:v1", mirror.push(
        "x/image", [random_layer(17, 1000)], tag="v1"
    )  # fmt: skip

    last = pull(client, name, settings)[-1]

    assert last.digest == pushed.digest
    assert [image.tags for image in client.images.list()] == [[name]]
    assert proxy.asked == []


def test_what_a_mirror_lacks_or_cannot_give_comes_from_its_own_registry(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient,
    mirrored: tuple[Registry, Images],
) -> None:  # fmt: skip
    _, settings = mirrored
    away = Images(pull_timeout_s=10, mirror="127.0.0.1:9")
    for number, given in enumerate((settings, away)):
        pushed = registry.push(f"x/own-{number}", [random_layer(18 + number, 1000)])
        assert pull(client, f"{proxy.address}/x/own-{number}", given)[-1].digest == pushed.digest
    # waiting for the mirror may mend it
    assert failure(client, f"{proxy.address}/x/none", settings).problem is PullProblem.REFUSED
    assert failure(client, f"{proxy.address}/x/none", away).problem is PullProblem.AWAY


def test_docker_settings_that_cannot_be_read_are_told_and_refuse_no_image(
    registry: Registry, proxy: RegistryProxy, client: docker.DockerClient, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "config.json").write_text('{"auths": 5}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    found = failure(client, f"{proxy.address}/x/any")

    assert found.problem is PullProblem.ENGINE
    assert "config.json" in found.detail
    assert find_backend("docker").registry_login("docker.io") == {}


def test_the_quota_of_a_registry_is_told_and_asking_costs_none(proxy: RegistryProxy) -> None:
    backend = find_backend("docker")
    assert backend.pull_quota(proxy.address) is None
    proxy.quota = 5
    for _ in range(2):
        assert backend.pull_quota(proxy.address) == Quota(5, 5, proxy.window_s)
    proxy.down()
    assert backend.pull_quota(proxy.address) is None


def test_the_login_of_a_registry_is_that_of_dockers_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"auths": {"a.registry": {"auth": "bWU6c2VjcmV0"}}}')
    backend = find_backend("docker")

    found = backend.registry_login("a.registry")
    assert (found["username"], found["password"]) == ("me", "secret")
    assert backend.registry_login("another.registry") == {}
