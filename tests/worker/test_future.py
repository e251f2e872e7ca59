"""A fix that an image was left with, wherever it lies: found, and dropped before agents look."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.repositories import Repository, noted_and_kept
from support.specs import make_assignment, sandbox_spec

from orchestrator.backends import SandboxSpec, find_backend
from orchestrator.backends.process.processes import NOTED
from orchestrator.backends.process.sandbox import ProcessSandbox
from orchestrator.config import RunConfig
from orchestrator.errors import ImageUnavailable
from orchestrator.types import FailureKind, Future, Instance, Outcome, RolloutResult
from orchestrator.worker.future import find_future, keep_the_future_out
from orchestrator.worker.harvest import Baseline, harvest

pytestmark = pytest.mark.slow

SECRET = b"PLANTED-FIX"
COMMIT = r"""
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a
plant() { # prints a commit after HEAD of the repository here, that nothing names
  GIT_INDEX_FILE=$TMPDIR/index git read-tree HEAD
  blob=$(echo PLANTED-FIX | git hash-object -w --stdin)
  GIT_INDEX_FILE=$TMPDIR/index git update-index --add --cacheinfo "100644,$blob,fix.py"
  tree=$(GIT_INDEX_FILE=$TMPDIR/index git write-tree --missing-ok)
  rm "$TMPDIR/index"
  echo PLANTED-FIX | git commit-tree "$tree" -p HEAD
}
beside() { # a clone beside, with the commit checked out
  git clone -q . "$1"
  (cd "$1" && git reset -q --hard "$(plant)")
}
top=$PWD
"""
IN_THE_REPOSITORY = {
    "a loose commit": ("commits", "plant"),
    "a loose file": ("blobs", "echo PLANTED-FIX | git hash-object -w --stdin"),
    "a loose folder": ("trees", "git rev-parse $(plant)^{tree}"),
    "a branch": ("refs", "git branch next $(plant)"),
    "a remote branch": ("refs", "git update-ref refs/remotes/origin/main $(plant)"),
    "a tag": ("refs", "git tag v2 $(plant)"),
    "a tag with a text": ("tags", "git tag -a -m PLANTED-FIX v2 $(plant)"),
    "a late tag of HEAD": ("tags", "git tag -a -m PLANTED-FIX v2 HEAD"),
    "a tag of a tag": ("tags", "git tag -am 1 v1 $(plant) && git tag -am PLANTED-FIX v2 v1"),
    "a tag of a file": ("refs", "git tag v2 $(echo PLANTED-FIX | git hash-object -w --stdin)"),
    "a stash": ("refs", "echo PLANTED-FIX >> README.md && git stash -q"),
    "notes": ("refs", "git notes add -m PLANTED-FIX HEAD"),
    "a replaced HEAD": ("refs", "git replace HEAD $(plant)"),
    "a graft": (
        "other files of git",
        "mkdir -p .git/info && echo $(git rev-parse HEAD) $(plant) > .git/info/grafts",
    ),
    "a pull request's head": ("refs", "git update-ref refs/pull/7/head $(plant)"),
    "a ref with an odd name": ("refs", "git update-ref 'refs/heads/a;b$(c)|é&' $(plant)"),
    "packed refs": ("refs", "git branch next $(plant) && git pack-refs --all"),
    "a packed tag": ("tags", "git tag -am PLANTED-FIX v2 $(plant) && git pack-refs --all"),
    "thousands of refs": (
        "refs",
        'f=$(plant); for n in {1..3000}; do echo "create refs/heads/b$n $f"; done'
        " | git update-ref --stdin && git pack-refs --all",
    ),
    "the reflog": ("reflogs", "git reset -q --hard $(plant) && git reset -q --hard HEAD@{1}"),
    "a reflog of a branch that is gone": (
        "reflogs",
        "mkdir -p .git/logs/refs/heads && echo $(git rev-parse HEAD) $(plant) a '<a@a>' 1 +0000"
        " > .git/logs/refs/heads/gone",
    ),
    "ORIG_HEAD": ("other files of git", "plant > .git/ORIG_HEAD"),
    "FETCH_HEAD": (
        "other files of git",
        "beside ../o && git fetch -q ../o && rm -rf ../o && cat .git/FETCH_HEAD",
    ),
    "MERGE_HEAD": (
        "other files of git",
        "git merge -q --no-commit --no-ff $(plant); git rm -q --cached fix.py; rm fix.py",
    ),
    "CHERRY_PICK_HEAD": ("other files of git", "plant > .git/CHERRY_PICK_HEAD"),
    "a bisect's log": ("other files of git", "echo git bisect bad $(plant) > .git/BISECT_LOG"),
    "a bisect's refs": ("refs", "git update-ref refs/bisect/bad $(plant)"),
    "a rebase": (
        "other files of git",
        "mkdir .git/rebase-merge && git show $(plant) > .git/rebase-merge/patch",
    ),
    "a message": ("other files of git", "echo PLANTED-FIX > .git/COMMIT_EDITMSG"),
    "a patch that lies in .git": ("other files of git", "git show $(plant) > '.git/a fix\n.patch'"),
    "a bundle in .git": (
        "other files of git",
        "git branch n $(plant) && git bundle create -q .git/x.bundle n && git branch -qD n",
    ),
    "packed": ("commits", "git branch next $(plant) && git gc -q && git branch -qD next"),
    "a pack that is to be kept": (
        "commits",
        "git branch next $(plant) && git repack -qad && touch $(ls .git/objects/pack/*.pack"
        " | sed 's/pack$/keep/') && git branch -qD next",
    ),
    "a pack without an index": (
        "other files of git",
        "git branch next $(plant) && git repack -qad && git branch -qD next && "
        "rm -f .git/objects/pack/*.rev && cd .git/objects/pack && "
        "mv pack-*.pack tmp_pack_x && rm *.idx && git init -q --bare ../../../../i && "
        "git --git-dir=../../../../i index-pack --stdin < tmp_pack_x > /dev/null && "
        "cp ../../../../i/objects/pack/* . && rm -rf ../../../../i",
    ),
    "a half-written object": (
        "other files of git",
        "echo PLANTED-FIX > .git/objects/$(ls .git/objects | head -n1)/tmp_obj_x",
    ),
    "a graph of commits": (
        "commits",
        "git branch next $(plant) && git commit-graph write --reachable && git branch -qD next",
    ),
    "an index of many packs": (
        "commits",
        "git branch next $(plant) && git repack -qad && git multi-pack-index write"
        " && git branch -qD next",
    ),
    "a work tree": ("other work trees", "git worktree add -q ../second $(plant)"),
    "a branch in a work tree": ("other work trees", "git worktree add -q -b n ../second $(plant)"),
    "a work tree that is gone": (
        "other work trees",
        "git worktree add -q ../second $(plant) && rm -rf ../second",
    ),
    "staged, and changed back": (
        "staged contents",
        "cp README.md r && echo PLANTED-FIX >> README.md && git add README.md && mv r README.md",
    ),
    "staged, and removed": (
        "staged contents",
        "echo PLANTED-FIX > new.py && git add new.py && rm new.py",
    ),
    "a branch's description": (
        "refs",
        "git branch next $(plant) && git config branch.next.description PLANTED-FIX",
    ),
    "an alternate": (
        "commits",
        "beside ../o && echo $(cd ../o && pwd)/.git/objects > .git/objects/info/alternates",
    ),
    "an alternate that is a bare folder of objects": (
        "commits",
        "beside ../o && mv ../o/.git/objects ../objects && rm -rf ../o"
        " && echo ../../../objects > .git/objects/info/alternates",
    ),
}
ELSEWHERE = {
    "a clone beside it": ("other clones", "beside ../o"),
    "a clone at home": ("other clones", "mkdir -p ~/src/deep/er && beside ~/src/deep/er/o"),
    "a bare clone": (
        "other clones",
        "beside ../o && git clone -q --bare ../o ../b.git && rm -rf ../o",
    ),
    "a mirror in a hidden folder": (
        "other clones",
        "beside ../o && mkdir ~/.c && git clone -q --mirror ../o ~/.c/m && rm -rf ../o",
    ),
    "a shallow clone": (
        "other clones",
        "beside ../o && git clone -q --depth 1 file://$(cd ../o; pwd) ../s && rm -rf ../o",
    ),
    "a clone that shares our objects": (
        "other clones",
        "git clone -q --shared . ../o && cd ../o && git reset -q --hard $(plant)",
    ),
    "a clone in the work tree": ("other clones", "beside inner && rm inner/fix.py"),
    "a clone among the modules": (
        "other clones",
        "beside ../o; mkdir .git/modules; git clone -q --bare ../o .git/modules/x && rm -rf ../o",
    ),
    "a bundle": (
        "bundles and packs",
        "beside ../o && git -C ../o bundle create -q ~/all.bundle HEAD && rm -rf ../o",
    ),
    "a thin bundle": (
        "bundles and packs",
        "beside ../o && git -C ../o bundle create -q ~/x.bundle HEAD^..HEAD && rm -rf ../o",
    ),
    "a pack": (
        "bundles and packs",
        "beside ../o && git -C ../o repack -qad && cp ../o/.git/objects/pack/*.pack ~/x.pack"
        " && rm -rf ../o",
    ),
    "a submodule's own future": (
        "commits",
        "git init -q .git/modules/sub --bare && git init -q ../o && cd ../o && echo 1 > a && "
        "git add a && git commit -qm one && git push -q $top/.git/modules/sub HEAD:refs/heads/main"
        " && git -C $top/.git/modules/sub symbolic-ref HEAD refs/heads/main && git push -q "
        "$top/.git/modules/sub $(plant):refs/heads/next && rm -rf ../o",
    ),
    "an installed copy": (
        "later versions of the package",
        "s=~/env/site-packages; mkdir -p $s/ledger $s/ledger-99.1.dist-info && "
        "echo PLANTED-FIX > $s/ledger/fix.py && printf 'ledger/fix.py,sha256=x,12\n"
        "ledger-99.1.dist-info/RECORD,,\n' > $s/ledger-99.1.dist-info/RECORD",
    ),
    "an installed copy as distutils leaves it": (
        "later versions of the package",
        "s=~/env/site-packages; mkdir -p $s/ledger $s/ledger-99.1-py3.9.egg-info && "
        "echo PLANTED-FIX > $s/ledger/fix.py && echo ledger > "
        "$s/ledger-99.1-py3.9.egg-info/top_level.txt",
    ),
    "an egg": (
        "later versions of the package",
        "e=~/site-packages/ledger-99.1-py3.9.egg; mkdir -p $e && echo PLANTED-FIX > $e/fix.py",
    ),
    "a wheel in pip's cache": (
        "later versions of the package",
        "c=~/.cache/pip/wheels/a; mkdir -p $c && echo PLANTED-FIX > $c/ledger-99-py3-none-any.whl",
    ),
    "a download in pip's cache": (
        "later versions of the package",
        "c=~/.cache/pip/http-v2/a; mkdir -p $c && "
        "printf 'PLANTED-FIX\\0ledger-99.1.dist-info/METADATA\\0' > $c/abcdef.body",
    ),
    "a source archive": (
        "later versions of the package",
        "mkdir -p ~/dl && echo PLANTED-FIX > ~/dl/Ledger-99.1.tar.gz",
    ),
    "conda's cache": (
        "later versions of the package",
        "c=../conda/pkgs/ledger-99.1-py39_0; mkdir -p $c && echo PLANTED-FIX > $c/fix.py && "
        "echo PLANTED-FIX > $c.conda",
    ),
}
PLACES = {**IN_THE_REPOSITORY, **ELSEWHERE}
QUICKLY_TRIED = {
    *("a loose commit", "a tag with a text", "packed refs", "a stash", "the reflog", "FETCH_HEAD"),
    *("a work tree", "staged, and removed", "an alternate", "a clone at home", "a bundle"),
    *("a submodule's own future", "an installed copy", "a download in pip's cache"),
}
"""One of each kind; the others take half a minute more."""
Keep = Callable[..., Future | None]


@pytest.fixture(scope="module")
def laid_out(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox's folder as an official image has it, in which nothing is left."""
    with ProcessSandbox.start(sandbox_spec(instance, tmp_path_factory.mktemp("run"))) as sandbox:
        folder = tmp_path_factory.mktemp("laid-out") / "sandbox"
        copy(Path(sandbox.workdir).parent, folder)
        return folder


