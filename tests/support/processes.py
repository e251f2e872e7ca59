"""Processes that tests look for on this host."""

from __future__ import annotations

import contextlib

import psutil

SETSID = "python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'"
"""For a shell, before a command that gets a session of its own; macOS has no program for it."""


def fork_servers(folder: str) -> list[psutil.Process]:
    """Agents' fork servers with their socket in this folder."""
    found = {}
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(candidate.cmdline())
            if "forkserver.py" in words and f"{folder}/" in words:
                found[candidate.pid] = (candidate, candidate.ppid())
    # what they have forked has the same command line
    return [server for server, parent in found.values() if parent not in found]


def runners(folder: str) -> list[psutil.Process]:
    """Agents' own processes: what the fork servers in this folder have forked, and is alive."""
    found = []
    for server in fork_servers(folder):
        with contextlib.suppress(psutil.Error):
            found += [c for c in server.children() if c.status() != psutil.STATUS_ZOMBIE]
    return found
