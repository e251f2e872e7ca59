"""Requests wait for their turn, and whoever wants to know hears when servers go and come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from orchestrator.gateway.messages import Availability
from orchestrator.gateway.policy import Policy
from orchestrator.gateway.states import Probed, Ticket
from orchestrator.gateway.turns import OutageTooLong, Recalled, Turns
from orchestrator.gateway.upstreams import Upstreams

A, B = "http://a/v1", "http://b/v1"


class Scene:
    """Turns at these servers, whose probes wait until the scene lets them end."""

    def __init__(self, *urls: str, max_outage_s: float = 100) -> None:
        self.changes: list[Availability] = []
        self.probed: list[str] = []
        self.may_end = asyncio.Event()
        self.problem = ""
        policy = Policy(urls, max_outage_s)
        self.turns = Turns(policy, cast(Upstreams, self), self.changes.append)

    async def probe(self, url: str) -> Probed:
        self.probed.append(url)
        await self.may_end.wait()
        return Probed(self.problem)

    async def sent(self, rollout: str = "a") -> Ticket:
        ticket = Ticket(rollout, self.turns.now)
        await self.turns.wait(ticket)
        return ticket


def play(act: Callable[[Scene], Awaitable[None]], *urls: str, **settings: float) -> None:
    async def run() -> None:
        scene = Scene(*(urls or (A,)), **settings)
        try:
            await act(scene)
        finally:
            scene.turns.close()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def no_waiting_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.gateway.policy.MAX_BUSY_S", 0.001)


def test_while_a_server_is_up_no_request_waits() -> None:
    async def act(scene: Scene) -> None:
        tickets = [await scene.sent(rollout) for rollout in "abc"]

        assert {ticket.server for ticket in tickets} == {A}
        assert scene.changes == []
        assert scene.probed == []

    play(act)


def test_a_lost_request_goes_again_when_a_probe_was_answered() -> None:
    async def act(scene: Scene) -> None:
        ticket = await scene.sent()
        assert scene.turns.lost(ticket, "refused", reached=False)
        again = asyncio.create_task(scene.turns.wait(ticket))
        await asyncio.sleep(0.01)
        assert not again.done()
        assert scene.probed == [A]

        scene.may_end.set()
        await again

        assert ticket.phase == "sent"

    play(act)


def test_a_server_that_goes_away_and_comes_back_is_reported_once_each() -> None:
    async def act(scene: Scene) -> None:
        tickets = [await scene.sent(rollout) for rollout in "ab"]
        for ticket in tickets:
            scene.turns.lost(ticket, "refused", again=False, reached=False)
        assert scene.changes == [Availability(down=True, notes=(f"{A}: refused",))]

        scene.may_end.set()
        await scene.sent("c")

        assert scene.changes[1:] == [Availability(down=False, notes=())]

    play(act)


def test_one_server_of_two_that_is_away_is_no_outage() -> None:
    async def act(scene: Scene) -> None:
        scene.turns.lost(await scene.sent(), "refused", again=False, reached=False)

        assert scene.changes == [Availability(down=False, notes=(f"{A}: refused",))]
        assert (await scene.sent()).server == B

    play(act, A, B)


def test_a_request_that_has_waited_for_the_longest_outage_is_let_go() -> None:
    async def act(scene: Scene) -> None:
        scene.turns.lost(await scene.sent(), "refused", again=False, reached=False)

        with pytest.raises(OutageTooLong):
            await scene.sent("b")

    play(act, max_outage_s=0.01)


def test_an_agent_that_hangs_up_while_it_waits_is_forgotten() -> None:
    async def act(scene: Scene) -> None:
        scene.turns.lost(await scene.sent(), "refused", again=False, reached=False)
        ticket = Ticket("b", scene.turns.now)
        waiting = asyncio.create_task(scene.turns.wait(ticket))
        await asyncio.sleep(0)
        assert scene.turns.policy.waiting == 1

        waiting.cancel()
        await asyncio.wait([waiting])
        scene.turns.abandoned(ticket)

        assert scene.turns.policy.waiting == 0
        scene.may_end.set()
        assert (await scene.sent("c")).server == A

    play(act)


def test_all_requests_at_a_server_that_hangs_go_to_another_that_is_up() -> None:
    async def ask(scene: Scene, rollout: str) -> list[str]:
        ticket, asked = Ticket(rollout, scene.turns.now), list[str]()
        while True:
            await scene.turns.wait(ticket)
            asked.append(ticket.server)
            with contextlib.suppress(Recalled):
                async with scene.turns.attempt(ticket):
                    await asyncio.sleep(30 if ticket.server == A else 0)
                    scene.turns.answered(ticket, alive=True)
                    return asked

    async def act(scene: Scene) -> None:
        scene.turns.expect_life_within(0.02)
        scene.problem = "no answer in time"
        scene.may_end.set()

        asked = await asyncio.gather(*(ask(scene, rollout) for rollout in "abcdefgh"))

        assert sorted(asked) == [[A, B]] * 4 + [[B]] * 4

    play(act, A, B)


def test_a_time_out_of_the_attempt_itself_is_no_recall() -> None:
    async def act(scene: Scene) -> None:
        ticket = await scene.sent()
        with pytest.raises(TimeoutError):
            async with scene.turns.attempt(ticket):
                raise TimeoutError

    play(act)


def test_an_answer_that_comes_as_it_is_recalled_counts() -> None:
    async def act(scene: Scene) -> None:
        scene.turns.expect_life_within(0)
        ticket = await scene.sent()
        async with scene.turns.attempt(ticket):
            scene.turns.policy.probed(A, Probed("no answer in time"), scene.turns.now)
            scene.turns.pump()
        scene.turns.answered(ticket, alive=True)

        assert ticket.phase == "over"
        assert scene.turns.policy.states()[0].in_flight == 0

    play(act, A, B)
