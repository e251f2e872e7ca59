"""What a sandbox holds of its repository's future: found, noted, dropped before an agent sees it.

An agent that can look at the fix, in a branch that an image was left with, a tag, or an object that
nothing names, is no measure of the model. `future.sh` says what is looked for, and where.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from collections import Counter
from pathlib import Path

from orchestrator.backends import Assignment, Sandbox
from orchestrator.errors import ImageUnavailable, one_line
from orchestrator.paths import write_atomic
from orchestrator.types import Future, Instance
from orchestrator.user_paths import clean_repository_file

TIMEOUT_S = 600
MARK = "FUTURE\n"
NAMES_OF_A_KIND, MAX_NAMES = 2, 12
KNOWN = 8
"""Fingerprints that are kept of an instance: of its images from several sources, say."""
_HERE = Path(__file__).parent
SCRIPTS = tuple(
    _HERE / name for name in ("future.sh", "future_repository.sh", "future_elsewhere.sh")
)
RUN = f"renice 10 $$ >/dev/null 2>&1; set -e; unset CDPATH; printf {shlex.quote(MARK)}"
"""Then comes the call. What a shell prints as it starts stands before the mark. An agent may start
meanwhile, and goes first where the cores are few."""


NOT_SEARCHED = "not searched"
"""The kind of what nobody knows, as the script could not do its work."""


class _CannotTell(Exception):
    """Why the script could not do its work."""


def find_future(sandbox: Sandbox, instance: Instance) -> Future:
    """What is there; nothing is changed. Raises SandboxUnavailable.

    Where nothing is, that is remembered: the walk over a repository's whole history, a second or
    more, is then done once for each image.
    """
    cache = clean_repository_file(instance.instance_id)
    known = _known(cache)
    counts, names, fingerprint = Counter[str](), list[str](), ""
    try:
        said = _run(sandbox, "find_future", instance, *known)
    except _CannotTell as problem:
        return Future({NOT_SEARCHED: 1}, (str(problem),))
    for line in said.splitlines():
        word, *rest = line.split("\t")
        if word == "fingerprint":
            fingerprint = rest[0]
        elif word == "found":
            counts[rest[0]] += int(rest[1])
            names += rest[2 : 2 + NAMES_OF_A_KIND]
    if not fingerprint:
        return Future({NOT_SEARCHED: 1}, (one_line(said) or "the script said nothing",))
    if not counts and fingerprint not in known:
        _remember(cache, [fingerprint, *known])
    return Future(dict(counts), tuple(names[:MAX_NAMES]))


class HoldsFuture(ImageUnavailable):
    """An agent has begun in a sandbox that holds its future. It begins anew in another one, which
    is cleaned first: this is never recorded."""


def matters(found: Future, integrity: str) -> bool:
    """Whether no agent may work beside what was found, as `rollout.integrity` has it."""
    return found.is_leak and integrity != "warn"


def require_harmless(found: Future, integrity: str) -> Future | None:
    """What goes on record; None where nothing was found. Raises HoldsFuture where it matters."""
    if matters(found, integrity):
        raise HoldsFuture(str(found))
    return found if found.found else None


def keep_the_future_out(sandbox: Sandbox, assignment: Assignment, found: Future) -> Future | None:
    """Do with what `find_future` found what `rollout.integrity` says: drop it (`fix`), note it
    (`warn`), or end the rollout (`fail`). Nothing else may work in the sandbox meanwhile.

    Returns what goes on record; None where there was nothing.

    Raises:
        ImageUnavailable: there is something, and it can't stay: by the setting, or as it can't be
            dropped. Or nobody can tell, as the repository can't be read.
        SandboxUnavailable: the sandbox is gone.
    """
    image, instance = assignment.instance.image, assignment.instance
    mode = assignment.config.rollout.integrity
    if not matters(found, mode):
        return require_harmless(found, mode)
    if NOT_SEARCHED in found.found:
        raise ImageUnavailable(
            f"{image}: whether it holds what came after its base commit can't be told: "
            f"{found.names[0]}"
        )
    held = f"{image}: it holds what came after its base commit ({found})"
    if mode == "fail":
        raise ImageUnavailable(f"{held}, and rollout.integrity is fail")
    try:
        _run(sandbox, "drop_future", instance)
    except _CannotTell as problem:
        raise ImageUnavailable(f"{held}, which can't be dropped: {problem}") from None
    left = find_future(sandbox, instance)
    if left.is_leak:
        raise ImageUnavailable(f"{held}, and this could not be dropped: {left}")
    return Future(found.found, found.names, dropped=True)


def _known(cache: Path) -> list[str]:
    """Fingerprints that these very scripts have found clean."""
    try:
        version, *known = cache.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
    return known[:KNOWN] if version == _version() else []


def _remember(cache: Path, known: list[str]) -> None:
    with contextlib.suppress(OSError):
        write_atomic(cache, "\n".join([_version(), *known[:KNOWN]]))


def _version() -> str:
    return hashlib.sha256(scripts().encode()).hexdigest()[:16]


def scripts() -> str:
    return "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS)


def _run(sandbox: Sandbox, call: str, instance: Instance, *arguments: str) -> str:
    """What a function of the scripts prints. Raises _CannotTell."""
    package = instance.repo.rpartition("/")[2]
    command = shlex.join([call, sandbox.workdir, package, *arguments])
    text = f"{scripts()}\n{RUN}\n{command}\n"
    result = sandbox.exec(text, sandbox.patience(TIMEOUT_S))
    before, mark, said = result.text.partition(MARK)
    if result.timed_out:
        raise _CannotTell(f"it took over {sandbox.patience(TIMEOUT_S):g} s")
    if result.exit_code != 0 or not mark:
        raise _CannotTell(one_line((said or before)[-300:]) or f"exit code {result.exit_code}")
    return said
