"""A harvest reads the files that somebody may have touched; none that was is missed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.repositories import SOURCE, Repository

from orchestrator.backends import ExecResult, Sandbox
from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.types import Instance

pytestmark = pytest.mark.slow

Make = Callable[..., Repository]


def can_set_the_clock() -> bool:
    status = Path("/proc/self/status")
    held = re.search(r"CapBnd:\s*(\w+)", status.read_text()) if status.is_file() else None
    return held is None or bool(int(held[1], 16) >> 25 & 1)


GIVE_UP = ["setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time"]
needs_setpriv = pytest.mark.skipif(
    shutil.which("setpriv") is None
    or subprocess.call([*GIVE_UP, "true"], stderr=subprocess.DEVNULL) != 0,
    reason="root on Linux can give up its clock",
)
TOUCHES = {
    "written in place": "cat new > was; cp --attributes-only -p old was",
    "removed and made again": "rm was; cp -p new was",
    "replaced by another": "mv new was",
    "written through a second name": "ln was second; cat new > second; touch -r old was; rm second",
    "replaced by a second name of another": "ln -f new was",
    "written through memory": "$python -c \"import mmap; f = open('was', 'r+b'); "
    "m = mmap.mmap(f.fileno(), 0); m[:] = open('new', 'rb').read(); m.flush()\"; touch -r old was",
    "in a folder that was made again": "cp -rp . ../x; cp -p new ../x/was; rm -r ../$f; "
    "mv ../x ../$f",
    "in a folder that took another's place": "cp -rp . ../x; mv ../$f ../y; cp -p new ../x/was; "
    "mv ../x ../$f; rm -r ../y",
    "with all times of the past": "cp new was; touch -h -d @1 . was",
    "with all times of the future": "cp new was; touch -h -d @4000000000 . was",
    "with an index that says nothing": "cp -p new was; git add was; "
    "git update-index --assume-unchanged was",
}
"""Ways to change the file `was` so that its size and its time stay the same: `new` is such a file,
`old` has the content of before, and $f is the folder here."""
FILES = rf"""
mkdir touched && cd touched
for f in {{1..{len(TOUCHES)}}}; do mkdir $f; echo abc > $f/was; done
find . -exec touch -d @1000000000 {{}} +
git add -A && git -c user.name=t -c user.email=t@t commit -q --amend -m SWE-bench
"""
TOUCH = r"""
python={python}; f={number}; cd touched/$f
cp -p was old; echo xbc > new; touch -r was new
{way}
cd ../../touched/$f; rm -f old new
"""
TOUCH_SOURCE = f"cp -p {SOURCE} ../old; tr a b < ../old > {SOURCE}; touch -r ../old {SOURCE}; "
WITH_WHAT_IS_KEPT = {
    "another kept index": "GIT_INDEX_FILE={folder}/index git add -A",
    "no kept index": "rm {folder}/index",
    "noise for the kept index": "echo 1 > {folder}/index",
    "another index of our git": "GIT_INDEX_FILE={folder}/repository/index git add -A",
    "more touched files than are looked for": "mkdir .pytest_cache; (cd .pytest_cache; "
    "seq 1100 | xargs touch)",
}

FORGE = """
import hashlib, subprocess, sys
def git(*arguments, given=b""):
    return subprocess.run(["git", *arguments], input=given, stdout=-1, check=True).stdout
folder, tree, *files = sys.argv[1:]
readme, other = (git("hash-object", file).decode().strip() for file in files)
with open(folder + "/index", "rb") as file:
    data = file.read()[:-20]
assert data.count(bytes.fromhex(readme)) == 1
data = data.replace(bytes.fromhex(readme), bytes.fromhex(other)).replace(b"TREE", b"NONE")
data += hashlib.sha1(data).digest()
with open(folder + "/index", "wb") as file:
    file.write(data)
ours = ["--git-dir", folder + "/repository"]
listed = git(*ours, "ls-tree", tree).decode().replace(readme, other)
print(hashlib.sha1(b"blob %d\\0" % len(data) + data).hexdigest())
print(git(*ours, "mktree", given=listed.encode()).decode(), end="")
"""
"""Gives an untouched file another content, but only in what is kept: in the index and in the tree.
Prints the names of both."""


class WithoutAClock(ProcessSandbox):
    """As in a container, nobody in it can set the system's clock."""

    def exec(self, command: str, timeout_s: float, *, max_bytes: int = 2_000_000) -> ExecResult:
        within = f"exec {shlex.join([*GIVE_UP, 'bash', '-c', command])}"
        return super().exec(within, timeout_s, max_bytes=max_bytes)


