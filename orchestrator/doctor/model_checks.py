"""The model's servers: where they are, whether they answer, and what their answers show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.config.schema import Model
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.doctor.server_check import ServerCheck
from orchestrator.endpoint.server_settings import settings_of
from orchestrator.endpoint.servers import Serving
from orchestrator.network.connections import way_to
from orchestrator.serving.faults import Pairing, family_of, faults_of
from orchestrator.text import as_sentence

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ModelAddress(Check):
    """The model's profile has only a placeholder for its server's address."""

    name = "model's address"
    depth = Depth.PLAN

    def applies(self, case: Case) -> bool:
        return case.asks_model

    def look(self, case: Case) -> Iterator[CheckFinding]:
        yield passed(", ".join(case.addresses))


class GatewayReach(Check):
    """Workers on other nodes reach the gateway at the address that it is told to listen at."""

    name = "gateway"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_model and case.config.cluster.ray_address is not None

    def look(self, case: Case) -> Iterator[CheckFinding]:
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

    def look(self, case: Case) -> Iterator[CheckFinding]:
        assert case.key, "it raises where there is none"
        yield passed(f"in ${case.model.endpoint.api_key_env}")


class ModelServers(Check):
    """A server of the model answers a real question. A replica that does not is a warning."""

    name = "model server"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return case.asks_server

    def look(self, case: Case) -> Iterator[CheckFinding]:
        for problem in case.servers.absent:
            yield warned(f"a replica is missing: {problem.what}", problem.cure)
        for server in case.servers.found:
            kind = f"{server.kind} {server.facts.get('version', '')}".strip()
            seconds = server.facts["canary"]["seconds"]
            way = way_to(server.base_url)
            yield passed(
                f"{server.base_url} ({kind or 'of a kind that is not known'}) serves "
                f"{case.model.served_name} and answers in {seconds:.2f} s{way}"
            )


class ContextLength(ServerCheck):
    """The server takes prompts as long as the profile says."""

    name = "context"
    depth = Depth.LAUNCH

    def applies(self, case: Case) -> bool:
        return super().applies(case) and case.model.context_length is not None

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        expected, served = case.model.context_length or 0, server.context_length
        settings = settings_of(server.kind)
        if served is None:
            yield passed(f"the server does not say its own; the profile's is {expected} tokens")
        elif served < expected:
            cut = ", or without their beginning, which the server may cut" * settings.may_cut
            yield warned(
                f"the server's context is {served} tokens, the profile's {expected}: "
                f"long rollouts will end as context_overflow earlier{cut}.",
                f"{settings.context.format(tokens=expected)}, or add "
                f"`--set model.context_length={served}`.",
            )
        else:
            yield passed(f"{served} tokens, the profile's {expected}")


class Thinking(ServerCheck):
    """A model thinks although its profile turns thinking off."""

    name = "thinking"
    depth = Depth.LAUNCH

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        thinks = server.facts["canary"]["thinking"] == "on"
        if thinks and turns_thinking_off(case.model):
            cure = as_sentence(settings_of(server.kind).no_thoughts)
            yield warned("the model thinks although the profile turns thinking off.", cure)
        else:
            yield passed("on" if thinks else "off")


def turns_thinking_off(model: Model) -> bool:
    """Whether the profile's request fields ask for answers without thoughts, in either way."""
    fields = model.request_fields
    template = fields.get("chat_template_kwargs")
    told = template.get("enable_thinking") if isinstance(template, Mapping) else None
    return told is False or fields.get("reasoning_effort") == "none"


class KnownFaults(ServerCheck):
    """This model is known to go wrong on this server, or with this agent."""

    name = "known faults"
    depth = Depth.LAUNCH

    def look_at(self, case: Case, server: Serving) -> Iterator[CheckFinding]:
        pairing = pairing_of(case, server)
        faults = faults_of(pairing)
        for fault in faults:
            what = f"{fault.name}: {fault.symptom} ({fault.source})."
            yield warned(what, as_sentence(fault.cure))
        if not faults:
            known = (pairing.family, f"{pairing.server} {pairing.version}".strip())
            yield passed(f"none is known of {' on '.join(filter(None, known)) or 'this model'}")


def pairing_of(case: Case, server: Serving) -> Pairing:
    """What is known of a server for `faults_of`. Its machine is not: no server says it.

    A prefix cache that is off is told by a check of its own.
    """
    root = str(server.facts["model"].get("root") or "")
    cache = server.facts.get("cache", {}).get("enable_prefix_caching")
    return Pairing(
        family=family_of(case.model.served_name, root, case.model.name),
        server=server.kind,
        version=str(server.facts.get("version", "")),
        speculative=server.facts.get("speculative"),
        prefix_caching=True if cache == "True" else None,
        # an agent of somebody else's may be older than the question
        calls_functions=getattr(case.agent, "calls_functions", None),
        weights=root,
    )
