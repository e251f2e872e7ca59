"""What activating the environment in an image exports, asked for once for each image.

Official images activate the one in which the repository is installed in /root/.bashrc alone, for
interactive shells. So what activation exports is asked for, and given to every command. Conda takes
0.3 s or more for it, several times as long where it is emulated; all containers of an image say the
same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.backends.base import ExecResult, SandboxSpec
from orchestrator.errors import SandboxUnavailable
from orchestrator.images.names import has_digest
from orchestrator.kept_files import keep, read_kept
from orchestrator.user_paths import activated_environment_file

ACTIVATE = """
if [ -f /opt/miniconda3/bin/activate ]; then
  { source /opt/miniconda3/bin/activate && conda activate testbed; } >/dev/null 2>&1 || exit 90
fi
env -0
"""
MOST_BYTES = 10_000_000
"""Of those that are kept."""
OF_ONE_SHELL = ("PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME")


def activated_environment(
    container: Mapping[str, Any], spec: SandboxSpec, run: Callable[[str], ExecResult]
) -> dict[str, str]:
    """The environment of a container's commands, by what the engine says of it; `run` runs one.

    Raises:
        SandboxUnavailable: it can't be activated.
    """
    # an image's environment, proxies that the engine's client adds, and what a person has set
    begins_with = [(container.get("Config") or {}).get("Env"), sorted(spec.env.items())]
    image = str(container["Image"])
    facts = [image, begins_with, spec.platform, spec.mounts, ACTIVATE, OF_ONE_SHELL]
    path = activated_environment_file(hashlib.sha256(json.dumps(facts).encode()).hexdigest())
    may_be_kept = has_digest(image)
    known = read_kept(path) if may_be_kept else None
    if known is not None:
        environment: dict[str, str] = json.loads(known)
        return environment
    environment = _ask(run)
    if may_be_kept:
        keep(path, json.dumps(environment).encode(), MOST_BYTES)
    return environment


def _ask(run: Callable[[str], ExecResult]) -> dict[str, str]:
    result = run(ACTIVATE)
    if result.exit_code != 0:
        raise SandboxUnavailable(f"`conda activate testbed` failed: {result.text[-300:]}")
    pairs = (entry.partition("=") for entry in result.text.split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs if name not in OF_ONE_SHELL}
