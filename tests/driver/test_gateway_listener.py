"""What the gateway reports, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from support.rows import RUN_ID, asked, instances, key_of, sampled

from orchestrator.driver.admission import Admission
from orchestrator.driver.executor import ModelStatus, Remark
from orchestrator.driver.gateway_listener import FLUSH_EVERY_S, GatewayListener
from orchestrator.driver.grading_slots import GradingSlots
from orchestrator.driver.lanes import Lane
from orchestrator.driver.scheduler import RunTerms, Scheduler, Stage
from orchestrator.gateway.messages import Availability, Listening, Message, Requested, Sampled
from orchestrator.journal import Journal
from orchestrator.types import RequestResult, RolloutKey

AWAY = Availability(down=True, notes=("http://a/v1: it hangs",))
MAX_OUTAGE_S = 3600.0


@dataclass
class Setup:
    """A listener, what it listens to, and what it writes to."""

    journal: Journal
    messages: list[Message] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.lane = Lane()
        self.scheduler = Scheduler(4, GradingSlots.said(1), {RUN_ID: RunTerms({}, lane=self.lane)})
        self.listener = GatewayListener(
            self,
            self.lane,
            {RUN_ID: self.journal},
            self.scheduler,
            Admission(4),
            MAX_OUTAGE_S,
            lambda: self.now,
        )

    def base_url(self, key: RolloutKey) -> str:
        return "http://gateway"

    def forget(self, key: RolloutKey) -> None: ...

    def poll(self) -> list[Message]:
        said, self.messages = self.messages, []
        return said

    def listen(self, *messages: Message) -> list[Remark | ModelStatus]:
        self.messages += messages
        return list(self.listener.listen())


@pytest.fixture
def setup() -> Setup:
    return Setup(Journal.in_memory("r1", instances("a")))


def test_requests_are_recorded_together_every_few_seconds(setup: Setup) -> None:
    setup.listen(Requested(request=asked("a")))
    setup.now = FLUSH_EVERY_S - 0.1
    setup.listen(Requested(request=asked("a")))
    assert setup.journal.state().requests == ()

    setup.now = FLUSH_EVERY_S
    setup.listen()

    assert setup.journal.state().requests == (asked("a"), asked("a"))


def test_a_sample_is_recorded_with_what_the_driver_knows(setup: Setup) -> None:
    setup.scheduler.add(Stage.ROLLOUT, [key_of("a")])
    setup.scheduler.admit(0.0)
    (status,) = setup.listen(Sampled(sample=sampled(10.0, answers=3, rollouts=0, admitted=0)))
    setup.listener.flush()

    assert isinstance(status, ModelStatus)
    assert setup.journal.state().samples == (sampled(10.0, answers=3, rollouts=1, admitted=2),)


def test_a_server_that_stays_away_ends_the_run_when_it_has_been_long_enough(setup: Setup) -> None:
    assert setup.listen(AWAY) == []
    setup.now = MAX_OUTAGE_S - 1
    assert len(setup.listen()) == 1
    assert not setup.scheduler.stopping

    setup.now = MAX_OUTAGE_S
    (remark,) = setup.listen()

    assert setup.scheduler.stopping
    assert "1 h (endpoint.max_outage_s)" in remark.text
    assert "http://a/v1: it hangs" in remark.text
    assert setup.listen() == [], "it is said once"


def test_an_outage_that_ends_is_forgiven(setup: Setup) -> None:
    setup.listen(AWAY)
    setup.now = MAX_OUTAGE_S - 1
    away, back = [*setup.listen(), *setup.listen(Availability(down=False))]
    setup.now = MAX_OUTAGE_S + 1

    assert "http://a/v1 is away: it hangs" in away.text
    assert "is back" in back.text
    assert setup.listen() == []
    assert setup.lane.away == ""


def test_a_server_that_was_away_before_the_gateway_died_is_back_when_it_answers(
    setup: Setup,
) -> None:
    setup.listen(Listening(port=1), AWAY)
    setup.now = 60.0
    (away,) = setup.listen()
    (again,) = setup.listen(Listening(port=1))
    assert setup.lane.away == "", "the new one finds out by itself"
    assert "is away" in away.text
    assert "started again" in again.text

    assert setup.listen(AWAY) == [], "it is still"
    setup.listen(Listening(port=1))
    setup.now = 90.0
    answer = replace(asked("a"), server="http://a/v1", result=RequestResult.ANSWERED)
    (back,) = setup.listen(Requested(request=answer))
    assert "is back after 1 min 30 s" in back.text
    assert setup.listen(Requested(request=answer), Availability(down=False)) == []


def test_a_gateway_that_always_dies_does_not_fill_the_log(setup: Setup) -> None:
    said = [remark.text for _ in range(1000) for remark in setup.listen(Listening(port=1))]

    assert len(said) == 10
    assert "again, 512 times by now" in said[-1]


def test_brief_outages_are_told_at_the_end(setup: Setup) -> None:
    setup.listen(AWAY, Availability(down=False))

    (told,) = setup.listener.end()

    assert "briefly away once" in told.text


@dataclass
class TwoModels(Setup):
    """Two runs of one model, and a third of another, whose gateway says nothing."""

    def __post_init__(self) -> None:
        self.lane, self.other = Lane("gemma"), Lane("qwen")
        self.second = Journal.in_memory("r2", instances("a"))
        terms = {
            RUN_ID: RunTerms({}, lane=self.lane),
            "r2": RunTerms({}, lane=self.lane),
            "r3": RunTerms({}, lane=self.other),
        }
        self.scheduler = Scheduler(4, GradingSlots.said(1), terms)
        journals = {RUN_ID: self.journal, "r2": self.second}
        self.listener = GatewayListener(
            self, self.lane, journals, self.scheduler, None, MAX_OUTAGE_S, lambda: self.now
        )


@pytest.fixture
def two_models() -> TwoModels:
    return TwoModels(Journal.in_memory(RUN_ID, instances("a")))


def test_requests_go_to_their_own_runs_journal_and_samples_to_each_of_the_model(
    two_models: TwoModels,
) -> None:
    theirs = replace(asked("a"), key=RolloutKey("r2", "a", 1))
    two_models.scheduler.add(Stage.ROLLOUT, [RolloutKey(r, "a", 1) for r in (RUN_ID, "r2", "r3")])
    two_models.scheduler.admit(0.0)

    two_models.listen(
        Requested(request=asked("a")), Requested(request=theirs), Sampled(sample=sampled(10.0))
    )
    two_models.listener.flush()

    first, second = two_models.journal.state(), two_models.second.state()
    assert (first.requests, second.requests) == ((asked("a"),), (theirs,))
    expected = (sampled(10.0, rollouts=2, admitted=4),)
    assert (first.samples, second.samples) == (expected, expected), "of the model's rollouts alone"


def test_where_there_are_several_models_each_line_names_its_own(two_models: TwoModels) -> None:
    swallowed = replace(asked("a"), result=RequestResult.SWALLOWED)
    (warned,) = two_models.listen(Requested(request=swallowed))
    (status,) = two_models.listen(Sampled(sample=sampled(10.0)))
    two_models.listen(AWAY)
    two_models.now = 60.0
    (away,) = two_models.listen()

    assert warned.text.startswith("gemma: ")
    assert away.text == "gemma: model server http://a/v1 is away: it hangs"
    assert isinstance(status, ModelStatus)
    assert status.text.startswith("gemma: 0 answers a minute")
    assert (two_models.lane.is_open, two_models.other.is_open) == (False, True)


def test_a_server_that_stays_away_ends_its_own_runs_and_no_others(two_models: TwoModels) -> None:
    two_models.listen(AWAY)
    two_models.now = MAX_OUTAGE_S
    said = [remark.text for remark in two_models.listen()]

    assert said[-1] == (
        "gemma: no model server was up for 1 h (endpoint.max_outage_s): its runs end here, and can "
        "be resumed when one is (http://a/v1: it hangs)"
    )
    assert two_models.lane.has_given_up
    assert not two_models.scheduler.stopping
    assert two_models.listen() == [], "it is said once"
