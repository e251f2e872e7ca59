"""What `serve` prints: the command with its reasons, how a server stands, how it is named. Pure."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.config.address import is_unset
from orchestrator.config.recipe import Recipe
from orchestrator.config.schema import Model
from orchestrator.errors import one_line
from orchestrator.serving.docker_command import DockerRun, Option, quote
from orchestrator.serving.faults import Fault
from orchestrator.serving.scripts import HUB_CACHE, template_lines
from orchestrator.serving.server import Status
from orchestrator.text import printable

WIDTH = 98
SHARED_MEMORY = (
    "GPU and system share memory here: what the system keeps of files is missing for the model. "
    "Before a start, `sync; echo 3 | sudo tee /proc/sys/vm/drop_caches` frees it (it needs root, "
    "so it is not done for you)."
)


def printed(run: DockerRun, recipe: Recipe, template_text: str | None = None) -> str:
    """A command to paste into a shell on the GPU host, in which each option has its reason.

    It is a script for bash in a here-document: no comment can stand in a command that goes on over
    lines, and zsh takes none at all at its prompt. `template_text` is a person's own template.
    """
    body = "\n".join(_body(run, recipe, template_text))
    end = "END"
    while f"\n{end}\n" in f"\n{body}\n":
        end += "_"
    return f"bash <<'{end}'\n{body}\n{end}"


def advice(recipe: Recipe) -> str:
    """What a person should do on the host before a start; empty where nothing."""
    return SHARED_MEMORY if "shared" in recipe.machine.lower() else ""


def differences(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Options that only one of two commands has: `- there`, `+ wanted`."""
    gone = [f"- {_line(text)}" for text in before if text not in after]
    new = [f"+ {_line(text)}" for text in after if text not in before]
    return gone + new


def as_dict(run: DockerRun, script: str, url: str, faults: Sequence[Fault]) -> dict[str, Any]:
    """For --print --json. `docker` holds the words of the command; those with a `$` of ours stand
    for what the script sets."""
    return {
        "model": run.model,
        "variant": run.variant,
        "image": run.image,
        "container": run.name,
        "base_url": url,
        "docker": list(run.words()),
        "script": script,
        "faults": [asdict(fault) for fault in faults],
    }


def where_to_write(model: Model, url: str) -> str:
    """How runs come to know the server's address."""
    if model.endpoint.base_url.rstrip("/") == url:
        return f"The model's profile has its address already: {url}."
    given = shlex.quote(url)
    how = f"Write the address into the model's profile (endpoint: base_url: {url})"
    if is_unset(model.endpoint.base_url):
        how = f"`python -m orchestrator init --base-url {given}` then writes the model's profile"
    return f"{how}; or add --set model.endpoint.base_url={given} to each launch."


def reached_lines(model: Model, destination: str, url: str, problem: str) -> list[str]:
    """What to do with a server that is healthy there; `problem` is what keeps this host from it."""
    if not problem:
        return [where_to_write(model, url)]
    port = url.removesuffix("/v1").rpartition(":")[2]
    lines = [f"warning: {url} is not reachable from here: {problem}."]
    if destination:
        tunnel = f"ssh -N -L {port}:127.0.0.1:{port} {shlex.quote(destination)}"
        lines.append(
            f"A firewall may stand in between. `{tunnel}` brings the port here while it runs; the "
            f"address is {base_url('127.0.0.1', int(port))} then."
        )
    return lines


def status_lines(found: Status, url: str, problem: str) -> list[str]:
    """How a server stands, a fact a line."""
    if not found.state:
        return [f"{found.name} is not there on {found.host}: --up starts it"]
    health = "healthy" if found.is_healthy else f"not healthy: /health answers {found.health}"
    if found.state != "running":
        health = "not healthy: it does not run; --up starts it again"
    elif found.health in ("", "000"):
        health = "not healthy: /health does not answer; it may still load"
    restarts = "1 restart" if found.restarts == 1 else f"{found.restarts} restarts"
    facts = {
        "container": f"{found.name} on {found.host}",
        "state": f"{found.state}, started {found.since} UTC, {restarts}",
        "health": health,
        "variant": f"{found.variant}, image {found.image}",
        "address": url + (f" (not reachable from here: {problem})" if problem else ""),
        "GPU memory": found.gpu,
        "last line": one_line(found.last_line, 200),
    }
    return [f"{name + ':':<12} {value}" for name, value in facts.items() if value]


def base_url(address: str, port: int) -> str:
    return f"http://{address}:{port}/v1"


def _body(run: DockerRun, recipe: Recipe, template_text: str | None) -> Iterator[str]:
    variant = recipe.variant(run.variant)
    yield from _comment(
        f"{run.model} on vLLM, variant {run.variant} ({variant.description}), for {recipe.machine}"
    )
    others = [f"{n} ({v.description})" for n, v in recipe.variants.items() if n != run.variant]
    if others:
        yield from _comment(f"other variants: {'; '.join(others)}")
    is_told = any("drop_caches" in note for note in recipe.notes)
    for text in (*recipe.notes, "" if is_told else advice(recipe)):
        yield from _comment(text)
    yield HUB_CACHE
    yield 'mkdir -p "$hub_cache"'
    yield from _template(run, template_text)
    yield "options=("
    for option in run.options:
        yield from _option(option)
    yield from _comment("by these `serve --status`, `--up` and `--down` know it", "    ")
    labels = run.labels().words
    for word in labels[1::2]:
        yield f"    --label {quote(word)}"
    yield ")"
    yield "server=("
    for option in run.command:
        yield from _option(option)
    yield ")"
    image = quote(run.image)
    yield f'docker run --detach "${{options[@]}}" --entrypoint vllm {image} serve "${{server[@]}}"'


def _template(run: DockerRun, text: str | None) -> Iterator[str]:
    """Lines that bring the chat template and check it."""
    template = run.template
    if template is None:
        return
    yield from template_lines(template).split("\n")
    yield 'mkdir -p "$templates"'
    if text is not None:
        yield f'printf %s {shlex.quote(text)} >"$template"'
    else:
        yield f'[ -s "$template" ] || curl -fsSL {shlex.quote(template.url)} -o "$template"'
    yield f'echo "{template.sha256}  $template" | sha256sum --check --quiet || {{'
    yield '    rm "$template"; exit 1'
    yield "}"


def _option(option: Option) -> Iterator[str]:
    source = f" ({option.source})" if option.source else ""
    yield from _comment(f"{option.why}{source}", "    ")
    yield f"    {option}"


def _comment(text: str, indent: str = "") -> list[str]:
    """Whatever a recipe says stays a comment: a line break in it would end it."""
    mark = f"{indent}# "
    return textwrap.wrap(
        _line(text), WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False
    )


def _line(text: str) -> str:
    return one_line(printable(text), 2000)
