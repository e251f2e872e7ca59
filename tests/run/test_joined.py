"""Which sessions can go on together, and what they have to do as one. No Ray."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.config import RunRequest
from orchestrator.errors import EXIT_DONE, ConfigError
from orchestrator.run.joined import Joined
from orchestrator.run.ready import Session
from orchestrator.run.session import run_sessions, start
from orchestrator.types import Outcome, RolloutKey, RolloutRecord

pytestmark = pytest.mark.slow

CONSOLE = Console(file=io.StringIO())


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """`session("a", agent="nop", settings={…})`: of the demo, in process sandboxes."""
    with ExitStack() as stack:

        def make(run_id: str, agent: str = "nop", benchmark: str = "demo", **more: Any) -> Session:
            settings = {"cluster.sandbox.kind": "process", **more.get("settings", {})}
            request = RunRequest(
                benchmark,
                agent=agent,
                run_id=run_id,
                runs_dir=str(tmp_path / "runs"),
                settings=settings,
            )
            return stack.enter_context(start(request, CONSOLE))

        yield make


def test_what_they_have_to_do_is_one_plan_instance_by_instance(
    session: Callable[..., Session],
) -> None:
    joined = Joined.of([session("a"), session("b", "gold")])

    assert [key.run_id for key in joined.plan.rollouts[:4]] == ["a", "b", "a", "b"]
    assert len(joined.plan.rollouts) == 24
    assert len(joined.instances) == len(joined.planned) == 12
    assert joined.lanes == {}


def test_runs_of_different_parts_of_a_benchmark_go_on_together(
    session: Callable[..., Session],
) -> None:
    few = {"selection.instances": ["orchard__.*"]}
    joined = Joined.of([session("a", settings=few), session("b")])

    assert [key.run_id for key in joined.plan.rollouts[:6]] == ["a", "b"] * 3
    assert {key.run_id for key in joined.plan.rollouts[6:]} == {"b"}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("cluster.workers", 3, r"cluster\.workers \(auto and 3\)"),
        ("cluster.grading.slots", 2, r"cluster\.grading\.slots \(auto and 2\)"),
        ("cluster.grading.memory_gb", 3, r"cluster\.grading\.memory_gb"),
        ("cluster.images.keep", True, r"cluster\.images\.keep"),
        ("cluster.min_free_disk_gb", 0.5, r"cluster\.min_free_disk_gb"),
        ("cluster.sandbox.env", {"A": "b"}, r"cluster\.sandbox\.env"),
        ("cluster.notify.url", "https://h/x", r"cluster\.notify\.url"),
        ("cluster.gateway.port", 4000, r"cluster\.gateway\.port"),
    ],
)
def test_runs_that_do_not_agree_on_what_they_share_are_refused_in_one_line(
    session: Callable[..., Session], key: str, value: object, says: str
) -> None:
    runs = [session("a"), session("b", settings={key: value})]

    with pytest.raises(ConfigError, match=f"runs a and b differ in {says}"):
        run_sessions(runs, CONSOLE)


def test_a_gateway_at_the_last_port_leaves_none_for_a_second_model(
    session: Callable[..., Session],
) -> None:
    last = {"cluster.gateway.port": 65535}
    runs = [session(run_id, "mini", settings=last) for run_id in "ab"]

    assert len(Joined.of(runs[:1]).lanes) == 1
    with pytest.raises(ConfigError, match=r"cluster\.gateway\.port.*from 65535 on there are not 2"):
        Joined.of(runs)


def test_a_run_twice_is_refused(session: Callable[..., Session]) -> None:
    one = session("a")

    with pytest.raises(ConfigError, match="run a is to be run twice at once"):
        run_sessions([one, one], CONSOLE)


def test_sandboxes_of_two_kinds_are_refused(session: Callable[..., Session]) -> None:
    one, other = session("a"), session("b")
    host = replace(other.checked.host, kind="docker")
    other = replace(other, checked=replace(other.checked, host=host))

    with pytest.raises(ConfigError, match=r"different kinds \(process and docker\)"):
        Joined.of([one, other])


def test_an_instance_that_stands_for_two_images_is_refused(
    session: Callable[..., Session],
) -> None:
    one, other = session("a"), session("b")
    first, *rest = other.dataset.instances
    dataset = replace(other.dataset, instances=(replace(first, image="another"), *rest))

    with pytest.raises(ConfigError, match="is of another image in run b"):
        Joined.of([one, replace(other, dataset=dataset)])


def test_runs_with_nothing_left_to_do_end_with_their_reports(
    session: Callable[..., Session], tmp_path: Path
) -> None:
    """However little they agree on: they share nothing any more."""
    runs = []
    for run_id, settings in (("a", {}), ("b", {"cluster.workers": 3})):
        one = session(run_id, settings=settings)
        for instance in one.dataset.instances:
            key = RolloutKey(run_id, instance.instance_id, 1)
            patch = one.paths.patch(key)
            patch.parent.mkdir(parents=True)
            patch.write_text("")
            one.journal.append_rollout(RolloutRecord(key, Outcome.GAVE_UP))
        runs.append(replace(one, plan=replace(one.plan, rollouts=())))

    finished = run_sessions(runs, CONSOLE, "both")

    assert [one.exit_code for one in finished] == [EXIT_DONE] * 2
    assert [one.report.run_id for one in finished] == ["a", "b"]
    assert all(one.paths.report_md.is_file() for one in finished)


def test_no_sessions_are_no_work() -> None:
    assert run_sessions([], CONSOLE) == ()
