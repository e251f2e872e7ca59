"""Whatever is done to git in a sandbox, the patch is that of the files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.repositories import SOURCE, Repository
from support.specs import KINDS

from orchestrator.backends import Sandbox
from orchestrator.types import Instance

pytestmark = pytest.mark.slow

Make = Callable[..., Repository]
BIN = "../miniconda3/envs/testbed/bin"
COMMIT = "git -c user.name=a -c user.email=a@a commit -q"
EDIT = f"echo '# x' >> {SOURCE}; echo new > new.txt"


def grow(path: str, size_mb: int) -> str:
    """Makes a file of that size, most of which is a hole."""
    return f"dd if=/dev/zero of={path} bs=1000000 count=0 seek={size_mb} 2>/dev/null"


VANDALISM = {
    # settings
    "a broken line in the settings": "echo '[broken' >> .git/config",
    "settings that are a folder": "rm .git/config && mkdir .git/config",
    "a bare repository": "git config core.bare true",
    "another work tree": "git config core.worktree /nowhere",
    "an unknown extension": "git config core.repositoryFormatVersion 7",
    "a user's broken settings": "echo '[broken' > ~/.gitconfig",
    "a user's ignored files": "git config --global core.excludesFile ~/x && echo '*' > ~/x",
    "a user's attributes": "git config --global core.attributesFile ~/y && echo '* -diff' > ~/y",
    "ignored files of the repository's own": "echo '*' > .git/info/exclude",
    "attributes of the repository's own": "echo '* binary' > .git/info/attributes",
    "a file system monitor": "git config core.fsmonitor 'echo ok; exit 0'",
    "an untracked cache": "git config core.untrackedCache true && git status",
    "file names without case": "git config core.ignoreCase true",
    "no symbolic links": "git config core.symlinks false",
    "quoted names": "git config core.quotePath false",
    "line ends": "git config core.autocrlf true && git config core.eol crlf",
    "a clean filter": "git config filter.x.clean 'tr a-z A-Z' && echo '* filter=x' > "
    ".git/info/attributes",
    "a required filter": "git config filter.x.clean false && git config filter.x.required true",
    "diff settings": "git config diff.noprefix true && git config diff.external false",
    "submodules": "git config submodule.recurse true && git config diff.ignoreSubmodules none",
    "hooks": "git config core.hooksPath /nowhere",
    # the index
    "bits of the index": f"git update-index --assume-unchanged {SOURCE}",
    "skipped in the index": f"git update-index --skip-worktree {SOURCE}",
    "an edit meant to be added": "git add -N .",
    "a sparse checkout": "git sparse-checkout set --no-cone '/*' && git sparse-checkout list",
    "a split index": "git update-index --split-index && rm .git/sharedindex.*",
    "a truncated index": "head -c 100 .git/index > i && mv i .git/index",
    "an empty index": ": > .git/index",
    "an index of noise": "head -c 4000 /dev/urandom > .git/index",
    "an index that is locked": "touch .git/index.lock .git/HEAD.lock .git/config.lock",
    "an index of version 4": "git update-index --index-version 4",
    # references and objects
    "a broken HEAD": "echo noise > .git/HEAD",
    "no HEAD": "rm .git/HEAD",
    "a detached HEAD": "git checkout -q --detach",
    "an unborn branch": "git symbolic-ref HEAD refs/heads/nothing",
    "an orphan": f"git checkout -q --orphan other && {COMMIT} -m new",
    "no references": "rm -rf .git/refs .git/packed-refs",
    "packed references of noise": "head -c 999 /dev/urandom > .git/packed-refs",
    "a later commit": f"git add -A && {COMMIT} --allow-empty -m mine",
    "no history": "rm -rf .git/logs && git update-ref -d HEAD",
    "a replaced commit": "echo tree $(git mktree < /dev/null) > t; git replace HEAD "
    "$(git hash-object -w --literally -t commit t); rm t",
    "a graft": "git rev-parse HEAD > .git/info/grafts",
    "shallow": "git rev-parse HEAD > .git/shallow",
    "pruned": "git update-ref -d HEAD; git reflog expire --expire=now --all; git gc -q --prune=now",
    "no objects": "rm -rf .git/objects",
    "objects of noise": "chmod -R u+w .git && find .git/objects -type f -exec cp .git/HEAD {} \\;",
    "objects elsewhere": "echo /nowhere > .git/objects/info/alternates",
    # the repository
    "no repository": "rm -rf .git",
    "another repository": "rm -rf .git && git init -q",
    "another repository with a commit": "rm -rf .git && git init -q && git add -A && "
    f"{COMMIT} -m mine",
    "initialised again": "git init -q",
    "a repository in a file": "rm -rf .git && echo 'gitdir: /nowhere' > .git",
    "a repository in a link": "mv .git ../elsewhere && ln -s ../elsewhere .git",
    "a repository outside": "mv .git ../gone",
    "a file in its place": "rm -rf .git && echo noise > .git",
    "a pipe in its place": "rm -rf .git && mkfifo .git",
    "a repository that can't be written": "chmod -R a-w .git",
    "a repository that can't be read": "find .git -depth -exec chmod 000 {} +",
    "a repository with a work tree beside": "git worktree add -q ../beside",
    # files
    "files of the same size and time": f"touch -t 197001020000 {SOURCE}",
    "times of the future": "find . -path ./.git -prune -o -type f -exec touch -t 209601010000 {} +",
    "pipes": "mkfifo pipe docs/pipe",
    "a pipe that git would open": "mkdir -p p/q && mkfifo p/.gitignore p/q/.gitattributes",
    "modes": f"chmod 755 {SOURCE} && find . -type d -exec chmod 777 {{}} +",
    "files that can't be read": f"chmod 000 {SOURCE} new.txt",
    "a cache of Python's": "python3 -m compileall -q src && mkdir .pytest_cache && touch "
    ".pytest_cache/x",
    # the way there
    "no temporary folder": 'rm -rf "$TMPDIR"',
    "a file for a temporary folder": 'rm -rf "$TMPDIR" && touch "$TMPDIR"',
    "no home": "rm -rf ~",
    "another git": f"mkdir -p {BIN} && echo 'exit 1' > {BIN}/git && chmod +x {BIN}/git",
    "start-up files": "echo 'exit 3' | tee ~/.bashrc ~/.profile ~/.bash_profile > /dev/null",
}
"""What agents do, by accident or not; all of it leaves the files as they are."""

ENVIRONMENTS = {
    "a repository": {"GIT_DIR": "/nowhere"},
    "a work tree": {"GIT_WORK_TREE": "/nowhere"},
    "an index": {"GIT_INDEX_FILE": "/nowhere"},
    "objects": {"GIT_OBJECT_DIRECTORY": "/nowhere", "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere"},
    "a common folder": {"GIT_COMMON_DIR": "/nowhere"},
    "settings": {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "true",
    },
    "settings of noise": {"GIT_CONFIG_PARAMETERS": "noise", "GIT_CONFIG_COUNT": "x"},
    "settings in a file": {"GIT_CONFIG_GLOBAL": "/nowhere", "GIT_CONFIG_SYSTEM": "/nowhere"},
    "another owner": {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
    "literal names": {"GIT_LITERAL_PATHSPECS": "1"},
    "patterns": {"GIT_GLOB_PATHSPECS": "1", "GIT_ICASE_PATHSPECS": "1"},
    "a trace": {"GIT_TRACE": "1", "GIT_TRACE2": "1", "GIT_TRACE_SETUP": "1"},
    "another diff": {"GIT_EXTERNAL_DIFF": "false", "GIT_DIFF_OPTS": "-u0"},
    "another hash": {"GIT_DEFAULT_HASH": "sha256"},
    "templates": {"GIT_TEMPLATE_DIR": "/nowhere"},
    "its programs": {"GIT_EXEC_PATH": "/nowhere"},
    "attributes": {"GIT_ATTR_SOURCE": "nothing"},
    "no home": {"HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"},
    "no temporary folder": {"TMPDIR": "/nowhere"},
    "POSIX": {"POSIXLY_CORRECT": "1"},
    "folders": {"CDPATH": "/:/tmp"},
    "a language": {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"},
    "a locale that is not there": {"LC_ALL": "nonsense"},
    "options of grep": {"GREP_OPTIONS": "--color=always"},
}


@pytest.fixture(scope="module")
def plain(make: Make) -> str:
    """The patch of the edit alone."""
    patch, remarks = make().harvest(EDIT)
    assert remarks == ()
    assert patch.count("diff --git") == 2
    return patch


@pytest.mark.slow
@pytest.mark.parametrize("name", VANDALISM)
def test_the_patch_is_the_same_whatever_is_done_to_git(name: str, make: Make, plain: str) -> None:
    repository = make()
    repository.run(EDIT)

    assert repository.harvest(VANDALISM[name]) == (plain, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_patch_is_the_same_whatever_the_environment_says(
    name: str, make: Make, plain: str
) -> None:
    assert make(ENVIRONMENTS[name]).harvest(EDIT) == (plain, ())


@pytest.mark.parametrize("kind", KINDS)
def test_no_sandbox_needs_the_repository_for_the_patch(
    kind: str, open_sandbox: Callable[..., Sandbox], instance: Instance
) -> None:
    sandbox = open_sandbox(kind)
    if os.geteuid() == 0 or kind == "docker":
        assert sandbox.exec("chown -R 12345 .", 60).exit_code == 0
    repository = Repository.inspected(sandbox, instance)

    plain = repository.harvest(EDIT)
    told = repository.run(repository.baseline.diff_command(sandbox.workdir))

    assert told.partition("SNAPSHOT\n")[2] == f"{len(plain[0].encode())}\n{plain[0]}"
    assert repository.harvest("echo '[broken' >> .git/config; chown -R 54321 .. || true") == plain
    assert repository.harvest("rm -rf .git") == plain


INSIDE = {
    # what is done: files that must be in the patch
    "begun in a folder of the repository": (
        f"cd src/ledger && git init -q && git add -A && {COMMIT} -m x && touch more.py",
        ["src/ledger/more.py"],
    ),
    "begun in a new folder": ("git init -q pkg && touch pkg/a.py", ["pkg/a.py"]),
    "one in another": (
        "git init -q a && git init -q a/b/c && touch a/1 a/b/2 a/b/c/3",
        ["a/1", "a/b/2", "a/b/c/3"],
    ),
    "with broken settings": (
        "git init -q pkg && touch pkg/a.py && echo '[broken' > pkg/.git/config",
        ["pkg/a.py"],
    ),
    "that is a file of noise": ("mkdir pkg && touch pkg/a.py && echo x > pkg/.git", ["pkg/a.py"]),
    "in place of a file": (
        "rm data.bin && git init -q data.bin && touch data.bin/a",
        ["data.bin/a"],
    ),
    "with an odd name": ("git init -q ':(top)*, ä' && touch ':(top)*, ä/a.py'", ["a.py"]),
    "a submodule": (
        f"git init -q ../o && cd ../o && touch a && git add a && {COMMIT} -m o && cd - && "
        "git -c protocol.file.allow=always submodule add -q ../o src/ledger/o",
        [".gitmodules"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INSIDE)
def test_files_in_a_repository_inside_are_files(name: str, make: Make, plain: str) -> None:
    command, wanted = INSIDE[name]

    patch, _ = make().harvest(f"{EDIT}; {command}")

    assert all(f"{path}\n" in patch or f'{path}"\n' in patch for path in wanted), patch
    assert plain[plain.index(f"diff --git a/{SOURCE}") :] in patch
    assert "Subproject" not in patch


LEFT_OUT = {
    "a clone": ("git clone -q . copy", "copy was left out: it is a repository of its own"),
    "a work tree": ("git worktree add -q copy", "copy was left out: it is a repository of its own"),
    "a clone in a link": (
        "git clone -q . ../c && mkdir copy && ln -s ../../c/.git copy/.git && touch copy/x",
        "copy was left out: it is a repository of its own",
    ),
    "a bare clone": (
        "git clone -q --bare . b.git",
        "b.git was left out: it is a folder of git's own",
    ),
    "another name": ("mv .git .git.bak", ".git.bak was left out: it is a folder of git's own"),
    "a copy": ("mkdir a && cp -r .git a/b", "a/b was left out: it is a folder of git's own"),
    "a large file": (grow("core", 21), "core was left out: it is over 20 MB"),
    "a huge file": (grow("core", 1_000_000), "core was left out: it is over 20 MB"),
    "a file that grew": (grow("data.bin", 1_000_000), "data.bin was left out: it is over 20 MB"),
    "an odd name": (grow("$'a\\nb*'", 21), "$'a\\nb*' was left out: it is over 20 MB"),
    "a pipe in place of a file": (
        "rm data.bin && mkfifo data.bin",
        "git could not read a file: data.bin: can only add regular files",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_no_part_of_a_patch_is_left_out_and_named(
    name: str, make: Make, plain: str
) -> None:
    command, said = LEFT_OUT[name]

    patch, remarks = make().harvest(f"{EDIT}; {command}")

    assert patch == plain
    assert remarks[0].startswith(said)


@pytest.mark.parametrize(
    "command", ["git clone -q . out/copy", "cp -r .git out", grow("out/core", 21)]
)
def test_what_is_ignored_is_left_out_without_a_word(command: str, make: Make, plain: str) -> None:
    repository = make()
    repository.run(f"{EDIT}; mkdir out; echo /out/ > .gitignore")
    ignored = repository.harvest("true")

    assert repository.harvest(command) == ignored == (ignored[0], ())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize("owner", ["12345", "nobody", "12345:54321"])
def test_whose_the_files_are_does_not_matter(owner: str, make: Make, plain: str) -> None:
    theirs, ours = make(prepare=f"chown -R {owner} ."), make()

    assert theirs.harvest(EDIT) == (plain, ())
    assert ours.harvest(f"{EDIT}; chown -R {owner} . && chown {owner} ..") == (plain, ())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("path", [SOURCE, "new.txt", "src", "src/ledger"])
def test_files_that_nobody_may_read_are_read(path: str, make: Make, plain: str) -> None:
    assert make().harvest(f"{EDIT}; chmod 000 {path}") == (plain, ())


SET_UP = {
    "a repository in a file": 'mv .git ../x && echo "gitdir: $PWD/../x" > .git',
    "a repository in a link": "mv .git ../x && ln -s ../x .git",
    "no index": "rm .git/index",
    "an index of noise": "echo noise > .git/index",
    "a bare repository": "git config core.bare true",
    "another work tree": "git config core.worktree /nowhere",
    "a user's broken settings": "echo '[broken' > ~/.gitconfig",
    "skipped in the index": f"git update-index --skip-worktree {SOURCE}",
    "a split index": "git config core.splitIndex true && git update-index --split-index",
    "a sparse checkout": "git sparse-checkout set --no-cone '/*'",
    "a detached HEAD": "git checkout -q --detach",
    "packed": "git gc -q",
    "objects elsewhere": "mv .git/objects ../o && mkdir -p .git/objects/info && "
    'echo "$PWD/../o" > .git/objects/info/alternates',
    "a replaced commit": "echo tree $(git mktree < /dev/null) > t; git replace HEAD "
    "$(git hash-object -w --literally -t commit t); rm t",
    "a clean filter": "git config filter.x.clean 'tr a-z A-Z' && echo '* filter=x' > "
    ".git/info/attributes",
    "line ends": "git config core.autocrlf true",
    "a pipe": "mkfifo pipe",
}
"""What may be wrong with an image's repository, and does not matter."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SET_UP)
def test_the_patch_is_the_same_however_the_image_was_set_up(
    name: str, make: Make, plain: str
) -> None:
    assert make(prepare=SET_UP[name]).harvest(EDIT) == (plain, ())


