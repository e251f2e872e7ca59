"""What changed in a sandbox's repository, as a patch, whatever the agent did with git meanwhile.

The base is the tree that the sandbox was found with, not the instance's base commit: official
images carry one further commit, "SWE-bench", with what their set-up changed. It is kept outside of
the repository, and compared with the files by a git of our own: `snapshot.sh` says how.
"""

from __future__ import annotations

import posixpath
import secrets
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.backends import ExecResult, Sandbox
from orchestrator.errors import ImageUnavailable, SandboxUnavailable, one_line
from orchestrator.types import Instance

GIT_TIMEOUT_S = 300
MAX_PATCH_BYTES = 20_000_000
TOO_LARGE = 77
GONE = 78
MAX_WORDS_BYTES = 100_000
MARK = b"SNAPSHOT\n"
"""Before it comes what is printed as a shell starts, such as that its language is unknown."""
SNAPSHOT = Path(__file__).with_name("snapshot.sh")


@dataclass(frozen=True)
class Baseline:
    """The repository as the sandbox was found."""

    tree: str
    folder: str
    """In the sandbox: where its files are kept."""
    second: str = ""
    index: str = ""
    """When its files were read, by the sandbox's clock, and the name of what was known of them
    then: the harvest trusts it. Empty: it reads all files."""

    def diff_command(self, workdir: str) -> str:
        """For the sandbox's shell: prints `SNAPSHOT`, the patch's size in bytes, and the patch.

        Remarks may follow. It trusts files whose size and times are those of the last call.
        """
        script, *arguments = f"{self.folder}/{SNAPSHOT.name}", *self.arguments(workdir, "changed")
        return shlex.join(["bash", script, *arguments])

    def arguments(self, workdir: str, read: str, form: str = "text") -> list[str]:
        limit = str(MAX_PATCH_BYTES)
        noted = [self.second, self.index]
        return ["diff", workdir, self.folder, self.tree, read, form, limit, *noted]


@dataclass(frozen=True)
class KeptFiles:
    """What was kept of a sandbox's files, for others of its image."""

    tree: str
    archive: bytes
    """tar; what is in it only `snapshot.sh` knows."""


@dataclass(frozen=True)
class Brought:
    """Kept files that lie in a sandbox beside its repository: of which tree, and their name."""

    tree: str
    name: str


def bring_kept(sandbox: Sandbox, kept: KeptFiles) -> Brought:
    """Raises SandboxUnavailable."""
    name = _new_name()
    beside = posixpath.dirname(sandbox.workdir)
    sandbox.write_file(posixpath.join(beside, f"{name}.tar"), kept.archive)
    return Brought(kept.tree, name)


def inspect_repository(
    sandbox: Sandbox, instance: Instance, brought: Brought | None = None
) -> Baseline:
    """Check that the sandbox holds the instance's repository, and note which files it has.

    With what was `brought` from another sandbox of its image all is kept then, else `keep_files`
    has to follow. Whatever was brought, the baseline is that of the files here.

    Raises:
        ImageUnavailable: the repository is not at the instance's base commit: a wrong image.
        SandboxUnavailable: the sandbox is gone.
    """
    given = [brought.name, brought.tree] if brought else [_new_name()]
    result = _run(sandbox, ["note", sandbox.workdir, *given])
    lines = result.text.splitlines()
    if result.exit_code != 0 or len(lines) != 6:
        raise ImageUnavailable(
            f"{instance.image}: no usable git repository at {sandbox.workdir}: "
            f"{one_line(result.text[-200:])}"
        )
    head, parent, tree, folder, second, index = lines
    if instance.base_commit not in (head, parent):
        raise ImageUnavailable(
            f"{instance.image}: its repository is at {head[:12]}, not at the base commit "
            f"{instance.base_commit[:12]} or one above it"
        )
    return Baseline(tree, folder, second, index)


def _new_name() -> str:
    return f".swe-orchestrator-{secrets.token_hex(4)}"


def keep_files(sandbox: Sandbox, instance: Instance, baseline: Baseline) -> None:
    """Keep the files of the baseline in the sandbox, before anybody changes one.

    Raises:
        ImageUnavailable: they can't be kept.
        SandboxUnavailable: the sandbox is gone.
    """
    result = _run(sandbox, ["keep", sandbox.workdir, baseline.folder, baseline.tree])
    if result.exit_code != 0:
        reason = "timed out" if result.timed_out else one_line(result.text[-200:])
        raise ImageUnavailable(
            f"{instance.image}: the files of {sandbox.workdir} can't be kept: {reason}"
        )


def kept_files(sandbox: Sandbox, baseline: Baseline, max_bytes: int) -> KeptFiles | None:
    """What was kept for the baseline, in a sandbox in which nobody has worked yet; None where it is
    larger than that, or can't be had. Raises SandboxUnavailable."""
    arguments = ["kept", baseline.folder, str(max_bytes)]
    result = _run(sandbox, arguments, 2 * max_bytes + MAX_WORDS_BYTES)
    size, _, archive = result.output.partition(b"\n")
    is_whole = result.exit_code == 0 and size == str(len(archive)).encode() and archive
    return KeptFiles(baseline.tree, archive) if is_whole else None


def harvest(sandbox: Sandbox, baseline: Baseline) -> tuple[str, tuple[str, ...]]:
    """The patch from the baseline to what is there now, and remarks about it.

    An agent that removed the repository's folder or what was kept of it, or made a patch of over
    20 MB, leaves an empty patch and a remark: that is its own doing.

    Raises:
        SandboxUnavailable: the sandbox is gone, or works no longer: nothing is known of the patch.
    """
    patch, remarks = _diff(sandbox, baseline, "text")
    try:
        return patch.decode("utf-8"), remarks
    except UnicodeDecodeError:
        patch, remarks = _diff(sandbox, baseline, "binary")
        return patch.decode("ascii"), (*remarks, "patch in git's binary form")


def _diff(sandbox: Sandbox, baseline: Baseline, form: str) -> tuple[bytes, tuple[str, ...]]:
    arguments = baseline.arguments(sandbox.workdir, "touched", form)
    result = _run(sandbox, arguments, 2 * MAX_PATCH_BYTES)
    if result.exit_code == TOO_LARGE:
        return b"", (f"the patch is over {MAX_PATCH_BYTES // 1_000_000} MB and was dropped",)
    if result.exit_code == GONE:
        return b"", (f"there is no patch: {one_line(result.text.partition(chr(10))[0])}",)
    size, _, rest = result.output.partition(b"\n")
    if result.exit_code == 0 and size.isdigit() and int(size) <= len(rest):
        remarks = rest[int(size) :].decode("utf-8", errors="replace")
        return rest[: int(size)], tuple(remarks.splitlines())
    # a full disk, no memory, an engine that hangs: there may be a patch that can't be read
    reason = "timed out" if result.timed_out else one_line(result.text[-200:])
    raise SandboxUnavailable(f"the patch can't be harvested: {reason or result.exit_code}")


def _run(sandbox: Sandbox, arguments: list[str], max_bytes: int = MAX_WORDS_BYTES) -> ExecResult:
    """What the script prints. It comes from here: the one in the sandbox is within reach there."""
    text = shlex.quote(SNAPSHOT.read_text(encoding="utf-8"))
    command = f'SNAPSHOT_TEXT={text}\nset -- {shlex.join(arguments)}\neval "$SNAPSHOT_TEXT"'
    result = sandbox.exec(command, sandbox.patience(GIT_TIMEOUT_S), max_bytes=max_bytes)
    before, mark, said = result.output.partition(MARK)
    return replace(result, output=said if mark else before)
