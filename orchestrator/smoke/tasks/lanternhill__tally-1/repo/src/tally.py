"""Counts the words of a text."""

import re
from collections import Counter

# "don't" is one word
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


def tally(text):
    """How often each word occurs; upper and lower case are the same."""
    return Counter(WORD.findall(text.lower()))


def most_common(text, limit=3)
    """The most frequent words and their counts; ties in alphabetical order."""
    counts = tally(text)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]