def without_a_clock(repository: Repository) -> Repository:
    root = Path(repository.sandbox.workdir).parent
    return Repository(WithoutAClock(root, 2, {}), repository.baseline)


@pytest.fixture
def repository(make: Make, instance: Instance) -> Repository:
    """Inspected where it lies: a copy's files would all be touched."""
    return Repository.inspected(without_a_clock(make()).sandbox, instance)


def python_of(repository: Repository) -> str:
    return sys.executable if isinstance(repository.sandbox, ProcessSandbox) else "python"


def trusts_untouched_files(repository: Repository) -> bool:
    """Whether a harvest takes an untouched file's content from what `note` knew of it."""
    baseline = repository.baseline
    forge = [FORGE, baseline.folder, baseline.tree, "README.md", SOURCE]
    repository.run(f"cp {baseline.folder}/index ../index")
    index, tree = repository.run(shlex.join([python_of(repository), "-c", *forge])).splitlines()
    forged = Repository(repository.sandbox, replace(baseline, index=index, tree=tree))
    patch, _ = forged.harvest("true")
    repository.run(f"mv ../index {baseline.folder}/index")
    assert patch.count("diff --git") == ("b/README.md" in patch)
    return not patch


def touch_all(repository: Repository) -> set[str]:
    """Touches a file in each way; those that are in the patch of it."""
    for number, way in enumerate(TOUCHES.values(), 1):
        repository.run(TOUCH.format(python=python_of(repository), number=number, way=way))
    patch, remarks = repository.harvest("true")
    assert remarks == ()
    changed = re.findall(r"^\+\+\+ b/touched/(\d+)/was$", patch, re.MULTILINE)
    assert patch.count("diff --git") == len(changed)
    return {list(TOUCHES)[int(number) - 1] for number in changed}


@needs_setpriv
def test_files_that_were_touched_are_in_the_patch_though_size_and_time_are_the_same(
    make: Make, instance: Instance
) -> None:
    sandbox = without_a_clock(make()).sandbox

    assert touch_all(Repository.inspected(sandbox, instance, FILES)) == set(TOUCHES)


@needs_setpriv
@pytest.mark.parametrize("what", WITH_WHAT_IS_KEPT)
def test_whatever_becomes_of_what_is_kept_a_touched_file_is_read(
    what: str, repository: Repository
) -> None:
    folder = repository.baseline.folder
    command = WITH_WHAT_IS_KEPT[what].replace("{folder}", folder)

    patch, remarks = repository.harvest(TOUCH_SOURCE + command)

    assert (patch.count("diff --git"), remarks) == (1, ())
    assert f"+++ b/{SOURCE}" in patch


@needs_setpriv
def test_a_file_that_nobody_touched_is_not_read_where_nobody_sets_the_clock(
    make: Make, instance: Instance
) -> None:
    repository = without_a_clock(make())
    # what was made in the second of the note might have been touched in it as well
    repository.run("sleep 2.1")
    repository = Repository.inspected(repository.sandbox, instance)

    assert trusts_untouched_files(repository)


@needs_setpriv
def test_what_was_made_just_before_it_was_noted_is_read(repository: Repository) -> None:
    repository.run("touch README.md")
    baseline = repository.baseline
    now = repository.run("date +%s").strip()

    later = Repository(repository.sandbox, replace(baseline, second=now))

    assert not trusts_untouched_files(later)


@pytest.mark.parametrize("missing", ["second", "index"])
def test_where_it_is_not_known_what_was_touched_all_is_read(missing: str, make: Make) -> None:
    repository = make()
    unknown = Repository(repository.sandbox, replace(repository.baseline, **{missing: ""}))

    patch, _ = unknown.harvest(TOUCH_SOURCE)

    assert f"+++ b/{SOURCE}" in patch


@pytest.mark.skipif(not can_set_the_clock(), reason="nobody can set the clock here")
def test_where_somebody_can_set_the_clock_all_is_read(make: Make) -> None:
    assert not trusts_untouched_files(make())


@pytest.mark.docker
def test_in_a_container_untouched_files_are_trusted_and_no_touched_one_is_missed(
    open_sandbox: Callable[..., Sandbox], instance: Instance
) -> None:
    sandbox = open_sandbox("docker")
    # what was made in the second of the note might have been touched in it as well
    assert sandbox.exec(f"{FILES}sleep 2.1", 60).exit_code == 0
    repository = Repository.inspected(sandbox, instance)

    assert trusts_untouched_files(repository)
    assert touch_all(repository) == set(TOUCHES)
