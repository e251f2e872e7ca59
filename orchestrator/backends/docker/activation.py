"""What activating the environment in an image exports, asked for once for each image.

Official images activate the one in which the repository is installed in /root/.bashrc alone, for
interactive shells. So what activation exports is asked for, and given to every command. Conda takes
0.3 s or more for it, several times as long where it is emulated; all containers of an image say the
same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from orchestrator.backends.base import ExecResult, SandboxSpec
from orchestrator.errors import SandboxUnavailable
from orchestrator.kept_files import keep, read_kept
from orchestrator.paths import activated_environment_file

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
    image_id: str, spec: SandboxSpec, run: Callable[[str], ExecResult]
) -> dict[str, str]:
    """The environment of a container's commands, whose image has this id; `run` runs one in it.

    Raises:
        SandboxUnavailable: it can't be activated.
    """
    facts = [image_id, spec.platform, spec.mounts, sorted(spec.env.items()), ACTIVATE, OF_ONE_SHELL]
    path = activated_environment_file(hashlib.sha256(json.dumps(facts).encode()).hexdigest())
    known = read_kept(path)
    if known is not None:
        environment: dict[str, str] = json.loads(known)
        return environment
    environment = _ask(run)
    keep(path, json.dumps(environment).encode(), MOST_BYTES)
    return environment


def _ask(run: Callable[[str], ExecResult]) -> dict[str, str]:
    result = run(ACTIVATE)
    if result.exit_code != 0:
        raise SandboxUnavailable(f"`conda activate testbed` failed: {result.text[-300:]}")
    pairs = (entry.partition("=") for entry in result.text.split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs if name not in OF_ONE_SHELL}