@pytest.fixture(scope="module")
def make(laid_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Repository]:
    def make_one(env: dict[str, str] | None = None) -> Repository:
        root = tmp_path_factory.mktemp("copy") / "sandbox"
        copy(laid_out, root)
        return Repository(ProcessSandbox(root, 2, env or {}), Baseline("", ""))

    return make_one


@pytest.fixture
def repository(make: Callable[..., Repository]) -> Repository:
    return make()


def copy(root: Path, to: Path) -> None:
    shutil.copytree(root, to, symlinks=True, ignore=shutil.ignore_patterns("miniconda3"))


@pytest.fixture
def keep_out(
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Keep:
    """Does what a rollout does before its agent: `keep_out(repository, "warn")`."""
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))

    def run(repository: Repository, mode: str = "fix") -> Future | None:
        config = make_config("nop", {"rollout.integrity": mode})
        assignment = make_assignment(config, instance, "process", tmp_path)
        found = find_future(repository.sandbox, instance)
        return keep_the_future_out(repository.sandbox, assignment, found)

    return run


def root_of(repository: Repository) -> Path:
    return Path(repository.sandbox.workdir).parent


def plant(repository: Repository, command: str) -> None:
    repository.run(f"{COMMIT}\n{command}")


def where_it_is(repository: Repository) -> list[str]:
    """Every file and every object below the sandbox's folder in which the planted text stands."""
    found = []
    for path in sorted(root_of(repository).rglob("*")):
        if SECRET in str(path).encode() or (
            path.is_file() and not path.is_symlink() and SECRET in path.read_bytes()
        ):
            found.append(str(path))
        if path.suffix in (".bundle", ".pack") and path.parent.name != "pack":
            found.append(f"{path}: packed")  # what is in there is compressed
        if path.name == "objects" and path.is_dir() and (path / "pack").exists():
            found += objects_with_it(path)
    return found


