"""Repositories in process sandboxes, and what agents do to them."""

from __future__ import annotations

from orchestrator.backends import Sandbox
from orchestrator.types import Instance
from orchestrator.worker.harvest import Baseline, harvest, inspect_repository, keep_files

SOURCE = "src/ledger/money.py"
MORE_FILES = r"""
printf 'one\r\ntwo\r\n' > crlf.txt
printf 'caf\xe9\n' > latin1.txt
printf '\x00\x01\x02' > data.bin
mkdir -p docs && echo doc > docs/guide.txt
mkdir -p .git/info
git add -A && git -c user.name=t -c user.email=t@t commit -q --amend -m SWE-bench
"""


def noted_and_kept(sandbox: Sandbox, instance: Instance) -> Baseline:
    """As a rollout's set-up leaves it."""
    baseline = inspect_repository(sandbox, instance)
    keep_files(sandbox, instance, baseline)
    return baseline


class Repository:
    """A sandbox whose repository was inspected, and what an agent does to it."""

    def __init__(self, sandbox: Sandbox, baseline: Baseline) -> None:
        self.sandbox, self.baseline = sandbox, baseline

    @classmethod
    def inspected(cls, sandbox: Sandbox, instance: Instance, prepare: str = "") -> Repository:
        """`prepare` is what the set-up of its image did."""
        assert sandbox.exec(prepare, 60).exit_code == 0
        return cls(sandbox, noted_and_kept(sandbox, instance))

    def run(self, command: str) -> str:
        result = self.sandbox.exec(command, 60)
        assert result.exit_code == 0, result.text
        return result.text

    def harvest(self, command: str) -> tuple[str, tuple[str, ...]]:
        self.run(command)
        return harvest(self.sandbox, self.baseline)

    def apply(self, patch: str) -> None:
        """As the grader does it."""
        self.sandbox.write_file("../the.patch", patch.encode("utf-8"))
        self.run("git apply --verbose ../the.patch")

    def contents(self) -> str:
        """Every file's name and checksum, and every link, but for what is never part of a patch."""
        return self.run(
            "find . -path ./.git -prune -o -name '*.pyc' -prune -o -name .pytest_cache -prune -o "
            """-type l -exec sh -c 'for f; do echo "$f $(readlink "$f")"; done' sh {} + -o """
            "-type f -exec cksum {} + | sort"
        )
