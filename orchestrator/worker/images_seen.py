"""What every sandbox of an image holds as it starts, kept on this host from one look to the next.

A file is named by all that the answer depends on, first the image's digest. Nobody has to believe
it: `snapshot.sh` compares it with the files that are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.kept_files import keep, read_kept
from orchestrator.types import Future
from orchestrator.user_paths import image_seen_file
from orchestrator.worker.harvest import KeptFiles

FORM = 2
"""Of the files here."""
MOST_BYTES_OF_ONE = 16_000_000
"""Of sympy's repository there are 9. More would take more memory than the second it spares."""
MOST_BYTES = 1_000_000_000
"""Of all; those that were used last stay."""


@dataclass(frozen=True)
class ImageSeen:
    """What a look at a sandbox has found, of its image."""

    tree: str
    future: Future
    archive: bytes = b""
    """What was kept of its files; empty where that is too large."""

    @property
    def kept(self) -> KeptFiles | None:
        return KeptFiles(self.tree, self.archive) if self.archive else None


def key_of(*facts: str | Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([FORM, *facts]).encode()).hexdigest()


def recall(key: str) -> ImageSeen | None:
    content = read_kept(image_seen_file(key))
    if content is None:
        return None
    line, _, archive = content.partition(b"\n")
    facts = json.loads(line)
    found = Future(facts["found"], tuple(facts["names"]))
    return ImageSeen(facts["tree"], found, archive)


def remember(key: str, seen: ImageSeen) -> None:
    """Where it can't be written, the next sandbox is looked at anew."""
    facts = {"tree": seen.tree, "found": dict(seen.future.found), "names": seen.future.names}
    keep(
        image_seen_file(key),
        json.dumps(facts).encode() + b"\n" + seen.archive,
        MOST_BYTES,
    )


def forget(key: str) -> None:
    with contextlib.suppress(OSError):
        image_seen_file(key).unlink(missing_ok=True)
