"""What the scripted endpoint says: one persona an instance, each a way in which models behave.

A persona is a function of the turn (how often the agent was answered) and of the try (how often
this turn was asked for), so that a restarted server or a repeated request changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.scripted.actions import SUBMIT, Edit, Incomplete, edits_of
from orchestrator.scripted.mistakes import MISTAKES
from orchestrator.scripted.turns import (
    LOOK,
    LOOKS,
    OVERFLOW_BODY,
    Persona,
    ScriptedReply,
    Turn,
    apply_command,
)

__all__ = ["PERSONAS", "Persona", "ScriptedReply", "Turn", "apply_command", "parse_persona"]

MANY_TOOLS = 4
"""OpenHands offers as many and more; SWE-agent with this project's bundles fewer."""
ODD = "half \ud83d NUL \0 keys \x03\x04\x1a\x1b[2J \u202ebidi"


def solves(turn: Turn) -> ScriptedReply:
    """Looks, mends the bug, submits."""
    commands = [LOOK, apply_command(turn.gold_patch), SUBMIT]
    return ScriptedReply(commands[min(turn.number, 2)])


def edits(turn: Turn) -> ScriptedReply:
    """Looks, mends the bug with the edit tool, looks at what has changed, submits."""
    changes = [ScriptedReply(edit, f"I change {edit.path}.") for edit in edits_of(turn.gold_patch)]
    replies = [
        ScriptedReply(LOOK, "I look at what is there."),
        *changes,
        ScriptedReply("git diff", "I check the change."),
        ScriptedReply(SUBMIT, "The issue is solved."),
    ]
    return replies[min(turn.number, len(replies) - 1)]


def leaves_the_shell(turn: Turn) -> ScriptedReply:
    """Ends its own shell, and then solves."""
    return (
        ScriptedReply("cd / && exit 3") if turn.number == 0 else solves(_at(turn, turn.number - 1))
    )


def wrong(turn: Turn) -> ScriptedReply:
    """Changes something that mends nothing, and submits it."""
    return ScriptedReply([LOOK, "echo 'looked into it' > NOTES.txt", SUBMIT][min(turn.number, 2)])


def never_submits(turn: Turn) -> ScriptedReply:
    """Mends the bug and then runs on."""
    if turn.number < 2:
        return solves(turn)
    return ScriptedReply(f"git diff --stat && echo check {turn.number}", "Let me check once more.")


def breaks_format(turn: Turn) -> ScriptedReply:
    """Never gives a command in the asked form."""
    return ScriptedReply(None, "I would now edit the file and run the tests.")


def recovers(turn: Turn) -> ScriptedReply:
    """Breaks the format once, then solves."""
    if turn.number == 0:
        return breaks_format(turn)
    return solves(_at(turn, turn.number - 1))


def overflows(turn: Turn) -> ScriptedReply:
    """Mends the bug, and then its conversation is too long for the model."""
    return solves(turn) if turn.number < 2 else ScriptedReply(status=400, body=dict(OVERFLOW_BODY))


def swallowed(turn: Turn) -> ScriptedReply:
    """Every answer ends up in the reasoning field: a parser that does not fit the model."""
    return ScriptedReply(reasoning="I should look at the files first.")


def slow(turn: Turn) -> ScriptedReply:
    """Solves, taking its time over every answer."""
    reply = solves(turn)
    return ScriptedReply(reply.command, reply.thought, delay_s=turn.parameter or 2.0)


def loops(turn: Turn) -> ScriptedReply:
    """Gives one and the same command for ever."""
    return ScriptedReply(LOOK, "Let me look at the files.")


def errors(turn: Turn) -> ScriptedReply:
    """Answers 500 to the first two tries of every turn, then solves."""
    if turn.tries < (turn.parameter or 2):
        return ScriptedReply(
            status=500, body={"error": {"message": "EngineDeadError", "code": 500}}
        )
    return solves(turn)


def hangs_up(turn: Turn) -> ScriptedReply:
    """Closes the connection on the first try of every turn, then solves."""
    if turn.tries < (turn.parameter or 1):
        return ScriptedReply(hang_up=True)
    return solves(turn)


def away(turn: Turn) -> ScriptedReply:
    """Is away for some seconds from its first request on, then solves."""
    if turn.since_first_s < (turn.parameter or 5):
        return ScriptedReply(hang_up=True)
    return solves(turn)


