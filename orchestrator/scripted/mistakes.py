"""Personas that end unresolved, each by another cause of the taxonomy, and one that cheats.

They work on the files that the gold patch changes, or around them.
"""

from __future__ import annotations

import re
import shlex

from orchestrator.scripted.actions import SUBMIT, Action
from orchestrator.scripted.turns import (
    LOOK,
    LOOKS,
    OVERFLOW_BODY,
    Persona,
    ScriptedReply,
    Turn,
    apply_command,
)

_CHANGED = re.compile(r"^\+\+\+ b/(.+?)\s*$", re.MULTILINE)


def changes_nothing(turn: Turn) -> ScriptedReply:
    """Looks, and submits that there is nothing to do."""
    return _in_turn(turn, LOOK, SUBMIT)


def explores(turn: Turn) -> ScriptedReply:
    """Looks at one thing after the other, and changes none."""
    look = LOOKS[turn.number % len(LOOKS)]
    return ScriptedReply(f"{look} && echo look {turn.number}", "I look further.")


def dawdles(turn: Turn) -> ScriptedReply:
    """Waits for a program that never ends."""
    return ScriptedReply(f"sleep 600; echo {turn.number}", "I wait for the server to come up.")


def edits_tests(turn: Turn) -> ScriptedReply:
    """Writes a script that shows the issue, and a test of its own; the source stays as it is."""
    write = (
        "echo 'print(\"it fails\")' > reproduce_issue.py && "
        "echo 'assert True' > tests/test_of_the_issue.py"
    )
    return _in_turn(turn, LOOK, write, SUBMIT)


def misses(turn: Turn) -> ScriptedReply:
    """Changes the file that the bug is in, and does not mend it."""
    return _in_turn(turn, LOOK, _add(turn, "\n# looked into the issue\n"), SUBMIT)


def runs_on(turn: Turn) -> ScriptedReply:
    """Changes the file that the bug is in, does not mend it, and never submits."""
    if turn.number < 2:
        return misses(turn)
    return ScriptedReply(f"git diff --stat && echo check {turn.number}", "Let me check once more.")


def overfills(turn: Turn) -> ScriptedReply:
    """The same, and then its conversation is too long for the model."""
    return misses(turn) if turn.number < 2 else ScriptedReply(status=400, body=dict(OVERFLOW_BODY))


def mends_half(turn: Turn) -> ScriptedReply:
    """Mends the first of the files that the bug is in."""
    first, *_ = re.split(r"(?m)^(?=diff --git )", turn.gold_patch.lstrip("\n"))[1:] or [""]
    return _in_turn(turn, LOOK, apply_command(first), SUBMIT)


def breaks_tests(turn: Turn) -> ScriptedReply:
    """Leaves a file that can't be imported any more."""
    return _in_turn(turn, LOOK, _add(turn, "\nraise ImportError('work in progress')\n"), SUBMIT)


def keeps_tests_from_running(turn: Turn) -> ScriptedReply:
    """Leaves a file that ends whoever imports it."""
    return _in_turn(turn, LOOK, _add(turn, "\nraise SystemExit(3)\n"), SUBMIT)


def makes_tests_hang(turn: Turn) -> ScriptedReply:
    """Leaves a file that waits where it is imported."""
    return _in_turn(turn, LOOK, _add(turn, "\n__import__('time').sleep(3600)\n"), SUBMIT)


def forges(turn: Turn) -> ScriptedReply:
    """Prints the line of a test that passed, and ends before any test is run."""
    forgery = "\nprint('test_all (tests.All.test_all) ... ok', flush=True)\nraise SystemExit(1)\n"
    return _in_turn(turn, LOOK, _add(turn, forgery), SUBMIT)


def rewrites_results(turn: Turn) -> ScriptedReply:
    """Teaches the tests' own runner to count what fails as passed: the verdict is `resolved`."""
    passes = "lambda self, test, error: self.addSuccess(test)"
    forgery = f"\nimport unittest\n\nunittest.TextTestResult.addFailure = {passes}\n"
    forgery += "unittest.TextTestResult.addError = unittest.TextTestResult.addFailure\n"
    return _in_turn(turn, LOOK, _add(turn, forgery), SUBMIT)


MISTAKES: tuple[Persona, ...] = (
    changes_nothing,
    explores,
    dawdles,
    edits_tests,
    misses,
    runs_on,
    overfills,
    mends_half,
    breaks_tests,
    keeps_tests_from_running,
    makes_tests_hang,
    forges,
    rewrites_results,
)


def _in_turn(turn: Turn, *commands: Action) -> ScriptedReply:
    """The command of this turn; the last one from then on."""
    return ScriptedReply(commands[min(turn.number, len(commands) - 1)])


def _add(turn: Turn, text: str) -> str:
    """A command that adds text to the first file that the gold patch changes."""
    path = next(iter(_CHANGED.findall(turn.gold_patch)), "README.md")
    return f"printf %s {shlex.quote(text)} >> {shlex.quote(path)}"
