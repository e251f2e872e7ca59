"""Processes that tests look for on this host."""

from __future__ import annotations

import contextlib

import psutil


def forked_by_sweagent() -> list[psutil.Process]:
    """SWE-agent's processes on this host: what its fork server has forked, and is alive."""
    found = []
    for server in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(word.endswith("sweagent/forkserver.py") for word in server.cmdline()):
                found += [c for c in server.children() if c.status() != psutil.STATUS_ZOMBIE]
    return found
