"""How every agent ends with every way in which models behave, in every sandbox.

One round a sandbox: each persona has an instance of its own, and all play at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.answers import unseal
from orchestrator.config import Request, RunConfig, load_config
from orchestrator.dataset import Dataset
from orchestrator.testing.endpoint import ScriptedEndpoint
from orchestrator.testing.gateway import LocalGateway, model_at
from orchestrator.types import FailureKind, Instance, Outcome, RolloutResult

pytestmark = pytest.mark.slow  # one round of all takes ten seconds
KINDS = ["process", pytest.param("docker", marks=pytest.mark.docker)]
LIMITS = {"rollout.max_steps": 6, "agent.max_format_errors": 2}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    # name: agent, persona, settings
    "gold": ("gold", "solves", {}),
    "nop": ("nop", "solves", {}),
    "solves": ("mini", "solves", {}),
    "wrong": ("mini", "wrong", {}),
    "never_submits": ("mini", "never_submits", {}),
    "few_tokens": ("mini", "never_submits", {"rollout.max_tokens": 3000}),
    "breaks_format": ("mini", "breaks_format", {}),
    "recovers": ("mini", "recovers", {}),
    "overflows": ("mini", "overflows", {}),
    "swallowed": ("mini", "swallowed", {}),
    "slow": ("mini", "slow:0.1", {}),
    "loops": ("mini", "loops", {}),
    "errors": ("mini", "errors:1", {}),
    "hangs_up": ("mini", "hangs_up:1", {}),
    "away": ("mini", "away:0.5", {}),
    "crashes_late": ("mini", "crashes_late", {"model.endpoint.max_tries": 2}),
    "stays_away": ("mini", "away:60", {"model.endpoint.max_outage_s": 0}),
}


class Round:
    """The results of all cases in one kind of sandbox."""

    def __init__(
        self,
        kind: str,
        demo: Dataset,
        instance: Instance,
        run_dir: Path,
        play: Callable[..., RolloutResult],
    ) -> None:
        self.run_dir = run_dir
        self._demo, self._instance, self._kind, self._play = demo, instance, kind, play
        with ThreadPoolExecutor(6) as pool:
            running = {name: pool.submit(self._case, *case) for name, case in CASES.items()}
        self.results = {name: future.result() for name, future in running.items()}

    def _case(self, agent: str, persona: str, settings: dict[str, Any]) -> RolloutResult:
        given = LIMITS | settings
        if agent != "mini":
            given.pop("agent.max_format_errors")
        config: RunConfig = load_config(
            Request("demo", agent=agent, run_id="contract", settings=given)
        )
        answer = self._demo.answers[self._instance.instance_id] if agent == "gold" else None
        endpoint = ScriptedEndpoint([self._instance], self._demo.answers, {"default": persona})
        limits = config.model.endpoint.model_dump(exclude={"base_url"}) if config.model else {}
        model = model_at(endpoint.base_url, endpoint=limits)
        with endpoint, LocalGateway(model) as gateway:
            return self._play(
                config,
                self._instance,
                self._kind,
                self.run_dir,
                base_url=gateway.base_url(self._instance.instance_id),
                api_key=gateway.token,
                sealed_answer=answer,
            )

    def outcome(self, name: str) -> tuple[Outcome | None, bool, bool]:
        """Outcome, whether there is a patch, and whether it is salvaged."""
        result = self.results[name]
        assert result.failure is None, result.failure
        return result.outcome, bool(result.patch), result.salvaged

    def failure(self, name: str) -> FailureKind:
        result = self.results[name]
        assert result.outcome is None
        assert result.patch == ""
        assert not result.salvaged
        assert result.failure is not None
        return result.failure.kind


@pytest.fixture(scope="module", params=KINDS)
def played(
    request: pytest.FixtureRequest,
    demo: Dataset,
    instance: Instance,
    tmp_path_factory: pytest.TempPathFactory,
    play: Callable[..., RolloutResult],
) -> Iterator[Round]:
    if request.param == "docker":
        request.getfixturevalue("ensure_image")(instance)
    return Round(request.param, demo, instance, tmp_path_factory.mktemp("run"), play)


@pytest.fixture
def gold_patch(demo: Dataset, instance: Instance) -> str:
    return unseal(demo.answers[instance.instance_id]).gold_patch


@pytest.mark.parametrize(
    "name", ["gold", "solves", "recovers", "slow", "errors", "hangs_up", "away"]
)
def test_those_who_mend_the_bug_submit_its_patch(name: str, played: Round, gold_patch: str) -> None:
    assert played.outcome(name) == (Outcome.SUBMITTED, True, False)
    assert changed_lines(played.results[name].patch) == changed_lines(gold_patch)


def changed_lines(patch: str) -> list[str]:
    return [line for line in patch.splitlines() if line[:1] in ("+", "-")]


def test_nothing_changed_is_giving_up_even_if_it_is_submitted(played: Round) -> None:
    assert played.outcome("nop") == (Outcome.GAVE_UP, False, False)


def test_a_wrong_patch_is_a_submission(played: Round) -> None:
    assert played.outcome("wrong") == (Outcome.SUBMITTED, True, False)
    assert "NOTES.txt" in played.results["wrong"].patch


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("never_submits", Outcome.STEP_LIMIT),
        ("few_tokens", Outcome.TOKEN_LIMIT),
        ("overflows", Outcome.CONTEXT_OVERFLOW),
    ],
)
def test_what_was_mended_and_not_submitted_is_salvaged(
    name: str, outcome: Outcome, played: Round, gold_patch: str
) -> None:
    assert played.outcome(name) == (outcome, True, True)
    assert changed_lines(played.results[name].patch) == changed_lines(gold_patch)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("breaks_format", Outcome.FORMAT_ERRORS),
        ("swallowed", Outcome.FORMAT_ERRORS),
        ("loops", Outcome.STEP_LIMIT),
    ],
)
def test_who_changed_nothing_has_nothing_salvaged(
    name: str, outcome: Outcome, played: Round
) -> None:
    assert played.outcome(name) == (outcome, False, False)


def test_a_step_limit_is_not_overstepped(played: Round) -> None:
    assert played.results["loops"].usage.steps == 6
    assert played.results["breaks_format"].usage.steps == 2


def test_a_server_that_stays_away_is_a_failure_without_a_patch(played: Round) -> None:
    assert played.failure("stays_away") is FailureKind.ENDPOINT_UNAVAILABLE


def test_a_request_that_a_server_fails_at_again_and_again_is_a_failure(played: Round) -> None:
    assert played.failure("crashes_late") is FailureKind.REQUEST_REFUSED


def test_what_a_failed_agent_had_changed_is_kept_to_look_at(played: Round) -> None:
    assert "money.py" in played.results["crashes_late"].partial_patch


@pytest.mark.parametrize("name", ["errors", "hangs_up", "away"])
def test_time_that_the_server_was_away_is_held(name: str, played: Round) -> None:
    assert played.results[name].usage.held_s > 0
    assert played.results["solves"].usage.held_s < 0.05


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case[0] == "mini"])
def test_a_trajectory_is_kept_on_every_way_out(name: str, played: Round) -> None:
    result = played.results[name]
    assert "mini.traj.json" in result.files
    steps = json.loads(result.files.get("trajectory.json", b'{"steps": []}'))["steps"]
    assert bool(steps) == (name != "stays_away")


def test_every_sandbox_is_gone(played: Round) -> None:
    assert list(played.run_dir.glob("scratch/*")) == []