def test_what_the_image_ignores_by_info_exclude_stays_out(make: Make, plain: str) -> None:
    repository = make(prepare="echo '*.o' > .git/info/exclude; touch old.o")

    assert repository.harvest(f"{EDIT}; echo 1 > old.o; touch new.o") == (plain, ())


def test_files_that_are_tracked_and_ignored_count(make: Make) -> None:
    track = "echo 1 > a.log; echo '*.log' > .gitignore; git add -f . && git commit -q --amend -m x"
    repository = make(prepare=f"git config user.name a; git config user.email a@a; {track}")

    patch, _ = repository.harvest("echo 2 > a.log; echo 2 > b.log")

    assert patch.count("diff --git") == 1
    assert "+++ b/a.log" in patch


def test_files_of_a_submodule_that_is_there_are_files(make: Make) -> None:
    add = (
        f"git init -q ../o && cd ../o && echo 1 > a && git add a && {COMMIT} -m o && cd - && "
        "git -c protocol.file.allow=always submodule add -q ../o sub && "
        f"{COMMIT} --amend -m SWE-bench"
    )
    changed, fresh = make(prepare=add), make(prepare=add)

    patch, remarks = changed.harvest("echo 2 > sub/a; echo 3 > sub/b")
    fresh.apply(patch)

    assert (patch.count("diff --git"), remarks) == (2, ())
    assert fresh.run("cat sub/a sub/b") == "2\n3\n"


