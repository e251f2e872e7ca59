"""What a run's number depends on and changes on the way: found, kept in the lock, told of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.model_servers import VLLM, ModelServer, Pages, listed
from support.specs import EMULATED

from orchestrator.backends import Host
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.doctor.examine import Checked
from orchestrator.driver.plan import make_plan
from orchestrator.endpoint.servers import Serving
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.report.validity import Part
from orchestrator.run.drift import (
    find_drifts,
    look_again,
    look_at,
    record_drifts,
    with_drifts,
)
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock, SandboxLock, versions
from orchestrator.run.ready import Session

URL = "http://gpu:8000/v1"
HOST = Host("docker", 8.0, 2, architecture="linux/amd64")
LOCK = RunLock(
    versions=versions(),
    serving=({"base_url": URL, "server": "vLLM", "version": "0.32"},),
    sandbox=SandboxLock(kind="docker", architecture="linux/amd64"),
)


def config_of(agent: str) -> RunConfig:
    settings = {"model.endpoint.base_url": URL} if agent == "mini" else {}
    return load_config(RunRequest("demo", agent=agent, run_id="r", settings=settings))


MINI = config_of("mini")


def shows(version: str) -> Checked:
    return Checked(HOST, serving=(Serving(URL, {"server": "vLLM", "version": version}),))


SAME, OTHER, NOT_ASKED = shows("0.32"), shows("0.33"), Checked(HOST)


@pytest.mark.parametrize(
    ("checked", "found"),
    [
        (SAME, []),
        (NOT_ASKED, []),
        (OTHER, [(Part.SERVER, f"{URL} shows version 0.33, and the run began with 0.32")]),
        (
            Checked(replace(EMULATED, architecture="linux/arm64")),
            [
                (
                    Part.HOST,
                    "the engine's processors are linux/arm64 here, and the run began on "
                    "linux/amd64",
                )
            ],
        ),
    ],
)
def test_what_is_another_is_found(checked: Checked, found: list[tuple[Part, str]]) -> None:
    assert [(d.part, d.words) for d in find_drifts(MINI, LOCK, checked)] == found


@pytest.mark.parametrize(
    ("agent", "package", "parts"),
    [
        ("mini", "swebench", [Part.HARNESS]),
        ("gold", "swebench", [Part.HARNESS]),
        ("mini", "mini-swe-agent", [Part.AGENT]),
        ("gold", "mini-swe-agent", []),
        ("mini", "ray", []),
    ],
)
def test_packages_that_results_depend_on_are_looked_at(
    agent: str, package: str, parts: list[Part]
) -> None:
    lock = LOCK.model_copy(update={"versions": {**versions(), package: "0.0.1"}})

    assert [d.part for d in find_drifts(config_of(agent), lock, NOT_ASKED)] == parts


def test_a_lock_of_an_older_version_has_no_drifts() -> None:
    assert list(find_drifts(MINI, RunLock(), OTHER)) == []
    assert RunLock.model_validate({"run_id": "old"}).drifts == ()


def test_a_drift_lasts_from_the_session_that_finds_it_to_the_one_that_does_not() -> None:
    lock = LOCK
    times = []
    for now, checked in enumerate([SAME, OTHER, OTHER, NOT_ASKED, SAME, OTHER], start=1):
        lock = with_drifts(MINI, lock, checked, float(now))
        times.append([(d.since, d.until) for d in lock.drifts])

    assert times[0] == []
    assert times[1] == times[2] == times[3] == [(2.0, None)]
    assert times[4] == [(2.0, 5.0)]
    assert times[5] == [(2.0, 5.0), (6.0, None)]


def test_what_is_found_is_written_into_the_lock(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    kept = record_drifts(paths, MINI, LOCK, OTHER)

    assert RunLock.read(paths) == kept
    assert len(kept.drifts) == 1
    paths.lock.unlink()
    assert record_drifts(paths, MINI, kept, OTHER) == kept
    assert not paths.lock.exists(), "what is known is not written again"


@pytest.fixture
def night(tmp_path: Path, demo: Dataset) -> Iterator[Session]:
    """A session that asks a vLLM server, and is under way."""
    settings = {"model.endpoint.base_url": URL, "model.served_name": "gemma-4-26b"}
    config = load_config(RunRequest("demo", agent="mini", run_id="r", settings=settings))
    paths = RunPaths(tmp_path / "r")
    create_run(paths, config, demo, LOCK)
    with Journal.open(paths.journal) as journal:
        journal.begin_session()
        plan = make_plan(demo.instances, journal.state())
        yield Session(config, demo, paths, LOCK, None, plan, NOT_ASKED, journal)


BUILT_ANEW = Pages({**VLLM.found, "/version": {"version": "0.33.0"}})
WITH_LESS_CONTEXT = Pages(
    {
        **VLLM.found,
        "/v1/models": listed(
            {"id": "gemma-4-26b", "root": "google/gemma-4-26B-A4B-it", "max_model_len": 8192},
            owner="vllm",
        ),
    }
)
OTHER_MODEL = Pages(
    {
        **VLLM.found,
        "/v1/models": listed(
            {"id": "gemma-4-26b", "root": "some/other", "max_model_len": 131072}, owner="vllm"
        ),
    }
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by_morning", "words"),
    [
        (VLLM, ""),
        (BUILT_ANEW, "shows version 0.33.0, and the run began with 0.32.0"),
        (WITH_LESS_CONTEXT, "shows a context of 8192, and the run began with 131072"),
        (OTHER_MODEL, "shows the model of some/other"),
        (VLLM.without("/v1/models"), ""),  # it loads, or is away: that says nothing
    ],
)
def test_a_server_that_was_replaced_in_the_night_is_found_at_its_end(
    night: Session, by_morning: Pages, words: str
) -> None:
    assert night.config.model is not None
    with ModelServer(VLLM) as server:
        began = look_at(night.config.model, server.base_url, "")
    assert began is not None
    with ModelServer(by_morning) as server:
        serving = replace(began, base_url=server.base_url)
        facts = {"base_url": server.base_url, **began.facts}
        night = replace(
            night,
            checked=Checked(HOST, serving=(serving,)),
            lock=LOCK.model_copy(update={"serving": (facts,)}),
        )
        ended = look_again(night)

        assert [words in d.words for d in ended.lock.drifts] == [True] * bool(words)
        assert all(d.within_session for d in ended.lock.drifts)
        assert not words or RunLock.read(night.paths) == ended.lock
        assert look_again(ended).lock == ended.lock, "told once"


def test_a_session_without_rollouts_asks_no_server_at_its_end(night: Session) -> None:
    assert look_again(replace(night, plan=night.plan.without_rollouts)).lock == LOCK
