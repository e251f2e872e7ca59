"""A sandbox that has just started is looked at: is it the instance's repository, as which files,
and does it hold its future?

All sandboxes of an image start alike, so what one look has found holds for the next ones
(`images_seen`). Of sympy's repository, on one core: the walk over its history takes 1.1 s, the
search beside it 0.3, packing HEAD's files 0.36 and reading them 0.12, in place of which one archive
of 8.6 MB is brought in, in 0.06 s.
"""

from __future__ import annotations

import posixpath
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestrator.backends import Sandbox, SandboxSpec
from orchestrator.images.names import has_digest
from orchestrator.types import Future, Instance
from orchestrator.worker import future, images_seen
from orchestrator.worker.harvest import (
    SNAPSHOT,
    Baseline,
    bring_kept,
    inspect_repository,
    kept_files,
)
from orchestrator.worker.images_seen import ImageSeen

_ONE_ARCHIVE = threading.Lock()
"""Each takes several times its size while it goes in or out, for a tenth of a second."""
ARCHIVE_S = 5.0
"""Where another sandbox hangs with its archive, the next one of this image is looked at anew."""


def look_at(sandbox: Sandbox, spec: SandboxSpec, instance: Instance) -> tuple[Baseline, Future]:
    """The repository as it is, and what the sandbox holds of its future. Nothing has run in the
    sandbox before.

    Raises:
        ImageUnavailable: it is not the instance's repository: a wrong image.
        SandboxUnavailable: the sandbox is gone.
    """
    key = _key(sandbox, spec, instance)
    if not key or not _ONE_ARCHIVE.acquire(timeout=ARCHIVE_S):
        return _look_thoroughly(sandbox, instance, "")
    try:
        seen = images_seen.recall(key)
        brought = bring_kept(sandbox, seen.kept) if seen and seen.kept else None
        seen = replace(seen, archive=b"") if seen else None
    finally:
        _ONE_ARCHIVE.release()
    if seen is None:
        return _look_thoroughly(sandbox, instance, key)
    baseline = inspect_repository(sandbox, instance, brought)
    if baseline.tree == seen.tree:
        return baseline, seen.future
    # two sandboxes of one image that differ: what was seen holds for none of them
    images_seen.forget(key)
    return baseline, future.find_future(sandbox, instance)


def _look_thoroughly(sandbox: Sandbox, instance: Instance, key: str) -> tuple[Baseline, Future]:
    with ThreadPoolExecutor(1) as beside:  # both read the repository for a second or so
        looking = beside.submit(future.find_future, sandbox, instance)
        baseline = inspect_repository(sandbox, instance)
        found = looking.result()
    if key and not found.is_leak and _ONE_ARCHIVE.acquire(timeout=ARCHIVE_S):
        try:
            kept = kept_files(sandbox, baseline, images_seen.MOST_BYTES_OF_ONE)
            archive = kept.archive if kept else b""
            images_seen.remember(key, ImageSeen(baseline.tree, found, archive))
        finally:
            _ONE_ARCHIVE.release()
    return baseline, found


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
