"""What an agent thinks, does and sees on its way to a patch: exchanges with a made-up model. Pure.

Each story is a list of exchanges, by what becomes of the instance. Paths and lines are the patch's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.evidence.facts import Cause
from orchestrator.made_up.fates import Fate
from orchestrator.made_up.patches import HUNK, PatchKind, files_of
from orchestrator.types import Outcome

SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
LOOKS = (
    ("I want to see how {name} is used elsewhere.", "grep -rn '{name}' --include=*.py . | head"),
    ("Let me read the next part of {file}.", "sed -n '{line},{end}p' {file}"),
    ("The history may say why it is like this.", "git log --oneline -n 8 -- {file}"),
    ("Which tests are there for {file}?", "grep -rln '{name}' --include=test_*.py . | head"),
    ("Who imports this module?", "grep -rn 'import {name}' --include=*.py . | head -n 20"),
    ("Let me see the class that this is in.", "grep -n '^class \\|    def ' {file} | head -n 40"),
    ("Is there anything about it in the docs?", "grep -rn '{name}' docs | head -n 5"),
    ("I check what Python says about it.", 'python -c "import {module}; print({module})"'),
)
COMPLAINT = (
    "Your answer held {count} commands; it must hold exactly one, fenced like this:\n\n"
    "```mswea_bash_command\nthe command\n```"
)
ODD_OUTPUTS = (
    "\x1b[31mFAILED\x1b[0m \x1b[1mtests\x1b[0m \x1b]0;title\x07\x1b[2J",
    "</script><script>alert('an output, no script')</script><!-- <![CDATA[",
    "right to left \u202egnirts\u202c, zero\u200bwidth, NUL \x00, half a \ud83d pair",
    "\r 10%\r 55%\r100% |##########| done\n" + "wide " * 400,
    "<b>not bold</b> &amp; | a | table | `code` **stars** [link](http://made-up.invalid)",
)
"""What programs print that is no plain text."""


@dataclass(frozen=True)
class ToldExchange:
    """An answer of the model, and what came of it."""

    thought: str
    action: str
    observation: str
    shown: str | None = None


@dataclass(frozen=True)
class StoryScene:
    """What a story is about."""

    statement: str
    patch: str
    """That the agent comes to; of what it only reads, where it comes to none."""
    fate: Fate
    tests: tuple[str, ...]


def tell(scene: StoryScene, steps: int, rng: random.Random) -> list[ToldExchange]:
    """So many exchanges, the last one of the kind that the fate ends in."""
    ending = list(_ending(scene, rng))[-max(1, steps - 2) :]
    opening = list(_opening(scene))[: max(0, steps - len(ending))]
    middle = _MIDDLES.get(scene.fate.cause, _reading)(scene, rng)
    between = [next(middle) for _ in range(steps - len(opening) - len(ending))]
    told = [*opening, *between, *ending]
    return [_with_odd_output(exchange, rng) for exchange in told]


def _opening(scene: StoryScene) -> Iterator[ToldExchange]:
    file = _file(scene)
    subject = scene.statement.strip().split("\n")[0][:200]
    folders = sorted({path.partition("/")[0] for path in files_of(scene.patch)} | {"docs", "tests"})
    yield ToldExchange(
        f"The issue says: {subject}\nI look at the repository first.",
        "git status --short && ls",
        "\n".join(["README.rst", *folders, "setup.cfg", "setup.py"]) + "\n",
    )
    yield ToldExchange(
        f"The words of the issue point to {file}.",
        f"grep -rn '{_name(scene)}' --include=*.py . | head -n 20",
        "".join(f"./{file}:{n}:{line}\n" for n, line in _lines(scene)[:8]),
    )
    first = _lines(scene)[0][0] if _lines(scene) else 1
    yield ToldExchange(
        "This looks like the place. I read it.",
        f"sed -n '{max(1, first - 10)},{first + 40}p' {file}",
        "".join(f"{line}\n" for _, line in _lines(scene)),
    )


def _reading(scene: StoryScene, rng: random.Random) -> Iterator[ToldExchange]:
    """Looking around without end."""
    file, name = _file(scene), _name(scene)
    lines = [line for _, line in _lines(scene)] or ["pass"]
    while True:
        thought, action = rng.choice(LOOKS)
        line = rng.randint(1, 900)
        words = {
            "file": file,
            "name": name,
            "line": line,
            "end": line + 60,
            "module": file.partition("/")[0].removesuffix(".py"),
        }
        seen = rng.choices(lines, k=rng.randint(1, 60))
        observation = "".join(f"{file}:{line + n}:{text}\n" for n, text in enumerate(seen))
        yield ToldExchange(thought.format(**words), action.format(**words), observation)


def _looping(scene: StoryScene, rng: random.Random) -> Iterator[ToldExchange]:
    """The same command again and again."""
    file = _file(scene)
    for exchange in _reading(scene, rng):
        yield exchange
        break
    while True:
        yield ToldExchange(
            "The file is not as I want it yet. I change it.",
            f"sed -i 's/{_name(scene)}_old/{_name(scene)}_new/' {file} && git diff --stat",
            "",
        )


def _losing_the_form(scene: StoryScene, rng: random.Random) -> Iterator[ToldExchange]:
    """Answers that hold no command, or two, here and there."""
    for exchange in _reading(scene, rng):
        yield _no_command(rng) if rng.random() < 0.15 else exchange


def _no_command(rng: random.Random) -> ToldExchange:
    count = rng.choice((0, 2))
    thought = (
        "I will now read the file and run the tests.\n\n```bash\nls\n```\n\n```bash\npytest\n```"
        if count
        else "The cause is clear to me now. The function has to return the other value."
    )
    return ToldExchange(thought, "", "", COMPLAINT.format(count=count))


_MIDDLES: Mapping[Cause | None, Callable[[StoryScene, random.Random], Iterator[ToldExchange]]] = {
    Cause.LOOPED: _looping,
    Cause.FORMAT: _losing_the_form,
}


def _ending(scene: StoryScene, rng: random.Random) -> Iterator[ToldExchange]:
    if scene.fate.patch is not PatchKind.NONE:
        yield from _working(scene, rng)
    if scene.fate.outcome is Outcome.FORMAT_ERRORS:
        yield from (_no_command(rng) for _ in range(5))
    if scene.fate.outcome is Outcome.CONTEXT_OVERFLOW:
        yield ToldExchange(
            "I print the whole file, to be sure.",
            f"cat {_file(scene)}",
            "".join(f"{line}\n" for _, line in _lines(scene) * 40),
        )
    if scene.fate.outcome in (Outcome.SUBMITTED, Outcome.GAVE_UP):
        yield ToldExchange("The issue is solved. I submit.", SUBMIT, "")


def _working(scene: StoryScene, rng: random.Random) -> Iterator[ToldExchange]:
    """The issue shown by a script, the change, the script again, tests, a look at the change."""
    module = _file(scene).removesuffix(".py").replace("/", ".")
    script = f"import {module}\n\nprint({module}.__name__)\nassert False, 'the issue'"
    yield ToldExchange(
        "I write a short script that shows the issue.",
        f"cat > /tmp/repro.py <<'EOF'\n{script}\nEOF\npython /tmp/repro.py",
        'Traceback (most recent call last):\n  File "/tmp/repro.py", line 4, in <module>\n'
        "    assert False, 'the issue'\nAssertionError: the issue\n",
    )
    files = ", ".join(files_of(scene.patch))
    yield ToldExchange(
        f"Now I change {files}.",
        f"git apply - <<'EOF'\n{scene.patch}EOF",
        "",
    )
    yield ToldExchange(
        "Does the script go through now?",
        "python /tmp/repro.py && echo fine",
        f"{module}\nfine\n",
    )
    some = scene.tests[:12]
    yield ToldExchange(
        "I run the nearby tests.",
        f"python -m pytest -q {(some or ('tests',))[0].partition('::')[0]}",
        "." * len(some) + f"  [100%]\n{len(some)} passed in {rng.uniform(1, 30):.2f}s\n",
    )
    yield ToldExchange("Let me look at the whole change once more.", "git diff", scene.patch)


def _with_odd_output(exchange: ToldExchange, rng: random.Random) -> ToldExchange:
    """One in a hundred prints what programs for terminals print."""
    if rng.random() >= 0.01 or not exchange.action or exchange.shown is not None:
        return exchange
    odd = rng.choice(ODD_OUTPUTS)
    return ToldExchange(exchange.thought, exchange.action, f"{exchange.observation}{odd}\n")


def _file(scene: StoryScene) -> str:
    return files_of(scene.patch)[0]


def _lines(scene: StoryScene) -> list[tuple[int, str]]:
    """Lines of the first hunks as they were before, with their numbers."""
    found: list[tuple[int, str]] = []
    number = 0
    for line in scene.patch.split("\n"):
        if match := HUNK.match(line):
            number = int(match[1])
        elif number and line[:1] in (" ", "-") and not line.startswith("--- "):
            found.append((number, line[1:]))
            number += 1
    return found[:60]


def _name(scene: StoryScene) -> str:
    """Of something that the change is about: the first longer word of its lines."""
    text = " ".join(line for _, line in _lines(scene)) or _file(scene)
    words = re.findall(r"[A-Za-z_]\w{5,}", text)
    return words[0] if words else "self"
