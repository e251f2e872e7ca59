"""A benchmark of tiny images in a registry of the test's own, as a file of rows.

An image holds bash, git and a few tools of this host, a repository of one file, and random bytes.
The gold patch puts 42 into the file, and the only test asks for it.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.docker_registry import Blob, Registry, random_layer

PROGRAMS = (
    *("bash", "sh", "git", "patch", "find", "xargs", "grep", "sed", "tar", "sleep", "timeout"),
    *("env", "cat", "ls", "cp", "mv", "rm", "ln", "mkdir", "chmod", "dirname", "basename", "head"),
    *("tail", "wc", "sort", "uniq", "tr", "cut", "touch", "mktemp", "readlink", "true", "false"),
    *("id", "stat", "test", "od", "tee", "date", "expr", "uname", "seq", "setsid", "kill"),
    *("awk", "comm", "diff", "cmp", "join", "split"),
)
MB = 1_000_000
EVAL = """#!/bin/bash
set -uo pipefail
cd /testbed
echo '>>>>> Start Test Output'
if grep -q 42 answer.txt; then echo 'PASSED test_answer'; else echo 'FAILED test_answer'; fi
echo '>>>>> End Test Output'
"""


@dataclass(frozen=True)
class TinyBenchmark:
    rows: Path
    """The file that `launch` takes as its benchmark."""
    images: tuple[str, ...]
    """As the registry has them, without its address."""


def make_benchmark(
    folder: Path, registry: Registry, address: str, count: int, own_mb: int, shared_mb: int
) -> TinyBenchmark:
    """`count` instances; images of five in a row share `shared_mb` beside the system. They are
    named by an address, of the registry or of a proxy before it."""
    if platform.machine() != "x86_64":
        pytest.skip("the programs of this host are for another platform")
    commit, patch = _make_repository(folder / "testbed")
    system = Blob.of_archive(_system(folder / "testbed"))
    names = [f"tiny/{number:02}" for number in range(count)]
    for number, name in enumerate(names):
        shared = random_layer(f"shared{number // 5}", shared_mb * MB)
        registry.push(name, [system, shared, random_layer(name, own_mb * MB)])
    rows = folder / "tiny.jsonl"
    lines = [_row(name, f"{address}/{name}:latest", commit, patch) for name in names]
    rows.write_text("".join(f"{line}\n" for line in lines))
    return TinyBenchmark(rows, tuple(names))


def _row(name: str, image: str, commit: str, patch: str) -> str:
    return json.dumps(
        {
            "instance_id": f"tiny__box-{name.rpartition('/')[2]}",
            "repo": "tiny/box",
            "base_commit": commit,
            "problem_statement": "The answer is 42.",
            "patch": patch,
            "test_patch": "",
            "version": "1",
            "FAIL_TO_PASS": ["test_answer"],
            "PASS_TO_PASS": [],
            "image": image,
            "eval_script": EVAL,
            "log_parser": "parse_log_pytest",
            "eval_type": "pass_and_fail",
        }
    )


def _make_repository(folder: Path) -> tuple[str, str]:
    """Its only commit, and the patch that mends it."""
    folder.mkdir(parents=True)
    answer = folder / "answer.txt"
    answer.write_text("41\n")

    def git(*words: str) -> str:
        names = ["-c", "user.name=t", "-c", "user.email=t@t"]
        command = ["git", *names, *words]
        return subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "an answer")
    answer.write_text("42\n")
    patch = git("diff")
    git("checkout", "-q", ".")
    return git("rev-parse", "HEAD").strip(), patch


def _system(testbed: Path) -> bytes:
    """A tar archive of a root folder."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for name in ("usr", "usr/bin", "usr/lib", "usr/lib64", "etc", "root", "tmp", "dev", "proc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for path, target in sorted(_files().items()):
            tar.add(path, target, recursive=False)
        users = b"root:x:0:0:root:/root:/bin/bash\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        tar.addfile(entry, io.BytesIO(users))
        tar.add(testbed, "testbed")
    return archive.getvalue()


def _files() -> dict[str, str]:
    """Programs and what they are linked to: where each lies here, and there."""
    found: dict[str, str] = {}
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None, name
        found[program] = f"usr/bin/{name}"
        said = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        for word in said.split():
            if word.startswith("/"):
                there = word.removeprefix("/").removeprefix("usr/")
                found[os.path.realpath(word)] = f"usr/{there}"
    return found
