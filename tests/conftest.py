"""What several test modules share: the bundled benchmark, rollouts on it, and the gates."""

from __future__ import annotations

import functools
import gc
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
import psutil
import pytest
from support.processes import fork_servers
from support.specs import make_assignment, sandbox_spec
from xdist.scheduler import LoadScopeScheduling

from orchestrator.agents import load_agent_kind
from orchestrator.agents.runners import process as runner_process
from orchestrator.backends import Sandbox, find_backend
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.cluster import Cluster, Images
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.errors import PrerequisiteError
from orchestrator.types import Instance, RolloutResult, SealedAnswer
from orchestrator.worker.messages import RolloutRequest
from orchestrator.worker.rollout import roll_out

hypothesis.settings.register_profile("orchestrator", deadline=None, max_examples=60)
hypothesis.settings.register_profile("check", deadline=None, max_examples=10)
hypothesis.settings.register_profile(
    "fuzz", deadline=None, max_examples=2000, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "orchestrator"))

INSTANCE = "orchard__ledger-12"
VLLM = "tests/vllm/"
os.environ["SWE_ORCHESTRATOR_CONFIG"] = "/nonexistent"  # profiles of who runs the tests


@functools.cache
def _docker_problem() -> str:
    from orchestrator.backends.docker.engine import connect

    try:
        connect(timeout_s=15).close()
    except PrerequisiteError as error:
        return str(error)
    return ""


def _vllm_problem() -> str:
    if os.environ.get("SWE_ORCHESTRATOR_VLLM"):
        return ""
    return "SWE_ORCHESTRATOR_VLLM names no folder of scripts/vllm-for-tests"


def _emulation_problem() -> str:
    if os.environ.get("SWE_ORCHESTRATOR_EMULATED_BASE"):
        return ""
    return "SWE_ORCHESTRATOR_EMULATED_BASE names no image of scripts/emulation-for-tests"


def _browser_problem() -> str:
    if os.environ.get("SWE_ORCHESTRATOR_BROWSER"):
        return ""
    return "SWE_ORCHESTRATOR_BROWSER names no executable of scripts/browser-for-tests"


@functools.cache
def _sweagent_problem(platform: str = "linux/amd64") -> str:
    from orchestrator.agents.sweagent.installation import require_installation

    try:
        require_installation(platform)
    except PrerequisiteError as error:
        return str(error)
    return ""


@functools.cache
def _openhands_problem() -> str:
    from orchestrator.agents.openhands.installation import require_installation

    try:
        require_installation()
    except PrerequisiteError as error:
        return str(error)
    return ""


def _consumers_problem() -> str:
    if os.environ.get("SWE_ORCHESTRATOR_CONSUMERS"):
        return ""
    return "SWE_ORCHESTRATOR_CONSUMERS names no Python of scripts/consumers-for-tests"


