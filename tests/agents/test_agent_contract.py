"""How every agent ends with every way in which models behave, in every sandbox that it works in.

A round is one agent in one kind of sandbox: all personas play at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import strangers_agent
from support.local_gateway import LocalGateway, model_at
from support.rows import changed_lines, key_of

from orchestrator.agents import load_agent_kind
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.endpoint import ScriptedEndpoint
from orchestrator.scripted.personas import ODD
from orchestrator.text import writable
from orchestrator.types import CallCounts, FailureKind, Instance, Outcome, RolloutResult

pytestmark = pytest.mark.slow  # one round of all takes ten seconds
STRANGERS = str(Path(strangers_agent.__file__).with_suffix(".yaml"))
HAVE_NO_EDIT_TOOL = ("mini", STRANGERS)
ROUNDS = [
    pytest.param(("mini", "process"), id="mini-process"),
    pytest.param(("mini", "docker"), id="mini-docker", marks=pytest.mark.docker),
    pytest.param(("mini-edit", "process"), id="mini-edit-process"),
    pytest.param((STRANGERS, "process"), id="somebody-elses-process"),
    *(
        pytest.param((name, "docker"), id=name, marks=[pytest.mark.docker, pytest.mark.sweagent])
        for name in ("sweagent", "sweagent-xml", "sweagent-tools")
    ),
    *(
        pytest.param((name, "docker"), id=name, marks=[pytest.mark.docker, pytest.mark.openhands])
        for name in ("openhands", "openhands-text")
    ),
]
FEW_TOKENS = {STRANGERS: 600, "openhands": 8_000, "openhands-text": 25_000}
"""Enough for two steps or three: prompts are of different lengths."""
STUCK_AFTER = {"openhands": 4, "openhands-text": 4}
"""Steps, for those that notice by themselves that they go round in circles."""
LIMITS = {"rollout.max_steps": 6, "agent.max_format_errors": 2}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    # name: persona, settings
    "solves": ("solves", {}),
    "edits": ("edits", {}),
    "wrong": ("wrong", {}),
    "never_submits": ("never_submits", {}),
    "few_tokens": ("never_submits", {"rollout.max_tokens": 0}),  # FEW_TOKENS
    "breaks_format": ("breaks_format", {}),
    "recovers": ("recovers", {}),
    "overflows": ("overflows", {}),
    "swallowed": ("swallowed", {}),
    "slow": ("slow:0.1", {}),
    "loops": ("loops", {}),
    "errors": ("errors:1", {}),
    "hangs_up": ("hangs_up:1", {}),
    "away": ("away:0.5", {}),
    "speaks_oddly": ("speaks_oddly", {"model.context_length": 200_000}),
    "crashes_late": ("crashes_late", {"model.endpoint.max_tries": 2}),
    "stays_away": ("away:60", {"model.endpoint.max_outage_s": 0}),
}


class Round:
    """The results of all cases in one kind of sandbox."""

    def __init__(
        self,
        agent: str,
        kind: str,
        demo: Dataset,
        instance: Instance,
        run_dir: Path,
        play: Callable[..., RolloutResult],
    ) -> None:
        self.agent, self.run_dir = agent, run_dir
        self._demo, self._instance, self._kind, self._play = demo, instance, kind, play
        cases = {name: (agent, *case) for name, case in CASES.items()}
        cases |= {"gold": ("gold", "solves", {}), "nop": ("nop", "solves", {})}
        with ThreadPoolExecutor(6) as pool:
            running = {name: pool.submit(self._case, *case) for name, case in cases.items()}
        self.results = {name: future.result() for name, future in running.items()}

    def _case(self, agent: str, persona: str, settings: dict[str, Any]) -> RolloutResult:
        given = LIMITS | settings
        if "rollout.max_tokens" in given:
            given["rollout.max_tokens"] = FEW_TOKENS.get(agent, 3000)
        if agent in ("gold", "nop"):
            given.pop("agent.max_format_errors")
        config: RunConfig = load_config(
            RunRequest("demo", agent=agent, run_id="contract", settings=given)
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
                base_url=gateway.base_url(key_of(self._instance.instance_id)),
                api_key=gateway.token,
                sealed_answer=answer,
            )

    @property
    def calls_functions(self) -> bool:
        settings = load_config(RunRequest("demo", agent=self.agent)).agent
        assert settings is not None
        return load_agent_kind(settings, {}).calls_functions

    def outcome(self, name: str) -> tuple[Outcome | None, bool, bool]:
        """Outcome, whether there is a patch, and whether it is salvaged."""
        result = self.results[name]
        assert result.failure is None, result.failure
        return result.outcome, bool(result.patch), result.record.salvaged

    def failure(self, name: str) -> FailureKind:
        result = self.results[name]
        assert result.outcome is None
        assert result.patch == ""
        assert not result.record.salvaged
        assert result.failure is not None
        return result.failure.kind


@pytest.fixture(scope="module", params=ROUNDS)
def played(
    request: pytest.FixtureRequest,
    demo: Dataset,
    instance: Instance,
    tmp_path_factory: pytest.TempPathFactory,
    play: Callable[..., RolloutResult],
) -> Round:
    agent, kind = request.param
    if kind == "docker":
        request.getfixturevalue("ensure_image")(instance)
    return Round(agent, kind, demo, instance, tmp_path_factory.mktemp("run"), play)


@pytest.fixture
def gold_patch(demo: Dataset, instance: Instance) -> str:
    return unseal(demo.answers[instance.instance_id]).gold_patch


@pytest.mark.parametrize(
    "name", ["gold", "solves", "recovers", "slow", "errors", "hangs_up", "away", "speaks_oddly"]
)
def test_agents_that_mend_the_bug_submit_its_patch(
    name: str, played: Round, gold_patch: str
) -> None:
    assert played.outcome(name) == (Outcome.SUBMITTED, True, False)
    assert changed_lines(played.results[name].patch) == changed_lines(gold_patch)


def test_the_edit_tool_mends_too_where_an_agent_has_it(played: Round, gold_patch: str) -> None:
    if played.agent in HAVE_NO_EDIT_TOOL:
        assert played.outcome("edits") == (Outcome.GAVE_UP, False, False)
        return
    assert played.outcome("edits") == (Outcome.SUBMITTED, True, False)
    assert changed_lines(played.results["edits"].patch) == changed_lines(gold_patch)


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
def test_where_nothing_was_changed_nothing_is_salvaged(
    name: str, outcome: Outcome, played: Round
) -> None:
    assert played.outcome(name) == (outcome, False, False)


def test_what_of_a_models_answers_could_not_be_used_is_counted(played: Round) -> None:
    good, bad = (played.results[name].record for name in ("solves", "breaks_format"))

    assert (good.unusable_answers, bad.unusable_answers) == (0, 2)
    if played.calls_functions:
        assert good.calls == CallCounts(good.usage.steps)
        assert bad.calls == CallCounts(2, {"no call": 2})
    elif not played.agent.startswith("openhands"):  # which finds calls in texts too
        assert (good.calls, bad.calls) == (None, None)


def test_a_step_limit_is_not_overstepped(played: Round) -> None:
    assert played.results["loops"].record.usage.steps == STUCK_AFTER.get(played.agent, 6)
    assert played.results["breaks_format"].record.usage.steps == 2


def test_a_server_that_stays_away_is_a_failure_without_a_patch(played: Round) -> None:
    assert played.failure("stays_away") is FailureKind.ENDPOINT_UNAVAILABLE


def test_a_request_that_a_server_fails_at_again_and_again_is_a_failure(played: Round) -> None:
    assert played.failure("crashes_late") is FailureKind.REQUEST_REFUSED


def test_what_a_failed_agent_had_changed_is_kept_as_a_partial_patch(played: Round) -> None:
    assert "money.py" in played.results["crashes_late"].partial_patch


@pytest.mark.parametrize("name", ["errors", "hangs_up", "away"])
def test_time_that_the_server_was_away_is_held(name: str, played: Round) -> None:
    assert played.results[name].record.usage.held_s > 0
    assert played.results["solves"].record.usage.held_s < 0.05


@pytest.mark.parametrize("name", CASES)
def test_a_trajectory_is_kept_on_every_way_out(name: str, played: Round) -> None:
    result = played.results[name]
    own = {"mini": "mini.traj.json", "swea": f"{result.key.instance_id}.traj"}.get(played.agent[:4])
    assert own is None or own in result.files or name == "stays_away"
    steps = json.loads(result.files.get("trajectory.json", b'{"steps": []}'))["steps"]
    assert bool(steps) == (name != "stays_away")


def test_every_sandbox_is_gone(played: Round) -> None:
    assert list(played.run_dir.glob("scratch/*")) == []


def test_what_is_legal_in_json_and_nowhere_else_is_run_and_written_down(played: Round) -> None:
    steps = json.loads(played.results["speaks_oddly"].files["trajectory.json"])["steps"]

    assert "half \ufffd NUL \ufffd keys \x03\x04\x1a\x1b[2J" in steps[0]["action"]
    assert steps[0]["observation"].split() == [str(len(writable(ODD).encode()) + 1)]
    assert len(steps[1]["action"]) > 200_000
    assert steps[1]["observation"].strip() == "long"


@pytest.mark.parametrize("name", ["solves", "recovers", "loops"])
def test_a_step_says_what_was_printed_and_what_the_model_was_shown(
    name: str, played: Round
) -> None:
    steps = json.loads(played.results[name].files["trajectory.json"])["steps"]

    for step in steps:
        assert step["time"] > 0
        assert step["prompt_tokens"] > 0
        if step["action"].startswith("git status"):
            assert step["observation"].splitlines()[-1] in step["shown"]
            assert len(step["shown"]) > len(step["observation"])
        if not step["action"]:
            assert step["observation"] == ""
            assert step["shown"], "what was wrong with the answer"