def test_a_large_file_that_was_there_is_read(make: Make) -> None:
    repository = make(prepare=grow("large", 21))

    assert repository.harvest("true") == ("", ())
    patch, _ = repository.harvest("printf x | dd of=large bs=1 seek=9 conv=notrunc status=none")
    assert "a/large b/large" in patch


def test_a_change_of_the_same_size_and_time_is_seen(make: Make) -> None:
    repository = make()

    patch, _ = repository.harvest(
        f"cp -p {SOURCE} old && tr a b < old > {SOURCE} && touch -r old {SOURCE} && rm old"
    )

    assert f"+++ b/{SOURCE}" in patch


ATTRIBUTES = (
    "* text",
    "* text=auto",
    "* text eol=crlf",
    "* eol=lf",
    "* crlf=input",
    "* ident",
    "* binary",
    "* -diff",
    "* filter=lfs diff=lfs merge=lfs -text",
    "[attr]noise text\n* noise",
)
ODD_ENDS = rf"""
printf 'one\r\n2\r\n' > crlf.txt; printf 'a\r\nb\n' > mixed.txt; perl -pi -e 's/$/\r/' {SOURCE}
printf '$Id: me $\n' > id.txt; printf 'caf\xe9\n' > latin1.txt; printf '\x00\r\n' > data.bin
"""


