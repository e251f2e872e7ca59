"""The gateway's HTTP server: takes requests in, has them wait for their turn, sends them on.

    POST   /r/<rollout>/v1/chat/completions   as OpenAI has it, streamed or not
    GET    /r/<rollout>/v1/models
    GET    /r/<rollout>/held                  how long the rollout's requests were held so far, and
                                              since when its server gave no sign of life
    DELETE /r/<rollout>                       the rollout has ended: what it still asks is dropped
    GET    /metrics                           for Prometheus

All under /r/ wants the run's token as a bearer. `<rollout>` is `messages.rollout_segment`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from orchestrator.endpoint.answers import mend_strings
from orchestrator.endpoint.fields import INTERNAL_ERROR
from orchestrator.endpoint.metrics import ServerMetrics
from orchestrator.gateway.agent_request import AgentRequest
from orchestrator.gateway.exchange import Exchange, RequestFailed
from orchestrator.gateway.lengths import Lengths
from orchestrator.gateway.messages import (
    GatewayStart,
    Message,
    Requested,
    Sampled,
    parse_rollout_segment,
)
from orchestrator.gateway.meter import Meter
from orchestrator.gateway.policy import Policy
from orchestrator.gateway.replies import FAILED, UNAVAILABLE, error_body
from orchestrator.gateway.rollout_requests import RolloutRequests
from orchestrator.gateway.turns import OutageTooLong, Turns
from orchestrator.gateway.upstreams import Lost, Upstreams
from orchestrator.types import RequestResult

MAX_BODY_BYTES = 64 * 2**20
QUIET_WITH_METRICS_S = 30.0
QUIET_WITHOUT_S = 300.0
"""A server that shows no counters is trusted longer: nobody sees whether it works on an answer."""

log = logging.getLogger("gateway")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """The server's handlers, and what they share. Lives in one event loop."""

    def __init__(
        self, settings: GatewayStart, upstreams: Upstreams, report: Callable[[Message], None]
    ) -> None:
        endpoint = settings.model.endpoint
        self._settings = settings
        self._upstreams = upstreams
        self._report = report
        self._policy = Policy(
            endpoint.base_urls, endpoint.max_outage_s, QUIET_WITHOUT_S, endpoint.max_tries
        )
        self._turns = Turns(self._policy, upstreams, report)
        self._meter = Meter()
        self._lengths = {
            run_id: Lengths(model, upstreams) for run_id, model in settings.profiles.items()
        }
        """By run id; of any other run under its empty name."""
        self._lengths[""] = Lengths(settings.model, upstreams)
        self._rollouts: defaultdict[str, RolloutRequests] = defaultdict(self._no_requests)
        self._over: set[str] = set()
        """Rollouts that were dropped; an agent of one that still asks gets HTTP 410."""
        self._readings: dict[str, ServerMetrics] = {}
        self._sampled_at = time.monotonic()
        self._down_s = 0.0
        self._outages = 0
        """Both as of the last sample."""

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.post("/r/{rollout}/v1/chat/completions", self._checked(self._complete)),
                web.get("/r/{rollout}/v1/models", self._checked(self._models)),
                web.get("/r/{rollout}/held", self._checked(self._held)),
                web.delete("/r/{rollout}", self._checked(self._drop)),
                web.get("/metrics", self._metrics),
            ]
        )
        return app

    async def sample_forever(self) -> None:
        """Read the servers' metrics and report what happened, every so often."""
        while True:
            await asyncio.sleep(self._settings.sample_every_s)
            await self.sample()

    async def sample(self) -> None:
        grown = await self._read_servers()
        now = time.monotonic()
        down_s = self._policy.down_s(self._turns.now)
        sample = self._meter.sample(
            seconds=now - self._sampled_at,
            waiting=self._policy.waiting,
            states=self._policy.states(),
            # an outage is known of when it has lasted for a while
            down_s=min(down_s - self._down_s, now - self._sampled_at),
            outages=self._policy.outages - self._outages,
            server=grown,
        )
        self._report(Sampled(sample=sample))
        self._down_s += sample.down_s
        self._sampled_at, self._outages = now, self._policy.outages

    def close(self) -> None:
        self._turns.close()

    async def _read_servers(self) -> ServerMetrics | None:
        """Growth of all servers' counters together; None where none has any."""
        urls = self._settings.model.endpoint.base_urls
        readings = await asyncio.gather(*(self._upstreams.metrics(url) for url in urls))
        total: ServerMetrics | None = None
        for url, reading in zip(urls, readings, strict=True):
            if reading is None:
                continue
            self._turns.expect_life_within(QUIET_WITH_METRICS_S)
            grown = reading.since(self._readings.get(url, reading))
            self._readings[url] = reading
            if grown.generation_tokens or grown.prompt_tokens:
                self._turns.alive(url)
            total = grown if total is None else total + grown
        return total

    def _checked(self, handler: Handler) -> Handler:
        """The handler, behind checks of the run's token and of the rollout's name."""
        wanted = f"Bearer {self._settings.token}".encode()

        async def checked(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, wanted):
                return _error(401, "the run's token is missing or wrong", "unauthorized")
            try:
                parse_rollout_segment(request.match_info["rollout"])
            except ValueError as error:
                return _error(404, str(error), "not_found")
            return await handler(request)

        return checked

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = json.loads(await request.read())
            if not isinstance(asked, dict):
                raise ValueError("an object is wanted")
            mend_strings(asked)  # many servers refuse half a surrogate pair
        except (ValueError, RecursionError) as error:
            return _error(400, f"malformed body: {error}", "invalid_request_error")
        key = request.match_info["rollout"]
        if key in self._over:
            return _error(410, "the rollout has ended", "rollout_over")
        exchange = Exchange(key, self._turns)
        rollout = self._rollouts[key]
        agent_request = AgentRequest(
            asked,
            exchange,
            self._settings.profile_of(parse_rollout_segment(key).run_id),
            self._upstreams,
            rollout,
            self._lengths_of(key),
        )
        record = exchange.record(RequestResult.ABANDONED, 0)
        try:
            with rollout.under_way(exchange):
                response, record = await agent_request.serve(request)
        except OutageTooLong:
            limit_h = self._settings.model.endpoint.max_outage_s / 3600
            problem = f"no model server was up for {limit_h:.3g} h (endpoint.max_outage_s)"
            response = _error(503, problem, UNAVAILABLE)
            record = exchange.record(RequestResult.FAILED, 503)
        except RequestFailed as error:
            response = _error(502, str(error), FAILED)
            record = exchange.record(RequestResult.FAILED, 502)
        except Exception as error:
            # a bug of ours ends its own request, on the record and under its own name
            log.exception("%s: a bug of the gateway", key)
            response = _error(500, f"{type(error).__name__}: {error}", INTERNAL_ERROR)
            record = exchange.record(RequestResult.FAILED, 500)
        except BaseException:
            # the agent hung up, or the rollout was dropped
            record = exchange.record(RequestResult.ABANDONED, 0)
            raise
        finally:
            self._meter.add(key, record)
            self._report(Requested(request=record))
        return response

    def _lengths_of(self, rollout: str) -> Lengths:
        run_id = parse_rollout_segment(rollout).run_id
        return self._lengths[run_id if run_id in self._lengths else ""]

    def _no_requests(self) -> RolloutRequests:
        return RolloutRequests(self._turns)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        for state in self._policy.states():
            with contextlib.suppress(Lost):
                answer = await self._upstreams.models(state.url)
                return web.Response(
                    status=answer.status, body=answer.body, content_type="application/json"
                )
        return _error(503, "no model server answers just now", UNAVAILABLE)

    async def _held(self, request: web.Request) -> web.StreamResponse:
        rollout = self._rollouts.get(request.match_info["rollout"], self._no_requests())
        return web.json_response({"seconds": rollout.held_s(), "quiet_s": rollout.quiet_s()})

    async def _drop(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["rollout"]
        self._rollouts.pop(key, self._no_requests()).cancel()
        self._over.add(key)
        self._policy.forget(key)
        self._lengths_of(key).forget(key)
        self._meter.forget(key)
        return web.Response(status=204)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        states = self._policy.states()
        text = self._meter.exposition(self._policy.waiting, states)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _error(status: int, message: str, kind: str) -> web.Response:
    body = error_body(message, kind, status)
    return web.Response(status=status, body=body, content_type="application/json")
