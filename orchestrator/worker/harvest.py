"""What changed in a sandbox's repository, as a patch, whatever the agent did with git meanwhile.

The base is the tree that the sandbox was found with, not the instance's base commit: official
images carry one further commit, "SWE-bench", with what their set-up changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.backends import Sandbox
from orchestrator.errors import ImageUnavailable, SandboxUnavailable
from orchestrator.types import Instance

GIT_TIMEOUT_S = 300
MAX_PATCH_BYTES = 20_000_000
TOO_LARGE = 77
NO_REPOSITORY = 78

# the plumbing command `diff-tree` is deaf to the user's diff settings; mode changes are ignored,
# as the official harness does
_TREE_OF_WORKTREE = """
index=$(mktemp) && rm -f "$index" && export GIT_INDEX_FILE="$index"
cp "$(git rev-parse --git-dir)/index" "$index" 2>/dev/null || git read-tree HEAD
git -c core.fileMode=false -c core.autocrlf=false -c core.safecrlf=false add -A --ignore-errors \
  >/dev/null 2>&1 || true
"""

_INSPECT = f"""
set -e
git rev-parse HEAD
git rev-parse --quiet --verify HEAD^ || echo none
git rev-list --all --not HEAD | wc -l
({_TREE_OF_WORKTREE}
git write-tree
rm -f "$index")
"""

_DIFF = """
set -e
mkdir -p "${{TMPDIR:-/tmp}}"  # agents clean up
# whatever git warns of must not end up in the patch
errors=$(mktemp)
exec 2>"$errors"
trap 'code=$?; [ $code -eq 0 ] || tail -c 300 "$errors"; rm -f "$errors"' EXIT
git rev-parse --verify HEAD >/dev/null || exit {no_repository}
git cat-file -e {base} || exit {no_repository}
{tree_of_worktree}
tree=$(git write-tree)
rm -f "$index"
patch=$(mktemp)
{attributes}
git diff-tree -r -p --binary --no-color --no-ext-diff --no-renames {base} "$tree" -- . \
  ':(exclude,glob)**/__pycache__/**' ':(exclude,glob)**/*.pyc' \
  ':(exclude,glob)**/.pytest_cache/**' > "$patch"
[ "$(wc -c < "$patch")" -le {limit} ] || exit {too_large}
wc -c < "$patch"
cat "$patch"
rm -f "$patch"
"""

# for patches that are not UTF-8 text: everything as git's binary patch, which is plain ASCII
_ALL_BINARY = """
info="$(git rev-parse --git-dir)/info"
mkdir -p "$info" && echo "* -diff" > "$info/attributes"
"""


@dataclass(frozen=True)
class Baseline:
    """The repository as the sandbox was found."""

    tree: str
    notes: tuple[str, ...] = ()


def inspect_repository(sandbox: Sandbox, instance: Instance) -> Baseline:
    """Check that the sandbox holds the instance's repository, and remember its tree.

    Raises:
        ImageUnavailable: the repository is not at the instance's base commit: a wrong image.
        SandboxUnavailable: the sandbox is gone.
    """
    result = sandbox.exec(_INSPECT, GIT_TIMEOUT_S)
    lines = result.text.split()
    if result.exit_code != 0 or len(lines) != 4:
        raise ImageUnavailable(
            f"{instance.image}: no usable git repository at {sandbox.workdir}: {result.text[-200:]}"
        )
    head, parent, later_commits, tree = lines
    if instance.base_commit not in (head, parent):
        raise ImageUnavailable(
            f"{instance.image}: its repository is at {head[:12]}, not at the base commit "
            f"{instance.base_commit[:12]} or one above it"
        )
    notes = []
    if later_commits != "0":
        notes.append(f"the image shows {later_commits} commits beside its history to HEAD")
    return Baseline(tree, tuple(notes))


def harvest(sandbox: Sandbox, baseline: Baseline) -> tuple[str, tuple[str, ...]]:
    """The patch from the baseline to what is there now, and remarks about it.

    An agent that destroyed the repository, or made a patch of over 20 MB, leaves an empty patch
    and a remark: that is its own doing.

    Raises:
        SandboxUnavailable: the sandbox is gone, or works no longer: nothing is known of the patch.
    """
    patch, remarks = _diff(sandbox, _diff_script(baseline, ""))
    try:
        return patch.decode("utf-8"), remarks
    except UnicodeDecodeError:
        patch, remarks = _diff(sandbox, _diff_script(baseline, _ALL_BINARY))
        return patch.decode("ascii"), (*remarks, "patch in git's binary form")


def _diff(sandbox: Sandbox, script: str) -> tuple[bytes, tuple[str, ...]]:
    result = sandbox.exec(script, GIT_TIMEOUT_S, max_bytes=2 * MAX_PATCH_BYTES)
    if result.exit_code == TOO_LARGE:
        return b"", (f"the patch is over {MAX_PATCH_BYTES // 1_000_000} MB and was dropped",)
    if result.exit_code == NO_REPOSITORY:
        return b"", ("the repository or its .git was destroyed; there is no patch",)
    size, _, patch = result.output.partition(b"\n")
    if result.exit_code == 0 and size.strip().isdigit() and int(size) == len(patch):
        return patch, ()
    # a full disk, no memory, an engine that hangs: there may be a patch that can't be read
    reason = "timed out" if result.timed_out else result.text.strip()[-200:]
    raise SandboxUnavailable(f"the patch can't be harvested: {reason or result.exit_code}")


def _diff_script(baseline: Baseline, attributes: str) -> str:
    return _DIFF.format(
        tree_of_worktree=_TREE_OF_WORKTREE,
        attributes=attributes,
        base=baseline.tree,
        limit=MAX_PATCH_BYTES,
        too_large=TOO_LARGE,
        no_repository=NO_REPOSITORY,
    )
