"""What the words of ssh, docker and vLLM mean where a server does not come up, and what mends it.

Pure. The words are those that the programs' own sources have; the first that is found holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import PrerequisiteError, one_line
from orchestrator.serving.scripts import NO_DOCKER, NO_ENGINE, NOT_OURS
from orchestrator.text import printable


@dataclass(frozen=True)
class Circumstances:
    """What the texts below are about."""

    host: str
    name: str = ""
    """The container's."""
    image: str = ""
    port: int = 0
    holder: str = ""
    """The container that has the port already."""


@dataclass(frozen=True)
class KnownProblem:
    """A problem that is known by its words."""

    signs: str
    """A regular expression, of any case."""
    what: str
    cure: str
    """Both may hold fields of `Circumstances` in braces."""

    def error(self, place: Circumstances, words: str) -> PrerequisiteError:
        fields = vars(place)
        said = f" ({words})" if words else ""
        return PrerequisiteError(f"{self.what.format(**fields)}{said}.", self.cure.format(**fields))


OF_SSH = (
    KnownProblem(
        "identification has changed",
        "{host} shows another host key than the one that is known here",
        "Was it set up anew? Then `ssh-keygen -R HOSTNAME`, and `ssh {host}` once by hand; else "
        "somebody stands between you and it.",
    ),
    KnownProblem(
        "host key verification failed|no .* host key is known",
        "the host key of {host} is not known here yet",
        "Connect once by hand, `ssh {host}`, and compare the fingerprint.",
    ),
    KnownProblem(
        "tailnet policy does not permit|tailscale: .*polic",
        "the tailnet's rules do not let this machine's user into {host} by Tailscale SSH",
        "Add an `ssh` rule to the tailnet's access controls, or give another user: "
        "`--host USER@HOST`.",
    ),
    KnownProblem(
        r"permission denied \(|too many authentication failures|no supported authentication",
        "{host} lets nobody in with the keys and the user that ssh has here",
        "Does `ssh {host} true` work? `ssh-copy-id {host}` brings your key there, `--host "
        "USER@HOST` names another user, `ssh-add` unlocks a key with a passphrase.",
    ),
    KnownProblem(
        "could not resolve hostname",
        "there is no host of the name {host}",
        "Is the name spelled right, or does it stand in your ssh_config? In a tailnet: is it up "
        "here (`tailscale status`), with MagicDNS?",
    ),
    KnownProblem(
        "connection refused",
        "{host} is there, and no ssh server listens at that port",
        "Start it there (`sudo systemctl start ssh`; macOS: Remote Login; in a tailnet `sudo "
        "tailscale set --ssh`), or name the port in your ssh_config.",
    ),
    KnownProblem(
        "no route to host|network is unreachable|host is down",
        "no way leads to {host}",
        "Is that host up, and is this one in its network or tailnet (`tailscale status`)?",
    ),
    KnownProblem(
        "timed out",
        "{host} does not answer",
        "Is it awake, and in your network or tailnet (`tailscale status`; `tailscale ping HOST`)?",
    ),
    KnownProblem(
        "timeout, server .* not responding|broken pipe|connection reset|closed by remote",
        "the connection to {host} broke off",
        "What was started there goes on; the same command looks again.",
    ),
    KnownProblem(
        "bad configuration option|bad owner or permissions|can't open user config|terminating, ",
        "ssh does not read its configuration",
        "Mend the line of ssh_config that it names.",
    ),
    KnownProblem(
        "connection closed by|kex_exchange_identification",
        "{host} closed the connection before anybody was let in",
        "Look at its ssh server's log; too many connections at once, or a jump host, do this.",
    ),
)
"""By what ssh says where it is ssh that fails."""

OF_DOCKER = (
    KnownProblem(
        "permission denied while trying to connect|dial unix .*permission denied",
        "the user on {host} may not use docker there",
        "`sudo usermod -aG docker $USER` there, and log in anew.",
    ),
    KnownProblem(
        "cannot connect to the docker daemon|is the docker daemon running|error during connect",
        "no docker engine answers on {host}",
        "Start it there: `sudo systemctl start docker`.",
    ),
    KnownProblem(
        "could not select device driver|unknown or invalid runtime name|nvidia-container-cli"
        "|no known gpu vendor|unresolvable cdi devices",
        "docker on {host} can give no container a GPU",
        "Install nvidia-container-toolkit there, then `sudo nvidia-ctk runtime configure "
        "--runtime=docker && sudo systemctl restart docker`; does `nvidia-smi` work?",
    ),
    KnownProblem(
        "port is already allocated|address already in use|failed to bind host port"
        "|ports are not available",
        "port {port} of {host} is taken",
        "Stop who has it{holder}, or take another with --port.",
    ),
    KnownProblem(
        "no space left on device",
        "the disk of {host} is full",
        "`docker system df` and `df -h` there show what takes it.",
    ),
    KnownProblem(
        "no matching manifest",
        "there is no {image} for the processors of {host}",
        "Take a variant with another image (--variant).",
    ),
    KnownProblem(
        "toomanyrequests|rate limit",
        "the registry gives {host} no more images for now",
        "`docker login` there, or try later.",
    ),
    KnownProblem(
        "manifest unknown|manifest for .* not found|pull access denied|repository does not exist"
        r"|failed to resolve reference .*not found|unauthorized|invalid reference format",
        "the registry gives out no image {image}",
        "Is its name right in the recipe? A registry with accounts wants `docker login` there.",
    ),
    KnownProblem(
        "no such host|i/o timeout|tls handshake timeout|failed to do request|error response from "
        'daemon: get "?http|connection refused|temporary failure in name resolution',
        "{host} does not reach the registry of {image}",
        "Is it online, and does its docker know your proxy?",
    ),
    KnownProblem(
        "is already in use by container",
        "somebody else has just started {name} on {host}",
        "The same command looks again.",
    ),
)
"""By what docker says."""