_GATES = {
    "docker": ("Docker", _docker_problem),
    "emulated": ("emulated sandboxes", _emulation_problem),
    "vllm": ("vLLM", _vllm_problem),
    "openhands": ("OpenHands", _openhands_problem),
    "consumers": ("the readers of exports", _consumers_problem),
    "browser": ("a browser", _browser_problem),
}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked docker, emulated, vllm, openhands, consumers or browser are skipped without it,
    but not in CI, where it must be there.

    Those marked sweagent are skipped wherever a person has not installed it, for the platform of
    their sandboxes.
    """
    platform = "linux/arm64" if item.get_closest_marker("emulated") else "linux/amd64"
    if item.get_closest_marker("sweagent") and (problem := _sweagent_problem(platform)):
        pytest.skip(problem)
    for marker, (name, find_problem) in _GATES.items():
        if item.get_closest_marker(marker) is None or not (problem := find_problem()):
            continue
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {name}: {problem}", pytrace=False)
        pytest.skip(problem)


def _together(nodeid: str) -> str:
    """What one process runs of `pytest -n`: a file, or all that ask a real vLLM.

    Its servers are dear, and each process would start its own.
    """
    return VLLM if nodeid.startswith(VLLM) else nodeid.split("::", 1)[0]


class _OneProcessEach(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return _together(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _OneProcessEach | None:
    return _OneProcessEach(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has the most slow tests first, so that no process waits for another at the end."""
    marked = (item for item in items if item.get_closest_marker("slow"))
    slow = Counter(_together(item.nodeid) for item in marked)
    items.sort(key=lambda item: -slow[_together(item.nodeid)])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Of what is collected nothing goes away: to look for that takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def in_the_foreground() -> Iterator[None]:
    """Also where the tests run under nohup, or behind an `&` of a script: what those ignore, all
    that is started from there would ignore too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def demo() -> Dataset:
    """The bundled benchmark: all twelve instances and their answers."""
    return load_dataset(Benchmark(name="demo", source="bundled"))


@pytest.fixture(scope="session")
def instance(demo: Dataset) -> Instance:
    return next(i for i in demo.instances if i.instance_id == INSTANCE)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., RunConfig]:
    """A configuration of the demo: `make_config("mini", {"rollout.max_steps": 3})`."""

    def make(agent: str = "nop", settings: dict[str, Any] | None = None, **more: Any) -> RunConfig:
        given = {"run_id": "a-run", "runs_dir": str(tmp_path / "runs")} | more
        return load_config(RunRequest("demo", agent=agent, settings=settings or {}, **given))

    return make


class NoRay:
    """In the place of a Ray that is begun, of which all are kept in `begun`."""

    begun: ClassVar[list[NoRay]] = []

    def __init__(self) -> None:
        self.is_closed = False
        self.begun.append(self)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def rays(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[NoRay]:
    """Those that sessions begin: real ones in tests that are marked so, which are not kept."""
    monkeypatch.setattr(NoRay, "begun", [])
    if "ray" not in request.keywords:
        monkeypatch.setattr("orchestrator.run.begun.LocalRay", NoRay)
    return NoRay.begun


@pytest.fixture
def demo_config(make_config: Callable[..., RunConfig]) -> RunConfig:
    """The demo by `mini` with the scripted model."""
    return make_config("mini")


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has started Docker, or named an engine; this process sees none."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
    # not a file's name: the SDK leaves the socket open that finds none there
    address = "tcp://127.0.0.1:9"
    monkeypatch.setattr("orchestrator.backends.docker.address.DEFAULT_SOCKET", address)


@pytest.fixture(scope="session")
def bring_image() -> Callable[[str, Instance], None]:
    """Brings an instance's image for a kind of sandbox, once a session."""
    images = Images(base=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE"))
    cluster = Cluster(name="tests", images=images)

    @functools.cache
    def bring(kind: str, instance: Instance) -> None:
        find_backend(kind).bring_image(instance, cluster)

    return bring


@pytest.fixture(scope="session")
def ensure_image(bring_image: Callable[[str, Instance], None]) -> Callable[[Instance], None]:
    """Builds an instance's image once a session, unless it is there."""
    return functools.partial(bring_image, "docker")


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A temporary folder of this test's, with a name short enough for sockets.

    Agents' fork servers, in this process and in what it starts, are this test's alone then, and no
    runner that other tests have left is taken.
    """
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        idle = runner_process._Idle()
        monkeypatch.setattr(runner_process, "_idle", idle)
        yield folder
        idle.kill()
        servers = fork_servers(folder)
        for server in servers:
            server.kill()
        # no longer than that: in a container whose first process reaps nobody, they never go
        psutil.wait_procs(servers, timeout=10)


@pytest.fixture
def open_sandbox(
    instance: Instance, tmp_path: Path, bring_image: Callable[[str, Instance], None]
) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes of a kind and closes them in the end: `open_sandbox("process", pids=50)`."""
    started: list[Sandbox] = []

    def start(kind: str, **settings: Any) -> Sandbox:
        bring_image(kind, instance)
        started.append(find_backend(kind).start(sandbox_spec(instance, tmp_path, **settings)))
        return started[-1]

    yield start
    for sandbox in started:
        sandbox.close()


@pytest.fixture(scope="session")
def play() -> Callable[..., RolloutResult]:
    """Runs one rollout to its result: `play(config, instance, "process", run_dir)`."""

    def run(
        config: RunConfig,
        instance: Instance,
        kind: str,
        run_dir: Path,
        should_stop: Callable[[], bool] = lambda: False,
        sealed_answer: SealedAnswer | None = None,
        **more: Any,
    ) -> RolloutResult:
        agent = more.pop("agent", None) or load_agent_kind(config.agent, {})
        assignment = make_assignment(config, instance, kind, run_dir, sealed_answer=sealed_answer)
        request = RolloutRequest(assignment, agent=agent, **more)
        *_, result = roll_out(request, should_stop)
        assert isinstance(result, RolloutResult)
        return result

    return run