def speaks_oddly(turn: Turn) -> ScriptedReply:
    """Says what is legal in JSON and nowhere else, then solves; all in parts.

    Half a surrogate pair and NUL, keys such as Ctrl-C, and a command of 200 kB.
    """
    odd = f"echo '{ODD}' | wc -c; : [/bold][red]"
    long = f": '{'y' * 200_000}'; echo long"
    if turn.number < 2:
        command, thought = (odd, ODD) if turn.number == 0 else (long, "This is long.")
    else:
        reply = solves(_at(turn, turn.number - 2))
        command, thought = str(reply.command), reply.thought
    return ScriptedReply(command, thought, in_parts=True)


def crashes_late(turn: Turn) -> ScriptedReply:
    """Mends the bug, and from then on the server answers 500 for ever."""
    if turn.number < 2:
        return solves(turn)
    return ScriptedReply(status=500, body={"error": {"message": "EngineDeadError", "code": 500}})


def errs_once(turn: Turn) -> ScriptedReply:
    """Sends one call without its required parameters, then solves."""
    return _broken_call(turn) if turn.number == 0 else solves(_at(turn, turn.number - 1))


def drops_parameters(turn: Turn) -> ScriptedReply:
    """Gives no call's required parameters where many functions are offered; elsewhere it solves.

    The parameter is how many are many.
    """
    return _broken_call(turn) if turn.tools >= (turn.parameter or MANY_TOOLS) else solves(turn)


def forgets_late(turn: Turn) -> ScriptedReply:
    """Looks around, and from its sixth turn on gives no call's required parameters any more.

    The parameter is after how many turns. Where no functions are offered, it solves then.
    """
    good = int(turn.parameter or 5)
    if turn.number < good:
        return _looks_around(turn)
    return _broken_call(turn) if turn.tools else solves(_at(turn, turn.number - good))


def gemma(turn: Turn) -> ScriptedReply:
    """A Gemma as users met it: lost among a large framework's functions, and fine in plain text.

    By calls of many functions it does as `drops_parameters`; elsewhere it solves in nine steps.
    """
    if turn.by_calls and turn.tools >= MANY_TOOLS:
        return _broken_call(turn)
    if turn.number < len(LOOKS):
        return _looks_around(turn)
    last = [
        ScriptedReply(apply_command(turn.gold_patch), "I mend the bug."),
        ScriptedReply("git diff", "I check the change."),
        ScriptedReply(SUBMIT, "The issue is solved."),
    ]
    return last[min(turn.number - len(LOOKS), 2)]


def qwen(turn: Turn) -> ScriptedReply:
    """A Qwen as users met it: one mistake in calls and then fine; in plain text it never ends."""
    return errs_once(turn) if turn.by_calls else never_submits(turn)


PERSONAS: dict[str, Persona] = {
    persona.__name__: persona
    for persona in (
        solves,
        edits,
        leaves_the_shell,
        wrong,
        never_submits,
        breaks_format,
        recovers,
        overflows,
        swallowed,
        slow,
        loops,
        errors,
        hangs_up,
        away,
        speaks_oddly,
        crashes_late,
        errs_once,
        drops_parameters,
        forgets_late,
        gemma,
        qwen,
        *MISTAKES,
    )
}


def parse_persona(text: str) -> tuple[Persona, float]:
    """`slow:2` to the persona and its parameter (0 where none is given).

    Raises:
        ValueError: no such persona, or the parameter is not a number.
    """
    name, _, parameter = text.partition(":")
    if name not in PERSONAS:
        raise ValueError(f"no persona {name!r}; known: {', '.join(PERSONAS)}")
    return PERSONAS[name], float(parameter or 0)


def _looks_around(turn: Turn) -> ScriptedReply:
    command = LOOKS[turn.number % len(LOOKS)]
    return ScriptedReply(command, f"I look at what is there ({turn.number + 1}).")


def _broken_call(turn: Turn) -> ScriptedReply:
    """Another one each turn, since agents end a model's conversation that only repeats itself."""
    actions: list[str | Edit] = [LOOK, Edit("README.md", "old\n", "new\n")]
    thought = f"I try it in another way ({turn.number + 1})."
    return ScriptedReply(Incomplete(actions[turn.number % 2]), thought)


def _at(turn: Turn, number: int) -> Turn:
    return replace(turn, number=number)