DEATHS = (
    KnownProblem(
        "gatedrepo|gated repo|401 client error|403 client error|awaiting a review",
        "the weights are behind a licence, or the token is wrong",
        "Accept it at the model's page, then `hf auth login` on {host}.",
    ),
    KnownProblem(
        "less than desired gpu memory utilization|out of memory|no available memory for the cache",
        "there is too little memory for it on {host}",
        "What else runs there? Where GPU and system share memory: `sync; echo 3 | sudo tee "
        "/proc/sys/vm/drop_caches`. Else a lower --gpu-memory-utilization in a recipe of your own.",
    ),
    KnownProblem(
        "larger than the maximum number of tokens that can be stored|to serve at least one request",
        "the context does not fit into what memory is left",
        "A shorter one: --set model.context_length=N.",
    ),
    KnownProblem(
        "unrecognized arguments|invalid choice|invalid tool call parser|no such option",
        "this version of vLLM does not know a flag or its value",
        "Correct the recipe, or take a newer image.",
    ),
    KnownProblem(
        "no space left on device",
        "the disk of {host} is full",
        "`df -h` there shows it; weights lie in ~/.cache/huggingface.",
    ),
    KnownProblem(
        "is not a valid model identifier|repositorynotfound|404 client error",
        "the Hugging Face hub has no weights of this name",
        "Correct the recipe's `weights`.",
    ),
    KnownProblem(
        "localentrynotfound|couldn't connect to|failed to resolve|max retries exceeded"
        "|name resolution",
        "{host} does not reach the Hugging Face hub, and the weights are not all there",
        "Is it online? Weights that are all there need no network.",
    ),
    KnownProblem(
        "no kernel image|unsupported gpu|cuda driver version is insufficient"
        "|forward compatibility was attempted|no cuda gpus are available",
        "this image does not go with the GPU or its driver on {host}",
        "Update the driver, or take the image that the recipe names.",
    ),
)
"""By the last lines of a server that has died."""

WHOLE = {
    NO_DOCKER: KnownProblem(
        "", "there is no docker on {host}", "Install it there: https://docs.docker.com/engine"
    ),
    NO_ENGINE: KnownProblem(
        "", "no docker engine answers on {host}", "Start it there: `sudo systemctl start docker`."
    ),
    NOT_OURS: KnownProblem(
        "",
        "{host} has a container {name} that `serve` has not started",
        "Remove it, or give it another name: `docker rename {name} ANOTHER` there.",
    ),
}
"""By the exit codes of scripts."""


HINT = "docker run --help"
"""In a line that docker prints after its error."""


def ssh_problem(words: str, place: Circumstances) -> PrerequisiteError:
    """ssh itself has failed; `words` are its own."""
    found = _find(OF_SSH, words)
    if found:
        return found.error(place, _line_of(found, words))
    said = _last(words) or "and says nothing"
    return PrerequisiteError(f"ssh to {place.host} fails ({said}).", f"Try `ssh {place.host}`.")


def script_problem(exit_code: int, lines: Sequence[str], place: Circumstances) -> PrerequisiteError:
    """A script has failed; `lines` are docker's words, the last ones if there are many."""
    words = "\n".join(lines)
    found = None if exit_code == NOT_OURS else _find(OF_DOCKER, words)
    if found:
        return found.error(place, _line_of(found, words))
    if exit_code in WHOLE:
        return WHOLE[exit_code].error(place, _last(words))
    said = _last(words) or f"exit code {exit_code}, and no word"
    return PrerequisiteError(f"docker on {place.host} fails ({said}).")


def why_it_died(lines: Sequence[str], place: Circumstances) -> str:
    """What the log's last lines mean, with a cure; empty where they are not known."""
    found = _find(DEATHS, "\n".join(lines))
    return f"It seems that {found.error(place, '')}" if found else ""


def _find(table: Sequence[KnownProblem], words: str) -> KnownProblem | None:
    return next((k for k in table if re.search(k.signs, words, re.IGNORECASE)), None)


def _line_of(known: KnownProblem, words: str) -> str:
    """The line in which it is found, as an error shows it."""
    lines = words.splitlines()
    found = (line for line in lines if re.search(known.signs, line, re.IGNORECASE))
    return _short(next(found, lines[-1] if lines else ""))


def _last(words: str) -> str:
    lines = [
        line for line in words.splitlines() if line.strip() and "docker run --help" not in line
    ]
    return _short(lines[-1]) if lines else ""


def _short(line: str) -> str:
    return one_line(printable(line), 200).rstrip(".")
