"""Question five of `init`: who is told when a run has ended."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import sys
from typing import Any

from orchestrator.config.cluster import VARIABLE, Notify, notify_url
from orchestrator.display.terminal import print_line
from orchestrator.errors import ConfigError
from orchestrator.run.notify import TITLE, send
from orchestrator.setup.given import Given
from orchestrator.setup.questions import Asker, FlagQuestion, chosen, numbered, yes_or_no

NOBODY = "none"
COMMANDS = {
    "darwin": (
        *("osascript", "-e", "on run argv", "-e"),
        *(f'display notification (item 1 of argv) with title "{TITLE}"', "-e", "end run"),
    ),
    "linux": ("notify-send", TITLE),
}
"""By `sys.platform`: what shows a line on this machine's own screen."""


def ask_notify(given: Given, asker: Asker) -> dict[str, Any]:
    """The section `notify` of a cluster's profile; empty for nobody. Raises as `init`."""
    offers = {f"https://ntfy.sh/{TITLE}-{secrets.token_hex(6)}": "a topic, for the app of ntfy.sh"}
    screen = COMMANDS.get(sys.platform, ())
    if screen and shutil.which(screen[0]):
        offers[shlex.join(screen)] = "on this screen"
    answers = tuple(offers)
    question = FlagQuestion(
        "--notify",
        "5. Who is told when a run has ended? (a number, a URL, a command)",
        lambda text: read_notify(chosen(text, answers)),
        default=NOBODY,
        choices=(
            *numbered(tuple(f"{words}: {answer}" for answer, words in offers.items())),
            "  or a URL that takes a POST; $NAME of an environment variable that holds one;",
            f"  a command, whose last argument the text becomes; or {NOBODY}",
        ),
    )
    while True:
        found = asker.ask(question, given.notify)
        if not found or not _wants_test(given, asker) or _arrives(found, asker):
            return found
        if given.notify is not None or not asker.asks:
            return found  # the profile is right for the night all the same


def _wants_test(given: Given, asker: Asker) -> bool:
    if given.send_test or not asker.asks:
        return given.send_test
    return asker.ask(yes_or_no("--send-test", "   Send a test message now?", default=True))


def _arrives(found: dict[str, Any], asker: Asker) -> bool:
    problems = send(Notify.model_validate(found), "this is a test message of `init`")
    for problem in problems:
        print_line(asker.console, f"the test message was not sent: {problem}", "yellow")
    return not problems


def read_notify(text: str) -> dict[str, Any]:
    """The section of an answer: a URL, `$NAME` of a variable with one, a command, or nobody.

    Raises:
        ConfigError: it is none of them; a command must be on PATH.
    """
    answer = text.strip()
    if answer.lower() == NOBODY:
        return {}
    if "://" in answer.partition(" ")[0]:
        try:
            return {"url": notify_url(answer)}
        except ValueError as error:
            raise ConfigError(f"that {error}") from None
    if re.fullmatch(rf"\${VARIABLE}", answer):
        return {"url_env": answer[1:]}
    try:
        command = shlex.split(answer)
    except ValueError as error:
        raise ConfigError(f"{answer!r} is no command ({error})") from None
    if not command or shutil.which(command[0]) is None:
        raise ConfigError(f"{answer!r}: {NOBODY}, a URL, or a command that is on PATH")
    return {"command": command}