def objects_with_it(objects: Path) -> list[str]:
    everything = ["--batch-all-objects", "--batch", "--buffer"]
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "cat-file", *everything],
        env={"GIT_DIR": str(objects.parent), "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
    )
    return [f"{objects}: an object"] if SECRET in done.stdout else []


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's bytes and time below it."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != NOTED
    }


def shown(repository: Repository) -> tuple[str, ...]:
    """What people and agents see of a repository's past and present."""
    commands = (
        "git log --format=fuller",
        "git symbolic-ref HEAD",
        "git status --short --branch",
        "git blame README.md",
        "git ls-files -s",
        "git fsck --full --no-dangling",
        "git describe --always",
    )
    return tuple(repository.run(command) for command in commands)


@pytest.fixture(scope="module")
def untouched(make: Callable[..., Repository]) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """What such a repository shows, and its files, where nothing was planted."""
    repository = make()
    return shown(repository), files_of(repository)


def files_of(repository: Repository) -> dict[str, bytes]:
    sources = contents(Path(repository.sandbox.workdir) / "src")
    return {name: data for name, (data, _) in sources.items()}


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, marks=[] if place in QUICKLY_TRIED else pytest.mark.slow)
        for place in PLACES
    ],
)
def test_a_fix_that_was_left_is_found_where_it_lies_and_no_agent_can_find_it(
    place: str, make: Callable[..., Repository], keep_out: Keep, untouched: Any
) -> None:
    repository = make()
    kind, command = PLACES[place]
    plant(repository, command)
    assert where_it_is(repository), "else nothing is tried"

    found = keep_out(repository)

    assert found is not None
    assert kind in found.found
    assert found.dropped
    assert where_it_is(repository) == []
    if place == "a clone in the work tree":
        repository.run("rm -r inner")  # its files are the agent's to see, as any in the work tree
    assert (shown(repository), files_of(repository)) == untouched