@pytest.mark.parametrize("line", [*ATTRIBUTES, "* working-tree-encoding=UTF-16"])
def test_attributes_of_the_agents_change_no_byte_of_other_files(line: str, make: Make) -> None:
    changed, fresh = make(), make()

    patch, _ = changed.harvest(f"{ODD_ENDS} echo '{line}' > .gitattributes")
    fresh.apply(patch)

    assert fresh.contents() == changed.contents()


@pytest.mark.slow
@pytest.mark.parametrize("line", ATTRIBUTES)
def test_patches_apply_where_the_repository_has_attributes(line: str, make: Make) -> None:
    """Git itself writes another line `$Id$` as it applies one; the rest must be the same."""
    add = f"""
    echo '{line.replace("*", "src/**")}' > .gitattributes
    printf '$Id$\\n1\\n' > src/id.py
    git add -A && {COMMIT} --amend -m SWE-bench && rm -r src && git checkout -q src
    """
    changed, fresh = make(prepare=add), make(prepare=add)

    patch, _ = changed.harvest(
        f"perl -pi -e 's/^1/2/' src/id.py; perl -pi -e 's/import/import  /' {SOURCE}"
    )
    fresh.apply(patch)

    for repository in (changed, fresh):
        repository.run("perl -pi -e 's/Id: [0-9a-f]* /Id/' src/id.py")
    assert fresh.contents() == changed.contents()


