"""What runs beside a run: started in one order, stopped in the other, and never left behind.

Gateway and scripted model are the real ones; a fake engine stands in for Ray.
"""

from __future__ import annotations

import io
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rich.console import Console
from support.fake_executor import FakeExecutor
from support.rows import key_of
from support.specs import PROCESSES

from orchestrator.agents import AgentKind
from orchestrator.agents.base import SimpleKind
from orchestrator.agents.nop import NopAgent
from orchestrator.config import RunConfig
from orchestrator.config.schema import AgentSettings
from orchestrator.dataset import Dataset
from orchestrator.doctor.examine import Checked
from orchestrator.driver.lanes import make_lanes
from orchestrator.driver.plan import Plan
from orchestrator.errors import PrerequisiteError
from orchestrator.gateway.launcher import GatewayProcess
from orchestrator.paths import RunPaths
from orchestrator.run.ready import Session
from orchestrator.run.services import Services, start_services
from orchestrator.types import RolloutKey

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., RunConfig]
Serve = Callable[..., AbstractContextManager[Services]]
NO_RAY = PrerequisiteError("Ray can't start.")


class LoggedExecutor(FakeExecutor):
    """Writes down its start and its end."""

    session_dir = "/tmp/ray/a-session"

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log
        log.append("engine starts")

    def close(self) -> None:
        super().close()
        self._log.append("engine ends")


@dataclass(frozen=True)
class LoggedKind(SimpleKind[AgentSettings]):
    """An agent that asks a model, and writes down while it is held."""

    log: list[str]

    @contextmanager
    def hold(self, platform: str) -> Iterator[None]:
        self.log.append(f"agent is held for {platform}")
        try:
            yield
        finally:
            self.log.append("agent is let go")

    def create(self) -> NopAgent:
        return NopAgent()


@pytest.fixture
def log() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


@dataclass(frozen=True)
class Connection:
    ray: str

    def close(self) -> None:
        pass


def no_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.run.begun.LocalRay", lambda: "a local Ray")
    for connect in ("start_local", "join"):
        monkeypatch.setattr(f"orchestrator.driver.ray_connection.{connect}", Connection)


@pytest.fixture
def serve(demo: Dataset, paths: RunPaths, log: list[str], monkeypatch: pytest.MonkeyPatch) -> Serve:
    """The services of a run: `serve(config)`; without an agent `serve(config, held=False)`."""

    def start(
        config: RunConfig, held: bool = True, error: Exception | None = None
    ) -> AbstractContextManager[Services]:
        def engine(*settings: Any) -> LoggedExecutor:
            connection, *others = settings
            log.append(f"engine is given {(connection.ray, *others)}")
            if error is not None:
                raise error
            return LoggedExecutor(log)

        no_ray_starts(monkeypatch)
        monkeypatch.setattr("orchestrator.driver.ray_executor.RayExecutor", engine)
        assert config.agent is not None
        agent = LoggedKind(config.agent, {}, log)
        session = make_session(config, demo, paths, agent, with_rollouts=held)
        lanes = make_lanes([config] if held else [])
        return start_services([session], lanes, 3, 2, Console(file=io.StringIO()))

    return start


def make_session(
    config: RunConfig,
    dataset: Dataset,
    paths: RunPaths,
    agent: AgentKind,
    *,
    with_rollouts: bool = True,
) -> Session:
    """Without lock and journal, which services don't touch."""
    keys = (RolloutKey(config.run_id, dataset.instances[0].instance_id, 1),)
    plan = Plan(keys if with_rollouts else (), () if with_rollouts else keys, 0)
    checked = Checked(PROCESSES, "a-key")
    nothing: Any = None
    return Session(config, dataset, paths, nothing, agent, plan, checked, nothing)


def gateways() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [p for p in children if "orchestrator.gateway" in " ".join(p.cmdline())]


def models_of(gateway: GatewayProcess) -> list[str]:
    url = f"{gateway.base_url(key_of('orchard__ledger-12'))}/models"
    reply = httpx.get(url, headers={"Authorization": f"Bearer {gateway.token}"})
    return [entry["id"] for entry in reply.json()["data"]]


