"""A sandbox that has just started is looked at: is it the instance's repository, as which files,
and does it hold its future?

All sandboxes of an image start alike, so what one look has found holds for the next ones
(`images_seen`). Of sympy's repository, on one core: the walk over its history takes 1.1 s, the
search beside it 0.3, packing HEAD's files 0.36 and reading them 0.12, in place of which one archive
of 8.6 MB is brought in, in 0.06 s.

In the first sandbox of an image all that but the reading is done while its agent starts and the
model reads the task (`Search`), at a low priority: what the model says is held back until then.
"""

from __future__ import annotations

import concurrent.futures
import posixpath
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from orchestrator.backends import Sandbox, SandboxSpec
from orchestrator.images.names import has_digest
from orchestrator.types import Future, Instance
from orchestrator.worker import future, images_seen
from orchestrator.worker.harvest import (
    SNAPSHOT,
    Baseline,
    Brought,
    bring_kept,
    inspect_repository,
    keep_files,
    kept_files,
)
from orchestrator.worker.images_seen import ImageSeen

_ONE_ARCHIVE = threading.Lock()
"""Each takes several times its size while it goes in or out, for a tenth of a second."""
ARCHIVE_S = 5.0
"""Where another sandbox hangs with its archive, the next one of this image is looked at anew."""


class Search:
    """What a sandbox holds of its repository's future: known, or looked for in a thread, which
    keeps the repository's files as well. Until it is over, nobody changes the sandbox."""

    def __init__(self, look: Callable[[], Future]) -> None:
        """Begin. `look` raises ImageUnavailable or SandboxUnavailable."""
        self._found = concurrent.futures.Future[Future]()
        threading.Thread(target=self._work, args=(look,), daemon=True, name="look").start()

    @classmethod
    def known(cls, found: Future) -> Self:
        search = cls.__new__(cls)
        search._found = concurrent.futures.Future()
        search._found.set_result(found)
        return search

    def _work(self, look: Callable[[], Future]) -> None:
        try:
            self._found.set_result(look())
        except BaseException as error:  # noqa: BLE001 - whoever waits has it
            self._found.set_exception(error)

    @property
    def is_over(self) -> bool:
        return self._found.done()

    def wait_for(self, seconds: float) -> None:
        """So long at most."""
        concurrent.futures.wait([self._found], seconds)

    def wait(self) -> Future:
        """What was found.

        Raises:
            ImageUnavailable: the files can't be kept.
            SandboxUnavailable: the sandbox is gone.
        """
        return self._found.result()


def look_at(sandbox: Sandbox, spec: SandboxSpec, instance: Instance) -> tuple[Baseline, Search]:
    """The repository as it is, and whether the sandbox holds its future, which may still be looked
    for. Nothing has run in the sandbox before.

    Raises:
        ImageUnavailable: it is not the instance's repository: a wrong image.
        SandboxUnavailable: the sandbox is gone.
    """
    key = _key(sandbox, spec, instance)
    seen, brought = _recall(sandbox, key) if key else (None, None)
    baseline = inspect_repository(sandbox, instance, brought)
    if seen is not None and seen.tree != baseline.tree:
        # two sandboxes of one image that differ: what was seen holds for none of them
        images_seen.forget(key)
        key, seen = "", None
    if seen is not None and brought is not None:
        return baseline, Search.known(seen.future)

    def look() -> Future:
        if brought is None:
            keep_files(sandbox, instance, baseline)
        if seen is not None:
            return seen.future
        found = future.find_future(sandbox, instance)
        if key and future.NOT_SEARCHED not in found.found:
            _remember(key, sandbox, baseline, found)
        return found

    return baseline, Search(look)


def _recall(sandbox: Sandbox, key: str) -> tuple[ImageSeen | None, Brought | None]:
    """What an earlier look has found, and what it kept, which lies in the sandbox then."""
    with _turn_for_an_archive() as is_ours:
        if not is_ours:
            return None, None
        seen = images_seen.recall(key)
        brought = bring_kept(sandbox, seen.kept) if seen and seen.kept else None
        return (replace(seen, archive=b"") if seen else None), brought


def _remember(key: str, sandbox: Sandbox, baseline: Baseline, found: Future) -> None:
    """For the next sandboxes of the image."""
    with _turn_for_an_archive() as is_ours:
        if not is_ours:
            return
        kept = kept_files(sandbox, baseline, images_seen.MOST_BYTES_OF_ONE)
        archive = kept.archive if kept else b""
        images_seen.remember(key, ImageSeen(baseline.tree, found, archive))


@contextmanager
def _turn_for_an_archive() -> Iterator[bool]:
    """Whether it came: not while another sandbox hangs with its own."""
    is_ours = _ONE_ARCHIVE.acquire(timeout=ARCHIVE_S)
    try:
        yield is_ours
    finally:
        if is_ours:
            _ONE_ARCHIVE.release()


def _key(sandbox: Sandbox, spec: SandboxSpec, instance: Instance) -> str:
    """What the answer depends on; empty where nobody can say. An image's name says nothing of what
    is in it: its digest does."""
    if not has_digest(sandbox.image) or any(
        _touches(mount, sandbox.workdir) for mount in spec.mounts
    ):
        return ""
    scripts = SNAPSHOT.read_text(encoding="utf-8") + future.scripts()
    environment = sorted(spec.env.items())
    return images_seen.key_of(
        sandbox.image, spec.platform, spec.mounts, environment, instance.repo, scripts
    )


def _touches(mount: str, workdir: str) -> bool:
    """Whether files of the work tree are none of the image's."""
    target = posixpath.normpath(mount.split(":")[1])
    both = posixpath.commonpath([target, workdir])
    return both in (target, workdir)
