"""Which request goes where, and when: decided without a server, on a clock of the test's own."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from orchestrator.gateway.policy import MAX_PROBE_S, MAX_REJECTIONS, Policy
from orchestrator.gateway.spans import total_s
from orchestrator.gateway.states import RAMP_S, Probed, Ticket

A, B = "http://a/v1", "http://b/v1"
LATE = Probed("no answer in time", is_clear=False)
FULL = Probed("HTTP 503", is_clear=False)


def make(*urls: str, max_outage_s: float = 1000, **settings: float) -> Policy:
    return Policy(urls or (A,), max_outage_s, rng=random.Random(1), **settings)  # type: ignore[arg-type]


def arrive(policy: Policy, *rollouts: str, now: float = 0.0) -> list[Ticket]:
    tickets = [Ticket(rollout, now) for rollout in rollouts]
    for ticket in tickets:
        policy.arrive(ticket, now)
    return tickets


def send(policy: Policy, *rollouts: str, now: float = 0.0) -> list[Ticket]:
    """Requests that are all under way."""
    tickets = arrive(policy, *rollouts, now=now)
    assert policy.granted(now) == tickets
    return tickets


def names(tickets: Iterable[Ticket]) -> list[str]:
    return [ticket.rollout for ticket in tickets]


def test_while_a_server_is_up_every_request_goes_at_once() -> None:
    policy = make()

    assert names(send(policy, *"abcdefgh")) == list("abcdefgh")
    assert policy.waiting == 0


def test_a_lost_request_is_held_and_nothing_else_goes_until_a_probe_is_answered() -> None:
    policy = make()
    (lost,) = send(policy, "a")
    assert policy.lost(lost, "refused", 10, reached=False)
    arrive(policy, "b", now=11)

    assert policy.granted(500) == []
    assert policy.is_down
    assert policy.due_probes(500) == [A]
    policy.probed(A, Probed(), 501)
    assert names(policy.granted(501)) == ["a"], "the oldest first, and alone at first"
    assert lost.server == A


def test_after_an_outage_requests_go_out_gradually_and_oldest_first() -> None:
    policy = make()
    policy.lost(send(policy, "first")[0], "refused", 0, reached=False)
    arrive(policy, *"abcdefg", now=1)
    policy.due_probes(10)
    policy.probed(A, Probed(), 10)

    out = [names(policy.granted(10 + step * RAMP_S)) for step in range(4)]
    assert out == [["first"], ["a"], ["b", "c"], ["d", "e", "f", "g"]]


def test_probes_come_less_and_less_often_but_never_stop() -> None:
    policy = make()
    policy.lost(send(policy, "a")[0], "refused", 0, reached=False)
    times, now = [], 0.0
    while len(times) < 30:
        if policy.due_probes(now):
            times.append(now)
            policy.probed(A, Probed("refused"), now)
        wakeup = policy.wakeup(now)
        assert wakeup is not None
        now = wakeup

    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[0] <= 1.5
    assert all(gap <= MAX_PROBE_S for gap in gaps)
    assert gaps[-1] >= MAX_PROBE_S / 2


def test_one_probe_at_a_time() -> None:
    policy = make()
    policy.lost(send(policy, "a")[0], "refused", 0, reached=False)

    assert policy.due_probes(0) == [A]
    assert policy.due_probes(100) == []


def test_time_in_an_outage_is_held_and_time_in_the_queue_is_not() -> None:
    policy = make()
    policy.lost(send(policy, "a")[0], "refused", 5, reached=False)
    (waiting,) = arrive(policy, "b", now=20)
    policy.due_probes(100)
    policy.probed(A, Probed(), 100)
    policy.granted(100)
    policy.granted(100 + RAMP_S)

    assert waiting.held_s == pytest.approx(80)
    assert waiting.queue_s == pytest.approx(RAMP_S)


def test_a_lost_attempt_was_in_vain_from_its_start() -> None:
    policy = make()
    (ticket,) = send(policy, "a", now=100)
    policy.lost(ticket, "reset", 130)

    assert ticket.held_s == 30
    assert total_s(policy.not_counted(ticket, 150)) == 50


def test_a_request_that_is_lost_again_and_again_at_servers_that_are_up_is_to_blame_itself() -> None:
    policy = make(max_tries=3)
    ticket, now = send(policy, "poison")[0], 0.0
    may = []
    for _ in range(3):
        may.append(policy.lost(ticket, "HTTP 500", now))
        policy.due_probes(now)
        policy.probed(A, Probed(), now)
        now += 100
        policy.granted(now)

    assert may == [True, True, False]
    assert ticket.phase == "over"


def test_requests_that_are_lost_together_with_another_are_not_to_blame() -> None:
    policy = make(max_tries=2)
    tickets, now = send(policy, *"abc"), 0.0
    may = []
    for _ in range(2):
        may.append([policy.lost(ticket, "reset", now) for ticket in tickets])
        policy.due_probes(now)
        policy.probed(A, Probed(), now)
        for _ in range(10):
            now += 10
            policy.granted(now)

    assert may == [[True, True, True], [False, True, True]]


def test_a_request_that_was_lost_with_its_server_is_not_to_blame() -> None:
    policy = make(max_tries=6)
    ticket, now = send(policy, "a")[0], 0.0
    for _ in range(5):
        assert policy.lost(ticket, "reset", now)
        policy.due_probes(now)
        policy.probed(A, Probed("refused"), now)
        now += 100
        policy.due_probes(now)
        policy.probed(A, Probed(), now)
        policy.granted(now)

    assert ticket.phase == "sent"
    assert ticket.tries == 5


def test_a_request_that_fails_while_others_are_answered_holds_nobody_up() -> None:
    policy = make()
    poison, other = send(policy, "poison", "other")
    policy.lost(poison, "HTTP 500", 1)

    assert policy.due_probes(1) == [A], "a token is asked for, and meanwhile"
    assert names(send(policy, *"abc", now=1.1)) == list("abc")
    policy.answered(other, 5)
    policy.probed(A, LATE, 21)
    assert not policy.is_down, "it answered another one while the probe waited in its queue"
    assert names(policy.granted(21)) == ["poison"]
    assert poison.faults == 1


def test_a_server_that_fails_at_a_request_and_at_the_probe_is_away_since_then() -> None:
    policy = make()
    failed, other = send(policy, "failed", "other")
    policy.lost(failed, "HTTP 500", 10)
    policy.due_probes(10)
    policy.probed(A, Probed("HTTP 500"), 30)

    assert policy.is_down
    assert policy.states()[0].why == "HTTP 500"
    assert policy.down_s(30) == pytest.approx(20)
    assert total_s(policy.not_counted(other, 30)) == pytest.approx(20)
    assert failed.faults == 0


def test_what_is_at_a_server_that_hangs_goes_to_another_that_is_up() -> None:
    policy = make(A, B, quiet_s=30)
    stuck, _ = send(policy, "a", "b")
    policy.answered(_, 29)
    policy.due_probes(30)
    assert policy.to_recall(31) == []
    policy.probed(A, LATE, 50)

    assert policy.to_recall(50) == [stuck]
    policy.recalled(stuck, 50)
    assert names(policy.granted(50)) == ["a"]
    assert (stuck.server, stuck.faults, stuck.held_s) == (B, 0, 50)


def test_where_no_other_server_is_up_what_is_at_one_that_hangs_stays_there() -> None:
    policy = make(quiet_s=30)
    send(policy, "a")
    policy.due_probes(30)
    policy.probed(A, LATE, 50)

    assert policy.is_down
    assert policy.to_recall(500) == []


def test_what_works_at_a_server_that_takes_no_connection_is_left_there() -> None:
    policy = make(A, B, quiet_s=30)
    refused, _, works = send(policy, "a", "b", "c")
    assert works.server == A
    policy.lost(refused, "refused", 40, reached=False)
    policy.due_probes(40)
    policy.alive(A, 41)
    policy.probed(A, Probed("refused"), 42)

    assert policy.away == {A}
    assert policy.to_recall(42) == []


def test_a_probe_that_waits_in_a_slow_servers_queue_decides_nothing() -> None:
    policy = make(quiet_s=300)
    failed, *_ = send(policy, *"abcdef")
    policy.lost(failed, "HTTP 500", 10)
    policy.due_probes(10)
    policy.probed(A, LATE, 30)

    assert not policy.is_down
    assert policy.to_recall(30) == []
    assert failed.faults == 1


def test_a_probe_that_a_full_server_turns_away_decides_nothing() -> None:
    policy = make(quiet_s=300)
    failed, *_ = send(policy, *"abcdef")
    policy.lost(failed, "HTTP 500", 10)
    policy.due_probes(10)
    policy.probed(A, FULL, 11)

    assert not policy.is_down


def test_a_real_answer_of_a_server_that_seems_away_is_worth_a_probe() -> None:
    policy = make()
    failed, other = send(policy, "a", "b")
    policy.lost(failed, "HTTP 500", 10)
    policy.due_probes(10)
    policy.probed(A, Probed("HTTP 500"), 11)
    assert policy.due_probes(11.1) == []
    policy.answered(other, 11.2)

    assert policy.due_probes(11.2) == [A]


def test_a_request_goes_from_server_to_server_no_more_often_than_there_are_some() -> None:
    policy, now = make(A, B, quiet_s=30), 0.0
    (ticket,) = send(policy, "a")
    recalls = 0
    for _ in range(20):
        here, there = ticket.server, B if ticket.server == A else A
        now += 40
        policy.due_probes(now)
        policy.probed(here, LATE, now)
        policy.probed(there, Probed(), now)
        for recalled in policy.to_recall(now):
            recalls += 1
            policy.recalled(recalled, now)
            assert policy.granted(now) == [ticket]

    assert recalls == 1
    assert ticket.phase == "sent"


def test_a_request_that_its_server_dies_of_each_time_fails_in_the_end() -> None:
    policy, now = make(max_tries=4), 0.0
    (deadly,) = send(policy, "deadly")
    deaths = 1
    while policy.lost(deadly, "reset", now):
        policy.due_probes(now)
        policy.probed(A, Probed("refused"), now)
        now += 100
        policy.due_probes(now)
        policy.probed(A, Probed(), now)
        assert policy.granted(now) == [deadly]
        deaths += 1

    assert deaths == 5


def test_connections_that_fail_are_nobodys_fault() -> None:
    policy, now = make(max_tries=2), 0.0
    (ticket,) = send(policy, "a")
    for _ in range(2000):
        assert policy.lost(ticket, "refused", now, reached=False)
        policy.due_probes(now)
        policy.probed(A, Probed(), now)
        now += 100
        assert policy.granted(now) == [ticket]

    assert (ticket.faults, ticket.deaths) == (0, 0)
    assert len(policy._servers[A].past) <= 1, "what is over for everybody is forgotten"


def test_an_old_probe_says_nothing_of_a_server_that_is_away_for_another_reason() -> None:
    policy = make(A, B, quiet_s=30)
    quiet, _, failed, _, refused = send(policy, *"abcde")
    policy.lost(failed, "HTTP 500", 10)
    policy.due_probes(10)
    policy.alive(A, 15)
    policy.probed(A, LATE, 30)
    policy.lost(refused, "refused", 50, reached=False)

    assert policy.away == {A}
    assert policy.to_recall(50) == []
    policy.due_probes(50)
    policy.probed(A, Probed("refused"), 51)
    assert policy.to_recall(51) == [quiet]


def test_half_an_answer_is_not_tried_again() -> None:
    policy = make()
    (ticket,) = send(policy, "a")

    assert not policy.lost(ticket, "broke off", 1, again=False)
    assert policy.due_probes(1) == [A], "the server may be at fault"
    assert policy.waiting == 0


def test_a_full_server_gets_no_more_at_once_than_it_had() -> None:
    policy = make()
    *running, first, second = send(policy, *"abcde")
    policy.busy(first, 1)
    policy.busy(second, 1)
    arrive(policy, "f", now=2)

    assert not policy.is_down
    assert policy.granted(100) == []
    policy.answered(running[0], 101)
    assert names(policy.granted(101)) == ["d"], "the one that was turned away came first"
    assert first.tries == 0


def test_a_request_that_alone_is_turned_away_holds_nobody_up_and_fails_in_the_end() -> None:
    policy, now, may_retry = make(), 0.0, True
    (minded,) = send(policy, "minded")
    others = send(policy, *"abcd")
    while may_retry:
        may_retry = policy.busy(minded, now)
        now += 20
        assert set(policy.granted(now)) <= {minded}
        policy.answered(others.pop(0), now)
        others += send(policy, f"{now}", now=now)

    assert minded.rejections == MAX_REJECTIONS


def test_a_server_that_turns_everyone_away_may_as_well_be_broken() -> None:
    policy = make()
    policy.busy(send(policy, "a")[0], 1)

    assert policy.due_probes(1) == [A]
    policy.probed(A, FULL, 2)
    assert policy.is_down


def test_a_server_that_gives_no_sign_of_life_is_probed_and_then_away_since_its_last_one() -> None:
    policy = make(quiet_s=30)
    a, b = send(policy, "a", "b", now=0)
    policy.answered(a, 100)

    assert policy.due_probes(129) == []
    assert policy.due_probes(130) == [A]
    assert not policy.is_down
    policy.probed(A, LATE, 150)
    assert policy.is_down
    assert total_s(policy.not_counted(b, 160)) == pytest.approx(60)


@pytest.mark.parametrize("sign", ["answer", "counters", "probe"])
def test_a_server_that_seemed_to_hang_is_back_with_any_sign_of_life(sign: str) -> None:
    policy = make(quiet_s=30)
    a, b = send(policy, "a", "b")
    policy.due_probes(30)
    policy.probed(A, LATE, 50)
    if sign == "answer":
        policy.answered(a, 90)
    elif sign == "counters":
        policy.alive(A, 90)
    else:
        assert policy.due_probes(89) == [A]
        policy.probed(A, Probed(), 90)

    assert not policy.is_down
    policy.answered(b, 100)
    assert b.held_s == pytest.approx(90), "from the last sign of life to the next"


def test_a_refusal_is_no_sign_that_the_engine_works() -> None:
    policy = make(quiet_s=30)
    refused, _ = send(policy, "a", "b")
    policy.answered(refused, 20, alive=False)

    assert policy.due_probes(30) == [A]


def test_an_idle_server_is_left_alone() -> None:
    policy = make(quiet_s=30)
    policy.answered(send(policy, "a")[0], 1)

    assert policy.due_probes(10_000) == []
    assert policy.wakeup(10_000) is None


def test_what_is_held_too_long_is_let_go_and_only_then() -> None:
    policy = make(max_outage_s=600)
    (ticket,) = send(policy, "a")
    policy.lost(ticket, "refused", 10, reached=False)

    assert policy.expired(609) == []
    assert policy.expired(610) == [ticket]
    assert ticket.held_s == pytest.approx(610)
    assert policy.wakeup(609) is not None


def test_a_rollout_stays_with_the_server_that_has_its_prefix() -> None:
    policy = make(A, B)
    where = {}
    for turn in range(3):
        for ticket in send(policy, *"abcd", now=float(turn)):
            where.setdefault(ticket.rollout, set()).add(ticket.server)
            policy.answered(ticket, turn + 0.5)

    assert all(len(servers) == 1 for servers in where.values())
    assert sorted(next(iter(s)) for s in where.values()) == [A, A, B, B], "and they are spread"


def test_rollouts_leave_a_sick_server_and_new_ones_go_to_it_when_it_is_back() -> None:
    policy = make(A, B)
    first, second = send(policy, "a", "b")
    assert (first.server, second.server) == (A, B)
    policy.lost(first, "refused", 1, reached=False)

    assert names(policy.granted(3)) == ["a"]
    assert first.server == B
    assert not policy.is_down
    assert first.held_s == 1, "the lost attempt; a server was up all the time"
    policy.due_probes(3)
    policy.probed(A, Probed(), 4)
    (new,) = send(policy, "c", now=5)
    assert new.server == A
    policy.answered(first, 6)
    (again,) = send(policy, "a", now=7)
    assert again.server == B, "its prefix is there now"


def test_a_rollout_that_has_ended_makes_room_for_others() -> None:
    policy = make(A, B)
    send(policy, "a", "b", "c")
    policy.forget("a")
    policy.forget("c")

    (new,) = send(policy, "d")
    assert new.server == A


def test_an_agent_that_hangs_up_is_forgotten_whether_it_waits_or_not() -> None:
    policy = make()
    sent, lost = send(policy, "a", "b")
    policy.lost(lost, "reset", 1)
    for ticket in (sent, lost, lost):
        policy.abandoned(ticket, 2)

    assert policy.waiting == 0
    assert policy.states()[0].in_flight == 0


class PolicyMachine(RuleBasedStateMachine):
    """Whatever happens: nothing is lost, nothing goes to a server that is away, counts agree."""

    sent = Bundle("sent")

    @initialize(servers=st.integers(1, 3))
    def start(self, servers: int) -> None:
        self.urls = [f"http://{n}/v1" for n in range(servers)]
        self.policy = make(*self.urls, max_outage_s=500, quiet_s=30)
        self.now = 0.0
        self.live: list[Ticket] = []
        self.failed = 0
        self.probes: list[str] = []
        self.last_spent: dict[int, float] = {}

    @rule(target=sent, rollout=st.sampled_from("abcdef"))
    def arrive(self, rollout: str) -> Ticket:
        ticket = Ticket(rollout, self.now)
        self.policy.arrive(ticket, self.now)
        self.live.append(ticket)
        self.pump()
        return ticket

    @rule(ticket=consumes(sent), how=st.sampled_from(["answered", "refused", "abandoned"]))
    def end(self, ticket: Ticket, how: str) -> None:
        if how == "abandoned":
            self.policy.abandoned(ticket, self.now)
        elif ticket.phase == "sent":
            self.policy.answered(ticket, self.now, alive=how == "answered")
        else:
            return
        if ticket in self.live:
            self.live.remove(ticket)
        self.pump()

    @rule(ticket=sent, how=st.sampled_from(["busy", "reset", "refused"]))
    def fail(self, ticket: Ticket, how: str) -> None:
        if ticket.phase != "sent":
            return
        if how == "busy":
            self.policy.busy(ticket, self.now)
        elif not self.policy.lost(ticket, how, self.now, reached=how == "reset"):
            self.live.remove(ticket)
        self.pump()

    @rule(how=st.sampled_from([Probed(), LATE, FULL, Probed("refused")]))
    def probe_ends(self, how: Probed) -> None:
        if self.probes:
            self.policy.probed(self.probes.pop(), how, self.now)
            self.pump()

    @rule(seconds=st.floats(0.01, 200))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.pump()

    def pump(self) -> None:
        for ticket in self.policy.expired(self.now):
            self.live.remove(ticket)
        up = {s.url for s in self.policy.states() if s.away_since is None}
        for ticket in self.policy.granted(self.now):
            assert ticket.server in up
        for ticket in self.policy.to_recall(self.now):
            assert up, "there is another server"
            assert ticket.server not in up
            self.policy.recalled(ticket, self.now)
        self.probes += self.policy.due_probes(self.now)
        wakeup = self.policy.wakeup(self.now)
        assert wakeup is None or wakeup > self.now, "else the loop would spin"

    @invariant()
    def every_live_request_waits_or_is_sent(self) -> None:
        if not hasattr(self, "policy"):
            return
        assert all(ticket.phase in ("waits", "sent") for ticket in self.live)
        assert self.policy.waiting == sum(t.phase == "waits" for t in self.live)
        in_flight = sum(state.in_flight for state in self.policy.states())
        assert in_flight == sum(t.phase == "sent" for t in self.live)

    @invariant()
    def someone_will_look_again_while_requests_wait(self) -> None:
        if not hasattr(self, "policy") or not self.policy.waiting:
            return
        busy = any(state.in_flight for state in self.policy.states())
        assert self.policy.wakeup(self.now) is not None or self.probes or busy

    @invariant()
    def held_time_grows_and_is_never_more_than_the_time(self) -> None:
        for ticket in getattr(self, "live", []):
            spent = total_s(self.policy.not_counted(ticket, self.now))
            assert spent <= self.now - ticket.arrived_at + 1e-6
            assert spent >= self.last_spent.get(id(ticket), 0.0) - 1e-6
            self.last_spent[id(ticket)] = spent


TestPolicy = PolicyMachine.TestCase