@pytest.mark.parametrize(
    "prepare",
    [
        "true",
        "git gc -q",
        "git repack -qadb && git commit-graph write --reachable && git multi-pack-index write",
        "git checkout -q --detach",
        "git tag v1 && git branch old HEAD^ && git update-ref refs/remotes/origin/main HEAD^",
        "export GIT_COMMITTER_DATE=2024-01-01T00:00:00+0000; git -c user.name=a -c user.email=a@a "
        "tag -a -m 'the release' v1 HEAD^ && git pack-refs --all",
        "echo 1 > new.py && git add new.py && echo 2 >> README.md",
        "git sparse-checkout set src || true",
        "git reflog expire --expire=now --all",
        ": > .git/logs/HEAD",
        "rm -rf .git/logs",
        "git reset -q --hard HEAD",
        "touch .git/hooks/x || mkdir .git/hooks",
        "git clone -q . ../same",
        "git init -q ../other && cd ../other && echo 1 > a && git add a && "
        "git -c user.name=a -c user.email=a@a commit -qm theirs",
        "git bundle create -q ~/x.bundle HEAD && cp .git/objects/pack/*.pack ~ || true",
        "mkdir -p ~/site-packages/ledger-0.0.1.dist-info ~/site-packages/ledger_more-9.0.dist-info",
        "d=~/site-packages/ledger-99.dist-info; mkdir -p $d && "
        'echo \'{"dir_info": {"editable": true}, "url": "file://"}\' > $d/direct_url.json',
    ],
)
def test_where_nothing_was_left_nothing_is_found_and_nothing_changed(
    prepare: str, make: Callable[..., Repository], keep_out: Keep
) -> None:
    repository = make()
    repository.run(prepare)
    before = contents(root_of(repository))

    assert keep_out(repository) is None

    assert contents(root_of(repository)) == before
    assert keep_out(repository) is None, "what is remembered says the same"


