"""What an agent may do to a repository, and that the patch of it applies to a fresh one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.repositories import SOURCE, Repository, noted_and_kept

from orchestrator.backends import ExecResult
from orchestrator.errors import ImageUnavailable, SandboxUnavailable
from orchestrator.types import Instance
from orchestrator.worker.harvest import Baseline, harvest, inspect_repository, keep_files

pytestmark = pytest.mark.slow

Make = Callable[[], Repository]
CHANGES = {
    "an edit": f"echo '# größer' >> {SOURCE}",
    "a CRLF file": r"printf 'one\r\n2\r\n' > crlf.txt",
    "a file that becomes CRLF": rf"perl -pi -e 's/$/\r/' {SOURCE}",
    "latin-1 bytes": r"printf 'caf\xe9 cr\xe8me\n' > latin1.txt",
    "latin-1 in a new file": r"printf 'na\xefve\n' > new-latin1.txt",
    "a new file": "mkdir -p a/b && echo new > a/b/new.txt",
    "a name with spaces and umlauts": "echo 1 > 'größer than.txt'",
    "a deleted file": "rm docs/guide.txt",
    "a renamed file": f"git mv {SOURCE} src/ledger/coins.py",
    "a binary file": r"head -c 5000 /dev/urandom > data.bin",
    "a new binary file": r"printf '\x00\xff' > more.bin",
    "no newline at the end": f"printf '# end' >> {SOURCE}",
    "an empty new file": "touch empty.txt",
    "a symbolic link": "ln -s README.md LINK.md",
    "a file in place of a folder": "rm -r docs && echo now > docs",
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_patch_of_a_change_makes_a_fresh_repository_the_same(name: str, make: Make) -> None:
    changed, fresh = make(), make()
    patch, _ = changed.harvest(CHANGES[name])
    assert patch

    fresh.apply(patch)

    assert fresh.contents() == changed.contents()


def test_nothing_changed_is_no_patch(repository: Repository) -> None:
    assert repository.harvest("true") == ("", ())


def test_what_the_set_up_changed_is_not_the_agents(repository: Repository) -> None:
    patch, _ = repository.harvest(f"echo '# x' >> {SOURCE}")

    assert patch.count("diff --git") == 1


@pytest.mark.parametrize(
    "command",
    [
        "git add -A",
        "git -c user.name=a -c user.email=a@a commit -qam mended",
        "git checkout -qb mine && git -c user.name=a -c user.email=a@a commit -qam mended",
        "git config diff.noprefix true && git config core.autocrlf true",
        "git config diff.external echo && git config color.ui always",
        "rm .git/index",
        "git rm -q --cached -r . ",
        f"touch {SOURCE}.pyc && python3 -m compileall -q src && ls -d src/ledger/__pycache__",
        "mkdir -p .pytest_cache && echo 1 > .pytest_cache/x",
        f"chmod 755 {SOURCE}",
        "git gc -q --prune=now",
        "touch .git/index.lock",
    ],
)
def test_what_the_agent_does_with_git_does_not_change_its_patch(
    command: str, repository: Repository
) -> None:
    plain, _ = repository.harvest(f"echo '# x' >> {SOURCE}")

    assert repository.harvest(command) == (plain, ())


def test_a_stray_repository_inside_does_not_take_the_patch_away(repository: Repository) -> None:
    plain, _ = repository.harvest(f"echo '# x' >> {SOURCE}")

    patch, _ = repository.harvest("git init -q scratch && echo 1 > scratch/a")

    assert plain in patch


def test_a_file_that_git_can_not_read_does_not_take_the_patch_away(
    repository: Repository,
) -> None:
    plain, _ = repository.harvest(f"echo '# x' >> {SOURCE}")

    patch, _ = repository.harvest("mkfifo pipe")

    assert patch == plain


def test_ignored_files_stay_out(repository: Repository) -> None:
    patch, _ = repository.harvest("echo '*.log' >> .gitignore && echo 1 > run.log")

    assert "run.log" not in patch
    assert ".gitignore" in patch


def test_bytes_that_are_no_text_are_noted_and_still_plain_ascii(repository: Repository) -> None:
    patch, remarks = repository.harvest(CHANGES["latin-1 bytes"])

    assert patch.isascii()
    assert "GIT binary patch" in patch
    assert remarks == ("patch in git's binary form",)


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        ('rm -rf "$PWD"', "{workdir} is gone"),
        ('mv "$PWD" "$PWD-2"', "{workdir} is gone"),
        ('rm -rf "$PWD" && touch "$PWD"', "{workdir} is gone"),
        ("rm -rf {folder}", "{folder}, where the files of the start were kept, is gone"),
        ("rm -rf {folder}/repository/objects", "what was kept of the start in {folder} is damaged"),
        ("rm {folder}/repository/HEAD", "what was kept of the start in {folder} is damaged"),
        (
            "cd {folder}/repository/objects/pack; chmod u+w *; for f in *; do echo 1 > $f; done",
            "in {folder} is damaged",
        ),
        ("rm {folder}/git", "what was kept of the start in {folder} is damaged"),
    ],
)
def test_what_is_really_gone_is_an_empty_patch_and_says_what_was_seen(
    command: str, seen: str, repository: Repository
) -> None:
    places = {"folder": repository.baseline.folder, "workdir": repository.sandbox.workdir}
    command, seen = command.format(**places), seen.format(**places)

    patch, (remark,) = repository.harvest(f"echo '# x' >> {SOURCE}; {command}")

    assert patch == ""
    assert remark.startswith("there is no patch: ")
    assert remark.endswith(seen)


class FullDisk:
    """A sandbox in which nothing more can be written."""

    workdir = "/testbed"

    def patience(self, seconds: float) -> float:
        return seconds

    def exec(self, command: str, timeout_s: float, *, max_bytes: int = 0) -> ExecResult:
        return ExecResult(b"SNAPSHOT\nerror: No space left on device\n", 128)


def test_a_harvest_that_fails_otherwise_is_not_the_agents_doing() -> None:
    """The patch is not empty, it is unknown."""
    with pytest.raises(SandboxUnavailable, match="harvested: error: No space left on device"):
        harvest(FullDisk(), Baseline("1234", "/kept"))  # type: ignore[arg-type]


def test_a_patch_that_is_too_large_is_dropped_with_a_remark(repository: Repository) -> None:
    patch, (remark,) = repository.harvest("seq 3000000 > numbers.txt")

    assert patch == ""
    assert "over 20 MB" in remark


def test_the_harvest_leaves_the_agents_index_alone(repository: Repository) -> None:
    repository.harvest(f"echo '# x' >> {SOURCE}; echo 1 > new.txt")

    assert repository.run("git status --short").splitlines() == [f" M {SOURCE}", "?? new.txt"]


def test_a_sandbox_that_is_gone_has_no_patch_to_know_of(repository: Repository) -> None:
    repository.sandbox.close()

    with pytest.raises(SandboxUnavailable):
        harvest(repository.sandbox, repository.baseline)


def test_a_repository_at_another_commit_is_a_wrong_image(
    repository: Repository, instance: Instance
) -> None:
    with pytest.raises(ImageUnavailable, match="not at the base commit 123456789012"):
        inspect_repository(repository.sandbox, replace(instance, base_commit="1234567890123"))


def test_no_repository_is_a_wrong_image(repository: Repository, instance: Instance) -> None:
    repository.run("rm -rf .git")

    with pytest.raises(ImageUnavailable, match="no usable git repository"):
        inspect_repository(repository.sandbox, instance)


def test_what_lay_there_uncommitted_is_not_the_agents(
    repository: Repository, instance: Instance
) -> None:
    repository.run(f"echo '# set up' >> {SOURCE}; echo 1 > set-up.txt")
    baseline = noted_and_kept(repository.sandbox, instance)
    repository.run(f"echo '# x' >> {SOURCE}; git add -A")

    patch, _ = harvest(repository.sandbox, baseline)

    assert [line for line in patch.splitlines() if line.startswith("+")][1:] == ["+# x"]
    assert "set-up.txt" not in patch


def test_an_image_that_lacks_objects_of_its_commit_is_kept_by_its_files(
    repository: Repository, instance: Instance
) -> None:
    repository.run(
        f"object=$(git rev-parse HEAD:{SOURCE}); git repack -q -a -d; mv .git/objects/pack .; "
        "mkdir .git/objects/pack; for pack in pack/*.pack; do git unpack-objects -q <$pack; done; "
        "rm -r pack .git/objects/${object:0:2}/${object:2}"
    )
    assert "missing" in repository.run("git fsck 2>&1 || true")
    baseline = noted_and_kept(repository.sandbox, instance)
    repository.run(f"echo '# x' >> {SOURCE}; rm -rf .git")

    patch, remarks = harvest(repository.sandbox, baseline)

    assert [line for line in patch.splitlines() if line.startswith("+")][1:] == ["+# x"]
    assert remarks == ()


def test_files_that_can_not_be_kept_are_the_images_fault(
    repository: Repository, instance: Instance
) -> None:
    baseline = inspect_repository(repository.sandbox, instance)
    repository.run(f"rm {SOURCE}; find .git/objects -type f -delete")

    with pytest.raises(ImageUnavailable, match=r"can't be kept: objects are missing, and its"):
        keep_files(repository.sandbox, instance, baseline)


def test_neither_inspection_nor_harvest_leaves_files_behind(repository: Repository) -> None:
    repository.harvest(f"echo '# x' >> {SOURCE}")

    assert repository.run("ls -A $TMPDIR") == ""


def test_the_inspection_writes_nothing_into_the_repository(
    repository: Repository, instance: Instance
) -> None:
    """Not even for a moment: who looks for its future there meanwhile would find it."""
    written = "find .git -newer ../before"
    repository.run("sleep 0.02; touch ../before; sleep 0.02")

    noted_and_kept(repository.sandbox, instance)

    assert repository.run(written) == ""
