"""The model's servers: where they are, whether they answer, and what their answers show."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, Depth, Finding, passed, warned

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ModelAddress(Check):
    """The model's profile has only a placeholder for its server's address."""

    name = "model's address"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.asks_model

    def look(self, case: Case) -> Iterator[Finding]:
        yield passed(", ".join(case.addresses))


class GatewayAddress(Check):
    """Workers on other nodes reach the gateway at the address that it is told to listen at."""

    name = "gateway"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_model and case.config.cluster.ray_address is not None

    def look(self, case: Case) -> Iterator[Finding]:
        host = case.config.cluster.gateway.host
        if host in LOOPBACK:
            yield warned(
                f"workers on other nodes can't reach the gateway at {host}: "
                "--set cluster.gateway.host=ADDRESS, of this host"
            )
        else:
            yield passed(f"listens at {host}")


class Key(Check):
    """The endpoint's key is in the environment."""

    name = "model's key"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.asks_server and case.model.endpoint.api_key_env is not None

    def look(self, case: Case) -> Iterator[Finding]:
        assert case.key, "it raises where there is none"
        yield passed(f"in ${case.model.endpoint.api_key_env}")


class ModelServers(Check):
    """A server of the model answers a real question. A replica that does not is a warning."""

    name = "model server"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_server

    def look(self, case: Case) -> Iterator[Finding]:
        for problem in case.servers.absent:
            yield warned(f"a replica is missing: {problem.what}", problem.cure)
        for server in case.servers.found:
            version = server.facts.get("version", "")
            yield passed(f"{server.base_url} answers {version}".strip())


class ContextLength(Check):
    """The server takes prompts as long as the profile says."""

    name = "context"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_server and case.model.context_length is not None

    def look(self, case: Case) -> Iterator[Finding]:
        expected = case.model.context_length or 0
        for server in case.servers.found:
            served = server.facts["model"].get("max_model_len")
            if isinstance(served, int) and served < expected:
                yield warned(
                    f"the server's context is {served} tokens, the profile's {expected}: "
                    "long rollouts will end as context_overflow earlier"
                )
            else:
                yield passed(f"{served or 'an unknown number of'} tokens")


class Thinking(Check):
    """A model thinks although its profile turns thinking off."""

    name = "thinking"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_server

    def look(self, case: Case) -> Iterator[Finding]:
        template = case.model.request_fields.get("chat_template_kwargs") or {}
        told_not_to = template.get("enable_thinking") is False
        for server in case.servers.found:
            thinks = server.facts["canary"]["thinking"] == "on"
            if thinks and told_not_to:
                yield warned(
                    "the model thinks although the profile turns thinking off: does its chat "
                    "template know enable_thinking?"
                )
            else:
                yield passed("on" if thinks else "off")
