"""Tells a person that a session has ended, of one run or of several: a POST, a command, or both.

It is told after the reports are written, takes seconds at most, and fails no run: what went wrong
with it is one more line of the run's own log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from orchestrator.config.cluster import Notify, notify_url
from orchestrator.config.schema import RunConfig
from orchestrator.display.terminal import print_line
from orchestrator.driver.plan import Plan
from orchestrator.errors import EXIT_INTERRUPTED, PrerequisiteError, one_line
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import answer_words
from orchestrator.report.build import Report
from orchestrator.report.markdown import headline
from orchestrator.text import printable

LIMIT_S = 10.0
"""For each of the two, whatever the network does."""
TITLE = "swe-orchestrator"
JSON_KEYS = {"hooks.slack.com": "text", "discord.com": "content"}
"""Webhooks that take no plain text: their host, and the key under which they look for it."""


@dataclass
class SessionEnd:
    """What is told when the session is over."""

    text: str = ""


@contextmanager
def notifying(
    config: RunConfig, plan: Plan, console: Console, name: str = ""
) -> Iterator[SessionEnd]:
    """Tells the ending's text when the `with` is left; where an error leaves it, that error's.

    `name` is what several runs are called together; they share the settings of the cluster.
    A session that had nothing to do is told to nobody: a person has just started it, and waits.
    """
    ending = SessionEnd()
    try:
        yield ending
    except BaseException as error:  # it goes on as it is; at night nobody would see it
        go_on = "it can be resumed" if name else f"`resume {config.run_id}` goes on"
        ending.text = f"{stopped_words(name or config.run_id, error)}; {go_on}"
        raise
    finally:
        if not plan.is_empty:
            for problem in send(config.cluster.notify, ending.text):
                print_line(console, f"the notification was not sent: {problem}", "yellow")


def ended_words(report: Report, exit_code: int) -> str:
    """How a session of one run ended, in one line."""
    go_on = "" if report.valid else f"; `resume {report.run_id}` goes on"
    return f"{report.run_id} {_how(exit_code, report.valid)}: {headline(report)}{go_on}"


def all_ended_words(name: str, reports: Sequence[Report], exit_code: int) -> str:
    """How a session of several runs ended, in one line."""
    valid = sum(report.valid for report in reports)
    resolved = ", ".join(f"{r.run_id} {r.resolved} of {r.instances}" for r in reports)
    how = _how(exit_code, valid == len(reports))
    return f"{name} {how}: {valid} of {len(reports)} runs valid; resolved: {resolved}"


def _how(exit_code: int, valid: bool) -> str:
    if exit_code == EXIT_INTERRUPTED:
        return "interrupted"
    return "done" if valid else "ended with failures left"


def stopped_words(name: str, error: BaseException) -> str:
    words = "interrupted" if isinstance(error, KeyboardInterrupt) else one_line(error)
    return f"{name} stopped: {words or type(error).__name__}"


def send(notify: Notify, text: str) -> tuple[str, ...]:
    """Tell one line of text in every way that is set; what went wrong, a line each."""
    line = one_line(printable(text), 500)
    problems: list[str] = []
    if notify.url or notify.url_env:
        problems += _within_limit(lambda: _post(notify, line), "no answer in time")
    if notify.command:
        problems += _within_limit(lambda: _run(notify.command, line), "it does not end")
    return tuple(problems)


def _within_limit(tell: Callable[[], str], too_late: str) -> list[str]:
    """A name server may take minutes, and a client's own limits do not cover it."""
    said = [too_late]

    def work() -> None:
        said[0] = tell()

    thread = threading.Thread(target=work, daemon=True, name="notify")
    thread.start()
    thread.join(LIMIT_S)
    return [problem for problem in said if problem]


def _post(notify: Notify, line: str) -> str:
    """What went wrong; empty where nothing did. The URL's path may be a secret, and is not told."""
    try:
        url = notify.url or notify_url(os.environ.get(notify.url_env or "", "").strip())
    except ValueError:
        return f"${notify.url_env} holds no URL (cluster.notify.url_env)"
    host = urlsplit(url).hostname or ""
    key = JSON_KEYS.get(host)
    body = line if key is None else json.dumps({key: line})
    kind = "text/plain; charset=utf-8" if key is None else "application/json"
    try:
        way = way_to(url)
        with (
            open_client(url, timeout=LIMIT_S / 2) as client,
            client.stream(
                "POST", url, content=body.encode(), headers={"Content-Type": kind, "Title": TITLE}
            ) as reply,
        ):
            if reply.is_success:
                return ""
            return f"{host} answers {answer_words(reply.status_code)}{way}"
    except httpx.HTTPError as error:
        return f"{host} does not answer{way} ({way.problem(error).what})"
    except (PrerequisiteError, httpx.InvalidURL, UnicodeError) as error:
        return one_line(error)


def _run(command: tuple[str, ...], line: str) -> str:
    try:
        running = subprocess.Popen(
            [*command, line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be waited for while any child holds it
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else error
        return f"{command[0]}: {one_line(words)}"
    try:
        exit_code = running.wait(0.9 * LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)  # what it has started too
        running.wait()
        return f"{command[0]} did not end within {LIMIT_S:g} s, and was ended"
    return f"{command[0]} ended with exit code {exit_code}" if exit_code else ""