def test_addresses_of_remotes_are_noted_and_left(repository: Repository, keep_out: Keep) -> None:
    repository.run("git remote add origin https://example.org/orchard/ledger")

    assert keep_out(repository) == Future({"remotes": 1}, ("origin",))


def test_a_repository_that_was_clean_once_is_looked_at_again(
    repository: Repository, keep_out: Keep
) -> None:
    assert keep_out(repository) is None
    plant(repository, "plant")

    found = keep_out(repository)

    assert found is not None
    assert found.found == {"commits": 1, "trees": 1, "blobs": 1}


CHANGED_IN_PLACE = {
    "a bundle": (
        "git bundle create -q ~/x.bundle HEAD",
        "beside ../o && git -C ../o bundle create -q ~/x.bundle HEAD && rm -rf ../o",
    ),
    "a download in pip's cache": (
        "mkdir -p ~/.cache/pip/http-v2/a && echo something > ~/.cache/pip/http-v2/a/b.body",
        "printf 'PLANTED-FIX\\0ledger-99.1.dist-info/METADATA\\0' > ~/.cache/pip/http-v2/a/b.body",
    ),
    "an installation that was a link": (
        "d=~/site-packages/ledger-99.dist-info; mkdir -p $d && "
        'echo \'{"dir_info": {"editable": true}}\' > $d/direct_url.json',
        "rm ~/site-packages/ledger-99.dist-info/direct_url.json",
    ),
}


@pytest.mark.parametrize("case", CHANGED_IN_PLACE)
def test_what_was_clean_once_and_holds_more_now_under_its_name_is_found(
    case: str, repository: Repository, keep_out: Keep
) -> None:
    before, after = CHANGED_IN_PLACE[case]
    plant(repository, before)
    assert keep_out(repository) is None, "it is remembered as clean"
    plant(repository, after)

    found = keep_out(repository)

    assert found is not None
    assert found.is_leak


def test_with_warn_it_is_noted_and_stays(repository: Repository, keep_out: Keep) -> None:
    plant(repository, "git tag v2 $(plant)")
    before = contents(root_of(repository))

    found = keep_out(repository, "warn")

    assert found is not None
    assert (found.dropped, found.found["refs"]) == (False, 1)
    assert "refs/tags/v2" in found.names
    assert not any("PLANTED" in name for name in found.names)
    assert contents(root_of(repository)) == before


def test_with_fail_the_rollout_ends_in_a_failure_that_says_why(
    repository: Repository, keep_out: Keep
) -> None:
    plant(repository, "git tag v2 $(plant)")

    with pytest.raises(ImageUnavailable, match=r"after its base commit \(1 commits.*is fail$"):
        keep_out(repository, "fail")


