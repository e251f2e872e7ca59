"""Anchors from headings: "Über uns" becomes "uber-uns"."""

from __future__ import annotations

import re
import unicodedata

# letters that Unicode doesn't take apart into a base letter and an accent
_LETTERS = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
}


def slugify(text: str) -> str:
    """ASCII letters, digits and single hyphens; "section" if nothing is left."""
    lowered = "".join(_LETTERS.get(letter, letter) for letter in text.lower())
    decomposed = unicodedata.normalize("NFKD", lowered)
    plain = decomposed.encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"


def unique(slug: str, taken: set[str]) -> str:
    """`slug`, or `slug-2`, `slug-3` and so on; the answer is added to `taken`."""
    candidate, count = slug, 1
    while candidate in taken:
        count += 1
        candidate = f"{slug}-{count}"
    taken.add(candidate)
    return candidate