def test_patches_of_files_in_another_encoding_apply(make: Make) -> None:
    add = f"""
    echo '*.wide working-tree-encoding=UTF-16' > .gitattributes
    printf 'one\\n' | iconv -t UTF-16 > a.wide
    git add -A && {COMMIT} --amend -m SWE-bench
    """
    changed, fresh = make(prepare=add), make(prepare=add)

    patch, _ = changed.harvest("printf 'two\\n' | iconv -t UTF-16 > a.wide")
    fresh.apply(patch)

    assert fresh.contents() == changed.contents()


def is_plain(name: bytes) -> bool:
    """Git knows no other names, or leaves their files out as it was told."""
    lower = name.lower().rstrip(b" .")
    special = (b".git", b"git~", b"__pycache__", b".pytest_cache", b"home", b"src", b"docs")
    return name not in (b".", b"..") and not lower.startswith(special) and lower[-4:] != b".pyc"


NAMES = st.binary(min_size=1, max_size=20).map(lambda name: name.translate(None, b"\0/"))
FILES = st.dictionaries(
    NAMES.filter(lambda name: bool(name) and is_plain(name)),
    st.one_of(st.binary(max_size=40), st.text("ab\r\n", max_size=9).map(str.encode)),
    max_size=4,
)


@pytest.mark.fuzz
@settings(
    max_examples=max(settings.default.max_examples // 15, 1),  # each is a dozen processes
    suppress_health_check=list(HealthCheck),
)
@given(names=st.lists(st.sampled_from(sorted(VANDALISM)), max_size=5), files=FILES)
def test_any_vandalism_and_any_files_are_a_patch_that_makes_the_same_files(
    names: list[str], files: dict[bytes, bytes], make: Make
) -> None:
    changed, fresh = make(), make()
    changed.run(EDIT)
    for name in names:
        changed.sandbox.exec(VANDALISM[name], 60)  # it may have nothing left to break
    for path, content in files.items():
        Path(changed.sandbox.workdir, os.fsdecode(path)).write_bytes(content)

    patch, _ = changed.harvest("true")
    fresh.apply(patch)

    changed.run("rm -rf .git; find . ! -type f ! -type l ! -type d -delete")
    fresh.run("rm -rf .git")
    assert fresh.contents() == changed.contents()
    assert fresh.run(f"tail -n 1 {SOURCE}; cat new.txt") == "# x\nnew\n"
