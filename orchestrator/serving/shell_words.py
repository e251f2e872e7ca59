"""A shell's text cut into commands and their words, as far as people's command lines need it. Pure.

Beside a shell's own rules it takes what pasting does to a text: a blank behind a continuation's
backslash, a continuation that was lost where the next line begins with a dash, and those of
Windows' shells. Nothing is expanded: `$(pwd)` and `${MODEL}` stay as they are.
"""

from __future__ import annotations

import re

_CONTINUED = re.compile(r"[\\^`][ \t\r]*\n[ \t]*")
_REDIRECTED = re.compile(r"(?:\d*|&)(?:<<<|<<|>>|>\||>|<)(&\d*-?)?[ \t]*")
_PLACEHOLDER = re.compile(r"<[A-Za-z][\w./-]*>")
"""<MODEL>, as instructions have it; no shell takes it for what it is."""
_EXPANSION = re.compile(r"\$\([^()]*\)|\$\{[^{}]*\}|`[^`\n]*`")
_COMMENT = re.compile(r"#[^\n]*")
_LINE_ENDS = re.compile(r"\n(?:\s|#[^\n]*\n)*")
"""With blank lines and those of comments behind it."""
_QUOTED = {
    "'": re.compile(r"'([^']*)'"),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_ESCAPED = re.compile(r"\\([$`\"\\])|\\\n")
_PLAIN = re.compile(r"[^\s'\"\\;&|()<>$`^]+")


def commands_of(text: str) -> list[list[str]]:
    """The words of each simple command; redirections and comments are left out.

    Raises:
        ValueError: a quote is not closed.
    """
    commands: list[list[str]] = [[]]
    at = 0
    word: str | None = None

    def end_word() -> None:
        nonlocal word
        if word is not None:
            commands[-1].append(word)
        word = None

    while at < len(text):
        piece, at, ends = _next_piece(text, at, word is None)
        if piece is not None:
            word = (word or "") + piece
        if ends:
            end_word()
        if ends == "command" and commands[-1]:
            commands.append([])
    end_word()
    return [words for words in commands if words]


def _next_piece(text: str, at: int, starts_word: bool) -> tuple[str | None, int, str]:
    """A piece of a word or None, where the next one begins, and what ends before it: a `word`, a
    `command`, or nothing."""
    char = text[at]
    if starts_word and (found := _PLACEHOLDER.match(text, at)):
        return found[0], found.end(), ""
    if starts_word and (found := _REDIRECTED.match(text, at)):
        return None, found.end() if found[1] else _after_word(text, found.end()), "word"
    if found := _CONTINUED.match(text, at):
        return None, found.end(), "word"
    if found := _LINE_ENDS.match(text, at):
        goes_on = text.startswith("-", found.end())
        return None, found.end(), "word" if goes_on else "command"
    if starts_word and (found := _COMMENT.match(text, at)):
        return None, found.end(), "word"
    if char in ";&|()":
        return None, at + 1, "command"
    if char.isspace():
        return None, at + 1, "word"
    if char in "<>":
        return None, at, "word"
    return _piece_of_word(text, at)


def _piece_of_word(text: str, at: int) -> tuple[str, int, str]:
    char = text[at]
    if char == "$" and text[at + 1 : at + 2] == "'":
        at, char = at + 1, "'"
    if char in _QUOTED:
        found = _QUOTED[char].match(text, at)
        if found is None:
            raise ValueError(f"a quote ({char}) is not closed")
        quoted = found[1] if char == "'" else _ESCAPED.sub(lambda m: m[1] or "", found[1])
        return quoted, found.end(), ""
    if char == "\\":
        return text[at + 1 : at + 2], at + 2, ""
    if found := _EXPANSION.match(text, at) or _PLAIN.match(text, at):
        return found[0], found.end(), ""
    return char, at + 1, ""


def _after_word(text: str, at: int) -> int:
    """Where the word ends that begins here."""
    while at < len(text) and not text[at].isspace() and text[at] not in ";&|()<>":
        _, at, _ = _piece_of_word(text, at)
    return at