def test_a_system_that_allows_a_program_256_open_files_is_asked_for_more(
    serve: Serve, make_config: MakeConfig
) -> None:
    """As macOS does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with serve(make_config("gold"), held=False):
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(8192, hard), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("refused", [ValueError("above the maximum"), OSError("not allowed")])
def test_a_limit_that_the_system_keeps_stops_nothing(
    refused: Exception, serve: Serve, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise refused

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    with serve(make_config("gold"), held=False):
        pass


def test_all_are_up_while_the_run_lasts_and_gone_afterwards(
    serve: Serve, make_config: MakeConfig, paths: RunPaths, log: list[str]
) -> None:
    with serve(make_config("mini")) as live:
        (gateway,) = live.gateways.values()
        assert [process.pid for process in gateways()] == [gateway.pid]
        assert models_of(gateway) == ["scripted"], "the scripted model is behind the gateway"
        assert paths.ray_session.read_text() == LoggedExecutor.session_dir
        log.append("the run")

    assert log == [
        "agent is held for linux/amd64",
        "engine is given ('a local Ray', 3, 2, ['a-run'])",
        "engine starts",
        "the run",
        "engine ends",
        "agent is let go",
    ]
    assert gateways() == []
    assert not paths.ray_session.exists()


def test_when_the_run_breaks_off_all_are_stopped_in_the_same_order(
    serve: Serve, make_config: MakeConfig, paths: RunPaths, log: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), serve(make_config("mini")):
        raise KeyboardInterrupt

    assert log[-3:] == ["engine starts", "engine ends", "agent is let go"]
    assert gateways() == []
    assert not paths.ray_session.exists()


def test_when_the_engine_can_not_start_nothing_is_left(
    serve: Serve, make_config: MakeConfig, paths: RunPaths, log: list[str]
) -> None:
    with pytest.raises(PrerequisiteError, match="Ray can't start"):
        serve(make_config("mini"), error=NO_RAY).__enter__()

    assert "engine starts" not in log
    assert log[-1] == "agent is let go"
    assert gateways() == []
    assert not paths.ray_session.exists()


def test_when_the_gateway_can_not_listen_nothing_is_left(
    serve: Serve, make_config: MakeConfig, log: list[str]
) -> None:
    config = make_config("mini", {"cluster.gateway.host": "192.0.2.1"})

    with pytest.raises(PrerequisiteError, match=r"the gateway can't listen at 192\.0\.2\.1"):
        serve(config).__enter__()

    assert log == ["agent is held for linux/amd64", "agent is let go"]
    assert gateways() == []


def test_an_agent_that_asks_no_model_has_no_gateway(
    serve: Serve, make_config: MakeConfig, log: list[str]
) -> None:
    with serve(make_config("nop")) as live:
        assert not live.gateways
        assert gateways() == []

    assert log[0] == "agent is held for linux/amd64"


def test_grades_alone_have_an_engine_and_nothing_else(
    serve: Serve, make_config: MakeConfig, log: list[str]
) -> None:
    with serve(make_config("mini"), held=False) as live:
        assert not live.gateways

    assert log == [
        "engine is given ('a local Ray', 3, 2, ['a-run'])",
        "engine starts",
        "engine ends",
    ]


def test_a_session_of_ray_that_is_somebody_elses_is_not_written_down(
    serve: Serve, make_config: MakeConfig, paths: RunPaths, log: list[str]
) -> None:
    with serve(make_config("nop", {"cluster.ray_address": "10.0.0.1:6379"})):
        assert not paths.ray_session.exists()

    assert "engine is given ('10.0.0.1:6379', 3, 2, ['a-run'])" in log


def asking(config: RunConfig, run_id: str, base_url: str, **more: Any) -> RunConfig:
    """A run of a model at a server of one's own."""
    assert config.model is not None
    endpoint = config.model.endpoint.model_copy(update={"base_url": base_url})
    model = config.model.model_copy(update={"endpoint": endpoint, **more})
    return config.model_copy(update={"run_id": run_id, "model": model})


def test_runs_of_one_server_share_a_gateway_and_each_folder_says_where_its_log_is(
    demo: Dataset, tmp_path: Path, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    no_ray_starts(monkeypatch)
    monkeypatch.setattr(
        "orchestrator.driver.ray_executor.RayExecutor", lambda *_: LoggedExecutor(log)
    )
    config, sessions = make_config("mini"), []
    for run_id, url in (("a", "http://127.0.0.1:9/v1"), ("b", "http://127.0.0.1:9/v1")):
        paths = RunPaths(tmp_path / run_id)
        paths.root.mkdir()
        theirs = asking(config, run_id, url, request_fields={"run": run_id})
        assert config.agent is not None
        sessions.append(make_session(theirs, demo, paths, LoggedKind(config.agent, {}, log)))
    lanes = make_lanes([session.config for session in sessions])

    with start_services(sessions, lanes, 3, 1, Console(file=io.StringIO())) as live:
        assert len(live.gateways) == len(gateways()) == 1
        assert [s.paths.ray_session.read_text() for s in sessions] == 2 * ["/tmp/ray/a-session"]

    a, b = (session.paths for session in sessions)
    assert a.gateway_log.exists()
    assert f"shares the gateway of another run: see {a.gateway_log}" in b.gateway_log.read_text()
    assert not a.ray_session.exists()
    assert not b.ray_session.exists()
    assert log.count("agent is let go") == 2
    assert gateways() == []
