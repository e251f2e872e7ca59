"""Building images, by the command line client: it has BuildKit, where that is installed.

The SDK knows the engine's classic builder alone. Over the containerd image store (Docker Desktop's)
that loses the platform of what it builds (github.com/moby/moby/issues/47823).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from orchestrator.backends.docker.build_problems import build_failure
from orchestrator.backends.docker.credentials import find_login, settings_without_logins
from orchestrator.backends.docker.engine import with_cure
from orchestrator.backends.docker.programs import run_program
from orchestrator.errors import ImageUnavailable
from orchestrator.images.names import registry_of

BUILDX = (
    "Docker's buildx is needed here: `docker buildx version` shows whether it is installed "
    "(docker-buildx-plugin; `brew install docker-buildx`)."
)
_ARG = re.compile(r"^\s*ARG\s+(\w+)(?:=(\S*))?", re.IGNORECASE)
_FROM = re.compile(
    r"^\s*FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?", re.IGNORECASE
)
_HEREDOC = re.compile(r"<<(-?)[\"']?([A-Za-z_]\w*)[\"']?")


@dataclass(frozen=True)
class Build:
    """What is built, from the Dockerfile of a folder, and under which name."""

    folder: Path
    tag: str
    platform: str
    args: Mapping[str, str] = field(default_factory=dict)

    @property
    def bases(self) -> frozenset[str]:
        """The images that its Dockerfile begins with."""
        given: dict[str, str] = {}
        stages, found = {"scratch"}, set()
        text = (self.folder / "Dockerfile").read_text(encoding="utf-8", errors="replace")
        for line in _instructions(text):
            if arg := _ARG.match(line):
                default = (arg[2] or "").strip("\"'")
                given.setdefault(arg[1], self.args.get(arg[1], default))
            elif match := _FROM.match(line):
                image = Template(match["image"]).safe_substitute(given)
                if image.casefold() not in stages:
                    found.add(image)
                stages.add((match["stage"] or "scratch").casefold())
        return frozenset(image for image in found if image and "$" not in image)


def _instructions(text: str) -> Iterator[str]:
    """A Dockerfile's instructions, each with the lines that continue it; no comments, and nothing
    of what is written to a command within the file (`RUN python3 - <<EOF`)."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.lstrip().startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines, "")
        yield line
        for dash, word in _HEREDOC.findall(line):
            for inside in lines:
                if (inside.lstrip("\t") if dash else inside) == word:
                    break


def build_image(build: Build, timeout_s: float) -> None:
    """Build an image.

    Raises:
        ImageUnavailable: it can't be built.
        OSError: there is no `docker` on PATH.
        PrerequisiteError: Docker's settings can't be read.
    """
    command = ["docker", "build", "--platform", build.platform, "--tag", build.tag, "--force-rm"]
    for name, value in build.args.items():
        command += ["--build-arg", f"{name}={value}"]
    problems = [find_login(registry).problem for registry in map(registry_of, build.bases)]
    # BuildKit gives up where a helper fails, though the image be public
    settings = settings_without_logins() if any(problems) else nullcontext()
    with settings as folder:
        env = {name: value for name, value in os.environ.items() if name != "BUILDX_BUILDER"}
        env["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"  # they would be a second manifest in the image
        if folder is not None:
            env["DOCKER_CONFIG"] = str(folder)
        done = run_program([*command, str(build.folder)], timeout_s, env=env, with_errors=True)
    if done.exit_code == 0:
        return
    if done.exit_code is None:
        raise ImageUnavailable(f"{build.tag}: not built in {timeout_s:g} s")
    without = f" (without login: {next(filter(None, problems))})" if any(problems) else ""
    raise ImageUnavailable(f"{build.tag}: {with_cure(build_failure(done.output))}{without}")
