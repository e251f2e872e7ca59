"""What a session begins before its checks: that nobody sees it who did not need it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.agents.base import SimpleKind
from orchestrator.config import RunConfig, RunRequest
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.run.begun import Begun, begun_for
from orchestrator.run.preview import make_preview
from orchestrator.run.session import begin, launch, reopen, start

CONSOLE = Console(file=io.StringIO())
MakeConfig = Callable[..., RunConfig]


def request_of(folder: Path, agent: str = "nop", **settings: Any) -> RunRequest:
    given = {"cluster.sandbox.kind": "process", **settings}
    return RunRequest("demo", agent=agent, run_id="r", runs_dir=str(folder), settings=given)


CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "a persona that is not there": ({"model.personas.default": "sings"}, "no persona 'sings'"),
    "a template that can't be read": ({"agent.system_template": "{{"}, "agent.system_template"),
    "a disk that is too small": ({"cluster.min_free_disk_gb": 10**9}, "GB free, less than"),
    "a backend that is not there": ({"cluster.sandbox.kind": "no.such:B"}, "can't be imported"),
}


@pytest.mark.slow
def test_a_launch_has_the_ray_that_was_begun_before_the_program_was_imported(
    tmp_path: Path, rays: list[Any]
) -> None:
    request = request_of(tmp_path)
    with begun_for(request) as begun, start(request, CONSOLE, begun=begun) as session:
        assert session.begun is begun
        assert len(rays) == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_a_launch_that_a_check_stops_tells_that_and_leaves_no_ray(
    cause: str, tmp_path: Path, rays: list[Any]
) -> None:
    settings, words = CAUSES[cause]
    with (
        pytest.raises((ConfigError, PrerequisiteError), match=words),
        start(request_of(tmp_path, "mini", **settings), CONSOLE),
    ):
        pass

    assert [ray.is_closed for ray in rays] == [True], "it was begun before the check"


def test_ctrl_c_while_a_dataset_is_read_leaves_no_ray(
    tmp_path: Path, rays: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.doctor.case.load_dataset", interrupted)
    with pytest.raises(KeyboardInterrupt), start(request_of(tmp_path), CONSOLE):
        pass

    assert [ray.is_closed for ray in rays] == [True]


@pytest.mark.slow
def test_nothing_is_begun_for_a_run_that_exists_or_is_only_looked_at(
    tmp_path: Path, rays: list[Any]
) -> None:
    make_preview(request_of(tmp_path))
    assert rays == []

    with start(request_of(tmp_path), CONSOLE):
        assert len(rays) == 1
    with pytest.raises(ConfigError, match="exists"), start(request_of(tmp_path), CONSOLE):
        pass
    assert len(rays) == 1

    with begun_for(request_of(tmp_path)) as begun:
        assert len(rays) == 1
        with pytest.raises(ConfigError, match="exists"):
            launch(request_of(tmp_path), CONSOLE, begun)
    assert len(rays) == 1

    with reopen(tmp_path / "r", CONSOLE):
        assert [ray.is_closed for ray in rays] == [True, False]
    assert [ray.is_closed for ray in rays] == [True, True]


@pytest.mark.slow
def test_runs_that_go_together_have_one_ray(
    tmp_path: Path, make_config: MakeConfig, rays: list[Any]
) -> None:
    from orchestrator.doctor.case import Case

    settings = {"cluster.sandbox.kind": "process"}
    configs = [make_config("nop", settings, run_id=run_id) for run_id in ("a", "b")]
    with Begun().begin(*configs) as begun:
        for config in configs:
            with begin(Case(config, tmp_path / config.run_id), CONSOLE, begun=begun) as session:
                assert session.begun is begun
        assert len(rays) == 1
        assert begun.take_ray() is rays[0]
        assert begun.take_ray() is rays[1], "the next has one of its own"
    assert [ray.is_closed for ray in rays] == [False, False], "who takes it closes it"


def test_a_cluster_that_is_joined_has_no_ray_begun(
    make_config: MakeConfig, rays: list[Any]
) -> None:
    with Begun().begin(make_config("nop", {"cluster.ray_address": "10.0.0.1:6379"})):
        assert rays == []


def test_what_can_not_begin_is_told_by_who_needs_it(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise PrerequisiteError("Ray can't start (no fork).")

    monkeypatch.setattr("orchestrator.run.begun.LocalRay", refuse)
    with (
        Begun().begin(make_config("nop")) as begun,
        pytest.raises(PrerequisiteError, match="no fork"),
    ):
        begun.take_ray()


@pytest.mark.parametrize("is_there", [True, False])
def test_an_agents_imports_begin_where_it_is_installed(
    is_there: bool, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = []

    @contextmanager
    def hold(_: object, platform: str) -> Iterator[None]:
        if not is_there:
            raise PrerequisiteError("it is not installed.")
        log.append(f"held for {platform}")
        yield
        log.append("let go")

    monkeypatch.setattr(SimpleKind, "hold", hold)
    with Begun().begin(make_config("nop")):
        log.append("checks")

    assert log == (["held for linux/amd64", "checks", "let go"] if is_there else ["checks"])
