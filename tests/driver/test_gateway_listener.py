"""What the gateway reports, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from support.rows import RUN_ID, asked, instances, key_of, sampled

from orchestrator.driver.admission import Admission
from orchestrator.driver.executor import ModelStatus, Remark
from orchestrator.driver.gateway_listener import FLUSH_EVERY_S, GatewayListener
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
        self.scheduler = Scheduler(4, 1, {RUN_ID: RunTerms({}, lane=self.lane)})
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