UNMENDABLE = {
    "objects that lie outside of the sandbox": (
        'beside "$ELSEWHERE/o" && echo "$ELSEWHERE/o/.git/objects" > .git/objects/info/alternates',
        "which is not within the sandbox",
    ),
    "objects outside of the sandbox, by a way that begins in it": (
        'beside "$ELSEWHERE/o" && ln -s "$ELSEWHERE" ../link && '
        'echo "$(cd .. && pwd)/link/o/.git/objects" > .git/objects/info/alternates',
        "which is not within the sandbox",
    ),
    "a history that is damaged": (
        "git branch next $(plant) && rm -f .git/objects/$(git rev-parse HEAD^ | sed 's|^..|&/|')",
        "",
    ),
    "refs in a form that is not known": ("mkdir .git/reftable", "form (reftable)"),
    "a disk that is full": ("plant", "No space left on device"),
}


@pytest.mark.parametrize("case", UNMENDABLE)
def test_where_it_can_not_be_mended_no_agent_is_started(
    case: str,
    make: Callable[..., Repository],
    keep_out: Keep,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    command, words = UNMENDABLE[case]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    repository = make(env={"ELSEWHERE": str(elsewhere)})
    if case == "a disk that is full":
        tools = elsewhere / "bin"
        tools.mkdir()
        path = f"{tools}:/usr/local/bin:/usr/bin:/bin"
        repository = make(env={"PATH": path})
        (tools / "git").write_text(
            '#!/bin/bash\n[[ " $* " != *" pack-objects "* ]] || '
            '{ echo No space left on device >&2; exit 128; }\nexec /usr/bin/git "$@"\n'
        )
        (tools / "git").chmod(0o755)
    plant(repository, command)
    before = contents(elsewhere)

    with pytest.raises(ImageUnavailable) as raised:
        keep_out(repository)

    assert words in str(raised.value)
    assert contents(elsewhere) == before, "nothing outside of the sandbox is touched"


ODD = {
    "a shallow clone": (
        "git clone -q --depth 1 file://$PWD ../n && rm -rf .git && mv ../n/.git . && rm -rf ../n"
    ),
    "a linked work tree": (
        "git clone -q . ../main && cd ../main && git checkout -q --detach && "
        "git worktree add -q ../w main && rm -rf $top/.git && mv ../w/.git $top && rm -rf ../w && "
        "echo $top/.git > .git/worktrees/w/gitdir"
    ),
    "a submodule of another repository": (
        "mkdir -p ../git/modules && mv .git ../git/modules/testbed && "
        "git --git-dir=../git/modules/testbed config core.worktree ../../../testbed && "
        "echo 'gitdir: ../git/modules/testbed' > .git"
    ),
    "names by sha256": (
        "rm -rf .git && git init -q -b main --object-format=sha256 && git add -A && "
        "git commit -qm SWE-bench"
    ),
    "a partial clone": (
        "git config uploadpack.allowFilter true && git clone -q --no-checkout --filter=blob:none "
        "file://$PWD ../n && rm -rf .git && mv ../n/.git . && git remote set-url origin /none && "
        "GIT_NO_LAZY_FETCH=1 git read-tree HEAD"
    ),
    "another owner": "[ $(id -u) -ne 0 ] || chown -R 12345 .",
    "HEAD on no branch": "git checkout -q --detach",
    "a path with odd letters": "mkdir '../a [b]*' && git init -q '../a [b]*/c'",
}


@pytest.mark.parametrize("case", ODD)
def test_a_repository_of_an_odd_form_is_searched_and_mended_too(
    case: str, make: Callable[..., Repository], keep_out: Keep
) -> None:
    repository = make()
    plant(repository, ODD[case])
    git = "git -c safe.directory='*'"
    show = f"{git} log --format=%H; {git} rev-parse --abbrev-ref HEAD; {git} ls-files -s"
    before = repository.run(show)
    first = keep_out(repository)
    assert first is None or not first.is_leak
    plant(repository, f'git() {{ command {git} "$@"; }}; git branch next $(plant)')

    found = keep_out(repository)

    assert found is not None
    assert {"commits", "trees", "blobs", "refs"} <= found.found.keys()
    assert where_it_is(repository) == []
    assert repository.run(show) == before


def test_the_patch_of_a_mended_repository_is_the_agents_alone(
    repository: Repository, keep_out: Keep, instance: Instance
) -> None:
    plant(repository, "git branch next $(plant)")
    baseline = noted_and_kept(repository.sandbox, instance)
    keep_out(repository)
    repository.run("echo more >> README.md")
    repository.sandbox.renew((baseline.folder,))

    patch, remarks = harvest(repository.sandbox, baseline)

    assert remarks == ()
    assert [line for line in patch.splitlines() if line.startswith("+")][1:] == ["+more"]
    assert where_it_is(repository) == []


def planted_sandboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process sandbox starts with a fix left in a tag and in a clone at home."""
    start = ProcessSandbox.start

    def start_planted(spec: SandboxSpec) -> ProcessSandbox:
        sandbox = start(spec)
        command = "git tag v2 $(plant) && git clone -q --mirror . ~/mirror"
        assert sandbox.exec(f"{COMMIT}\n{command}", 60).exit_code == 0
        return sandbox

    monkeypatch.setattr(ProcessSandbox, "start", start_planted)


def test_a_rollout_says_what_its_image_held_and_its_agent_sees_none_of_it(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted_sandboxes(monkeypatch)

    record = play(make_config("nop"), instance, "process", tmp_path).record

    assert record.outcome is Outcome.GAVE_UP
    assert record.future is not None
    assert record.future.dropped
    assert {"commits", "refs", "other clones"} <= record.future.found.keys()


def test_a_rollout_that_must_not_go_on_is_an_image_that_is_unavailable(
    play: Callable[..., RolloutResult],
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted_sandboxes(monkeypatch)
    config = make_config("nop", {"rollout.integrity": "fail"})

    result = play(config, instance, "process", tmp_path)

    assert result.failure is not None
    assert result.failure.kind is FailureKind.IMAGE_UNAVAILABLE
    assert "rollout.integrity is fail" in result.failure.detail


@pytest.mark.docker
def test_nothing_of_it_is_left_in_a_container(
    ensure_image: Callable[[Instance], None],
    make_config: Callable[..., RunConfig],
    instance: Instance,
    tmp_path: Path,
) -> None:
    ensure_image(instance)
    assignment = make_assignment(make_config("nop"), instance, "docker", tmp_path)
    site = "/opt/miniconda3/envs/testbed/lib/python3.9/site-packages"
    places = (
        "git branch next $(plant) && git stash -q; beside /o; beside /root/src/ledger; "
        "git -C /o bundle create -q /srv/all.bundle HEAD; "
        f"mkdir -p {site}/ledger {site}/ledger-99.dist-info; echo PLANTED-FIX > {site}/ledger/x.py;"
        f"echo ledger/x.py,, > {site}/ledger-99.dist-info/RECORD"
    )
    with find_backend("docker").start(sandbox_spec(instance, tmp_path)) as sandbox:
        assert keep_the_future_out(sandbox, assignment, find_future(sandbox, instance)) is None
        before = sandbox.exec("git log; git status; git ls-files -s; ls /", 60).text
        planted = sandbox.exec(f"export TMPDIR=/tmp\n{COMMIT}\n{places}", 60)
        assert planted.exit_code == 0, planted.text

        found = keep_the_future_out(sandbox, assignment, find_future(sandbox, instance))

        assert found is not None
        kinds = {"other clones", "bundles and packs", "later versions of the package", "refs"}
        assert kinds <= found.found.keys()
        search = (
            "grep -rlaF PLANTED-FIX / --exclude-dir=proc --exclude-dir=sys; "
            "git cat-file --batch-all-objects --batch --buffer | grep -acF PLANTED-FIX; "
            "find / -xdev -name '*.bundle' -o -xdev -name ledger-99.dist-info"
        )
        assert sandbox.exec(search, 120).text == "0\n"
        assert sandbox.exec("git log; git status; git ls-files -s; ls /", 60).text == before
        assert sandbox.image
