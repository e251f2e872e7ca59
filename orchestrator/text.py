"""Text of others, as files, shells and terminals take it.

JSON may hold half of a surrogate pair and the character NUL; UTF-8 has no place for the one, and no
command and few databases for the other. Both become U+FFFD, the sign for what can't be shown.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
_UNPRINTABLE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # of a terminal: colours, moves of the cursor
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # other controls, but for tabs and line breaks
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # what turns the direction of writing
)
_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, moves of the cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
)
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    "|[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_SIGNS = {"\x1b": "[ESC]", "\r": "[CR]"}
"""Names of those that are met often; the others have their numbers."""


def writable(text: str) -> str:
    """The text with U+FFFD for NUL and for half a surrogate pair; two halves are one character."""
    if is_writable(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", REPLACEMENT)


def is_writable(text: str) -> bool:
    """Whether it holds neither. A long text takes a tenth of the time of a regular expression."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def printable(text: str) -> str:
    """The text without what would move a reader's cursor, clear the screen or turn the line."""
    return _UNPRINTABLE.sub("", writable(text))


def as_sentence(text: str) -> str:
    """With a capital, and with a full stop where it ends with no mark of its own."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


def visible(text: str) -> str:
    """The text with a sign for whatever a reader would not see, or would be misled by: `[ESC]`
    for an escape, `[U+202E]` for what turns the direction of writing. Tabs and line breaks stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text  # a tenth of the time, and most of what is asked about
    return _UNSEEN.sub(_sign, writable(text))


def printed(text: str) -> str:
    """What a program printed, as a reader of it sees it: without colours and moves of the cursor,
    and with a line break for each return to a line's start; the rest is `visible`."""
    plain = _TERMINAL.sub("", text)
    return visible(plain.replace("\r\n", "\n").replace("\r", "\n"))


def _sign(found: re.Match[str]) -> str:
    return _SIGNS.get(found.group(), f"[U+{ord(found.group()):04X}]")
